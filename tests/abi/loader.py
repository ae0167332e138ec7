"""bpf(2) for the sweeps, through ctypes: independent of ``ebpflab.kernel`` and fast enough for 100,000 loads."""

from __future__ import annotations

import ctypes
import os
import struct
from functools import cache

from ebpflab.isa import Insn, encode

_LIBC = ctypes.CDLL(None, use_errno=True)
_SYS_BPF = 321      # x86_64
_MAP_CREATE, _PROG_LOAD = 0, 5
_LOG = ctypes.create_string_buffer(1 << 16)
_LICENSE = ctypes.create_string_buffer(b"GPL")
_UNFREE = ctypes.create_string_buffer(b"Proprietary")


def _bpf(command: int, attr: bytes) -> int:
    buffer = ctypes.create_string_buffer(attr, len(attr))
    return _LIBC.syscall(_SYS_BPF, command, buffer, len(attr))


def load(prog_type: int, insns: list[Insn], attach: int = 0, level: int = 1, gpl: bool = True,
         flags: int = 0) -> tuple[int, str]:
    """Load and close again. -> (0 or errno, verifier log)"""
    code = encode(insns)
    text = ctypes.create_string_buffer(code, len(code))
    _LOG[0] = b"\0"
    attr = struct.pack(
        "<IIQQIIQII16sII", prog_type, len(insns), ctypes.addressof(text),
        ctypes.addressof(_LICENSE if gpl else _UNFREE), level, len(_LOG) if level else 0,
        ctypes.addressof(_LOG) if level else 0, 0, flags, b"sweep", 0, attach)
    fd = _bpf(_PROG_LOAD, attr)
    if fd >= 0:
        os.close(fd)
        return 0, _LOG.value.decode()
    return ctypes.get_errno(), _LOG.value.decode()


def create_map(type: int, key: int, value: int, entries: int, flags: int = 0, inner: int = 0,
               extra: int = 0) -> int:
    """A map's file descriptor, or minus errno."""
    fd = _bpf(_MAP_CREATE, struct.pack("<IIIIIII16sIIIIIQ", type, key, value, entries, flags, inner, 0, b"sweep",
                                       0, 0, 0, 0, 0, extra))
    return fd if fd >= 0 else -ctypes.get_errno()


@cache
def why_not() -> str:
    """Why the kernel cannot be asked here, "" if it can."""
    if os.uname().machine != "x86_64":
        return "the sweep's system call number is x86_64's"
    errno, log = load(1, [Insn(0xB7, 0, 0, 0, 0), Insn(0x95)])
    return "" if errno == 0 else f"bpf(2) does not load programs here: {os.strerror(errno)} {log}"


def release() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int(minor)
