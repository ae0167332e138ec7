"""What an instruction changes without the kernel's log saying so.

The log prints the cells that an instruction touched itself. Knowledge that spreads from there is silent
until the next full state: a call clobbers r0–r5, a null check settles every copy of the pointer, a packet check
extends every copy, a comparison narrows every linked scalar, some helpers void all packet pointers.
Each rule names the kernel function that it mirrors. Full states correct what may be missing still.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

from .model import Slot, State, Value
from .values import shifted

_RANGE = re.compile(r"\br=(?:\d+|0x[0-9a-f]+)")
_ID = re.compile(r"\bid=\d+,?")


@cache
def changes_packet(name: str) -> bool:
    """Do packet pointers hold no longer after this helper (``bpf_helper_changes_pkt_data``)?"""
    from ..abi.helpers import HELPERS

    return name in HELPERS and HELPERS[name].changes_packet


def everywhere(state: State, change: Callable[[Value], Value | None],
               live: tuple[frozenset[int] | None, ...] = ()) -> State:
    """The state with ``change`` applied to every register (or the ``live`` ones) and spilled value.

    None from ``change`` removes the cell.
    """
    frames = []
    for at, frame in enumerate(state.frames):
        regs = _changed(frame.regs, change, live[at] if at < len(live) else None)
        stack = _changed(frame.stack, lambda slot: _slot(slot, change))
        same = regs is frame.regs and stack is frame.stack
        frames.append(frame if same else replace(frame, regs=regs, stack=stack))
    if all(new is old for new, old in zip(frames, state.frames, strict=True)):
        return state
    return replace(state, frames=tuple(frames))


def _changed(cells: Mapping, change: Callable, only: frozenset[int] | None = None) -> Mapping:
    new = {}
    different = False
    for key, cell in cells.items():
        result = change(cell) if only is None or key in only else cell
        different = different or result is not cell
        if result is not None:
            new[key] = result
    return new if different else cells


def _slot(slot: Slot, change: Callable[[Value], Value | None]) -> Slot | None:
    if slot.value is None:
        return slot
    value = change(slot.value)
    if value is slot.value:
        return slot
    return None if value is None else replace(slot, value=value)


def clobber(state: State) -> State:
    """A call leaves r0–r5 unreadable (``clear_caller_saved_regs``); a load from packet by LD_ABS as well."""
    frame = state.frame
    if not any(number in frame.regs for number in range(6)):
        return state
    kept = {number: value for number, value in frame.regs.items() if number > 5}
    return replace(state, frames=(*state.frames[:-1], replace(frame, regs=kept)))


def known(state: State, register: int, value: Value | None) -> State:
    """A register was written: with ``value``, or None if nothing is known of it."""
    regs = {number: old for number, old in state.frame.regs.items() if number != register}
    if value is not None:
        regs[register] = value
    return replace(state, frames=(*state.frames[:-1], replace(state.frame, regs=regs)))


def void_packet(state: State, unknown: Value) -> State:
    """``clear_all_pkt_pointers``: they become unknown scalars."""
    return everywhere(state, lambda v: unknown if v.type in ("pkt", "pkt_meta", "pkt_end") else v)


def released(state: State, ref: int, unknown: Value) -> State:
    """``release_reference``: every pointer to the object becomes an unknown scalar, its dynptr or iterator goes.

    Since 7.1 a pointer's own id is the reference's.
    """
    def change(value: Value) -> Value | None:
        if ref != value.ref_id and (ref != value.id or value.type == "scalar"):
            return value
        return None if value.type.startswith(("dynptr_", "iter_")) else unknown
    return everywhere(state, change)


def settled(state: State, before: Value, after: Value) -> State:
    """``mark_ptr_or_null_regs``: what a null check proved of one pointer holds for all with its id."""
    null = after.type == "scalar"

    def change(value: Value) -> Value:
        if value.id != before.id or value.type != before.type:
            return value
        if null:
            return after
        text = value.text.replace("_or_null", "", 1)
        if not after.id:
            text = _ID.sub("", text, count=1)
        return replace(value, type=after.type, id=after.id, text=text.replace(",)", ")"))

    return everywhere(state, change)


def ranged(state: State, pointer: Value) -> State:
    """``find_good_pkt_pointers``: a packet check proves its bytes for every pointer with the same id."""
    def change(value: Value) -> Value:
        if value.type != pointer.type or value.id != pointer.id or value.range >= pointer.range:
            return value
        return replace(value, range=pointer.range, text=_RANGE.sub(f"r={pointer.range}", value.text, count=1))
    return everywhere(state, change)


def linked(state: State, known: Value, live: tuple[frozenset[int] | None, ...]) -> State:
    """``sync_linked_regs``: scalars with the same id follow, at their distance.

    ``live`` has for each frame the registers that take part, None for all (``collect_linked_regs`` takes only
    live registers since 6.16).
    """
    def change(value: Value) -> Value:
        if value.type != "scalar" or value.id != known.id or value is known:
            return value
        if value.off != known.off:
            return shifted(known, value.off - known.off, value)
        return known if value.precise == known.precise else replace(known, precise=value.precise)
    return everywhere(state, change, live)


def after_branch(before: State, state: State, live: tuple[frozenset[int] | None, ...] = ()) -> State:
    """Spread what a conditional jump proved: ``state`` has the cells that the log printed, ``before`` the old ones."""
    old, new = before.frame.regs, state.frame.regs
    for number, value in new.items():
        was = old.get(number)
        if was is None or was is value:
            continue
        if was.type.endswith("_or_null") or "_or_null_" in was.type:
            if was.type != value.type and was.id:
                state = settled(state, was, value)
        elif value.type in ("pkt", "pkt_meta") and value.range > was.range:
            state = ranged(state, value)
        elif was.type == "scalar" and was.id and value.type == "scalar":
            state = linked(state, value if value.id else replace(value, id=was.id, off=was.off), live)
    return state


def stored(state: State, number: int, at: int, size: int, value: Value) -> State:
    """``check_stack_write_fixed_off`` for a slot of another frame: ``size`` bytes at ``at`` from its frame pointer."""
    frame = state.frames[number]
    off = at // 8 * 8
    if size == 8:
        slot = Slot(off, "rrrrrrrr", value)
    else:
        old = frame.stack.get(off)
        was = old.bytes.replace("r", "m") if old else "????????"
        top = 8 - (at - off) - size       # letters stand highest address first
        slot = Slot(off, was[:top] + ("0" if value.const == 0 else "m") * size + was[top + size:])
    changed_frame = replace(frame, stack={**frame.stack, off: slot})
    return replace(state, frames=(*state.frames[:number], changed_frame, *state.frames[number + 1:]))
