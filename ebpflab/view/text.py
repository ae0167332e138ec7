"""A trace as text: the verdict, then every step with what it changed, the deciding line where it fell."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from ..explain import explain
from ..explain.explanation import details
from ..spec import SourceLine
from ..trace import Slot, State, Step, Trace, Value
from ..trace.compare import Difference
from .head import error_step
from .words import news, verdict_words

WIDTH = 100
TEXT_COLUMN = 34    # how wide the instruction is before the changes begin, as in the kernel's log
ALL = 500           # traces up to this long are shown whole, of longer ones the way to the verdict
SIGNS = {"accept": "✓ accepted", "reject": "✗ rejected", "unsupported": "? not supported", "ended": "▶ run to its end",
         "fault": "✗ stopped by a fault"}

# Styles are rich's names; the plain text leaves them out.
GOOD, BAD, DIM, CHANGE, STRONG = "green", "bold red", "dim", "yellow", "bold"
RESULT_STYLE = {"accept": "bold green", "reject": BAD, "unsupported": "bold yellow", "ended": "bold green",
                "fault": BAD}

Piece = tuple[str, str]


def trace_text(trace: Trace, *, width: int = WIDTH, steps: Iterable[int] | None = None, color: bool = False) -> str:
    """The trace as plain text, ``width`` columns wide.

    ``steps`` are indexes to show; without it all of a short trace (up to 500 steps), of a longer one the last
    500 on the way to the verdict. ``color`` adds ANSI colours.
    """
    pieces = _pieces(trace, width, None if steps is None else sorted(set(steps)))
    if not color:
        return "\n".join(line.rstrip() for line in "".join(text for text, _ in pieces).splitlines()) + "\n"
    from io import StringIO

    from rich.console import Console
    from rich.text import Text

    out = StringIO()
    console = Console(file=out, force_terminal=True, width=width, color_system="standard", soft_wrap=True)
    console.print(Text.assemble(*pieces, no_wrap=True), end="")
    return out.getvalue()


def pair_text(a: Trace, b: Trace, difference: Difference | None, *, width: int = WIDTH) -> str:
    """Both verdicts and the first difference, with what each knew around it."""
    lines = [f"{SIGNS[each.verdict.result]}  {each.program.name}, by {each.verdict.by}, {len(each.steps)} steps"
             for each in (a, b)]
    if difference is None:
        return "\n".join([*lines, "", "Both took the same steps and knew the same at each.", ""])
    lines += ["", f"First difference, at step {difference.step}: {difference.words}"]
    for cell in difference.cells:
        lines += ["", f"  {cell.name}", f"    {a.verdict.by:<14} {cell.a or 'unknown'}",
                  f"    {b.verdict.by:<14} {cell.b or 'unknown'}"]
    for each in (a, b):
        around = range(max(0, difference.step - 2), min(len(each.steps), difference.step + 3))
        lines += ["", f"── {each.verdict.by}"]
        lines += ["".join(text for text, _ in _step(each.steps[at], width)).rstrip() for at in around]
    return "\n".join([*lines, ""])


def _pieces(trace: Trace, width: int, chosen: Sequence[int] | None) -> Iterator[Piece]:
    yield from _verdict(trace, width)
    yield from _walk(trace, width, chosen) if trace.steps else _unstepped_error(trace, width)
    if trace.verdict.result == "reject":
        yield "".join(f"{line}\n" for line in details(explain(trace), width)), ""


def _walk(trace: Trace, width: int, chosen: Sequence[int] | None) -> Iterator[Piece]:
    steps = trace.steps
    shown = _choose(trace) if chosen is None else chosen
    wrong = error_step(trace)
    yield "\n", ""
    last, source = -1, None
    for index in shown:
        step = steps[index]
        if index != last + 1:
            yield f"{'':6}… {index - last - 1} steps left out\n", DIM
        last = index
        if step.parent is not None and step.parent != index - 1:
            yield from _came_from(step, steps[step.parent], width)
        if step.source and step.source != source:
            source = step.source
            yield from _source(source, news(source, step.text), width)
        yield from _step(step, width)
        if index == wrong:
            yield from _error(trace, step, width)
    if last != len(steps) - 1:
        yield f"{'':6}… {len(steps) - 1 - last} steps left out\n", DIM


def _choose(trace: Trace) -> Sequence[int]:
    count = len(trace.steps)
    if count <= ALL:
        return range(count)
    at = error_step(trace)
    at, found = count - 1 if at is None else at, []
    while at is not None and len(found) < ALL:     # steps are built when they are looked at: not the whole path
        found.append(at)
        at = trace.steps[at].parent
    return found[::-1]


def _wrapped(text: str, indent: int, width: int) -> str:
    pad = " " * indent
    return textwrap.fill(text, max(width, indent + 20), initial_indent=pad, subsequent_indent=pad,
                         break_long_words=False, break_on_hyphens=False) + "\n"


def _verdict(trace: Trace, width: int) -> Iterator[Piece]:
    v, program = trace.verdict, trace.program
    yield SIGNS[v.result], RESULT_STYLE[v.result]
    yield f"  {program.name} ({program.type}), by {v.by}\n", STRONG
    for line in v.error_lines or ((v.error,) if v.error else ()):
        yield _wrapped(line, 2, width), BAD
    entry = explain(trace, links=False).entry if v.result == "reject" else None
    if words := verdict_words(trace) + (f" [{entry.id}]" if entry else ""):
        yield _wrapped(words, 2, width), ""
    facts = [f"{v.stats.processed} instructions processed" if v.stats.processed is not None else "",
             f"{len(trace.steps)} steps", "the log was cut short" if trace.truncated else ""]
    yield f"  {', '.join(filter(None, facts))}\n", DIM


def _unstepped_error(trace: Trace, width: int) -> Iterator[Piece]:
    """A verdict before the first step (a jump out of the program, say): show the line it speaks of."""
    pc, program = trace.verdict.pc, trace.program
    if pc is None or not 0 <= pc < len(program.insns):
        return
    from ..asm import line

    yield "\n", ""
    if pc in program.lines:
        yield from _source(program.lines[pc], program.lines[pc].text, width)
    text = f"{pc:>5}: {line(program.insns, pc, syntax='kernel', maps=program.maps)}\n"
    yield text, STRONG
    yield _pointer(text, trace.verdict.error, width), BAD


def _came_from(step: Step, parent: Step, width: int) -> Iterator[Piece]:
    how = {"taken": ", jump taken", "fall": ", jump not taken"}.get(step.branch, "")
    head = f"── from {parent.pc} to {step.pc}{how} "
    yield "\n" + head + "─" * max(0, width - len(head)) + "\n", DIM


def _source(line: SourceLine, text: str, width: int) -> Iterator[Piece]:
    if not text:
        return
    place = f"{line.file.rsplit('/', 1)[-1]}:{line.line}"
    room = max(20, width - len(place) - 12)
    yield f"       ; {textwrap.shorten(text, room, placeholder=' …'):<{room}}  {place}\n", DIM


def _step(step: Step, width: int) -> Iterator[Piece]:
    if step.kind == "pruned":
        yield f"{step.pc:>5}: safe: an equal or weaker state was already proved here\n", DIM
        return
    text = f"{step.pc:>5}: {step.text}"
    yield text, STRONG if step.kind == "rejected" else ""
    indent = TEXT_COLUMN + 7
    lines = [] if step.before is step.after else _fill(list(_changes(step.before, step.after)), width - indent - 2)
    for number, line in enumerate(lines):
        beside = number == 0 and len(text) <= indent
        yield " " * (indent - len(text)) if beside else "\n" + " " * indent, ""
        yield "; ", DIM
        yield line, CHANGE
    yield "\n", ""


def _fill(changes: Sequence[tuple[str, str, str]], room: int) -> list[str]:
    """Lines of ``name=new`` and ``name: old → new``; the old value is left out where it does not fit in one line,
    a new one that does not fit either is broken after commas."""
    lines: list[str] = []
    for name, old, new in changes:
        text = f"{name}: {old} → {new}" if old else f"{name}: {new}" if name == "gone" else f"{name}={new}"
        if len(text) > room:
            text = f"{name}={new}"
        if lines and not lines[-1].startswith(" ") and len(lines[-1]) + len(text) + 2 <= room:
            lines[-1] += "  " + text
            continue
        part = ""
        for piece in text.replace(",", ",\0").split("\0"):
            if part.strip() and len(part) + len(piece) > room:
                lines.append(part)
                part = "    "
            part += piece
        lines.append(part)
    return lines


def _changes(before: State, after: State) -> Iterator[tuple[str, str, str]]:
    """(name, old text or "", new text) of what changed; cells of a caller with their frame in front."""
    innermost = after.frame.number
    old, new = _cells(before), _cells(after)
    for key, cell in new.items():
        was = old.get(key)
        if was is not None and was.text == cell.text:
            continue
        yield _name(key, innermost), was.text if was else "", cell.text
    # Cells of a function that returned are not news, nor are the caller's R0 … R5 that every call clobbers.
    gone = [key for key in old if key not in new and key[0] == innermost]
    if gone:
        yield "gone", "", " ".join(name for _, name in gone)


def _cells(state: State) -> dict[tuple[int, str], Value | Slot]:
    return {(frame.number, name): cell for frame in state.frames for name, cell in State((frame,)).cells()}


def _name(key: tuple[int, str], innermost: int) -> str:
    return key[1] if key[0] == innermost else f"frame{key[0]}:{key[1]}"


def _error(trace: Trace, step: Step, width: int) -> Iterator[Piece]:
    yield _pointer(f"{step.pc:>5}: {step.text}\n", trace.verdict.error, width), BAD


def _pointer(text: str, error: str, width: int) -> str:
    """A caret line under the instruction proper (not its opcode), then what is wrong with it."""
    body = text.rstrip("\n")
    start = body.find(") ") + 2 if body.lstrip().partition(": ")[2].startswith("(") else 7
    return f"{' ' * start}^{'~' * (len(body) - start - 1)}\n{_wrapped(error, start, width)}"
