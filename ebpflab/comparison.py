"""Verifications of one program side by side: ours and a kernel's, or several kernels', and the first step at which
they part.

    found = ebpflab.compare(program, ["sim", "local", "qemu:6.1"])
    print(found)                        # who says what, and where each parts from the first
    found.differences["qemu:6.1"]       # a trace.compare.Difference, None if the walks are the same
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from .errors import EbpflabError, SpecError
from .spec import ProgramSpec
from .targets.base import Target
from .trace import Trace
from .trace.compare import Difference, compare

if TYPE_CHECKING:
    from .view.pair import Pair

SIGNS = {"accept": "✓ accepted", "reject": "✗ rejected", "unsupported": "? not supported"}


@dataclass(frozen=True)
class Comparison:
    """``traces`` by the name of the target, the first one is what the others are compared with; ``absent``: target ->
    why there is no trace of it."""

    program: ProgramSpec
    traces: Mapping[str, Trace]
    absent: Mapping[str, str]

    @property
    def reference(self) -> str:
        return next(iter(self.traces), "")

    @cached_property
    def differences(self) -> dict[str, Difference | None]:
        """For each target but the first: where its walk parts from the first one's, None if it does not."""
        mine = self.traces.get(self.reference)
        return {name: compare(mine, trace) for name, trace in self.traces.items() if name != self.reference}

    @property
    def agree(self) -> bool:
        """Do all that judged walk the same way and know the same at every step?"""
        return not any(self.differences.values())

    def stepper(self, name: str = "") -> Pair:
        """The first target's walk beside another's (default: one that parts from it), step by step in a notebook."""
        from .view.stepper import Stepper

        parted = [other for other, found in self.differences.items() if found]
        other = name or next(iter([*parted, *self.differences]), "")
        if other not in self.differences:
            raise SpecError(f"there is no walk to put beside {self.reference}'s", where=other or None,
                            hint=f"there are: {', '.join(self.differences) or 'none'}")
        return Stepper.compare(self.traces[self.reference], self.traces[other])

    def to_dict(self) -> dict:
        """Only str, int, None, list and dict."""
        def side(name: str, trace: Trace) -> dict:
            v, found = trace.verdict, self.differences.get(name)
            return {"target": name, "by": v.by, "verdict": v.result, "error": v.error, "pc": v.pc,
                    "processed": v.stats.processed, "steps": len(trace.steps),
                    "difference": found.to_dict() if found else None}

        return {"program": self.program.name, "type": self.program.type, "reference": self.reference,
                "agree": self.agree, "sides": [side(name, trace) for name, trace in self.traces.items()],
                "absent": dict(self.absent)}

    def __str__(self) -> str:
        width = max(map(len, [*self.traces, *self.absent]), default=0)
        by = max((len(trace.verdict.by) for trace in self.traces.values()), default=0)
        lines = [f"{self.program.name} ({self.program.type}), {len(self.program.insns)} instructions"]
        for name, trace in self.traces.items():
            said = f"  {name:{width}}  {trace.verdict.by:{by}}  {SIGNS[trace.verdict.result]}, {len(trace.steps)} steps"
            lines.append(said + (f": {trace.verdict.error}" if trace.verdict.error else ""))
        lines += [f"  {name:{width}}  –  {why.splitlines()[0]}" for name, why in self.absent.items()]
        for name, found in self.differences.items():
            lines.append("")
            same = f"{self.reference} and {name}: the same walk, the same knowledge at every step"
            lines += [same] if found is None else _parting(self.reference, name, found)
        return "\n".join(lines)

    def _repr_mimebundle_(self, **options):
        if not self.differences:
            return {"text/plain": str(self)}
        bundle = self.stepper()._repr_mimebundle_(**options)
        data, *metadata = bundle if isinstance(bundle, tuple) else (bundle,)
        data["text/plain"] = str(self)
        return (data, *metadata) if metadata else data


def _parting(a: str, b: str, found: Difference) -> list[str]:
    """A difference, with what each side knows there."""
    step = found.a or found.b
    where = f"at step {found.step}" + (f", instruction {step.pc}: {step.text}" if step else "")
    lines = [f"{a} and {b} part {where}"]
    width = max(len(a), len(b))
    for cell in found.cells:
        lines += [f"  {cell.name} differs in {cell.what}",
                  f"    {a:{width}}  {cell.a or 'unknown'}", f"    {b:{width}}  {cell.b or 'unknown'}"]
    return lines if found.cells else [*lines, f"  {found.words}"]


def run(program: ProgramSpec, targets: Mapping[str, Target], absent: Mapping[str, str] | None = None, *,
        log_level: int = 2) -> Comparison:
    """Put a program to every target's verifier. One that cannot judge it is in ``absent``, with the reason."""
    traces: dict[str, Trace] = {}
    without = dict(absent or {})
    for name, target in targets.items():
        try:
            traces[name] = target.verify(program, log_level=log_level)
        except EbpflabError as error:
            without[name] = str(error)
    return Comparison(program, traces, without)
