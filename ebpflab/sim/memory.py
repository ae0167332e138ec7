"""The simulated address space: byte-addressed regions, every access checked.

An address is 64 bits, split in two::

     63                                    24 23                      0
    +----------------------------------------+------------------------+
    | page                                   | offset                 |
    +----------------------------------------+------------------------+

Every region starts at offset 0 of a page of its own (16 MiB; larger regions take several pages), so the
bounds check is the length of its buffer, an access before its start falls into a page that is too short or
absent, and a stale pointer finds its page gone.  Page 0 is never mapped: NULL faults.  Pages below 256 are
the packets, because contexts hold packet pointers in 32 bits.
"""

from __future__ import annotations

import heapq
from typing import Any, NamedTuple

from ..errors import Fault

PAGE_BITS = 24
PAGE = 1 << PAGE_BITS
OFFSET = PAGE - 1
PACKET_PAGES = range(2, 256, 2)   # every other one: the gap catches accesses before the start
FIRST_PAGE = 0x100
FUNCTION_PAGE = 0x7F_0000         # never mapped: the pages of function pointers
FUNCTION_BASE = FUNCTION_PAGE << PAGE_BITS
U64 = 0xFFFF_FFFF_FFFF_FFFF
ZEROS = bytearray(8)              # what a lenient load reads where nothing is


class Write(NamedTuple):
    """One change of memory, as the debugger's history keeps it."""

    address: int
    old: bytes
    new: bytes


class Mapped(NamedTuple):
    """A region came to be; ``data`` is what was in it."""

    address: int
    data: bytes
    owner: object


class Unmapped(NamedTuple):
    """A region went; ``data`` is what was in it last."""

    address: int
    data: bytes
    owner: object


class UserMemory(str):
    """The owner of memory of the current process, told apart from the kernel's by the probe helpers."""

    __slots__ = ()


