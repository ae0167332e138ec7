"""A run kept step by step, to be walked in both directions: what the time-travel debugger stands on.

    history = record(program, packet)
    history.steps[7].regs                 registers before the step
    history.read(7, address, 8)           memory before the step, None where nothing was mapped
    history.writer(7, address, 8)         the last step before it that wrote there ("who wrote this?")
    history.setter(7, register)           the last step before it that gave the register its value
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..abi.records import context
from ..errors import Fault
from ..spec import SourceLine
from .contexts import LOOPBACK, Input
from .machine import Program, Result
from .maps import SimMap
from .maps.base import MapChange
from .memory import OFFSET, PAGE_BITS, Mapped, Unmapped, Write
from .regions import Region, regions

MOST_STEPS = 1_000_000
MOST_ENTRIES = 65_536   # of a map whose contents are kept
#: maps of entries that can be looked at
TABLES = frozenset({"array", "percpu_array", "hash", "percpu_hash", "lru_hash", "lru_percpu_hash", "lpm_trie"})

Event = Write | MapChange | Mapped | Unmapped


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction that was executed: ``regs`` before it, ``depth`` of its call frame, ``events`` what it did to
    memory and maps (a helper's doing belongs to the call)."""

    index: int
    program: Program = field(repr=False)
    pc: int
    depth: int
    regs: tuple[int, ...]
    events: tuple[Event, ...] = ()

    @property
    def source(self) -> SourceLine | None:
        return self.program.spec.lines.get(self.pc)

    @property
    def sets(self) -> tuple[int, ...]:
        """The registers that the instruction gives a value; a call to a helper leaves r1 … r5 as they were."""
        code = self.program.image.codes[self.pc]
        if code.kind in ("call", "ld") or code.verb == "cmpxchg":
            return (0,)
        if code.kind == "atomic" and code.verb != "load_acquire":
            return (code.src,) if code.verb == "xchg" or code.verb.startswith("fetch_") else ()
        return (code.dst,) if code.kind in ("alu", "end", "lddw", "ldx", "atomic") else ()


@dataclass(frozen=True)
class History:
    """``steps`` in order; ``result``, or ``fault`` if the run ended in one (then the last step is the culprit).

    State is asked for *before* a step; ``len(steps)`` stands for the end.
    """

    program: Program
    steps: tuple[Step, ...]
    result: Result | None
    fault: Fault | None
    pages: dict[int, bytes] = field(repr=False)      # what was mapped at the end
    owners: dict[int, object] = field(repr=False)
    contents: dict[str, dict[bytes, bytes]] = field(repr=False)     # of the maps, at the end; not of huge ones

    def __len__(self) -> int:
        return len(self.steps)

    @cached_property
    def maps(self) -> dict[str, SimMap]:
        """The maps of the programs that ran, by name."""
        return _maps([self.program, *(step.program for step in self.steps)])

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """The memory that the run touched, in order of birth."""
        return regions([step.events for step in self.steps], self.pages, self.owners)

    @cached_property
    def _by_page(self) -> dict[int, list[Region]]:
        found: dict[int, list[Region]] = {}
        for region in self.regions:
            found.setdefault(region.address >> PAGE_BITS, []).append(region)
        return found

    def region(self, index: int, address: int) -> Region | None:
        """The region that an address lay in before step ``index``."""
        return next((one for one in self._by_page.get(address >> PAGE_BITS, ()) if one.alive(index)), None)

    def read(self, index: int, address: int, size: int) -> bytes | None:
        """``size`` bytes at ``address`` as they were before step ``index``; None if they were not all mapped."""
        region, at = self.region(index, address), address & OFFSET
        if region is None or at + size > len(region.first):
            return None
        return bytes(region.bytes(index)[at:at + size])

    def writes(self, address: int, size: int = 1) -> Iterator[Step]:
        """Every step that wrote any of these bytes, in order."""
        at = address & OFFSET
        steps = {stored.step for region in self._by_page.get(address >> PAGE_BITS, ()) for stored in region.stores
                 if stored.covers(at, size)}
        return (self.steps[step] for step in sorted(steps))

    def writer(self, index: int, address: int, size: int = 1) -> Step | None:
        """The last step before ``index`` that wrote any of these bytes; None if they are from before the run, or were
        there when the region was made."""
        region, at = self.region(index, address), address & OFFSET
        if region is None:
            return None
        return next((self.steps[stored.step] for stored in reversed(region.stores)
                     if stored.step < index and stored.covers(at, size)), None)

    def setter(self, index: int, register: int) -> Step | None:
        """The last step before ``index`` that gave a register of this frame a value; None: it came with the frame."""
        depth = self.steps[min(index, len(self.steps) - 1)].depth
        for at in range(index - 1, -1, -1):
            step = self.steps[at]
            if step.depth < depth:
                return None
            if step.depth == depth and register in step.sets:
                return step
        return None

    def visits(self, pc: int, when: Callable[[Step], bool] | None = None) -> list[Step]:
        """Every time an instruction was executed; ``when`` is a condition, as a breakpoint has."""
        return [step for step in self.steps if step.pc == pc and (when is None or when(step))]

    def changes(self, name: str) -> list[tuple[Step, MapChange]]:
        """Every change of the entries of a map."""
        return [(step, event) for step in self.steps for event in step.events
                if isinstance(event, MapChange) and event.map.spec.name == name]

    def hits(self) -> Counter[int]:
        """How often each instruction was executed: coverage and hot spots."""
        return Counter(step.pc for step in self.steps)

    def describe(self, address: int) -> str:
        """What an address points at, in words."""
        owner = self.owners.get(address >> PAGE_BITS)
        return f"{address:#x}" if owner is None else f"{owner}+{address & OFFSET}"


