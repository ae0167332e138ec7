"""Where two verifications of the same program part: two kernels, or a kernel and ebpflab.

    compare(ours, kernels)  -> Difference(kind="cells", step=12, pc=7, cells=(CellDifference("R1", …),), …) or None

Both traces are walked in step. Values are the same if they say the same, whatever their spelling: bounds, known
bits, offsets and types count; ids count up to renaming; marks of precision do not count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from .model import Slot, State, Step, Trace, Value
from .values import shifted

_VARIES = ("value", "mask", "umin", "umax", "smin", "smax", "u32_min", "u32_max", "s32_min", "s32_max")
_SAME = ("type", "off", *_VARIES, "range")
_RELEASE = re.compile(r"Linux (\d+)\.(\d+)")
_FORGETS = 7, 1     # since then Linux drops what it knows of a cell when no instruction on any path will read it
_WORDS = {
    "off": "offset", "range": "packet bytes proved", "size": "size", "id": "link to other values",
    "ref_id": "reference", "frame": "frame pointed into", "map": "map",
}


@dataclass(frozen=True, slots=True)
class CellDifference:
    """A register or stack slot: ``name`` (``R1``, ``fp-8``, in an outer frame ``frame0 R6``), both texts ("" if it is
    unknown there), and what differs, in field names of Value or ``bytes``."""

    name: str
    a: str
    b: str
    fields: tuple[str, ...]

    @property
    def what(self) -> str:
        return ", ".join(_WORDS.get(field, field) for field in self.fields)

    def __str__(self) -> str:
        return f"{self.name}: {self.a or 'unknown'} against {self.b or 'unknown'} ({self.what})"


@dataclass(frozen=True, slots=True)
class Difference:
    """The first point at which two traces part.

    kind    ``cells``: other knowledge after the same instruction; ``entry``: the same before it; ``path``: the walks
            go to different instructions; ``pruned``: one stops where the other goes on; ``length``: one ends;
            ``verdict``: same steps, other verdict
    step    index of the step in both traces (``length``: of the first that only one has)
    pc_a, pc_b  instructions looked at, None where there is none
    """

    kind: str
    step: int
    pc_a: int | None
    pc_b: int | None
    cells: tuple[CellDifference, ...] = ()
    a: Step | None = None
    b: Step | None = None
    words: str = ""

    def to_dict(self) -> dict:
        """Only str, int, None, list and dict."""
        return {"kind": self.kind, "step": self.step, "pc_a": self.pc_a, "pc_b": self.pc_b,
                "insn_a": self.a.text if self.a else "", "insn_b": self.b.text if self.b else "", "words": self.words,
                "cells": [{"name": cell.name, "a": cell.a, "b": cell.b, "fields": list(cell.fields)}
                          for cell in self.cells]}


def same_value(a: Value, b: Value) -> tuple[str, ...]:
    """The fields in which two values differ; ids are left to the caller."""
    if a is b:
        return ()
    wrong = [name for name in _SAME if getattr(a, name) != getattr(b, name)]
    if "off" in wrong and a.type == b.type != "scalar" and (a.mask or b.mask):
        # 6.18 keeps what was added to a pointer apart, 7.1 and later add it to what varies
        here, there = shifted(a, a.off, a), shifted(b, b.off, b)
        wrong = [name for name in _VARIES if getattr(here, name) != getattr(there, name)]
        wrong += ["range"] if a.range != b.range else []
    if a.type == b.type:
        if a.type == "scalar" and "off" in wrong and not (a.id and b.id):
            wrong.remove("off")     # a distance to nothing
        if a.type.startswith(("mem", "rdonly_mem", "ringbuf_mem")) and a.size and b.size and a.size != b.size:
            wrong.append("size")
        if a.map and b.map and a.map != b.map:
            wrong.append("map")
        if a.frame is not None and b.frame is not None and a.frame != b.frame:
            wrong.append("frame")
    return tuple(wrong)


class _Ids:
    """Pairs ids of one state with those of the other: the same id must always meet the same id."""

    def __init__(self) -> None:
        self.there: dict[int, int] = {}
        self.back: dict[int, int] = {}

    def agree(self, a: int, b: int) -> bool:
        if not a or not b:
            return True     # an id that no other value shares says nothing
        return self.there.setdefault(a, b) == b and self.back.setdefault(b, a) == a


def _cells(state: State) -> Iterator[tuple[str, Value | Slot]]:
    last = len(state.frames) - 1
    for at, frame in enumerate(state.frames):
        prefix = "" if at == last else f"frame{at} "
        for number in sorted(frame.regs):
            yield f"{prefix}R{number}", frame.regs[number]
        for off in sorted(frame.stack, reverse=True):
            yield f"{prefix}fp{off}", frame.stack[off]


def forgets(trace: Trace) -> bool:
    """Was it made by a kernel that drops what it knows of cells that nothing will read?"""
    release = _RELEASE.match(trace.verdict.by)
    return release is not None and (int(release[1]), int(release[2])) >= _FORGETS


def state_difference(a: State, b: State, *, stack: bool = True, outer: bool = True, dead: bool = True
                     ) -> tuple[CellDifference, ...]:
    """The cells in which two states say different things; ``stack`` and ``outer`` frames may be left out.

    ``dead=False``: a cell that only one side knows does not count, nor a slot of which a part was forgotten.
    """
    if a is b:
        return ()
    here, there = dict(_cells(a)), dict(_cells(b))
    ids, found = _Ids(), []
    for name in [*here, *(name for name in there if name not in here)]:
        if (not stack and "fp" in name) or (not outer and " " in name):
            continue
        x, y = here.get(name), there.get(name)
        if not dead and (x is None or y is None or _forgotten(x) or _forgotten(y)):
            continue
        fields = ("known",) if x is None or y is None else _differ(x, y, ids)
        if fields:
            found.append(CellDifference(name, x.text if x else "", y.text if y else "", fields))
    return tuple(found)


def _differ(x: Value | Slot, y: Value | Slot, ids: _Ids) -> tuple[str, ...]:
    if isinstance(x, Slot) and isinstance(y, Slot):
        if x.text == y.text and "id" not in x.text:
            return ()
        if x.value is None or y.value is None or x.bytes != y.bytes:
            return () if _zeros(x) == _zeros(y) and (x.value is y.value or _zeros(x) == "00000000") else ("bytes",)
        x, y = x.value, y.value
    fields = same_value(x, y)
    if not fields and not (ids.agree(x.id, y.id) and ids.agree(x.ref_id, y.ref_id)):
        return ("id",)
    return fields


def _forgotten(cell: Value | Slot) -> bool:
    return isinstance(cell, Slot) and "p" in cell.bytes


def _zeros(slot: Slot) -> str:
    """The slot's letters; a saved zero is eight bytes of zero (``STACK_ZERO`` until 6.6)."""
    return "0" * 8 if slot.value is not None and slot.value.const == 0 and slot.bytes == "r" * 8 else slot.bytes


