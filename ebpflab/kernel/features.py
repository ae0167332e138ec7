"""What this kernel can do, found by trying, and what this process is allowed to.

A probe makes the smallest thing that needs the feature and throws it away.  A version number decides nothing
here: distributions backport. ``since`` is the upstream release, for the reader.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass

from ..errors import KernelError
from . import explain, ids, maps, progs, syscall

_SOCKET_FILTER, _XDP = 1, 6


def _insns(*slots: tuple) -> bytes:
    """opcode, dst, src, off, imm of each slot, as bytes."""
    return b"".join(struct.pack("<BBhi", op, src << 4 | dst, off, imm) for op, dst, src, off, imm in slots)


_R0_0, _EXIT = (0xB7, 0, 0, 0, 0), (0x95, 0, 0, 0, 0)
_NOTHING = _insns(_R0_0, _EXIT)

#: map type -> (key, value, entries, flags) where 4, 4, 1, 0 will not do; see map_alloc_check of each type
_SHAPES = {
    7: (4, 8, 1, 0), 11: (8, 8, 1, 1), 19: (16, 8, 0, 0), 21: (16, 8, 0, 0), 22: (0, 4, 1, 0), 23: (0, 4, 1, 0),
    24: (4, 4, 0, 1), 27: (0, 0, 4096, 0), 28: (4, 4, 0, 1), 29: (4, 4, 0, 1), 30: (0, 4, 1, 0), 31: (0, 0, 4096, 0),
    32: (4, 4, 0, 1), 33: (0, 0, 1, 1 << 10),
}
_OF_MAPS, _STORAGE, _STRUCT_OPS = (12, 13), (24, 28, 29, 32), 26
#: program type -> attach type it must be loaded for
_ATTACH = {9: 2, 18: 8, 25: 21, 30: 36, 32: 45}
MAP_TYPES, PROG_TYPES = range(1, 34), range(1, 33)

# BTF with one type, "int": header, BTF_KIND_INT of 32 signed bits, the two strings
_INT = struct.pack("<IIII", 1, 1 << 24, 4, 1 << 24 | 32)
_BTF = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(_INT), len(_INT), 5) + _INT + b"\0int\0"


def _load(insns: bytes, type: int = _SOCKET_FILTER, log_level: int = 1, **rest) -> None:
    loaded = progs.load(type, insns, log_level=log_level, **rest)
    if loaded["fd"] < 0:
        raise KernelError((loaded["log"].strip().splitlines() or ["rejected"])[0], errno=loaded["errno"],
                          call="BPF_PROG_LOAD", log=loaded["log"])
    os.close(loaded["fd"])


def _global_data() -> None:
    with closing(maps.create(2, 4, 8, 1, name="probe")) as made:
        _load(_insns((0x18, 1, 2, 0, 0), (0, 0, 0, 0, 0), _R0_0, _EXIT), fds=[made.fd])


def _batch() -> None:
    with closing(maps.create(1, 4, 4, 1, name="probe")) as made:
        if made.read()["how"] != "batch":
            raise KernelError("hash maps have no BPF_MAP_LOOKUP_BATCH", call="BPF_MAP_LOOKUP_BATCH")


def _test_run() -> None:
    with closing(progs.Program(progs.load(_XDP, _NOTHING)["fd"])) as program:
        progs.run(program.fd, bytes(64))


def _btf_load() -> None:
    os.close(progs.btf_load(_BTF))


def _vmlinux() -> None:
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        raise KernelError("there is no /sys/kernel/btf/vmlinux", hint="a kernel built with CONFIG_DEBUG_INFO_BTF")


@dataclass(frozen=True)
class Feature:
    """A thing to probe: ``probe`` returns if it is there and raises KernelError if not."""

    name: str
    since: str
    probe: Callable[[], None]


def _runs(name: str, since: str, *slots: tuple) -> Feature:
    return Feature(name, since, lambda: _load(_insns(*slots)))


FEATURES = (
    _runs("bpf", "3.18", _R0_0, _EXIT),
    _runs("bpf2bpf_calls", "4.16", (0x85, 0, 1, 0, 1), _EXIT, _R0_0, _EXIT),
    _runs("jmp32", "5.1", _R0_0, (0x16, 0, 0, 0, 0), _EXIT),
    # r0 = 0; again: r0 += 1; if r0 < 4 goto again
    _runs("bounded_loops", "5.3", _R0_0, (0x07, 0, 0, 0, 1), (0xA5, 0, 0, -2, 4), _EXIT),
    _runs("atomic_fetch", "5.12", _R0_0, (0x7A, 10, 0, -8, 0), (0xDB, 10, 0, -8, 1), _EXIT),
    _runs("isa_v4", "6.6", _R0_0, (0xBF, 0, 0, 8, 0), _EXIT),
    _runs("may_goto", "6.9", _R0_0, (0xE5, 0, 0, 0, 0), _EXIT),
    Feature("global_data", "5.2", _global_data),
    Feature("map_batch", "5.6", _batch),
    Feature("test_run", "4.12", _test_run),
    Feature("btf_load", "4.18", _btf_load),
    Feature("btf_vmlinux", "5.4", _vmlinux),
)


def _why(probe: Callable[[], None]) -> str:
    try:
        probe()
    except KernelError as error:
        return error.what
    return ""


def _probe_prog(number: int) -> str:
    """ "" if the verifier of this kernel knows the type: it accepts, or it has something to say."""
    try:
        _load(_NOTHING, number, attach_type=_ATTACH.get(number, 0))
    except KernelError as error:
        return "" if error.log else error.what
    return ""


def _probe_map(number: int) -> str:
    if number == _STRUCT_OPS:
        return "not probed: its value is a type of the kernel's own BTF"
    key, value, entries, flags = _SHAPES.get(number, (4, 4, 1, 0))
    rest: dict = {}
    with ExitStack() as held:
        if number in _OF_MAPS:
            rest["inner_fd"] = held.enter_context(closing(maps.create(2, 4, 4, 1))).fd
        if number in _STORAGE:
            btf = held.enter_context(closing(syscall.Fd(progs.btf_load(_BTF))))
            rest.update(btf_fd=btf.fd, btf_key_type_id=1, btf_value_type_id=1)
        return _why(lambda: maps.create(number, key, value, entries, flags, **rest).close())


def probe() -> dict:
    """{"features": [{"name", "since", "ok", "why"}], "prog_types", "map_types": [{"number", "ok", "why"}]}"""
    def row(why: str, **rest) -> dict:
        return {**rest, "ok": not why, "why": why}

    return {
        "features": [row(_why(f.probe), name=f.name, since=f.since) for f in FEATURES],
        "prog_types": [row(_probe_prog(number), number=number) for number in PROG_TYPES],
        "map_types": [row(_probe_map(number), number=number) for number in MAP_TYPES],
    }


def facts() -> dict:
    """What kernel this is and what we may do; ``privileged`` and ``jit`` are tried, not guessed.

    ``denied`` says in a sentence why it is not privileged, "" if it is.
    """
    uname = os.uname()
    jit, denied = explain.read("/proc/sys/net/core/bpf_jit_enable") in ("1", "2"), ""
    try:
        with closing(progs.Program(progs.load(_XDP, _NOTHING, name="probe")["fd"])) as program:
            jit = ids.info("prog", program.fd)["jited_len"] > 0
    except KernelError as error:
        denied = error.what
    return {
        "release": uname.release, "version": ".".join(map(str, syscall.version())), "machine": uname.machine,
        "cpus": syscall.possible_cpus(),
        "online": syscall.count_ranges(explain.read("/sys/devices/system/cpu/online")) or os.cpu_count() or 1,
        "jit": jit, "btf": os.path.exists("/sys/kernel/btf/vmlinux"), "privileged": not denied, "denied": denied,
        "lockdown": explain.lockdown(), "unprivileged_bpf_disabled": explain.unprivileged_bpf_disabled(),
        "capabilities": explain.capabilities(), "uid": os.geteuid(),
    }
