"""Helpers of programs that a cgroup's processes pass: the value returned to them, sysctls (``kernel/bpf/cgroup.c``)."""

from __future__ import annotations

import errno

from .registry import helper, signed32

F_BASE_NAME = 1            # BPF_F_SYSCTL_BASE_NAME
LONGEST = 4095             # PAGE_SIZE - 1


@helper()
def get_retval(run):
    return run.retval


@helper()
def set_retval(run, value):
    run.retval = signed32(value)
    return 0


def _copy(run, target: int, size: int, data: bytes) -> int:
    """``copy_sysctl_value``: the length, or -E2BIG for what does not fit with a NUL."""
    if not size:
        return -errno.E2BIG
    run.memory.clear(target, size)
    if not data:
        return -errno.EINVAL
    run.memory.write(target, data[:size] if size > len(data) else data[:size - 1])
    return len(data) if size > len(data) else -errno.E2BIG


def _writes(run, ctx: int) -> bool:
    return run.memory.load(ctx, 4) != 0      # bpf_sysctl.write


@helper()
def sysctl_get_name(run, ctx, buffer, size, flags):
    name = run.machine.sysctl.name.encode()
    return _copy(run, buffer, size, name.rsplit(b"/", 1)[-1] if flags & F_BASE_NAME else name)


@helper()
def sysctl_get_current_value(run, ctx, buffer, size):
    return _copy(run, buffer, size, run.machine.sysctl.value)


@helper()
def sysctl_get_new_value(run, ctx, buffer, size):
    if not _writes(run, ctx):
        run.memory.clear(buffer, size)
        return -errno.EINVAL
    return _copy(run, buffer, size, run.machine.sysctl.new)


@helper()
def sysctl_set_new_value(run, ctx, buffer, size):
    if not _writes(run, ctx) or not run.machine.sysctl.new or not size:
        return -errno.EINVAL
    if size > LONGEST:
        return -errno.E2BIG
    run.machine.sysctl.new = run.memory.read(buffer, size)
    return 0
