"""The chain of proof: where a value was born, what was learned of it, where knowledge was lost, where it was needed."""

from __future__ import annotations

from dataclasses import dataclass

from ..spec import SourceLine
from ..trace import Slot, State, Step, Trace, Value
from ..trace.effects import effects
from ..trace.slice import Link, backwards
from ..trace.words import cell_words

MOST_LINKS = 400
#: role of a link -> what it says to a reader
ROLES = {
    "born": "comes into being", "derived": "is computed", "learned": "is learned", "lost": "knowledge is lost",
    "changed": "changes", "passed": "is passed on", "needed": "is needed here", "never": "was never written",
}


@dataclass(frozen=True, slots=True)
class ChainLink:
    """One step of the proof. ``step`` is its index in the trace (None for ``never``), ``cells`` the registers and
    slots it is about, ``text`` one plain line, ``role`` one of ``ROLES``."""

    step: int | None
    pc: int | None
    role: str
    cells: tuple[str, ...]
    text: str
    insn: str = ""
    source: SourceLine | None = None


def chain(trace: Trace, root: int | None = None, cells: tuple[str, ...] = ()) -> tuple[ChainLink, ...]:
    """The links in the order of the program's run, the last one where the value was needed.

    Of more than ``MOST_LINKS`` those in the middle are left out.
    """
    found = backwards(trace, root, cells)
    if found is None:
        return ()
    links = [ChainLink(None, None, "never", (name,), f"{name} was never written on this path") for name in found.never]
    for link in _ends(found.links):
        later = trace.steps[link.then] if link.then is not None else None
        links.append(_link(trace, link, trace.steps[link.step], later))
    return tuple(links)


def _ends(links: tuple[Link, ...]) -> tuple[Link, ...]:
    """Of a chain that a long loop made: where it began, and the turns before the rejection."""
    return links if len(links) <= MOST_LINKS else links[:MOST_LINKS // 4] + links[len(links) - MOST_LINKS * 3 // 4:]


def held(trace: Trace, root: int, allocated: int) -> tuple[ChainLink, ...]:
    """The chain of a reference that was not given back: where it was acquired, where the program leaves with it."""
    links = []
    for step in trace.path(root):
        if step.pc == allocated or step.index == root:
            last = step.index == root
            text = f"what instruction {allocated} acquired is still held" if last else "a reference is acquired"
            links.append(ChainLink(step.index, step.pc, "needed" if last else "born", (), text, step.text, step.source))
    return tuple(links)


def _cell(state: State, name: str) -> Value | Slot | None:
    frame = state.frame
    if name.startswith("frame"):
        number, name = name.split(" ", 1)
        if int(number[5:]) >= len(state.frames):
            return None
        frame = state.frames[int(number[5:])]
    return frame.regs.get(int(name[1:])) if name[0] == "R" else frame.stack.get(int(name[2:]))


def _words(cell: Value | Slot | None) -> str:
    return cell_words(cell) if cell is not None else "nothing"


def _unknown(cell: Value | Slot | None) -> int:
    """How little is known: bits that the value can still vary in. A shift moves them and makes no more of them."""
    value = cell.value if isinstance(cell, Slot) else cell
    if value is None:
        return 65
    span = (value.umax - value.umin).bit_length() if value.umax >= value.umin else 64
    return min(span, value.mask.bit_count())


def _kind(cell: Value | Slot | None) -> str:
    value = cell.value if isinstance(cell, Slot) else cell
    return value.type if value is not None else ""


def _less(before: Value | Slot | None, after: Value | Slot | None) -> bool:
    """Is less known afterwards?"""
    was, now = _kind(before), _kind(after)
    if was and was != "scalar" and now in ("scalar", ""):
        return not was.endswith("_or_null")         # NULL on this side is knowledge
    if was != now:
        return False
    proved = [cell.range if isinstance(cell, Value) else 0 for cell in (before, after)]
    return _unknown(after) > _unknown(before) or proved[1] < proved[0]


def _demoted(step: Step, feeds: set[str], after: Value | Slot | None) -> bool:
    """Did a number come of a pointer?"""
    return _kind(after) == "scalar" and any(_kind(_cell(step.before, cell)) not in ("scalar", "") for cell in feeds)


def _link(trace: Trace, link: Link, step: Step, later: Step | None) -> ChainLink:
    after = later.before if later is not None else step.after
    same = later is not None and len(after.frames) == len(step.before.frames)
    name = link.cells[0] if link.cells else ""
    before_cell = _cell(step.before, name) if name else None
    after_cell = _cell(after, name) if name and same else None
    role = {"sets": "derived", "checks": "learned", "changes": "changed", "clobbers": "lost", "passes": "passed",
            "fails": "needed"}[link.role]
    shown = ", ".join(link.cells)
    if role == "needed":
        text = "; ".join(f"{cell} holds {_words(_cell(step.before, cell))}" for cell in link.cells) or "rejected here"
    elif role == "passed":
        text = f"{shown} is passed {'into' if later and len(after.frames) > len(step.before.frames) else 'out of'}" \
               " the function"
    elif link.role == "clobbers":
        text = f"{shown} cannot be read any more after the call"
    elif link.role == "sets":
        feeds = _feeds(trace, step)
        own = name in feeds
        if not feeds:
            role = "born"
        elif (own and _less(before_cell, after_cell)) or _demoted(step, feeds, after_cell):
            role = "lost"
        text = f"{name} becomes {_words(after_cell)}"
        if role == "lost":
            text += f"; before: {_words(before_cell)}" if own else ""
    else:
        if _less(before_cell, after_cell):
            role = "lost"
        text = f"{name}: {_words(before_cell)} → {_words(after_cell)}"
    return ChainLink(step.index, step.pc, role, link.cells, text, step.text, step.source)


def _feeds(trace: Trace, step: Step) -> set[str]:
    """Names of the cells in the step's own frame that its result is made of."""
    insns = trace.program.insns
    if step.pc >= len(insns):
        return set()
    depth = len(step.before.frames) - 1
    did = effects(insns[step.pc], step.before, trace.program.type)
    return {f"R{n}" if n >= 0 else f"fp{n}" for frame, n in did.feeds if frame == depth}
