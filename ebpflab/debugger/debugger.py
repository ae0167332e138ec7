"""One run, walked in both directions.

    dbg = debug(program, packet)              # a program of the simulator; or prog.debug(packet) in the lab
    dbg.step(); dbg.back(); dbg.over(); dbg.out(); dbg.go(12)
    dbg.break_at(7, when="r1 > 5"); dbg.watch("counts[3]")
    dbg.run(); dbg.run_back()                 # to the next breakpoint, to the one before
    dbg.read("packet[12:14]"); dbg.who("r1")  # what was there; which step wrote it
    dbg.why("r1")                             # all steps that made that value
    print(dbg)                                # where it stands, beside what the verifier knew

State is that *before* the step it stands at; ``len(dbg)`` is the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..errors import SpecError
from ..sim.history import History, record
from ..sim.history import Step as RunStep
from ..sim.machine import Program
from ..trace import State, Step, Trace
from ..trace.slice import Slice, backwards
from .claims import MOST_STEPS, Claim, Walk, follow
from .conditions import Condition, condition
from .places import Found, Place, place
from .run import run_trace


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """``text`` is how it was asked for; ``stops(history, step)``: does the run stop before this step?"""

    text: str
    stops: Condition

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Cell:
    """A register or stack slot before a step: its value, what the verifier claimed ("" for nothing), and why the value
    is not that ("" if it is)."""

    name: str
    text: str
    claimed: str = ""
    outside: str = ""


class Debugger:
    """``history`` is the run, ``at`` the step that comes next, ``trace`` the run as a Trace (``debugger.run``)."""

    def __init__(self, history: History, traces: Mapping[int, Trace] | None = None):
        """``traces``: verifications, by the id of the program in the simulator."""
        self.history, self.traces = history, dict(traces or {})
        self.at = 0
        self.breakpoints: list[Breakpoint] = []

    def __len__(self) -> int:
        return len(self.history)

    # -- going ------------------------------------------------------------------------------------

    def go(self, step: int) -> Debugger:
        """To a step by its number, at most the end; negative ones count from there."""
        self.at = max(0, min(len(self), step if step >= 0 else len(self) + step))
        return self

    def step(self, count: int = 1) -> Debugger:
        return self.go(min(len(self), self.at + count))

    def back(self, count: int = 1) -> Debugger:
        return self.go(max(0, self.at - count))

    def over(self) -> Debugger:
        """To the next step of this function, past what a call runs."""
        return self._seek(1, lambda step: step.depth <= self.depth)

    def out(self) -> Debugger:
        """To the caller."""
        return self._seek(1, lambda step: step.depth < self.depth)

    @property
    def depth(self) -> int:
        return self.history.steps[min(self.at, len(self) - 1)].depth

    def _seek(self, direction: int, wanted: Callable[[RunStep], bool]) -> Debugger:
        at = self.at + direction
        while 0 <= at < len(self) and not wanted(self.history.steps[at]):
            at += direction
        return self.go(max(0, at))

    # -- stopping ---------------------------------------------------------------------------------

    def break_at(self, where: int | str | None = None, when: str | Condition | None = None) -> Breakpoint:
        """Stop before an instruction (its number, a label, or ``:12`` for a source line), only ``when`` a condition
        holds (``debugger.conditions``). Without ``where`` at every step."""
        here = self._where(where)
        holds = condition(when) if isinstance(when, str) else when or (lambda history, index: True)
        words = " ".join(filter(None, (f"at {where}" if where is not None else "", f"when {when}" if when else "")))
        return self._add(words or "at every step", lambda run, at: here(run, at) and holds(run, at))

    def watch(self, text: str, *, writes: bool = False) -> Breakpoint:
        """Stop after a place changed (``debugger.places``): ``counts[3]``, ``packet[12:14]``, ``fp-8``, ``r1`` …; with
        ``writes`` also after what was there was written once more."""
        watched = self.place(text)

        def written(history: History, index: int) -> bool:
            return index > 0 and watched.writer(history, index) is history.steps[index - 1]

        return self._add(f"{text} {'is written' if writes else 'changes'}", written if writes else watched.changed)

    def _add(self, text: str, stops: Condition) -> Breakpoint:
        self.breakpoints.append(Breakpoint(text, stops))
        return self.breakpoints[-1]

    def _where(self, where: int | str | None) -> Condition:
        if where is None:
            return lambda history, index: True
        if isinstance(where, str) and where.rpartition(":")[2].isdigit() and ":" in where:
            file, _, number = where.rpartition(":")
            return lambda history, index: _on_line(history, index, file, int(number)) and not (
                index and _on_line(history, index - 1, file, int(number)))
        pc = where if isinstance(where, int) else self._label(where)
        spec = self.history.program.spec
        if not 0 <= pc < len(spec.insns):
            raise SpecError(f"{spec.name} has no instruction {pc}", hint=f"it has {len(spec.insns)}, from 0")
        return lambda history, index: history.steps[index].pc == pc and history.steps[index].program is history.program

    def _label(self, name: str) -> int:
        spec = self.history.program.spec
        names = {text: pc for table in (spec.functions, spec.labels) for pc, text in table.items()}
        if name not in names:
            raise SpecError(f"{spec.name} has no label {name!r}", hint="labels: " + ", ".join(names) if names else
                            "an instruction's number, or :12 for line 12")
        return names[name]

    def run(self) -> Debugger:
        """On to the next breakpoint, or to the end."""
        return self.go(self.find(1))

    def run_back(self) -> Debugger:
        """Back to the last breakpoint before, or to the start."""
        return self.go(self.find(-1))

    def find(self, direction: int, points: list[Breakpoint] | None = None) -> int:
        """The step at which ``run`` would stop."""
        points, at = self.breakpoints if points is None else points, self.at + direction
        while 0 <= at < len(self):
            if any(point.stops(self.history, at) for point in points):
                return at
            at += direction
        return max(0, min(at, len(self)))

    # -- looking ----------------------------------------------------------------------------------

    def place(self, text: str) -> Place:
        return place(text, self.history)

    def read(self, text: str) -> Found:
        """What is at a place now: a number, bytes, a map's entries, None for nothing."""
        return self.place(text).read(self.history, self.at)

    def who(self, text: str) -> Step | None:
        """The step that wrote there last; None: it was there from the start."""
        found = self.place(text).writer(self.history, self.at)
        return None if found is None else self.trace.steps[found.index]

    def why(self, cell: str) -> Slice | None:
        """The steps that made the value that a register or stack slot (``r1``, ``fp-8``) has now."""
        name = cell.upper() if cell[0] in "rR" else cell
        return backwards(self.trace, root=min(self.at, len(self) - 1), cells=(name,))

    @cached_property
    def _plain(self) -> Trace:
        return run_trace(self.history)

    @cached_property
    def claims(self) -> list[Claim | None]:
        """What the verifier knew before each step, None where nothing is to be had (no verification of that program, or
        a run of more than 50,000 steps)."""
        if len(self) > MOST_STEPS or not self.traces:
            return [None] * len(self)
        walks = {number: Walk(trace) for number, trace in self.traces.items()}
        return list(follow(self.history, [step.before for step in self._plain.steps], walks))

    @cached_property
    def trace(self) -> Trace:
        """The run as a Trace; what the verifier calls a number is one."""
        def is_number(index: int, register: int) -> bool:
            claim = self.claims[index] if index < len(self) else None
            value = claim.state.frame.regs.get(register) if claim is not None else None
            return value is not None and value.type == "scalar"

        return run_trace(self.history, is_number) if any(self.claims) else self._plain

    @property
    def state(self) -> State:
        """Registers and stack now, as the trace model has them."""
        steps = self.trace.steps
        return steps[self.at].before if self.at < len(self) else steps[-1].after

    def cells(self) -> list[Cell]:
        """Registers and stack slots now, each beside what the verifier claimed."""
        claim = self.claims[self.at] if self.at < len(self) else None
        claimed = dict(claim.state.cells()) if claim is not None else {}
        return [Cell(name, cell.text, claimed[name].text if name in claimed else "",
                     claim.outside.get(name, "") if claim is not None else "") for name, cell in self.state.cells()]

    @property
    def insn(self) -> str:
        """The instruction that comes next, ``""`` at the end."""
        return f"{self.trace.steps[self.at].pc}: {self.trace.steps[self.at].text}" if self.at < len(self) else ""

    def to_frame(self) -> Any:
        """The whole run as a DataFrame, as ``Trace.to_frame``."""
        return self.trace.to_frame()

    def __str__(self) -> str:
        where = f", {self.insn}" if self.at < len(self) else f": {_end(self.history)}"
        rows = [f"step {self.at} of {len(self)}{where}"]
        for cell in self.cells():
            claimed = f"   verifier: {cell.claimed}" if cell.claimed not in ("", cell.text) else ""
            rows.append(f"  {cell.name:<6}{cell.text}{claimed}" + (f"   ({cell.outside})" if cell.outside else ""))
        return "\n".join(rows)

    def __repr__(self) -> str:
        return f"<Debugger of {self.history.program.spec.name}: step {self.at} of {len(self)}>"


def _end(history: History) -> str:
    return str(history.fault) if history.fault is not None else f"returned {history.result.retval}"


def _on_line(history: History, index: int, file: str, number: int) -> bool:
    source = history.steps[index].source
    return source is not None and source.line == number and (not file or source.file.endswith(file))


def debug(program: Program, data: bytes = b"", *, ctx: Any = b"", cpu: int = 0,
          traces: Mapping[int, Trace] | None = None) -> Debugger:
    """Run once in the simulator, keep every step, and stand at the first."""
    return Debugger(record(program, data, ctx=ctx, cpu=cpu), traces)

