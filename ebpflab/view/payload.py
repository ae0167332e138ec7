"""A trace as small messages that the browser reads: pure data, the same for the widget and the static page.

::

    head      JSON      program, verdict, listing, C source, number of steps, steps a chunk (``view.head``)
    reason    JSON      of a rejection: chain of proof, needed against known, fixes (``view.reason``)
    columns   binary    for every step: pc (u32 × n), distance back to its parent (u32 × n, 0: none), flags (u8 × n)
    touched   binary    for every step: which cells it changed (u16 × n), for filters
    chunk k   JSON      states of steps k·CHUNK … as changes, complete in itself

    flags   7 … 4 | 3 2    | 1 0
                  | branch | kind       indexes into BRANCHES and KINDS
    touched 15 … 12 | 11          | 10 … 0
                    | stack slots | R10 … R0    of any frame

A chunk interns every distinct value once, in ``cells`` (index 0 is "no such cell"). A state is given by what
changed, ``[key, cell, key, cell, …]``: ``enter`` goes from the state in which the parent was left to the state on
entry, ``leave`` from there to the state on leaving. A step without a parent in its chunk starts from nothing, so a
jump never needs more than one chunk. ``key`` is ``frame << 12 | n`` with n = 0 … 15 for a register and 2048 + off
for a stack slot; key -1 holds [number, callback] of the frames, -2 the references.
"""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from ..trace import Slot, State, Step, Trace, Value
from .head import first_steps, head
from .reason import exact, reason
from .words import cell_words

CHUNK = 1024
KINDS = ("insn", "pruned", "rejected")
BRANCHES = ("", "fall", "taken")
FRAMES, REFS = -1, -2
STACK_BIT = 11

_BOUNDS = ("umin", "umax", "smin", "smax", "u32_min", "u32_max", "s32_min", "s32_max")
_OTHERS = {"off": 0, "value": 0, "mask": 0, "id": 0, "ref_id": 0, "range": 0, "size": 0, "map": "", "precise": False,
           "frame": None, **dict.fromkeys(_BOUNDS, 0)}

def const_bounds(value: int) -> dict[str, int]:
    """The eight bounds that a known 64-bit number has; they need not be sent."""
    low = value & 0xFFFF_FFFF
    s64 = value - (1 << 64) if value >> 63 else value
    s32 = low - (1 << 32) if low >> 31 else low
    return dict(zip(_BOUNDS, (value, value, s64, s64, low, low, s32, s32), strict=True))


