"""Calls between the program's own functions, and returning from them (``check_func_call``, ``prepare_func_exit``)."""

from __future__ import annotations

from ..isa import Insn
from ..isa.bits import MAX_CALL_FRAMES
from .env import E2BIG, EINVAL, Env
from .signature import Mismatch
from .state import Frame
from .value import CTX, SCALAR, STACK, UNINIT


def forget_arguments(env: Env, regs: list) -> None:
    """After a call r0 to r5 hold nothing (``clear_caller_saved_regs``)."""
    for regno in range(6):
        regs[regno] = UNINIT
    env.touched |= 0x3F


def no_references(env: Env, where: str) -> None:
    """``check_resource_leak``: nothing that was taken may be left when the program ends here."""
    if env.state.refs and len(env.state.frames) == 1:
        for id, pc in env.state.refs:
            env.say(f"Unreleased reference id={id} alloc_insn={pc}")
        raise env.reject(f"{where} would lead to reference leak", EINVAL)


def local(env: Env, insn: Insn) -> int:
    """Enter a function of the program; its first instruction."""
    start = env.pc + 1 + insn.imm
    sub = env.shape.sub_at(start)
    if _matches(env, sub):
        raise env.unsupported("global functions")
    state = env.state
    depth = len(state.frames)
    if depth >= MAX_CALL_FRAMES:
        raise env.reject(f"the call stack of {depth + 1} frames is too deep", E2BIG)
    caller = state.frame
    callee = Frame(depth, env.pc, sub)
    callee.regs[1:6] = caller.regs[1:6]
    state.frames.append(callee)
    env.touched, env.touched_slots = 0x7FF, -1
    forget_arguments(env, caller.regs)
    env.touched, env.touched_slots = 0x7FF, -1
    if env.log.level:
        env.log.full("caller:\n", caller, state.refs)
        env.log.full("callee:\n", callee, state.refs)
    env.resume(state)
    return start


def _matches(env: Env, sub: int) -> bool:
    """Compare the arguments with BTF (``btf_check_subprog_call``); True if the function is global."""
    signatures = env.signatures
    if not signatures.infos:
        return False
    if sub not in signatures.unreliable:
        try:
            for at, kind in enumerate(signatures.arguments(sub, env.say)):
                reg = env.regs[at + 1]
                if kind == "scalar" and reg.type != SCALAR:
                    env.say(f"R{at + 1} is not a scalar")
                    raise Mismatch
                if kind == "ctx" and reg.type != CTX:
                    env.say(f"arg#{at} expects pointer to ctx")
                    raise Mismatch
        except Mismatch:
            signatures.unreliable.add(sub)
    return signatures.is_global(sub)


def leave(env: Env) -> int:
    """Return to the caller; the instruction after the call."""
    state = env.state
    env.stack_liveness.update(state)
    callee = state.frames[-1]
    result = callee.regs[0]
    if result.type == STACK:
        raise env.reject("cannot return stack pointer to the caller", EINVAL)
    caller = state.frames[-2]
    caller.regs[0] = result
    after = callee.callsite + 1
    if env.log.level:
        env.log.full("returning from callee:\n", callee, state.refs)
        env.log.full(f"to caller at {after}:\n", caller, state.refs)
    state.frames.pop()
    env.resume(state)
    return after

