"""perf_event_open(2): probes, tracepoints, counters, and the buffer that programs write samples into.

The part of ``struct perf_event_attr`` (include/uapi/linux/perf_event.h) that is used::

     0 u32 type             4 u32 size             8 u64 config
    16 u64 sample_period or sample_freq           24 u64 sample_type
    32 u64 read_format     40 u64 flags           48 u32 wakeup_events    52 u32 bp_type
    56 u64 kprobe_func, uprobe_path               64 u64 probe_offset, kprobe_addr
    72 u64 branch_sample_type                     80 u64 sample_regs_user
    88 u32 sample_stack_user                      92 s32 clockid          … 112
"""

from __future__ import annotations

import ctypes
import errno as E
import os
import platform
import struct

from ..errors import KernelError
from . import explain, syscall

_ATTR = syscall.drawn("""
PERF_EVENT_OPEN 0
     0 u32 type             4 u32 size             8 u64 config           16 u64 period
    24 u64 sample_type     32 u64 read_format     40 u64 flags            48 u32 wakeup
    52 u32 bp_type         56 u64 config1         64 u64 config2          72 u64 branch
    80 u64 regs            88 u32 stack           92 u32 clockid          96 u64 regs_intr
   104 u32 aux            108 u32 max_stack
""")["PERF_EVENT_OPEN"]
_NUMBER = {"x86_64": 298, "aarch64": 241, "arm64": 241, "riscv64": 241}
_CLOEXEC = 8
_HARDWARE, _SOFTWARE, _TRACEPOINT = 0, 1, 2
_DISABLED, _FREQUENCY, _CLOCK = 1 << 0, 1 << 10, 1 << 25
_BPF_OUTPUT = 10
_MONOTONIC = 1
TIME, RAW = 1 << 2, 1 << 10                      # sample_type
LOST = 1 << 4                                    # read_format, Linux 6.0 and later

#: event -> type, config (enum perf_sw_ids, enum perf_hw_id)
EVENTS = {
    "cpu-clock": (_SOFTWARE, 0), "task-clock": (_SOFTWARE, 1), "page-faults": (_SOFTWARE, 2),
    "context-switches": (_SOFTWARE, 3), "cpu-migrations": (_SOFTWARE, 4), "minor-faults": (_SOFTWARE, 5),
    "major-faults": (_SOFTWARE, 6),
    "cycles": (_HARDWARE, 0), "instructions": (_HARDWARE, 1), "cache-references": (_HARDWARE, 2),
    "cache-misses": (_HARDWARE, 3), "branches": (_HARDWARE, 4), "branch-misses": (_HARDWARE, 5),
}


def _open(fields: dict, pid: int, cpu: int, what: str) -> syscall.Fd:
    attr = _ATTR.pack({"size": _ATTR.size, **fields})
    number = _NUMBER.get(platform.machine())
    if number is None:
        raise explain.error("perf_event_open", 38, hint=f"its number on {platform.machine()} is not known here")
    return syscall.Fd(syscall.libc_call("perf_event_open", number, what, ctypes.addressof(attr), pid, cpu, -1,
                                        _CLOEXEC))


def online() -> list[int]:
    """The CPUs that are on."""
    return syscall.cpu_list(explain.read("/sys/devices/system/cpu/online") or "0")


def _pmu(kind: str, entry: str = "type") -> str:
    found = explain.read(f"/sys/bus/event_source/devices/{kind}/{entry}")
    if not found:
        raise explain.error("perf_event_open", 95, where=kind, hint=f"a kernel with {kind}s (4.17 or later, "
                            f"CONFIG_{kind.upper()}_EVENTS)")
    return found


def open_probe(kind: str, name: bytes, offset: int, returning: bool, *, pid: int = -1,
               semaphore: int = 0) -> syscall.Fd:
    """A kprobe (``name`` a function) or uprobe (a path). ``semaphore``: file offset of a USDT counter."""
    bit = int(_pmu(kind, "format/retprobe").partition(":")[2]) if returning else 0
    config = (1 << bit if returning else 0) | semaphore << 32
    held = ctypes.create_string_buffer(name)
    # any one CPU and all processes means all CPUs here: the place itself is what is probed
    return _open({"type": int(_pmu(kind)), "config": config, "config1": ctypes.addressof(held), "config2": offset,
                  "flags": _DISABLED}, pid, -1 if pid > 0 else 0, f"{kind} {name[:-1].decode()}")


def open_tracepoint(number: int) -> syscall.Fd:
    return _open({"type": _TRACEPOINT, "config": number, "flags": _DISABLED}, -1, 0, "tracepoint")


def open_counter(name: str, cpu: int, pid: int = -1, *, frequency: int = 0, period: int = 0,
                 enabled: bool = False) -> syscall.Fd:
    """A counter of ``EVENTS`` on a CPU; with a frequency or period it samples."""
    type_, config = EVENTS[name]
    flags = (0 if enabled else _DISABLED) | (_FREQUENCY if frequency else 0)
    return _open({"type": type_, "config": config, "period": frequency or period, "flags": flags}, pid, cpu,
                 f"{name} on CPU {cpu}")


def open_output(cpu: int, wakeup: int = 1) -> tuple[syscall.Fd, bool]:
    """What bpf_perf_event_output writes to: samples of time (CLOCK_MONOTONIC) and raw bytes.

    -> its descriptor, and does ``lost`` count its losses? Kernels before 6.0 do not know of that.
    """
    fields = {"type": _SOFTWARE, "config": _BPF_OUTPUT, "period": 1, "sample_type": TIME | RAW, "wakeup": wakeup,
              "flags": _CLOCK, "clockid": _MONOTONIC}
    what = f"buffer of CPU {cpu}"
    try:
        return _open({**fields, "read_format": LOST}, -1, cpu, what), True
    except KernelError as error:
        if error.errno != E.EINVAL:
            raise
    return _open(fields, -1, cpu, what), False


def lost(event: syscall.Fd) -> int:
    """Samples that found no room since the event was opened."""
    return struct.unpack("<QQ", os.read(event.fd, 16))[1]
