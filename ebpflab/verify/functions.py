"""The program's functions: calling them, and verifying the global ones by themselves (``check_func_call``,
``do_check_subprogs``).

A *static* function is walked anew at each call, with what its caller passed. A *global* one is walked once, for
any arguments that its prototype allows; its callers only see to it that theirs do.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..isa import Insn
from . import dynptr, lock
from .arguments import mismatch
from .call import clear_packets, forget_arguments, push_frame
from .env import EINVAL, SLEEPABLE, Env
from .signature import Argument
from .state import MAIN, Frame, State
from .value import ANY, CTX, FUNC, MAYBE_NULL, MEM, RDONLY, UNTRUSTED, Reg


def call(env: Env, insn: Insn) -> int:
    """A call of a function; the instruction that is walked next."""
    start = env.pc + 1 + insn.imm
    sub = env.shape.sub_at(start)
    errno = mismatch(env, sub)
    if env.signatures.is_global(sub):
        _assume_valid(env, sub, errno)
        return env.pc + 1
    state = env.state
    caller = state.frame
    callee = push_frame(env, state, env.pc, sub)
    callee.regs[1:6] = caller.regs[1:6]
    forget_arguments(env, caller.regs)
    if env.log.level:
        env.log.full("caller:\n", caller, state.refs)
        env.log.full("callee:\n", callee, state.refs)
    env.resume(state)
    return start


def address(env: Env, insn: Insn) -> Reg:
    """What a wide load of a function leaves: something to give to a helper."""
    sub = env.shape.sub_at(env.pc + 1 + insn.imm)
    if not env.signatures.infos:
        raise env.reject("missing btf func_info", EINVAL)
    if env.signatures.is_global(sub):
        raise env.reject("callback function not static", EINVAL)
    return Reg(FUNC, data=sub)


def _assume_valid(env: Env, sub: int, errno: int) -> None:
    """A global function will be verified by itself; here only what it may do matters."""
    lock.may_call_global(env)
    name = env.signatures.name(sub)
    if env.shape.might_sleep[sub] and not env.spec.flags & SLEEPABLE:
        env.say("global functions that may sleep are not allowed in non-sleepable context,")
        env.say("i.e., in a RCU/IRQ/preempt-disabled section, or in")
        raise env.reject("a non-sleepable BPF program context", EINVAL)
    if errno:
        raise env.reject(f"Caller passes invalid args into func#{sub} ('{name}')", errno)
    env.say(f"Func#{sub} ('{name}') is global and assumed valid.")
    if env.shape.changes_packet[sub]:
        clear_packets(env)
    env.called.add(sub)
    forget_arguments(env, env.regs)
    env.regs[0] = ANY


def waiting(env: Env) -> Iterator[int]:
    """The global functions that were called, one after the other; more may be called while one is walked."""
    done: set[int] = set()
    count = -1
    while count != len(done):
        count = len(done)
        for sub in range(1, len(env.shape.starts)):
            if sub in env.called and sub not in done:
                done.add(sub)
                yield sub


def begin(env: Env, sub: int) -> None:
    """Make a global function the one to be walked; what is known of paths elsewhere is forgotten."""
    env.say(f"Validating {env.signatures.name(sub)}() func#{sub}...")
    state = State()
    frame = state.frames[0] = Frame(0, MAIN, sub)
    arguments = env.signatures.arguments(sub, env.say)
    if sub == env.shape.exception and arguments != (Argument("scalar"),):
        raise env.reject("exception cb only supports single integer argument", EINVAL)
    for at, argument in enumerate(arguments):
        frame.regs[at + 1] = _any(env, argument)
    state.first = env.pc = env.shape.starts[sub]
    state.last = env.previous = -1
    env.forget_states()
    env.resume(state)


def _any(env: Env, argument: Argument) -> Reg:
    """Whatever the prototype allows for an argument."""
    if argument.kind == "ctx":
        return Reg(CTX)
    if argument.kind == "mem":
        nullable = argument.nullable
        return Reg(MEM | (MAYBE_NULL if nullable else 0), id=env.new_id() if nullable else 0, data=argument.size)
    if argument.kind == "untrusted":
        return Reg(MEM | RDONLY | UNTRUSTED)
    if argument.kind == "dynptr":
        return dynptr.pointer(env)
    return ANY
