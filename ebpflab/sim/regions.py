"""The memory of a recorded run as regions: what was mapped from when to when, and what was written there.

Times are step numbers: a region is there *before* step ``index`` if ``born <= index < died``; a write made by
step k is seen from k + 1 on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .memory import OFFSET, PAGE_BITS, Mapped, Unmapped, Write

FOREVER = 1 << 62


class Stored(NamedTuple):
    """``new`` was written over ``old`` at ``at`` (bytes from the region's start) by step ``step``."""

    step: int
    at: int
    old: bytes
    new: bytes

    def covers(self, at: int, size: int) -> bool:
        return self.at < at + size and at < self.at + len(self.new)


class Region(NamedTuple):
    """``address`` of its first byte, ``owner`` as in ``Memory.owners``, ``first`` its bytes when it was born."""

    address: int
    owner: object
    born: int
    died: int
    first: bytes
    stores: tuple[Stored, ...]

    def alive(self, index: int) -> bool:
        return self.born <= index < self.died

    def bytes(self, index: int) -> bytearray:
        """Its bytes before step ``index``."""
        found = bytearray(self.first)
        for one in self.stores:
            if one.step >= index:
                break
            found[one.at:one.at + len(one.new)] = one.new
        return found

    def __str__(self) -> str:
        return str(self.owner)


def regions(events: Sequence[Sequence], pages: Mapping[int, bytes], owners: Mapping[int, object]) -> tuple[Region, ...]:
    """All regions of a run, in order of birth. ``events`` are those of each step, ``pages`` and ``owners`` what was
    mapped at the end."""
    ends: dict[int, tuple[int, bytes, object, list[Stored]]] = {
        page: (FOREVER, data, owners.get(page), []) for page, data in pages.items()}
    found: list[Region] = []

    def begin(page: int, born: int, first: bytes | None = None) -> None:
        died, last, owner, stores = ends.pop(page)
        data = bytearray(last if first is None else first)
        if first is None:       # what it held before all that was written
            for one in stores:
                data[one.at:one.at + len(one.old)] = one.old
        found.append(Region(page << PAGE_BITS, owner, born, died, bytes(data), tuple(reversed(stores))))

    for step in range(len(events) - 1, -1, -1):
        for event in reversed(events[step]):
            page = getattr(event, "address", -1) >> PAGE_BITS
            if isinstance(event, Unmapped):
                ends[page] = (step + 1, event.data, event.owner, [])
            elif isinstance(event, Mapped) and page in ends:
                begin(page, step + 1, event.data)
            elif isinstance(event, Write) and page in ends:
                ends[page][3].append(Stored(step, event.address & OFFSET, event.old, event.new))
    for page in list(ends):
        begin(page, 0)
    return tuple(sorted(found, key=lambda region: (region.born, region.address)))