def compare(a: Trace, b: Trace, *, stack: bool = True, outer: bool = True,
            progress: Callable[[int], None] | None = None) -> Difference | None:
    """The first difference of two verifications of the same program, None if they agree to the end.

    ``stack=False`` and ``outer=False`` leave stack slots and outer frames out: a kernel's log does not tell all
    that happens there. Cells that a kernel has forgotten because nothing reads them (7.1 and later) do not count.
    ``progress`` is called with the number of steps done, every 4,096.
    """
    options = {"stack": stack, "outer": outer, "dead": forgets(a) == forgets(b)}
    for at, (x, y) in enumerate(zip_longest(a.steps, b.steps)):
        if progress and not at % 4096:
            progress(at)
        if x is None or y is None:
            longer = "the first" if y is None else "the second"
            return Difference("length", at, x and x.pc, y and y.pc, (), x, y, f"only {longer} goes on")
        if x.pc != y.pc:
            return Difference("path", at, x.pc, y.pc, (), x, y,
                              f"the first goes to instruction {x.pc}, the second to {y.pc}")
        if (x.kind == "pruned") != (y.kind == "pruned"):
            stops = "first" if x.kind == "pruned" else "second"
            return Difference("pruned", at, x.pc, y.pc, (), x, y, f"the {stops} stops here, the other goes on")
        if x.kind == "pruned":
            continue    # a log does not always say in which state
        if cells := state_difference(x.before, y.before, **options):
            if x.branch != "taken" and x.parent == y.parent == at - 1:      # the step before did it
                x, y = a.steps[at - 1], b.steps[at - 1]
                return Difference("cells", at - 1, x.pc, y.pc, cells, x, y, str(cells[0]))
            return Difference("entry", at, x.pc, y.pc, cells, x, y, str(cells[0]))
        if x.kind != y.kind:
            break
    if a.verdict.result != b.verdict.result:
        steps = max(len(a.steps), len(b.steps))
        words = f"{a.verdict.by} says {a.verdict.result}, {b.verdict.by} says {b.verdict.result}"
        return Difference("verdict", steps, a.verdict.pc, b.verdict.pc, (), words=words)
    return None
