"""Helpers that call functions of the program (``push_callback_call``).

Nobody knows how often a helper calls its callback. So the walk puts the callback's path aside, goes on as if there
were no more calls, and later walks the callback, which returns to the helper's call again. A callback that runs
later, as a timer's, is put aside too, with nothing known but its arguments.
"""

from __future__ import annotations

from collections.abc import Callable

from . import dynptr, precision
from .arguments import mismatch
from .call import push_frame
from .env import EFAULT, ENOTSUPP, Env, Map
from .state import ASYNC, CALLBACK, Frame
from .value import ANY, MAP_KEY, MAP_PTR, MAP_VALUE, SCALAR, Reg

#: map types whose elements can be walked (map_for_each_callback)
_EACH = frozenset(("array", "percpu_array", "hash", "lru_hash", "percpu_hash", "lru_percpu_hash"))


def enter(env: Env, name: str, sub: int, bpf_map: Map | None) -> None:
    """``name`` is the helper that calls function ``sub``."""
    if name == "loop":
        _inlines(env, sub)
        if env.regs[1].type != SCALAR:
            raise env.reject("verifier bug: backtracking misuse", EFAULT)
        precision.mark(env, 1)
        if env.frame.rounds >= env.regs[1].num.umax:
            env.frame.rounds = 0
            if env.level2:
                env.say(f"frame{env.frame.number} bpf_loop iteration limit reached")
            return
    mismatch(env, sub)
    if name == "timer_set_callback":
        _later(env, sub)
    else:
        _now(env, name, sub, bpf_map)


def _now(env: Env, name: str, sub: int, bpf_map: Map | None) -> None:
    start = env.shape.starts[sub]
    state = env.push(start, env.pc)
    caller = state.frame
    callee = push_frame(env, state, env.pc, sub)
    callee.role = CALLBACK
    callee.allowed = (0, 1)
    _ARGUMENTS[name](env, caller, callee, bpf_map)
    state.callback_depth += 1
    caller.rounds += 1
    env.frame.rounds = 0


def _later(env: Env, sub: int) -> None:
    bpf_map = env.regs[1].data.base
    env.later.add(sub)
    state = env.push_async(env.shape.starts[sub], env.pc)
    callee = state.frames[0] = Frame(0, sub=sub)
    callee.role = ASYNC
    callee.entry = env.frame.entry + 1
    callee.regs[1:4] = (Reg(MAP_PTR, data=bpf_map), Reg(MAP_KEY, data=bpf_map), Reg(MAP_VALUE, data=bpf_map))
    env.touched, env.touched_slots = 0x7FF, -1


def _inlines(env: Env, sub: int) -> None:
    """``bpf_loop`` without flags becomes a loop in place of the call, unless it has several callbacks; a flags
    argument of 0 is relied on as long as that can be (``update_loop_inline_state``)."""
    if env.inlined.setdefault(env.pc, sub) < 0:
        return
    zero = env.regs[4].is_null
    if zero:
        precision.mark(env, 4)
    if not zero or env.inlined[env.pc] != sub:
        env.inlined[env.pc] = -1


# ---- what a callback is called with

def _loop(env: Env, caller: Frame, callee: Frame, bpf_map: Map | None) -> None:
    callee.regs[1], callee.regs[2] = ANY, caller.regs[3]


def _each_element(env: Env, caller: Frame, callee: Frame, bpf_map: Map | None) -> None:
    assert bpf_map is not None
    if bpf_map.type not in _EACH:
        raise env.reject("callback function not allowed for map", ENOTSUPP)
    callee.regs[1:5] = (caller.regs[1], Reg(MAP_KEY, data=bpf_map), Reg(MAP_VALUE, data=bpf_map), caller.regs[3])


def _record(env: Env, caller: Frame, callee: Frame, bpf_map: Map | None) -> None:
    callee.regs[1], callee.regs[2] = dynptr.pointer(env), caller.regs[3]


_ARGUMENTS: dict[str, Callable[[Env, Frame, Frame, Map | None], None]] = {
    "loop": _loop, "for_each_map_elem": _each_element, "user_ringbuf_drain": _record,
}
#: the helpers that this module knows
HELPERS = frozenset((*_ARGUMENTS, "timer_set_callback"))
