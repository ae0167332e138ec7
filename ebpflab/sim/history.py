"""A run kept step by step, to be walked in both directions: what the time-travel debugger stands on.

    history = record(program, packet)
    history.steps[7].regs                 registers before the step
    history.read(7, address, 8)           memory before the step, None where nothing was mapped
    history.writer(7, address, 8)         the last step before it that wrote there ("who wrote this?")
    history.setter(7, register)           the last step before it that gave the register its value
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ..errors import Fault
from ..spec import SourceLine
from .contexts import Input
from .machine import Program, Result
from .maps.base import MapChange
from .memory import OFFSET, PAGE_BITS, Mapped, Unmapped, Write

MOST_STEPS = 1_000_000

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


@dataclass(frozen=True, slots=True)
class History:
    """``steps`` in order; ``result``, or ``fault`` if the run ended in one (then the last step is the culprit).

    State is asked for *before* a step; ``len(steps)`` stands for the end.
    """

    program: Program
    steps: tuple[Step, ...]
    result: Result | None
    fault: Fault | None
    pages: dict[int, bytes] = field(repr=False)      # what was mapped at the end
    owners: dict[int, str] = field(repr=False)

    def __len__(self) -> int:
        return len(self.steps)

    def read(self, index: int, address: int, size: int) -> bytes | None:
        """``size`` bytes at ``address`` as they were before step ``index``; None if they were not all mapped."""
        page, at = address >> PAGE_BITS, address & OFFSET
        data = self.pages.get(page)
        found = bytearray(data) if data is not None else None
        for step in reversed(self.steps[index:]):
            for event in reversed(step.events):
                if isinstance(event, MapChange) or event.address >> PAGE_BITS != page:
                    continue
                if isinstance(event, Mapped):
                    found = None
                elif isinstance(event, Unmapped):
                    found = bytearray(event.data)
                elif found is not None:
                    start = event.address & OFFSET
                    found[start:start + len(event.old)] = event.old
        if found is None or at + size > len(found):
            return None
        return bytes(found[at:at + size])

    def writes(self, address: int, size: int = 1) -> Iterator[Step]:
        """Every step that wrote any of these bytes."""
        for step in self.steps:
            if any(isinstance(event, Write) and event.address < address + size
                   and address < event.address + len(event.new) for event in step.events):
                yield step

    def writer(self, index: int, address: int, size: int = 1) -> Step | None:
        """The last step before ``index`` that wrote any of these bytes; None if they are from before the run."""
        last = None
        for step in self.writes(address, size):
            if step.index >= index:
                break
            last = step
        return last

    def setter(self, index: int, register: int) -> Step | None:
        """The last step before ``index`` that changed this register in this frame; None: it came with the frame."""
        frame = self.steps[min(index, len(self.steps) - 1)]
        value, at = frame.regs[register], index
        while at > 0:
            at -= 1
            step = self.steps[at]
            if step.depth < frame.depth:
                return None
            if step.depth == frame.depth and step.regs[register] != value:
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


def record(program: Program, data: bytes = b"", *, ctx: bytes = b"", cpu: int = 0, ifindex: int = 0,
           limit: int = MOST_STEPS) -> History:
    """Run once with the interpreter and keep everything. A fault ends the history, it is not raised.

    More than ``limit`` instructions are a fault, too: a step costs about 300 bytes.
    """
    machine = program.machine
    memory = machine.memory
    raw: list[tuple] = []
    result = fault = None
    with machine.lock:
        given = Input(program.spec.type, memory, bytes(data), bytes(ctx), **({"ifindex": ifindex} if ifindex else {}))
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
            pages = {page: bytes(memory.views[page]) for page in _touched(memory, raw, journal)}
            owners = {page: str(owner) for page, owner in memory.owners.items()}
            given.close()
            memory.bury()
    ends = [start for *_, start in raw[1:]] + [len(journal)]
    steps = tuple([Step(index, running, pc, depth, regs, tuple(journal[start:end]))
                   for index, ((running, pc, depth, regs, start), end) in enumerate(zip(raw, ends, strict=True))])
    return History(program, steps, result, fault, pages, owners)


def _touched(memory, raw: list[tuple], journal: list) -> set[int]:
    """Pages that a register ever pointed at or that changed: maps can be far larger than a history should be."""
    pages = {event.address >> PAGE_BITS for event in journal if not isinstance(event, MapChange)}
    for *_, regs, _ in raw:
        pages.update([value >> PAGE_BITS for value in regs])
    return pages & memory.views.keys()
