"""Places in a run by name, and what was there at any step.

::

    r1  w3                    a register, its low half
    fp-8  fp-4:2              stack of the frame that runs: 8 bytes, or so many
    packet  packet[12:14]     the packet, bytes of it
    ctx.mark  ctx[0:4]        a member of the context, bytes of it
    counts  counts[3]         a map: all entries, or the value of one key (a number, or hex: counts[0x0a000001]),
    counts[3][0:4]            and bytes of it
    *(u32 *)(r6 + 4)          memory through a register
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ..abi import STRUCTS
from ..abi.prog_types import BY_NAME
from ..errors import SpecError
from ..isa.bits import U32, U64
from ..sim.history import History, Step
from ..sim.maps import Array
from ..sim.maps.base import Element, MapChange, round_up
from ..sim.regions import Region
from .concrete import ends_of_packet

Found = int | bytes | dict[bytes, bytes] | None
#: (history, step) -> (address, bytes), None where there is no such memory
Where = Callable[[History, int], tuple[int, int] | None]

_SPAN = r"(?:\[(\w+)(?::(\w+))?\])?"
_REGISTER = re.compile(r"([rRwW])(\d|10)$")
_STACK = re.compile(r"fp(-\d+)(?::(\d+))?$")
_PACKET = re.compile(rf"packet{_SPAN}$")
_CONTEXT = re.compile(rf"ctx(?:\.(\w+))?{_SPAN}$")
_MEMORY = re.compile(r"\*\(u(8|16|32|64) \*\)\(r(\d|10)(?: *([+-]) *(\w+))?\)$")
_MAP = re.compile(rf"([\w.]+?)(?:\[(\w+)\]{_SPAN})?$")


@dataclass(frozen=True, slots=True)
class Place:
    """``read(history, step)`` is what was there before a step: a number (registers), bytes, a map's entries, or None.

    ``writer(history, step)`` is the last step before it that wrote there; None: it was there from the start. ``local``:
    it belongs to the frame that runs.
    """

    text: str
    read: Callable[[History, int], Found]
    writer: Callable[[History, int], Step | None]
    local: bool = False

    def changed(self, history: History, index: int) -> bool:
        """Did the step before ``index`` change it? What is local is compared within its frame."""
        before, steps = index - 1, history.steps
        if self.local and index < len(steps):
            while before >= 0 and steps[before].depth > steps[index].depth:
                before -= 1
            if before >= 0 and steps[before].depth < steps[index].depth:
                return False
        return before >= 0 and self.read(history, index) != self.read(history, before)


def place(text: str, history: History) -> Place:
    """The place of that name. Raises SpecError for what is none in this run's programs."""
    text = text.strip()
    if found := _REGISTER.match(text):
        return _register(text, int(found[2]), U32 if found[1] in "wW" else U64)
    if found := _STACK.match(text):
        return _memory(text, _stack(int(found[1]), int(found[2] or min(8, -int(found[1])))), local=True)
    if found := _MEMORY.match(text):
        size, register, sign, off = int(found[1]) // 8, int(found[2]), found[3] or "+", int(found[4] or "0", 0)
        return _memory(text, lambda run, at: (_regs(run, at)[register] + (off if sign == "+" else -off) & U64, size),
                       local=True)
    if found := _PACKET.match(text):
        return _memory(text, _packet(*found.groups()))
    if found := _CONTEXT.match(text):
        return _memory(text, _context(text, history, *found.groups()))
    if (found := _MAP.match(text)) and found[1] in history.maps:
        name, key, first, last = found.groups()
        return _entry(text, history, name, key, first, last) if key else _whole(text, name)
    maps = ", ".join(history.maps)
    raise SpecError(f"{text!r} is no place in this run", hint="places: r1, w1, fp-8, packet[12:14], ctx.member,"
                    f" *(u32 *)(r6 + 4){', and the maps ' + maps if maps else ''}")


def _regs(history: History, index: int) -> tuple[int, ...]:
    """Registers before a step; at the end those before the last one, with r0 as the program left it."""
    if index < len(history):
        return history.steps[index].regs
    last = history.steps[-1].regs
    return (history.result.r0, *last[1:]) if history.result is not None else last


def _register(text: str, number: int, mask: int) -> Place:
    return Place(text, lambda run, at: _regs(run, at)[number] & mask, lambda run, at: run.setter(at, number),
                 local=True)


def _memory(text: str, where: Where, local: bool = False) -> Place:
    def read(history: History, index: int) -> bytes | None:
        found = where(history, index)
        return history.read(index, *found) if found else None

    def writer(history: History, index: int) -> Step | None:
        found = where(history, index)
        return history.writer(index, *found) if found else None

    return Place(text, read, writer, local)


def _stack(off: int, size: int) -> Where:
    return lambda history, at: (_regs(history, at)[10] + off, size)


