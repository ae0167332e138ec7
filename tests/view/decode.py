"""Reads the messages of ``ebpflab.view.payload`` back into states: the format's second implementation in Python."""

from __future__ import annotations

import json
import struct

from ebpflab.trace import Frame, Slot, State, Value
from ebpflab.view.payload import FRAMES, REFS, const_bounds

NUMBERS = ("off", "value", "mask", "umin", "umax", "smin", "smax", "u32_min", "u32_max", "s32_min", "s32_max", "id",
           "ref_id", "range", "size")


def columns(data: bytes, steps: int) -> tuple[tuple, tuple, bytes]:
    return (struct.unpack_from(f"<{steps}I", data, 0), struct.unpack_from(f"<{steps}I", data, 4 * steps),
            data[8 * steps:9 * steps])


def _value(row: dict) -> Value:
    fields = {k: v for k, v in row.items() if k not in ("words", "region")}
    for name in NUMBERS:
        if name in fields:
            fields[name] = int(fields[name])
    if row["type"] == "scalar" and not int(row.get("mask", 0)):
        fields = {**const_bounds(int(row.get("value", 0))), **fields}
    return Value(**fields)


def _state(flat: dict[int, int], cells: list) -> State:
    frames = []
    for number, callback in cells[flat[FRAMES]]:
        regs, stack = {}, {}
        for key, at in flat.items():
            if key < 0 or key >> 12 != number:
                continue
            row, n = cells[at], key & 0xFFF
            if n < 16:
                regs[n] = _value(row)
            else:
                value = _value(cells[row["value"]]) if "value" in row else None
                stack[n - 2048] = Slot(n - 2048, row["bytes"], value)
        frames.append(Frame(number, regs, stack, callback))
    return State(tuple(frames), tuple(cells[flat[REFS]]))


def states(chunk: bytes, back: tuple) -> list[tuple[State, State]]:
    """(before, after) of every step of a chunk."""
    body = json.loads(chunk)
    first, cells, left, found = body["first"], body["cells"], [], []

    def apply(flat: dict, delta: list) -> dict:
        flat = dict(flat)
        for key, cell in zip(delta[::2], delta[1::2], strict=True):
            if cell:
                flat[key] = cell
            else:
                del flat[key]
        return flat

    for offset, (enter, leave) in enumerate(zip(body["enter"], body["leave"], strict=True)):
        parent = offset - back[first + offset]
        before = apply(left[parent] if back[first + offset] and parent >= 0 else {}, enter)
        left.append(apply(before, leave))
        found.append((_state(before, cells), _state(left[-1], cells)))
    return found