class Payload:
    """The messages of one trace; each is made when it is asked for."""

    def __init__(self, trace: Trace, chunk: int = CHUNK):
        self.trace = trace
        self.size = chunk

    def __len__(self) -> int:
        """How many chunks there are."""
        return -(-len(self.trace.steps) // self.size)

    @cached_property
    def firsts(self) -> dict[int, Step]:
        """Instruction -> the first step that looked at it (and was not cut short there, if there is one)."""
        return first_steps(self.trace)

    def head(self) -> dict[str, Any]:
        return {**head(self.trace, self.firsts), "steps": len(self.trace.steps), "chunk": self.size}

    def reason(self) -> bytes:
        """Why the program was refused, as JSON; ``null`` if it was not."""
        return as_json(reason(self.trace))

    def columns(self) -> bytes:
        pcs, back, flags = array("I"), array("I"), bytearray()
        kinds = {name: i for i, name in enumerate(KINDS)}
        branches = {name: i << 2 for i, name in enumerate(BRANCHES)}
        for index, (pc, parent, kind, branch) in enumerate(self.trace.outline()):
            pcs.append(pc)
            back.append(0 if parent is None else index - parent)
            flags.append(kinds[kind] | branches[branch])
        return _little(pcs) + _little(back) + bytes(flags)

    def touched(self) -> bytes:
        masks = array("H")
        for step in self.trace.steps:
            mask = 0
            if step.before is not step.after:
                for key, _ in _changes(step.before, step.after):
                    if key >= 0:
                        n = key & 0xFFF
                        mask |= 1 << (n if n < 16 else STACK_BIT)
            masks.append(mask)
        return _little(masks)

    def chunk(self, number: int) -> bytes:
        """Chunk ``number`` as JSON. Raises IndexError if there is none."""
        if not 0 <= number < len(self):
            raise IndexError(f"chunk {number} of {len(self)}")
        first = number * self.size
        steps = self.trace.steps[first:first + self.size]
        table = _Cells()
        body: dict[str, Any] = {"first": first, "cells": table.rows, "enter": [], "leave": [], "notes": {}, "texts": {}}
        for offset, step in enumerate(steps):
            base = None
            if step.parent is not None and step.parent >= first:
                base = steps[step.parent - first].after
            body["enter"].append(table.delta(base, step.before))
            body["leave"].append(table.delta(step.before, step.after))
            if step.notes:
                body["notes"][offset] = list(step.notes)
            if step.text and step.text != self.firsts[step.pc].text:
                body["texts"][offset] = step.text
        return as_json(body)

    def message(self, name: str) -> bytes:
        """``touched``, ``reason`` or the chunk of that number, as the browser asks for it."""
        return {"touched": self.touched, "reason": self.reason}.get(name, lambda: self.chunk(int(name)))()


def as_json(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def _little(numbers: array) -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _flat(state: State) -> dict[int, Any]:
    cells: dict[int, Any] = {FRAMES: _shape(state), REFS: state.refs}
    for frame in state.frames:
        base = frame.number << 12
        for number, value in frame.regs.items():
            cells[base | number] = value
        for off, slot in frame.stack.items():
            cells[base | 2048 + off] = slot
    return cells


def _changes(before: State | None, after: State) -> Iterator[tuple[int, Any]]:
    """(key, cell) for what is new or different in ``after``, (key, None) for what is gone.

    Producers share what they do not change, so frames and mappings are compared by identity first.
    """
    if before is after:
        return
    if before is None:
        yield from _flat(after).items()
        return
    if before.refs == after.refs and _shape(before) == _shape(after):
        for old, new in zip(before.frames, after.frames, strict=True):
            if old is not new:
                base = new.number << 12
                yield from _differences(old.regs, new.regs, base)
                yield from _differences(old.stack, new.stack, base + 2048)
    else:
        yield from _differences(_flat(before), _flat(after), 0)


def _shape(state: State) -> tuple:
    return tuple((frame.number, frame.callback) for frame in state.frames)


def _differences(old: Mapping[int, Any], new: Mapping[int, Any], lift: int) -> Iterator[tuple[int, Any]]:
    if old is new:
        return
    for key, cell in new.items():
        was = old.get(key)
        if was is not cell and was != cell:
            yield lift + key, cell
    for key in old:
        if key not in new:
            yield lift + key, None


class _Cells:
    """Every distinct value once; row 0 stands for none."""

    def __init__(self) -> None:
        self.rows: list[Any] = [None]
        self._at: dict[Any, int] = {None: 0}
        self._by_id: dict[int, int] = {}
        self._kept: list[Any] = []  # so that an id() is not reused while the table lives

    def delta(self, before: State | None, after: State) -> list[int]:
        flat: list[int] = []
        for key, cell in _changes(before, after):
            flat += (key, self.number(cell))
        return flat

    def number(self, cell: Any) -> int:
        found = self._by_id.get(id(cell))
        if found is not None:
            return found
        number = self._at.get(cell)
        if number is None:
            row = self._row(cell)
            number = self._at[cell] = len(self.rows)
            self.rows.append(row)
        self._by_id[id(cell)] = number
        self._kept.append(cell)
        return number

    def _row(self, cell: Any) -> Any:
        if isinstance(cell, tuple):
            return list(cell)
        if isinstance(cell, Slot):
            row = {"bytes": cell.bytes, "text": cell.text, "words": cell_words(cell)}
            if cell.value is not None:
                row["value"] = self.number(cell.value)
            return row
        return value_row(cell)


def value_row(v: Value) -> dict[str, Any]:
    """A Value as JSON: its fields where they differ from 0 (for a known scalar: from what the number implies)."""
    row: dict[str, Any] = {"type": v.type, "text": v.text, "words": cell_words(v)}
    implied = const_bounds(v.value) if v.type == "scalar" and v.mask == 0 else {}
    for name, absent in {**_OTHERS, **implied}.items():
        have = getattr(v, name)
        if have != absent:
            row[name] = exact(have)
    if region := region_of(v):
        row["region"] = region
    return row


def region_of(v: Value) -> list[Any] | None:
    """[what, size, lowest, highest] of the memory a pointer points into and where in it it can point, in bytes.

    For a packet ``size`` is what was proved; for the stack offsets are from its lowest byte (fp - 512).
    """
    kind = v.type.removesuffix("_or_null")
    size: int | None = None
    if kind in ("pkt", "pkt_meta"):
        size = v.range if 0 <= v.range < 1 << 31 else 0
    elif kind in ("map_value", "packet") or kind.endswith("mem"):
        size = v.size or None
    elif kind == "fp":
        size = 512
    if size is None:
        return None
    varies = v.mask != 0 or v.umin != v.umax
    low, high = (v.smin, v.smax) if varies else (v.value, v.value)
    if kind == "fp":
        low, high = low + 512, high + 512
    return [kind, size, exact(low + v.off), exact(high + v.off)]