def _context_region(history: History, index: int) -> Region | None:
    return next((one for one in history.regions if str(one).startswith("context") and one.alive(index)), None)


def packet_at(history: History, index: int) -> tuple[int, int]:
    """(address, bytes) of the packet before a step, (0, 0) if the program has none."""
    context = _context_region(history, index)
    if context is None:
        return 0, 0
    data, end = ends_of_packet(history.program.spec.type, bytes(context.bytes(index)))
    return data, end - data


def _slice(first: str | None, last: str | None, size: int) -> tuple[int, int]:
    """(start, bytes) of ``[first:last]``, of ``[first]``, or of everything."""
    if first is None:
        return 0, size
    start = int(first, 0)
    return start, int(last, 0) - start if last is not None else 1


def _packet(first: str | None, last: str | None) -> Where:
    def where(history: History, index: int) -> tuple[int, int] | None:
        address, length = packet_at(history, index)
        start, size = _slice(first, last, length)
        return (address + start, size) if address else None

    return where


def _context(text: str, history: History, member: str | None, first: str | None, last: str | None) -> Where:
    shape = STRUCTS.get(BY_NAME[history.program.spec.type].context)
    if member:
        found = next((each for each in shape.members if each.name == member), None) if shape else None
        if found is None:
            raise SpecError(f"{text!r}: the context of a {history.program.spec.type} program has no such member",
                            hint="members: " + ", ".join(each.name for each in shape.members) if shape else None)
        return lambda run, at: ((region.address + found.offset, found.size)
                                if (region := _context_region(run, at)) else None)

    def where(run: History, index: int) -> tuple[int, int] | None:
        region = _context_region(run, index)
        if region is None:
            return None
        start, size = _slice(first, last, len(region.first))
        return region.address + start, size

    return where


# -- maps ----------------------------------------------------------------------------------------


def _elements(history: History, name: str) -> list[Region]:
    return [one for one in history.regions if isinstance(one.owner, Element) and one.owner.map.spec.name == name]


def _present(history: History, name: str, key: bytes, index: int) -> bool:
    last: MapChange | None = None
    first: MapChange | None = None
    for step, change in history.changes(name):
        if change.key == key:
            first = first or change
            if step.index < index:
                last = change
    if last is not None:
        return last.new is not None
    return first.old is not None if first is not None else key in history.contents.get(name, {})


def value(history: History, name: str, key: bytes, index: int) -> bytes | None:
    """A map's value before a step, as user space sees it (per-CPU: all copies, one after the other); None: no such
    entry."""
    if not _present(history, name, key, index):
        return None
    found = bytearray(history.contents.get(name, {}).get(key, b""))
    for region in _elements(history, name):
        if region.owner.key != key:
            continue
        always = isinstance(region.owner.map, Array)        # an array's value is there before a program points at it
        if region.alive(index) or (always and index < region.born):
            data = region.bytes(index)
            at = (region.owner.cpu or 0) * round_up(len(data))
            found[at:at + len(data)] = data
    return bytes(found)


def entries(history: History, name: str, index: int) -> dict[bytes, bytes]:
    """A map's entries before a step."""
    keys = dict.fromkeys([*history.contents.get(name, {}), *(change.key for _, change in history.changes(name)),
                          *(region.owner.key for region in _elements(history, name))])
    return {key: found for key in keys if (found := value(history, name, key, index)) is not None}


def _key(text: str, size: int, name: str) -> bytes:
    try:
        number = int(text, 0)
        return number.to_bytes(size, "little")
    except (ValueError, OverflowError):
        raise SpecError(f"{name}[{text}]: a key is a number of {size} bytes") from None


def _entry(text: str, history: History, name: str, key: str, first: str | None, last: str | None) -> Place:
    raw = _key(key, history.maps[name].spec.key_size, name)

    def read(run: History, index: int) -> bytes | None:
        found = value(run, name, raw, index)
        if found is None or first is None:
            return found
        start, size = _slice(first, last, len(found))
        return found[start:start + size]

    def writer(run: History, index: int) -> Step | None:
        steps = {step.index for step, change in run.changes(name) if change.key == raw}
        steps |= {stored.step for region in _elements(run, name) if region.owner.key == raw for stored in region.stores}
        before = [step for step in steps if step < index]
        return run.steps[max(before)] if before else None

    return Place(text, read, writer)


def _whole(text: str, name: str) -> Place:
    def writer(run: History, index: int) -> Step | None:
        steps = {step.index for step, _ in run.changes(name)}
        steps |= {stored.step for region in _elements(run, name) for stored in region.stores}
        before = [step for step in steps if step < index]
        return run.steps[max(before)] if before else None

    return Place(text, lambda run, at: entries(run, name, at), writer)
