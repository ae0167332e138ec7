"""A rejection explained: what happened, why the verifier insists, what was needed and known, and what to do.

    explanation = explain(trace)
    print(explanation)              # for a terminal
    explanation.to_dict()           # for a view
"""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass, replace

from ..errors import SpecError
from ..spec import ProgramSpec
from ..trace import Step, Trace
from ..trace.diagnosis import Diagnosis
from .catalogue import Entry, Match, fill, find
from .chain import ROLES, ChainLink, chain, held
from .facts import Need, facts, need, rejected_step
from .lessons import section
from .witness import NoWitness, Progress, Witness
from .witness import witness as look_for

_WIDTH = 100
_SHOWN = 12         # links of a chain in the text form; the first and the last ones


@dataclass(frozen=True, slots=True)
class Explanation:
    """Plain data. ``entry`` is None for a verdict that needs no entry (accepted) or that the catalogue does not have.

    ``message`` are the verifier's own lines, ``sentence`` the same in plain words with this program's numbers.
    ``step`` and ``pc`` say where; ``asm`` and ``c`` are the fix, adapted as far as the message allows.
    ``diagnoses`` are what the kernel itself says of it (Linux 7.3 and later). ``witness``: an input that breaks it, or
    why there is none; None if none was looked for.
    """

    program: str
    verdict: str
    by: str
    message: tuple[str, ...]
    sentence: str
    entry: Entry | None = None
    why: str = ""
    need: Need | None = None
    chain: tuple[ChainLink, ...] = ()
    asm: str = ""
    c: str = ""
    lesson: str = ""
    pc: int | None = None
    step: int | None = None
    insn: str = ""
    cause: Explanation | None = None
    diagnoses: tuple[Diagnosis, ...] = ()
    witness: Witness | NoWitness | None = None

    @property
    def id(self) -> str:
        return self.entry.id if self.entry else ""

    @property
    def title(self) -> str:
        return self.entry.title if self.entry else self.sentence

    def to_dict(self) -> dict:
        """Only str, int, None, list and dict: what a view, JSON or another process takes."""
        return {
            "program": self.program, "verdict": self.verdict, "by": self.by, "id": self.id, "title": self.title,
            "message": list(self.message), "sentence": self.sentence, "why": self.why,
            "need": _plain(self.need) if self.need else None,
            "chain": [{"step": link.step, "pc": link.pc, "role": link.role, "means": ROLES[link.role],
                       "cells": list(link.cells), "text": link.text, "insn": link.insn,
                       "source": asdict(link.source) if link.source else None} for link in self.chain],
            "fix": {"asm": self.asm, "c": self.c}, "lesson": self.lesson, "pc": self.pc, "step": self.step,
            "insn": self.insn, "cause": self.cause.to_dict() if self.cause else None,
            "diagnoses": [asdict(each) for each in self.diagnoses],
            "witness": self.witness.to_dict() if self.witness is not None else None,
        }

    def __str__(self) -> str:
        return "\n".join(_text(self)) + "\n"

    def _repr_pretty_(self, printer, cycle: bool) -> None:
        printer.text(str(self))


def explain(what: Trace | ProgramSpec | str | object, *, links: bool = True, witness: float = 0.0,
            progress: Progress | None = None) -> Explanation:
    """Explain a trace (ours or one read from a kernel's log), a program that holds one, or a program to be verified.

    Assembly text and ``ProgramSpec`` are verified by ebpflab's own verifier first. ``links=False`` leaves the chain of
    proof out, which is all that takes time in a long trace. ``witness``: seconds in which to look for an input that
    breaks a rejected program (``explain.witness``). Raises SpecError for anything else.
    """
    trace = _trace(what)
    if witness and trace.verdict.result == "reject":
        return replace(explain(trace, links=links),
                       witness=look_for(trace.program, trace, seconds=witness, progress=progress))
    v = trace.verdict
    common = {"program": trace.program.name, "verdict": v.result, "by": v.by, "diagnoses": v.diagnoses}
    if v.result == "accept":
        return Explanation(**common, message=(), sentence="Every path was followed to its end and is safe.")
    if v.result != "reject":
        return Explanation(**common, message=(v.error,) if v.error else (), sentence=(
            "This verifier does not model what the program uses, so it says neither yes nor no. A kernel can: "
            "verify it on target 'local' or in a VM."))
    lines = v.error_lines or ((v.error,) if v.error else ())
    match = find(lines)
    step = rejected_step(trace)
    where = {"pc": step.pc if step else v.pc, "step": step.index if step else None, "insn": step.text if step else ""}
    found = _links(trace, step, match) if links else ()
    if match is None:
        said = f"The verifier said: {lines[-1]}" if lines else "The verifier gave no reason."
        return Explanation(**common, **where, message=tuple(lines), sentence=said, chain=found)
    known, entry = facts(trace, match), match.entry
    return Explanation(
        **common, **where, message=tuple(lines), sentence=fill(entry.says, known), entry=entry, why=entry.why,
        need=need(trace, match, known), chain=found, asm=fill(entry.asm, known), c=fill(entry.c, known),
        lesson=entry.lesson, cause=_cause(common, lines[:len(lines) - len(match.lines)], known))


