"""How deep the stack gets when functions call each other (``check_max_stack_depth``)."""

from __future__ import annotations

from ..isa import bits
from .cfg import is_call, target
from .env import E2BIG, Env
from .stack import MAX_STACK

#: program types whose larger functions get stacks of their own (bpf_enable_priv_stack)
_PRIVATE = frozenset(("kprobe", "tracepoint", "perf_event", "raw_tracepoint"))
_PRIVATE_FROM = 64      # bytes, BPF_PRIV_STACK_MIN_SIZE


def check(env: Env) -> None:
    """All frames of any chain of calls together fit into 512 bytes; private stacks count by themselves."""
    private = env.type in _PRIVATE and not any(env.shape.has_tail_call)
    _visit(env, 0, 0, 0, private)


def _visit(env: Env, sub: int, depth: int, frames: int, private: bool) -> None:
    shape = env.shape
    if sub and shape.has_tail_call[sub] and depth >= 256:
        raise env.reject("tail_calls are not allowed when call stack of previous frames is "
                         f"{depth} bytes. Too large")
    own = (env.depths[sub] + 15) // 16 * 16
    if private and own >= _PRIVATE_FROM:
        if own > MAX_STACK:
            raise env.reject(f"stack size of subprog {sub} is {own}. Too large")
    else:
        depth += own
        if depth > MAX_STACK:
            raise env.reject(f"combined stack size of {frames + 1} calls is {depth}. Too large")
    for pc in range(shape.starts[sub], shape.end(sub)):
        if is_call(env.insns[pc], bits.CALL_LOCAL):
            if frames + 1 >= bits.MAX_CALL_FRAMES:
                raise env.reject(f"the call stack of {frames + 1} frames is too deep !", E2BIG)
            _visit(env, shape.sub_at(target(env.insns[pc], pc)), depth, frames + 1, private)
