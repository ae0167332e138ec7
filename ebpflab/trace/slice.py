"""The steps that matter for a rejection: data-flow followed backwards from the step that failed.

    backwards(trace) -> Slice(root=14, needed=("R2",), links=(Link(3, "sets", ("R2",)), …, Link(14, "fails", …)))

Only the path that led to the failure is followed. A step belongs to the slice if it gave a needed cell its value,
narrowed what was known of it, voided it, or passed it into or out of a function.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .effects import Cell, Effects, cell_name, effects, lookup
from .model import State, Step, Trace

_NAMED = re.compile(r"\bR(\d+)\b")
_ALLOCATED = re.compile(r"\balloc_insn=(\d+)")

@dataclass(frozen=True, slots=True)
class Link:
    """One step of the chain.

    role   ``sets`` (gave the cells their value), ``checks`` (a branch that taught something of them), ``changes``
           (a side effect on them), ``clobbers`` (made them unreadable), ``passes`` (into or out of a function),
           ``fails`` (the last one)
    cells  names of the cells it is about, in the frame of the step
    then   the step that followed on the path to the root, None for the root
    """

    step: int
    role: str
    cells: tuple[str, ...]
    then: int | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """``needed`` are the cells that the failing step asked for, ``never`` those that nothing on the path had set."""

    root: int
    needed: tuple[str, ...]
    links: tuple[Link, ...]
    never: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[int, ...]:
        return tuple(link.step for link in self.links)


def backwards(trace: Trace, root: int | None = None, cells: tuple[str, ...] = ()) -> Slice | None:
    """The slice that explains step ``root`` (default: where the program was rejected), None if there is no step.

    ``cells`` (``R2``, ``fp-8``) are looked for instead of those that the error names.
    """
    if not trace.steps:
        return None
    if root is None:
        root = next((step.index for step in reversed(trace.steps) if step.kind == "rejected"), len(trace.steps) - 1)
    last = trace.steps[root]
    depth = len(last.before.frames) - 1
    live = _asked(cells, depth) or _needed(trace, last)
    needed = _names(live, depth)
    links = [Link(root, "fails", needed)]
    allocated = {int(pc) for line in trace.verdict.error_lines for pc in _ALLOCATED.findall(line)}
    after, at = last, last.parent
    while at is not None and (live or allocated):
        step = trace.steps[at]
        role, touched, live = _through(trace, step, after.before, live)
        if not role and step.pc in allocated:
            role, touched = "sets", {(len(step.before.frames) - 1, 0)}
        allocated.discard(step.pc)
        if role:
            links.append(Link(step.index, role, _names(touched, len(step.before.frames) - 1), after.index))
        after, at = step, step.parent
    given = {cell for cell in live if lookup(after.before, cell) is not None}
    return Slice(root, needed, tuple(reversed(links)), _names(live - given, depth))


def matter(trace: Trace) -> tuple[int, ...]:
    """The steps that matter for the verdict, in their order; of an accepted program those that made its result."""
    found = backwards(trace)
    return found.steps if found else ()


def _asked(cells: tuple[str, ...], depth: int) -> set[Cell]:
    return {(depth, int(name[1:]) if name[0] == "R" else int(name[2:])) for name in cells}


def _names(cells, depth: int) -> tuple[str, ...]:
    ordered = sorted(cells, key=lambda cell: (cell[0] != depth, cell[0], cell[1] < 0, abs(cell[1])))
    return tuple(cell_name(cell, depth) for cell in ordered)


def _effects(trace: Trace, step: Step) -> Effects:
    """What the step's instruction does; nothing if the trace is of another program."""
    insns = trace.program.insns
    return effects(insns[step.pc], step.before, trace.program.type) if step.pc < len(insns) else Effects()


def _needed(trace: Trace, step: Step) -> set[Cell]:
    """The registers that the error names, or else all that the instruction reads."""
    depth = len(step.before.frames) - 1
    did = _effects(trace, step)
    reads = set(did.reads or did.writes)
    named = {(depth, int(n)) for line in trace.verdict.error_lines for n in _NAMED.findall(line) if int(n) < 11}
    return (named & reads) or named or reads


def _through(trace: Trace, step: Step, after: State, live: set[Cell]) -> tuple[str, set[Cell], set[Cell]]:
    """One step back: (role of the step, the cells it is about, the cells needed before it)."""
    before = step.before
    inner, outer = len(after.frames) - 1, len(before.frames) - 1
    if inner > outer:       # a call of a function: its arguments are the caller's
        passed = {(frame, n) for frame, n in live if frame == inner and 1 <= n <= 5}
        back = {(outer, n) for _, n in passed}
        return ("passes" if passed else ""), back, {cell for cell in live if cell[0] < inner} | back
    if inner < outer:       # a return: r0 is the function's
        result = (inner, 0) in live
        back = {(outer, 0)} if result else set()
        return ("passes" if result else ""), back, (live - {(inner, n) for n in range(6)}) | back
    did = _effects(trace, step)
    if written := live & did.writes:
        return "sets", written, (live - written) | did.feeds
    if lost := live & did.clobbers:
        return "clobbers", lost, live - lost
    if changed := {cell for cell in live if _text(before, cell) != _text(after, cell)}:
        return ("checks" if not did.writes else "changes"), changed, live | (set() if did.writes else did.reads)
    return "", set(), live


def _text(state: State, cell: Cell) -> str:
    found = lookup(state, cell)
    return found.text if found is not None else ""
