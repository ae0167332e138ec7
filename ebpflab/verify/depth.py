"""How deep the stack gets when functions call each other (``check_max_stack_depth``)."""

from __future__ import annotations

from ..isa import bits
from .cfg import is_call, is_function
from .env import E2BIG, EFAULT, EINVAL, Env, Stop
from .stack import MAX_STACK

#: program types whose larger functions get stacks of their own (bpf_enable_priv_stack)
_PRIVATE = frozenset(("kprobe", "tracepoint", "perf_event", "raw_tracepoint"))
_PRIVATE_FROM = 64      # bytes, BPF_PRIV_STACK_MIN_SIZE


def check(env: Env) -> None:
    """All frames of any chain of calls together fit into 512 bytes; private stacks count by themselves.

    A callback counts as if it was called where it is named. One that runs later begins a chain of its own, and
    what it calls has no private stack.
    """
    if env.shape.exception and any(env.shape.has_tail_call[1:]):
        raise env.unsupported("tail calls of functions beside exceptions")
    private = env.type in _PRIVATE and not any(env.shape.has_tail_call)
    shared: set[int] = set()        # functions that may not have a private stack
    for sub in range(len(env.shape.starts) - 1, -1, -1):
        if sub == 0 or sub in env.later:
            _visit(env, sub, 0, 0, private and sub == 0, shared)


def _visit(env: Env, sub: int, depth: int, frames: int, private: bool, shared: set[int]) -> None:
    shape = env.shape
    if not private:
        shared.add(sub)
    if sub and shape.has_tail_call[sub] and depth >= 256:
        raise env.reject("tail_calls are not allowed when call stack of previous frames is "
                         f"{depth} bytes. Too large")
    own = (env.depths[sub] + 15) // 16 * 16
    if sub not in shared and own >= _PRIVATE_FROM:
        if own > MAX_STACK:
            raise env.reject(f"stack size of subprog {sub} is {own}. Too large")
    else:
        depth += own
        if depth > MAX_STACK:
            raise env.reject(f"combined stack size of {frames + 1} calls is {depth}. Too large")
    for pc in range(shape.starts[sub], shape.end(sub)):
        insn = env.insns[pc]
        called = is_call(insn, bits.CALL_LOCAL)
        if not called and not is_function(insn):
            continue
        callee = shape.sub_at(pc + 1 + insn.imm)
        if callee in env.later:
            if shape.has_tail_call[callee]:
                raise Stop(EFAULT)
            if not called:
                continue
            if callee == shape.exception:
                raise env.reject_without_newline(f"insn {pc} cannot call exception cb directly", EINVAL)
        if frames + 1 >= bits.MAX_CALL_FRAMES:
            raise env.reject(f"the call stack of {frames + 1} frames is too deep !", E2BIG)
        _visit(env, callee, depth, frames + 1, private, shared)