def _links(trace: Trace, step: Step | None, match: Match | None) -> tuple[ChainLink, ...]:
    if step is None or (match is not None and not match.entry.flow):
        return ()
    acquired = match.parts.get("alloc") if match is not None else None
    return held(trace, step.index, acquired) if isinstance(acquired, int) else chain(trace, step.index)


def _plain(need: Need) -> dict:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(need).items()}


def _cause(common: dict, lines: tuple[str, ...], known: dict) -> Explanation | None:
    """What lines before the deciding ones say, as for the arguments of a global function."""
    match = find(lines) if lines else None
    if match is None:
        return None
    parts = known | match.parts
    return Explanation(**common, message=match.lines, sentence=fill(match.entry.says, parts), entry=match.entry,
                       why=match.entry.why, asm=fill(match.entry.asm, parts), c=fill(match.entry.c, parts),
                       lesson=match.entry.lesson)


def _trace(what) -> Trace:
    if isinstance(what, Trace):
        return what
    if isinstance(what, str):
        from ..asm import assemble

        what = assemble(what)
    if isinstance(what, ProgramSpec):
        from ..verify import verify

        return verify(what)
    trace = getattr(what, "trace", None)
    if isinstance(trace, Trace):
        return trace
    raise SpecError(f"a {type(what).__name__} cannot be explained",
                    hint="give a trace, a program, or assembly text")


# ---- text

def _wrap(text: str, indent: str = "", width: int = _WIDTH) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent) or [indent.rstrip()]


def _text(e: Explanation) -> list[str]:
    if e.verdict != "reject":
        said = {"accept": "accepted"}.get(e.verdict, "no verdict")
        return [f"{e.program}: {said} by {e.by}", *_wrap(e.sentence), *(f"  {line}" for line in e.message)]
    out = [f"{e.program}: rejected by {e.by}" + (f" at instruction {e.pc}: {e.insn}" if e.insn else ""), ""]
    if e.entry:
        out += [f"{e.entry.title}  [{e.id}]"]
    out += [*_wrap(e.sentence), "", "the verifier's words"]
    out += [f"  {line}" for line in e.message]      # never wrapped: people search for them
    return out + details(e)


def details(e: Explanation, width: int = _WIDTH) -> list[str]:
    """What stands below a verdict, as lines: the kernel's diagnosis, needed against known, the chain of proof, why,
    the fixes, the lesson."""
    out = []
    for each in e.diagnoses:
        out += ["", "the kernel's own diagnosis"]
        for line in str(each).splitlines():
            out += textwrap.wrap(line, width, initial_indent="  ", subsequent_indent=" " * 14)
    if e.cause:
        out += ["", "which argument", *_wrap(e.cause.sentence, "  ", width)]
    if e.need:
        out += ["", f"needed  {e.need.needs}", f"known   {e.need.has}"]
        if e.need.allowed and e.need.known:
            out.append(f"        {e.need.unit}: allowed {_range(e.need.allowed)}, known {_range(e.need.known)}")
    if e.witness is not None:
        out += ["", *(part for line in str(e.witness).splitlines()
                      for part in textwrap.wrap(line, width, subsequent_indent=" " * 11))]
    if e.chain:
        out += ["", "chain of proof", *_chain_lines(e.chain, width)]
    if e.why:
        out += ["", "why", *_wrap(e.why, "  ", width)]
    for name, snippet in (("fix in assembly", e.asm), ("fix in C", e.c)):
        if snippet:
            out += ["", name, *(f"  {line}" for line in snippet.splitlines())]
    if e.lesson:
        found = section(e.lesson)
        out += ["", f"lesson  {e.lesson}" + (f", in notebooks/{found[0].name}" if found else "")]
    return out


def _range(pair: tuple[int, int]) -> str:
    from ..trace.words import number

    low, high = pair
    return "none" if low > high else number(low) if low == high else f"{number(low)} … {number(high)}"


def _chain_lines(links: tuple[ChainLink, ...], width: int) -> list[str]:
    left_out = len(links) - _SHOWN
    shown = list(links) if left_out <= 0 else [*links[:_SHOWN // 3], None, *links[left_out + _SHOWN // 3:]]
    lines = []
    for link in shown:
        if link is None:
            lines.append(f"  …    {left_out} more steps")
            continue
        at = "" if link.pc is None else str(link.pc)
        lines.append(f"  {at:>4}  {link.role:<8} {link.insn}".rstrip())
        lines += _wrap(link.text, " " * 17, width)
    return lines
