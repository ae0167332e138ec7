"""Loops whose number of rounds nobody knows: callbacks of helpers, ``may_goto`` (``widen_imprecise_scalars``).

A number that differs from the round before, and that nothing relied on yet, is taken for any number; so most loops
look the same after two rounds, and are proved.
"""

from __future__ import annotations

from ..isa import Insn
from .env import Env
from .prune import Ids, identical
from .state import Frame, Slot, State
from .value import ANY, SCALAR, Reg


def previous_entry(env: Env, state: State, pc: int) -> State | None:
    """The checkpoint of the round before at ``pc``, by the same calls, on the path to ``state``."""
    for old in env.bucket(pc):
        if old.insn == pc and old.branches and old.same_calls(state) and old.depth < state.depth:
            return old
    return None


def widen(env: Env, old: State, now: State) -> None:
    """Forget numbers in ``now`` that are not what they were in ``old``."""
    ids = Ids(env.ids)
    for number in range(len(old.frames) - 1, -1, -1):
        before, frame = old.frames[number], now.frames[number]
        for at in range(10):
            if _differs(before.regs[at], frame.regs[at], before.precise >> at & 1 == 1, ids):
                frame.regs[at] = ANY
        _widen_stack(before, frame, ids)


def may_goto(env: Env, insn: Insn) -> int:
    """``may_goto``: leave the loop, and put another round aside; the next instruction (``check_cond_jmp_op``)."""
    entry = env.state.parent
    assert entry is not None, "may_goto without a checkpoint"
    previous = previous_entry(env, entry, env.pc)
    another = env.push(env.pc + 1, env.pc)
    another.goto_depth += 1
    if previous is not None:
        widen(env, previous, another)
    return env.pc + 1 + insn.off


def _widen_stack(before: Frame, frame: Frame, ids: Ids) -> None:
    for at in range(min(len(before.stack), len(frame.stack))):
        slot, here = before.stack[at], frame.stack[at]
        if slot.spilled and here.spilled and _differs(slot.reg, here.reg, before.precise_slots >> at & 1 == 1, ids):
            frame.put(at, Slot(here.types, ANY))


def _differs(old: Reg, now: Reg, precise: bool, ids: Ids) -> bool:
    return old.type == SCALAR == now.type and not precise and not identical(old, now, ids)
