"""Helpers of tracing programs: functions, counters, branches, symbols (``kernel/trace/bpf_trace.c``)."""

from __future__ import annotations

import errno

from ...abi import STRUCTS
from ...errors import Fault
from ..maps import PerfEventArray
from .maps import a_map
from .registry import helper

PT_REGS = STRUCTS["pt_regs"]
RETURNS = ("trace_fexit", "modify_return")     # attach types whose context ends in the return value
F_INDEX, CURRENT_CPU = 0xFFFF_FFFF, 0xFFFF_FFFF
COUNTER_VALUE = 24                              # sizeof(struct bpf_perf_event_value)
BRANCH = 24                                     # sizeof(struct perf_branch_entry)
F_GET_BRANCH_RECORDS_SIZE = 1


# -- the function that is traced -------------------------------------------------------------------


@helper()
def get_func_ip(run, ctx):
    return run.machine.task.kernel_stack[0] if run.machine.task.kernel_stack else 0


@helper()
def get_attach_cookie(run, ctx):
    return run.program.cookie


def _arguments(run, ctx: int) -> int:
    """How many arguments the traced function has: the words of the context, less that of the return value."""
    if ctx != run.ctx:
        raise Fault(f"r1 is {ctx:#x} ({run.memory.describe(ctx)}), not the context")
    return len(run.input.buffer) // 8 - (run.program.spec.expected_attach in RETURNS)


@helper()
def get_func_arg_cnt(run, ctx):
    return _arguments(run, ctx)


@helper()
def get_func_arg(run, ctx, number, target):
    number &= 0xFFFF_FFFF
    if number >= _arguments(run, ctx):
        return -errno.EINVAL
    run.memory.store(target, 8, run.memory.load(ctx + 8 * number, 8))
    return 0


@helper()
def get_func_ret(run, ctx, target):
    if run.program.spec.expected_attach not in RETURNS:
        return -errno.EOPNOTSUPP
    run.memory.store(target, 8, run.memory.load(ctx + 8 * _arguments(run, ctx), 8))
    return 0


@helper()
def override_return(run, ctx, value):
    """The probed function is not run: its return value goes into the registers, in the context."""
    if ctx != run.ctx:
        raise Fault(f"r1 is {ctx:#x} ({run.memory.describe(ctx)}), not the context")
    run.memory.store(ctx + PT_REGS.member("ax").offset, 8, value)
    return 0


# -- counters and branches -------------------------------------------------------------------------


def _counter(run, map_: int, flags: int) -> int:
    """A counter of perf: what it counts here is the machine's clock (``PERF_COUNT_SW_CPU_CLOCK``)."""
    found = a_map(run, map_, PerfEventArray, "perf_event_read")
    if flags & ~F_INDEX:
        return -errno.EINVAL
    index = run.cpu if flags == CURRENT_CPU else flags
    if index >= found.spec.max_entries:
        return -errno.E2BIG
    return run.machine.clock.read() if found.at(index) is not None else -errno.ENOENT


@helper()
def perf_event_read(run, map_, flags):
    return _counter(run, map_, flags)


def _value(run, counter: int, target: int, size: int) -> int:
    run.memory.clear(target, size)
    if size != COUNTER_VALUE:
        return -errno.EINVAL
    if counter < 0:
        return counter
    run.memory.write(target, counter.to_bytes(8, "little") * 3)   # the value, time enabled, time running
    return 0


@helper()
def perf_event_read_value(run, map_, flags, target, size):
    return _value(run, _counter(run, map_, flags), target, size & 0xFFFF_FFFF)


@helper()
def perf_prog_read_value(run, ctx, target, size):
    return _value(run, run.machine.clock.read(), target, size & 0xFFFF_FFFF)


def _branches(run) -> bytes:
    """struct perf_branch_entry of the task's last branches."""
    return b"".join(source.to_bytes(8, "little") + target.to_bytes(8, "little") + bytes(8)
                    for source, target in run.machine.task.branches)


@helper()
def read_branch_records(run, ctx, buffer, size, flags):
    size &= 0xFFFF_FFFF
    if flags & ~F_GET_BRANCH_RECORDS_SIZE:
        return -errno.EINVAL
    found = _branches(run)
    if not found:
        return -errno.ENOENT
    if flags & F_GET_BRANCH_RECORDS_SIZE:
        return len(found)
    if not buffer or size % BRANCH:
        return -errno.EINVAL
    run.memory.write(buffer, found[:size])
    return min(len(found), size)


@helper()
def get_branch_snapshot(run, buffer, size, flags):
    size &= 0xFFFF_FFFF
    if flags:
        return -errno.EINVAL
    found = _branches(run)[:size // BRANCH * BRANCH]
    if not found:
        return -errno.ENOENT
    run.memory.write(buffer, found)
    return len(found)


@helper()
def kallsyms_lookup_name(run, name, size, flags, target):
    """The address of a symbol of ``machine.symbols``."""
    text = run.memory.read(name, size & 0xFFFF_FFFF)
    if flags or not text or text[-1]:
        return -errno.EINVAL
    address = run.machine.symbols.get(text.split(b"\0")[0].decode(errors="replace"), 0)
    run.memory.store(target, 8, address)
    return 0 if address else -errno.ENOENT