def record(program: Program, data: bytes = b"", *, ctx: bytes | Mapping[str, Any] = b"", cpu: int = 0, ifindex: int = 0,
           limit: int = MOST_STEPS) -> History:
    """Run once with the interpreter and keep everything. A fault ends the history, it is not raised.

    More than ``limit`` instructions are a fault, too: a step costs about 300 bytes.
    """
    machine = program.machine
    memory = machine.memory
    raw: list[tuple] = []
    result = fault = None
    with machine.lock:
        given = Input(program.spec.type, memory, bytes(data), context(program.spec.type, ctx),
                      ifindex or LOOPBACK, machine.sockets)
        journal: list[Event] = []
        memory.journal = journal

        def hook(running: Program, code, regs: list[int], depth: int) -> None:
            raw.append((running, code.pc, depth, tuple(regs), len(journal)))

        try:
            result = machine.execute(program, given, 1, cpu, "interpreter", hook, limit)
        except Fault as error:
            fault = error
        finally:
            memory.journal = None
            seen = _touched(raw, journal, given) & memory.views.keys()
            pages = {page: bytes(memory.views[page]) for page in seen}
            owners = dict(memory.owners)
            contents = {name: {key: value for key in map(bytes, held.keys()) if (value := held.lookup(key)) is not None}
                        for name, held in _maps([program, *(row[0] for row in raw)]).items()
                        if held.spec.type in TABLES and held.spec.max_entries <= MOST_ENTRIES}
            given.close()
            memory.bury()
    ends = [start for *_, start in raw[1:]] + [len(journal)]
    steps = tuple([Step(index, running, pc, depth, regs, tuple(journal[start:end]))
                   for index, ((running, pc, depth, regs, start), end) in enumerate(zip(raw, ends, strict=True))])
    return History(program, steps, result, fault, pages, owners, contents)


def _maps(programs: Iterable[Program]) -> dict[str, SimMap]:
    different = {id(program): program for program in programs}.values()
    return {name: held for program in different for name, held in program.maps.items()}


def _touched(raw: list[tuple], journal: list, given: Input) -> set[int]:
    """Pages of the input, and those that a register ever pointed at or that changed: maps can be far larger than a
    history should be."""
    pages = {event.address >> PAGE_BITS for event in journal if not isinstance(event, MapChange)}
    pages.update([given.address >> PAGE_BITS, *([given.frame.address >> PAGE_BITS] if given.frame else [])])
    for *_, regs, _ in raw:
        pages.update([value >> PAGE_BITS for value in regs])
    return pages
