"""What the verifier knew at each step of a run: the place in its walk that goes with the step, and whether the values
lie inside what is claimed there.

A verification is a tree of steps, a run is one way through it. Where the verifier ended a path early, because it had
proved a similar state before, the run goes on in that other state's steps: numbers that no decision relied on may
then lie outside (the kernel, too, ignores them), and ``Claim.sure`` is False from there on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..isa.bits import U32, U64
from ..sim.history import History
from ..trace import State, Step, Trace, Value
from ..trace.values import sign

MOST_STEPS = 50_000     # of a run that is followed


@dataclass(frozen=True, slots=True)
class Claim:
    """``step`` of the verification that goes with a step of the run; ``outside``: cell name -> why its value is not
    what is claimed; ``sure``: no path was cut short on the way here."""

    step: Step
    outside: Mapping[str, str]
    sure: bool

    @property
    def state(self) -> State:
        return self.step.before


class Walk:
    """The tree of steps of one verification."""

    def __init__(self, trace: Trace):
        self.trace = trace
        self.outline = list(trace.outline())
        self.children: dict[int, list[int]] = {}
        self.visits: dict[int, list[int]] = {}
        for index, (pc, parent, kind, _) in enumerate(self.outline):
            self.children.setdefault(-1 if parent is None else parent, []).append(index)
            if kind != "pruned":
                self.visits.setdefault(pc, []).append(index)

    def after(self, steps: set[int], pc: int) -> tuple[set[int], bool]:
        """Steps at ``pc`` that may follow one of ``steps``, and whether none of them comes after a cut."""
        found: set[int] = set()
        queue = [child for step in steps for child in self.children.get(step, ()) if self.outline[child][0] == pc]
        sure = True
        while queue:
            step = queue.pop()
            if step in found:
                continue
            found.add(step)
            if self.outline[step][2] == "pruned":
                sure = False
                queue += self.visits.get(pc, ())
            else:       # a state that was split in two at this instruction starts here again
                queue += [child for child in self.children.get(step, ()) if self.outline[child][0] == pc]
        return {step for step in found if self.outline[step][2] != "pruned"}, sure


def follow(history: History, states: list[State], walks: Mapping[int, Walk]) -> Iterator[Claim | None]:
    """For each step of the run its Claim, None where there is none. ``states``: the run's own before each step
    (``debugger.run``); ``walks`` by program id."""
    at: set[int] = {-1}
    sure = True
    program = None
    for step, state in zip(history.steps, states, strict=False):
        walk = walks.get(step.program.id)
        if walk is None:
            yield None
            continue
        if step.program is not program:
            program, at, sure = step.program, {-1}, True
        candidates, straight = walk.after(at, step.pc)
        if not candidates:      # a callback's next round, or a way that was never walked
            candidates, straight = set(walk.visits.get(step.pc, ())), False
        sure = sure and straight
        judged = {number: _outside(walk.trace.steps[number].before, state, step.regs) for number in candidates
                  if len(walk.trace.steps[number].before.frames) == len(state.frames)}
        if not judged:
            at = set()
            yield None
            continue
        least = min(len(why) for why in judged.values())
        at = {number for number, why in judged.items() if len(why) == least}
        chosen = min(at)
        yield Claim(walk.trace.steps[chosen], judged[chosen], sure)


def _outside(claimed: State, state: State, words: tuple[int, ...]) -> dict[str, str]:
    found = {}
    for number, value in claimed.frame.regs.items():
        if number in state.frame.regs and (why := outside(value, state.frame.regs[number], words[number])):
            found[f"R{number}"] = why
    for off, slot in claimed.frame.stack.items():
        mine = state.frame.stack.get(off)
        if slot.value is not None and slot.bytes == "rrrrrrrr" and mine is not None and mine.value is not None \
                and mine.value.type == "scalar" and (why := outside(slot.value, mine.value, mine.value.value)):
            found[f"fp{off}"] = why
    return found


def outside(claim: Value, value: Value, word: int) -> str:
    """Why ``word``, in the run ``value``, is not what is claimed, "" if it is."""
    if claim.type == "scalar":
        return not_admitted(claim, word)
    if claim.type.endswith("_or_null") and word == 0:
        return ""
    kind = claim.type.removesuffix("_or_null")
    if kind in ("ctx", "fp", "pkt", "map_value", "map_ptr", "pkt_end"):
        kinds = {"packet": ("pkt",), "pkt_end": ("pkt", "pkt_end")}      # a packet pointer may stand at the end
        if kind not in kinds.get(value.type, (value.type,)):
            return f"claimed {claim.type}, it is {value.text}"
        if kind in ("ctx", "fp", "pkt", "map_value"):
            varies = value.off - claim.off
            if not (claim.smin <= varies <= claim.smax and varies & U64 & ~claim.mask == claim.value):
                return f"claimed offset {claim.text}, it is {value.off}"
        if kind == "pkt" and 0 < claim.range < 1 << 31 and value.off - claim.off + claim.range > value.size:
            return f"{claim.range} bytes proved, the packet has {value.size}"
    return ""


def not_admitted(claim: Value, word: int) -> str:
    """Why a number is not one of those a scalar may be, "" if it is."""
    low = word & U32
    for name, number, least, most in (("u64", word, claim.umin, claim.umax),
                                      ("s64", sign(word), claim.smin, claim.smax),
                                      ("u32", low, claim.u32_min, claim.u32_max),
                                      ("s32", sign(low, 32), claim.s32_min, claim.s32_max)):
        if not least <= number <= most:
            return f"{number} is not within {least} … {most} ({name})"
    if word & ~claim.mask & U64 != claim.value:
        return f"{word:#x} has other bits than ({claim.value:#x}; {claim.mask:#x})"
    return ""
