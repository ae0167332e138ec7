"""What the first picture of a trace needs: verdict, program, listing, and the C that it comes from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ..explain import explain
from ..isa import Insn, is_wide, op_of
from ..spec import ProgramSpec, SourceLine
from ..trace import Step, Trace
from .words import news, verdict_words

_GOTO = re.compile(r"\bgoto pc([+-]\d+)")


def error_step(trace: Trace) -> int | None:
    """The step at which the verdict fell, if the program was refused and any step was taken."""
    if trace.ok or not trace.steps:
        return None
    rejected = [index for index, (_, _, kind, _) in enumerate(trace.outline()) if kind == "rejected"]
    return rejected[-1] if rejected else len(trace.steps) - 1


def first_steps(trace: Trace) -> dict[int, Step]:
    """Instruction -> the first step that looked at it; one that was cut short there only if there is no other."""
    first: dict[int, int] = {}
    cut: dict[int, int] = {}
    for index, (pc, _, kind, _) in enumerate(trace.outline()):
        (cut if kind == "pruned" else first).setdefault(pc, index)
    return {pc: trace.steps[index] for pc, index in sorted((cut | first).items(), key=lambda found: found[1])}


def head(trace: Trace, firsts: Mapping[int, Step]) -> dict[str, Any]:
    """``firsts`` are the trace's ``first_steps``."""
    program, lines = trace.program, source_lines(trace, firsts)
    rows = list(listing(trace, firsts, lines))
    return {
        "format": 2,
        "program": {"name": program.name, "type": program.type},
        "verdict": verdict(trace),
        "truncated": trace.truncated,
        "listing": rows,
        "files": files(program, lines) if is_c(rows, lines) else [],
    }


def verdict(trace: Trace) -> dict[str, Any]:
    said, at = trace.verdict, error_step(trace)
    entry = explain(trace, links=False).entry if said.result == "reject" else None
    return {
        "result": said.result, "by": said.by, "error": said.error, "errno": said.errno,
        "lines": list(said.error_lines), "step": at, "words": verdict_words(trace),
        "pc": said.pc if said.pc is not None or at is None else trace.steps[at].pc,
        "id": entry.id if entry else "", "title": entry.title if entry else "",
        "stats": {"processed": said.stats.processed, "states": said.stats.total_states,
                  "peak": said.stats.peak_states},
    }


def source_lines(trace: Trace, firsts: Mapping[int, Step]) -> dict[int, SourceLine]:
    """Instruction -> its line, from the program or, where that knows none, from a log.

    A line is told of the first instruction that comes of it and holds up to the next that is told, or to a function.
    """
    program = trace.program
    told = {**{pc: step.source for pc, step in firsts.items() if step.source}, **program.lines}
    lines: dict[int, SourceLine] = {}
    last = None
    for pc in range(len(program.insns)):
        last = told.get(pc, None if pc in program.functions else last)
        if last is not None:
            lines[pc] = last
    return lines


def listing(trace: Trace, firsts: Mapping[int, Step], lines: Mapping[int, SourceLine]) -> Iterator[dict[str, Any]]:
    """One row an instruction: pc, text, hits; where there are any: label, function, jump target, access, source line.

    ``access`` is [register, offset, bytes] of an instruction that reads or writes through a pointer.
    """
    program, hits = trace.program, trace.hits()
    wide = False
    for pc, insn in enumerate(program.insns):
        if wide:
            wide = False
            continue
        wide = is_wide(insn)
        text = firsts[pc].text if pc in firsts else ""      # a covered step may print no instruction
        row: dict[str, Any] = {"pc": pc, "text": text or disassembled(program, pc), "hits": hits.get(pc, 0)}
        if name := program.labels.get(pc):
            row["label"] = name
        if name := program.functions.get(pc):
            row["func"] = name
        if found := _GOTO.search(row["text"]):
            target = pc + 1 + int(found[1])
            row["to"] = program.labels.get(target) or str(target)
        if touched := access(insn):
            row["access"] = touched
        if line := lines.get(pc):
            # "" for assembly that repeats the instruction: not worth a column
            row["source"] = {"file": line.file, "line": line.line, "text": news(line, row["text"])}
        yield row


def access(insn: Insn) -> list[int] | None:
    op = op_of(insn)
    if op is None or op.kind not in ("ldx", "st", "stx", "atomic"):
        return None
    through = insn.src if op.kind == "ldx" or op.verb == "load_acquire" else insn.dst
    return [through, insn.off, op.bytes]


def disassembled(program: ProgramSpec, pc: int) -> str:
    from ..asm import line  # only for what no step shows

    return line(program.insns, pc, syntax="kernel", maps=program.maps)


def is_c(rows: list[dict[str, Any]], lines: Mapping[int, SourceLine]) -> bool:
    """Is the source another language than the listing? Of assembly some line only repeats its instruction."""
    shown = [row for row in rows if "source" in row]
    return bool(shown) and all(row["source"]["text"] == lines[row["pc"]].text.strip() for row in shown)


def files(program: ProgramSpec, lines: Mapping[int, SourceLine]) -> list[dict[str, Any]]:
    """The C, one entry a file: ``lines`` are [number, text], all of a file whose text is at hand, else those that are
    known. The file that most instructions come from is first."""
    order = Counter(line.file for line in lines.values())
    found = []
    for file, _ in order.most_common():
        known = {line.line: line.text for line in lines.values() if line.file == file}
        whole = dict(enumerate(program.source.splitlines(), 1))
        if all(whole.get(number, "").strip() == text.strip() for number, text in known.items()):
            known = whole
        found.append({"file": file, "lines": [[number, known[number]] for number in sorted(known)]})
    return found
