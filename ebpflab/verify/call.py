"""Frames come and go: what calls of any kind have in common (``setup_func_entry``, ``prepare_func_exit``)."""

from __future__ import annotations

from ..isa.bits import MAX_CALL_FRAMES
from . import precision
from .env import E2BIG, EINVAL, Env
from .state import CALLBACK, Frame, State, each_reg
from .value import ANY, PACKET_POINTERS, SCALAR, STACK, UNINIT
from .verdict import range_text
from .widen import previous_entry, widen


def forget_arguments(env: Env, regs: list) -> None:
    """After a call r0 to r5 hold nothing (``clear_caller_saved_regs``)."""
    for regno in range(6):
        regs[regno] = UNINIT
    env.touched |= 0x3F


def clear_packets(env: Env) -> None:
    """The packet may have moved: no pointer into it holds (``clear_all_pkt_pointers``)."""
    each_reg(env.state, lambda reg: ANY if reg.type in PACKET_POINTERS else reg)


def push_frame(env: Env, state: State, callsite: int, sub: int) -> Frame:
    """An empty frame on top of ``state``; the whole of the state is printed next."""
    depth = len(state.frames)
    if depth >= MAX_CALL_FRAMES:
        raise env.reject(f"the call stack of {depth + 1} frames is too deep", E2BIG)
    frame = Frame(depth, callsite, sub)
    state.frames.append(frame)
    env.touched, env.touched_slots = 0x7FF, -1
    return frame


def leave(env: Env) -> int:
    """Return to the caller; the instruction that is walked next.

    A function's caller goes on behind the call. A helper that called a function may call it again: its call is
    walked once more, until nothing new comes of it.
    """
    state = env.state
    env.stack_liveness.update(state)
    callee = state.frames[-1]
    result = callee.regs[0]
    if result.type == STACK:
        raise env.reject("cannot return stack pointer to the caller", EINVAL)
    caller = state.frames[-2]
    back = callee.callsite
    if callee.role == CALLBACK:
        _check_result(env, callee)
    else:
        caller.regs[0] = result
        back += 1
    if env.log.level:
        env.log.full("returning from callee:\n", callee, state.refs)
        env.log.full(f"to caller at {back}:\n", caller, state.refs)
    state.frames.pop()
    env.resume(state)
    if callee.role == CALLBACK:
        previous = previous_entry(env, state, back)
        if previous is not None:
            widen(env, previous, state)
    return back


def _check_result(env: Env, callee: Frame) -> None:
    """What a callback returns decides whether it is called again."""
    result, (low, high) = callee.regs[0], callee.allowed
    if result.type != SCALAR:
        raise env.reject("R0 not a scalar value")
    precision.mark(env, 0)
    if not low <= result.num.smin <= result.num.smax <= high:
        raise env.reject(f"At callback return the register R0 has {range_text(result.num, low, high)}", EINVAL)
