"""Types (BTF) and configuration of this kernel, and the types of programs that it was given."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct

from ..errors import KernelError
from . import explain, ids, progs, syscall

VMLINUX = "/sys/kernel/btf/vmlinux"
_PTR, _FUNC, _FUNC_PROTO, _VAR, _DATASEC, _FLOAT, _DECL_TAG, _TYPE_TAG, _ENUM64 = 2, 12, 13, 14, 15, 16, 17, 18, 19
GLOBAL_FUNCTIONS = 0


class Btf(syscall.Fd):
    """Types that the kernel holds."""

    def __init__(self, fd: int):
        super().__init__(fd)
        self.id = ids.info("btf", fd)["id"]


def vmlinux() -> bytes:
    """The kernel's BTF, b"" if it has none."""
    try:
        with open(VMLINUX, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise explain.error("open", error.errno or 0, where=VMLINUX) from None


def vmlinux_hash() -> str:
    data = vmlinux()
    return hashlib.sha256(data).hexdigest() if data else ""


def kconfig() -> str:
    """The text of this kernel's .config (CONFIG_IKCONFIG_PROC, or what a distribution leaves in /boot), else ""."""
    release = os.uname().release
    for path in ("/proc/config.gz", f"/boot/config-{release}", f"/lib/modules/{release}/config"):
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            continue
        return (gzip.decompress(data) if path.endswith(".gz") else data).decode("utf-8", "replace")
    return ""


def _record(name: int, kind: int, vlen: int, size_or_type: int, *words: int) -> bytes:
    return struct.pack(f"<III{len(words)}I", name, kind << 24 | vlen, size_or_type, *words)


#: type 1 of each probe, "int"; its name and that of the other types are at offsets 1 and 5 of the strings
_INT = _record(1, 1, 0, 4, 1 << 24 | 32)
_STRINGS = b"\0int\0x\0.data\0"
_PROBES = {
    GLOBAL_FUNCTIONS: _record(0, _FUNC_PROTO, 0, 0) + _record(5, _FUNC, 1, 2),
    _DATASEC: _record(5, _VAR, 0, 1, 1) + _record(7, _DATASEC, 1, 4, 2, 0, 4),
    _FLOAT: _record(5, _FLOAT, 0, 4),
    _DECL_TAG: _record(5, _VAR, 0, 1, 1) + _record(5, _DECL_TAG, 0, 2, 0xFFFFFFFF),
    _TYPE_TAG: _record(5, _TYPE_TAG, 0, 1) + _record(0, _PTR, 0, 2),
    _ENUM64: _record(5, _ENUM64, 1, 8, 5, 0, 0),
}


def kinds() -> list[int]:
    """Which of the younger kinds (and GLOBAL_FUNCTIONS) this kernel takes."""
    return [kind for kind, records in _PROBES.items() if _takes(_INT + records)]


def _takes(types: bytes) -> bool:
    head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(_STRINGS))
    try:
        os.close(progs.btf_load(head + types + _STRINGS))
    except KernelError:
        return False
    return True
