"""Which instructions many inputs reach, how often, and which way the branches go.

    found = coverage(program, packets)
    print(found)                       # the listing with counts; never reached: "-"
    found.missing, found.hot(5), found.to_frame()
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..asm import line
from ..errors import Fault
from ..isa import is_wide
from ..sim.machine import Program
from ..spec import ProgramSpec


@dataclass(frozen=True, slots=True)
class Row:
    """An instruction: ``hits`` in all runs, ``runs`` that came here, and of a branch how often it was ``taken`` and how
    often not (``fell``)."""

    pc: int
    text: str
    hits: int
    runs: int
    taken: int | None = None
    fell: int | None = None
    source: str = ""

    @property
    def one_sided(self) -> bool:
        """A branch that only ever went one way."""
        return bool(self.hits) and self.taken is not None and not (self.taken and self.fell)


@dataclass(frozen=True, slots=True)
class Coverage:
    """``runs`` inputs, of which ``faults`` (number of the input -> Fault) did not end; ``rows`` by instruction."""

    spec: ProgramSpec
    runs: int
    rows: tuple[Row, ...]
    faults: dict[int, Fault]

    @property
    def reached(self) -> float:
        """Share of the instructions that some input reached."""
        return sum(row.hits > 0 for row in self.rows) / len(self.rows)

    @property
    def missing(self) -> tuple[int, ...]:
        """Instructions that no input reached."""
        return tuple(row.pc for row in self.rows if not row.hits)

    @property
    def one_sided(self) -> tuple[int, ...]:
        """Branches that only ever went one way."""
        return tuple(row.pc for row in self.rows if row.one_sided)

    def hot(self, count: int = 10) -> tuple[Row, ...]:
        """The instructions that ran most often."""
        return tuple(sorted(self.rows, key=lambda row: -row.hits)[:count])

    def to_frame(self) -> Any:
        """One row an instruction, as a DataFrame."""
        import pandas

        return pandas.DataFrame([{name: getattr(row, name) for name in Row.__dataclass_fields__} for row in self.rows])

    def __str__(self) -> str:
        width = max(len(str(row.hits)) for row in self.rows)
        lines = [f"{self.spec.name}: {self.reached:.0%} of {len(self.rows)} instructions reached by {self.runs} inputs"
                 + (f", {len(self.faults)} of them ended in a fault" if self.faults else "")]
        for row in self.rows:
            ways = f"   taken {row.taken}, not {row.fell}" if row.taken is not None and row.hits else ""
            lines.append(f"{row.hits or '-':>{width}}  {row.pc:>4}: {row.text}{ways}"
                         + ("   <- only one way" if row.one_sided else ""))
        return "\n".join(lines)


def coverage(program: Program, inputs: Iterable[bytes], *, cpu: int = 0) -> Coverage:
    """Run every input once, in order, maps going on from one to the next, and count. Tail calls count where they
    are made, not in the program they go to."""
    spec, hits, visited, taken = program.spec, Counter(), Counter(), Counter()
    codes = program.image.codes
    faults: dict[int, Fault] = {}
    runs = 0
    for number, data in enumerate(inputs):
        seen: set[int] = set()
        before = -1

        def hook(running: Program, code, regs, depth: int, seen=seen) -> None:
            nonlocal before
            if running is not program:
                return
            pc = code.pc
            hits[pc] += 1
            seen.add(pc)
            if before >= 0 and codes[before].kind == "jmp" and pc == codes[before].target != codes[before].next:
                taken[before] += 1
            before = pc

        try:
            program.run(bytes(data), cpu=cpu, hook=hook)
        except Fault as fault:
            faults[number] = fault
        visited.update(seen)
        runs += 1
    rows, wide = [], False
    for pc, insn in enumerate(spec.insns):
        if wide:
            wide = False
            continue
        wide = is_wide(insn)
        branch = codes[pc].kind == "jmp"
        source = spec.lines.get(pc)
        rows.append(Row(pc, line(spec.insns, pc, syntax="kernel", maps=spec.maps), hits[pc], visited[pc],
                        taken[pc] if branch else None, hits[pc] - taken[pc] if branch else None,
                        f"{source.file}:{source.line}" if source else ""))
    return Coverage(spec, runs, tuple(rows), faults)