class Memory:
    """``views`` maps a page to its buffer; the code generator reads it directly.

    ``owners`` says for a page what it is (a str, or an object whose ``str`` is taken when a fault is told).
    An owner without a view is memory that is no more: a packet that moved.
    ``journal``, when it is a list, receives a Write for every change made through this class, and Mapped and
    Unmapped; maps add what they do (``maps.base.MapChange``).
    """

    def __init__(self) -> None:
        self.views: dict[int, bytearray | memoryview] = {}
        self.owners: dict[int, object] = {}
        self.journal: list | None = None
        self.native: Any = None      # the JIT's page table, which must hear of every page that changes
        self._next = FIRST_PAGE
        self._free: list[int] = []
        self._retired: list[int] = []

    # -- regions ------------------------------------------------------------------------------

    def reserve(self, pages: int = 1) -> int:
        """The first of ``pages`` unused consecutive pages."""
        if pages == 1 and self._free:
            return heapq.heappop(self._free)   # the lowest: the same run has the same addresses every time
        first = self._next
        self._next += pages
        return first

    def map(self, buffer, owner, page: int | None = None) -> int:
        """Give ``buffer`` an address; returns the address of its first byte."""
        first = page
        if self.journal is not None:
            first = self.reserve(-(-len(buffer) // PAGE) or 1) if page is None else page
            self.journal.append(Mapped(first << PAGE_BITS, bytes(buffer), owner))
        if len(buffer) <= PAGE:
            if first is None:
                first = self.reserve()
            self.views[first] = buffer
            self.owners[first] = owner
            if self.native is not None:
                self.native.drop(first)
            return first << PAGE_BITS
        pages = -(-len(buffer) // PAGE)
        if first is None:
            first = self.reserve(pages)
        view = memoryview(buffer)
        for at in range(pages):   # overlapping to the end, so that an access may straddle two pages
            self.views[first + at] = view[at * PAGE:]
            self.owners[first + at] = owner
        if self.native is not None:
            self.native.drop(first, pages)
        return first << PAGE_BITS

    def unmap(self, address: int, note: object = None) -> None:
        """Forget a region of one page; ``note`` is told to whoever still points there."""
        page = address >> PAGE_BITS
        view = self.views.pop(page, None)
        if self.native is not None:
            self.native.drop(page)
        if self.journal is not None and view is not None:
            self.journal.append(Unmapped(address, bytes(view), self.owners.get(page)))
        if note is None:
            self.owners.pop(page, None)
            if page >= FIRST_PAGE:
                heapq.heappush(self._free, page)
        else:
            self.owners[page] = note

    def retire(self, address: int) -> None:
        """Unmap later, at ``bury``: a program that runs may still hold the pointer (RCU)."""
        self._retired.append(address)

    def bury(self) -> None:
        """The program ended: what was retired goes."""
        for address in self._retired:
            self.unmap(address)
        self._retired.clear()

    # -- access -------------------------------------------------------------------------------

    def load(self, address: int, size: int) -> int:
        """The unsigned little-endian value at ``address``. Raises Fault."""
        view = self.views.get(address >> PAGE_BITS)
        at = address & OFFSET
        if view is None or at + size > len(view):
            raise self.fault(address, size, "read")
        return int.from_bytes(view[at:at + size], "little")

    def load_lenient(self, address: int, size: int) -> int:
        """The same through a pointer to a struct of the kernel: 0 where nothing is (its exception table)."""
        return self.load(address, size) if address >> PAGE_BITS in self.views else 0

    def lenient(self, address: int) -> tuple[Any, int]:
        """Where such a load reads: a buffer and the place in it."""
        view = self.views.get(address >> PAGE_BITS)
        return (ZEROS, 0) if view is None else (view, address & OFFSET)

    def store(self, address: int, size: int, value: int) -> None:
        self.write(address, (value & ((1 << size * 8) - 1)).to_bytes(size, "little"))

    def check(self, address: int, size: int, verb: str) -> None:
        """Raise the Fault of an access (``verb`` read or write) that is not allowed."""
        view = self.views.get(address >> PAGE_BITS)
        if view is None or (address & OFFSET) + size > len(view) or (verb == "write" and _readonly(view)):
            raise self.fault(address, size, verb)

    def read(self, address: int, size: int) -> bytes:
        if not size:
            return b""
        view = self.views.get(address >> PAGE_BITS)
        at = address & OFFSET
        if view is None or at + size > len(view):
            raise self.fault(address, size, "read")
        return bytes(view[at:at + size])

    def clear(self, address: int, size: int) -> None:
        """Write zeros; checked before anything of that size is made."""
        if size:
            self.check(address, size, "write")
            self.write(address, bytes(size))

    def write(self, address: int, data: bytes) -> None:
        size = len(data)
        if not size:
            return
        view = self.views.get(address >> PAGE_BITS)
        at = address & OFFSET
        if view is None or at + size > len(view) or _readonly(view):
            raise self.fault(address, size, "write")
        if self.journal is not None:
            self.journal.append(Write(address, bytes(view[at:at + size]), bytes(data)))
        view[at:at + size] = data

    # -- explanation --------------------------------------------------------------------------

    def describe(self, address: int) -> str:
        """Where an address points, in words: ``packet+14``, ``stack of frame 0, r10-8``."""
        owner, at, size = self._nearest(address)
        if owner is None:
            return f"{address:#x}"
        name = str(owner)
        if name.startswith("stack") and size:
            return f"{name}, r10{at - size:+d}"
        return f"{name}{at:+d}" if at else name

    def _nearest(self, address: int) -> tuple[object, int, int]:
        """Owner, offset in it (negative: before its start) and size of the region an address belongs to."""
        page, at = address >> PAGE_BITS, address & OFFSET
        if page in self.owners and not (at > PAGE // 2 and page not in self.views):
            return self.owners[page], at, len(self.views.get(page, b""))
        if at > PAGE // 2 and page + 1 in self.owners:
            return self.owners[page + 1], at - PAGE, len(self.views.get(page + 1, b""))
        return None, 0, 0

    def fault(self, address: int, size: int, verb: str) -> Fault:
        """The Fault for an access that is not allowed, with what the address is near to."""
        address &= U64
        page = address >> PAGE_BITS
        what = f"{verb} of {size} byte{'s' * (size != 1)} at {address:#x}"
        hint = None
        owner, off, length = self._nearest(address)
        if address < 0x10000:
            what += ": a NULL pointer" if address == 0 else f": {address} bytes from a NULL pointer"
            hint = "a look-up gives 0 when there is no such entry: test the result before using it"
        elif FUNCTION_PAGE <= page < FUNCTION_PAGE + 16:
            what += ": a function pointer, not data"
        elif owner is None:
            what += ": no memory of this program is there"
        elif off < 0:
            what += f": {-off} bytes before the start of {owner}"
        elif page not in self.views:
            what += f": {owner}"
        elif off + size > length:
            past = off + size - length
            what += f": {past} byte{'s' * (past != 1)} past the end of {owner} ({length} bytes)"
            hint = "compare with data_end first" if str(owner).startswith("packet") else None
        else:
            what += f": {owner} is read-only"
        return Fault(what, address=address, hint=hint)


def _readonly(view) -> bool:
    return isinstance(view, memoryview) and view.readonly
