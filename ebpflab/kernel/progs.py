"""Programs: load with the verifier's whole log, test-run."""

from __future__ import annotations

import ctypes
import errno as E
import struct
import time

from ..errors import KernelError
from . import explain, ids, syscall

_SLOT = 8
_WIDE = 0x18               # LD | IMM | DW
_BY_FD, _BY_INDEX = (1, 2), (5, 6)  # src: PSEUDO_MAP_FD/_VALUE hold an fd in imm, PSEUDO_MAP_IDX/_IDX_VALUE an index
_FUNC_INFO, _LINE_INFO = 8, 16      # bytes of struct bpf_func_info, bpf_line_info
_LOG_START, _LOG_MOST = 1 << 20, (1 << 30) - 1  # the kernel takes buffers up to UINT_MAX >> 2
LIVE_FRAMES = 2            # BPF_F_TEST_XDP_LIVE_FRAMES
ONCE = {17: "raw_tracepoint", 31: "syscall"}      # types whose test run takes no packet and no repetitions
_HEADROOM = 4096           # a packet may grow by this much before a test run's output does not fit


def relocate(insns: bytes, fds: list[int]) -> tuple[bytes, bool]:
    """Put ``fds[imm]`` into each wide load that names a map by index; True if some go by the kernel's fd_array.

    The offset in the second slot of a PSEUDO_MAP_VALUE load stays.
    """
    patched, by_index, at = bytearray(insns), False, 0
    while at + _SLOT <= len(insns):
        wide = insns[at] == _WIDE
        src = insns[at + 1] >> 4
        if wide and src in _BY_FD:
            index = struct.unpack_from("<i", insns, at + 4)[0]
            if not 0 <= index < len(fds):
                raise KernelError(f"instruction {at // _SLOT} refers to map {index}, the program came with {len(fds)}",
                                  errno=E.EINVAL, call="BPF_PROG_LOAD")
            struct.pack_into("<i", patched, at + 4, fds[index])
        by_index |= wide and src in _BY_INDEX
        at += 2 * _SLOT if wide else _SLOT
    return bytes(patched), by_index


def btf_load(btf: bytes) -> int:
    """BPF_BTF_LOAD: the fd of this type information. KernelError with the kernel's log if it refuses."""
    memory, at = syscall.buffer(1 << 16)
    attr = syscall.ATTRS["BTF_LOAD"]
    done, errno = syscall.call(attr, attr.pack({"btf": syscall.address(btf), "btf_size": len(btf), "btf_log_level": 1,
                                                "btf_log_buf": at, "btf_log_size": len(memory)}))
    if errno == E.ENOSPC:  # the log alone did not fit
        return syscall.bpf("BTF_LOAD", btf=syscall.address(btf), btf_size=len(btf))
    if errno:
        raise explain.error("BTF_LOAD", errno, log=_text(memory))
    return done


def load(type: int, insns: bytes, *, fds: list[int] | None = None, license: str = "GPL", log_level: int = 1,
         log_size: int = 0, kern_version: int = 0, flags: int = 0, name: str = "", ifindex: int = 0,
         attach_type: int = 0, attach_btf_id: int = 0, patch: bool = True, btf_fd: int = 0, func_info: bytes = b"",
         line_info: bytes = b"") -> dict:
    """BPF_PROG_LOAD, every field of it.

    log_level   0 none, 1 the failing path, 2 every path, 4 statistics, 8 fixed (no rolling) — OR-ed together
    log_size    0: the buffer grows until the log fits; else exactly this many bytes are offered
    kern_version what LINUX_VERSION_CODE must be for kprobes before 5.0
    attach_btf_id what a tracing or LSM program is for: the id of a function or typedef in the kernel's BTF
    btf_fd      the program's types (``btf_load``), which func_info and line_info refer to

    A rejection is a result: {"fd": -1, "errno", "log", "log_truncated", "seconds"}; ``fd`` ≥ 0 if the kernel took it.
    KernelError for what fails before the verifier speaks (no permission, unknown type, bad request).
    """
    if len(insns) % _SLOT or not insns:
        raise KernelError(f"{len(insns)} bytes are not a program of 8-byte instructions", errno=E.EINVAL,
                          call="BPF_PROG_LOAD")
    fds = fds or []
    code, by_index = relocate(insns, fds) if patch else (bytes(insns), False)
    fd_array = struct.pack(f"<{len(fds)}i", *fds) if by_index else b""
    text = license.encode() + b"\0"
    fields = {
        "prog_type": type, "insn_cnt": len(code) // _SLOT, "insns": syscall.address(code),
        "license": syscall.address(text), "kern_version": kern_version, "prog_flags": flags,
        "prog_name": syscall.kernel_name(name), "prog_ifindex": ifindex, "expected_attach_type": attach_type,
        "fd_array": syscall.address(fd_array), "prog_btf_fd": btf_fd, "attach_btf_id": attach_btf_id,
    }
    for field, data, size in (("func_info", func_info, _FUNC_INFO), ("line_info", line_info, _LINE_INFO)):
        if data:
            fields.update({field: syscall.address(data), f"{field}_cnt": len(data) // size,
                           f"{field}_rec_size": size})
    return _load(fields, log_level, log_size, name)


def _load(fields: dict, log_level: int, log_size: int, name: str) -> dict:
    size = log_size or _LOG_START
    while True:
        fd, errno, log, needed, seconds = _try(fields, log_level, size)
        if errno != E.ENOSPC or log_size or not log_level or size >= _LOG_MOST:
            break
        # 6.4 and later say how much the log needs; before, it is found by trying
        size = min(needed if needed > size else size * 4, _LOG_MOST)
    truncated = errno == E.ENOSPC and bool(log)
    if truncated and not log_size:
        # the log is larger than the kernel can give: keep what there is, and have the verdict without it
        fd, errno, _, _, seconds = _try(fields, 0, 0)
    if errno and not log and (log_level or errno == E.EPERM):
        raise explain.error("PROG_LOAD", errno, where=f"program {name!r}" if name else None)
    return {"fd": fd, "errno": errno, "log": log, "log_truncated": truncated, "seconds": seconds}


def _try(fields: dict, log_level: int, log_size: int) -> tuple[int, int, str, int, float]:
    """One load -> fd, errno, log, the size the log would need (0 if the kernel does not say), seconds."""
    attr = syscall.ATTRS["PROG_LOAD"]
    memory, at = syscall.buffer(log_size) if log_level else (b"", 0)
    logged = {"log_level": log_level, "log_buf": at, "log_size": log_size} if log_level else {}
    for _ in range(5):  # EAGAIN: a signal interrupted the verifier
        buffer = attr.pack({**fields, **logged})
        start = time.perf_counter()
        fd, errno = syscall.call(attr, buffer)
        seconds = time.perf_counter() - start
        if errno != E.EAGAIN:
            break
    return fd, errno, _text(memory), attr.get(buffer, "log_true_size"), seconds


def _text(memory) -> str:
    """What the kernel wrote, up to its final NUL."""
    end = memory.find(b"\0") if memory else 0
    return memory[:end if end >= 0 else len(memory)].decode("utf-8", "replace") if memory else ""


def run(fd: int, data: bytes = b"", ctx: bytes = b"", repeat: int = 1, flags: int = 0, cpu: int = 0,
        batch_size: int = 0, type: int = 0) -> dict:
    """BPF_PROG_TEST_RUN: -> {"retval", "data", "ctx", "duration_ns"}, duration being the mean of one run.

    ``type`` is the program's: those in ONCE run once, without packet and duration.

    With LIVE_FRAMES in ``flags`` (XDP, since 5.18) ``repeat`` frames really leave through the device named in
    ``ctx`` and nothing comes back but the duration; a call has a fixed cost of some 24 ms, so send many at once.
    """
    if repeat < 1:
        raise KernelError(f"repeat must be at least 1, not {repeat}", errno=E.EINVAL, call="BPF_PROG_TEST_RUN")
    once = type in ONCE
    if once and (repeat > 1 or data):
        raise KernelError(f"a {ONCE[type]} program has no packet and is run once", errno=E.EINVAL,
                          call="BPF_PROG_TEST_RUN", hint="leave data and repeat out; ctx are the arguments")
    attr = syscall.ATTRS["PROG_TEST_RUN"]
    live = bool(flags & LIVE_FRAMES)
    room = 0 if live or not data else len(data) + _HEADROOM
    while True:
        out = ctypes.create_string_buffer(max(room, 1))
        ctx_in = ctypes.create_string_buffer(ctx, max(len(ctx), 1))     # a syscall program writes to it
        ctx_out = ctx_in if once else ctypes.create_string_buffer(max(len(ctx), 1))
        buffer = attr.pack({
            "prog_fd": fd, "data_size_in": len(data), "data_in": syscall.address(data), "data_size_out": room,
            "data_out": syscall.address(out) if room else 0, "repeat": 0 if once else repeat, "flags": flags,
            "cpu": cpu, "batch_size": batch_size, "ctx_size_in": len(ctx),
            "ctx_in": syscall.address(ctx_in) if ctx else 0, "ctx_size_out": 0 if live or once else len(ctx),
            "ctx_out": syscall.address(ctx_out) if ctx and not live and not once else 0})
        _, errno = syscall.call(attr, buffer)
        wanted = attr.get(buffer, "data_size_out")
        if errno != E.ENOSPC or wanted <= room:
            break
        room = wanted
    if errno:
        raise explain.error("PROG_TEST_RUN", errno)
    return {"retval": attr.get(buffer, "retval"), "data": out.raw[:min(wanted, room)],
            "ctx": b"" if live else ctx_out.raw[:len(ctx) if once else min(attr.get(buffer, "ctx_size_out"),
                                                                           len(ctx))],
            "duration_ns": attr.get(buffer, "duration")}


def xdp_md(length: int, ifindex: int) -> bytes:
    """struct xdp_md of a test run: a packet of ``length`` bytes that comes in at ``ifindex``, queue 0."""
    return struct.pack("<6I", 0, length, 0, ifindex, 0, 0)


class Program(syscall.Fd):
    """A loaded program by its file descriptor."""

    def __init__(self, fd: int, name: str = ""):
        super().__init__(fd)
        self.name = name
        info = ids.info("prog", fd)
        self.id, self.tag, self.type = info["id"], info["tag"], info["type"]
