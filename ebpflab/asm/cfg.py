"""The control-flow graph of a program: basic blocks and edges, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..isa import Insn, Op, bits, op_of
from ..spec import ProgramSpec

_WIDE = bits.LD | bits.IMM | bits.DW


@dataclass(frozen=True, slots=True)
class Block:
    """Slots ``start`` to ``end`` (exclusive) that run one after the other; ``function`` is the slot its function
    starts at."""

    start: int
    end: int
    function: int = 0
    label: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """From the block at slot ``source`` to the one at ``target``.

    ``kind``: ``fall`` (next slot), ``taken`` (a condition holds), ``jump`` (always), ``call`` (a function of the
    program, or its address taken). ``back``: leads to a block that is being walked, so it closes a loop.
    """

    source: int
    target: int
    kind: str
    back: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """``blocks`` in the order of their slots; ``outside``: (slot, target) of jumps that leave the program or lead
    into the middle of a wide load; ``indirect``: slots of ``gotox`` and ``callx``, whose targets nobody knows."""

    insns: tuple[Insn, ...]
    blocks: tuple[Block, ...]
    edges: tuple[Edge, ...]
    outside: tuple[tuple[int, int], ...] = ()
    indirect: tuple[int, ...] = ()

    def successors(self, start: int) -> list[int]:
        return [e.target for e in self.edges if e.source == start and e.kind != "call"]

    def predecessors(self, start: int) -> list[int]:
        return [e.source for e in self.edges if e.target == start and e.kind != "call"]

    def reachable(self) -> set[int]:
        """Starts of the blocks that the first instruction reaches, calls included."""
        leads: dict[int, list[int]] = {}
        for edge in self.edges:
            leads.setdefault(edge.source, []).append(edge.target)
        seen: set[int] = set()
        todo = [0] if self.blocks else []
        while todo:
            start = todo.pop()
            if start not in seen:
                seen.add(start)
                todo += leads.get(start, ())
        return seen


def successor(insn: Insn, pc: int) -> int | None:
    """The slot that a jump, local call or function reference at ``pc`` names, None for other instructions."""
    op = op_of(insn)
    return _target(op, insn, pc) if op else None


def _target(op: Op, insn: Insn, pc: int) -> int | None:
    if op.kind in ("jmp", "jcond"):
        return pc + 1 + insn.off
    if op.kind == "ja" and op.verb == "ja":
        return pc + 1 + (insn.imm if op.width == 32 else insn.off)
    if (op.kind == "call" and op.verb == "local") or op.name == "lddw_func":
        return pc + 1 + insn.imm
    return None


def targets(insns: Sequence[Insn]) -> dict[int, str]:
    """Slots that something refers to -> ``L`` (jumped to) or ``func`` (called, or its address taken)."""
    found: dict[int, str] = {}
    for pc, insn in enumerate(insns):
        if insn[0] & 7 in (bits.JMP, bits.JMP32) or insn[0] == _WIDE:
            at = successor(insn, pc)
            if at is not None:
                called = insn[0] in (bits.JMP | bits.CALL, _WIDE)
                found[at] = "func" if called or found.get(at) == "func" else "L"
    return found


def graph(program: ProgramSpec | Sequence[Insn]) -> Graph:
    """Basic blocks and edges of a program, verified or not: unreachable code and jumps to nowhere are kept."""
    spec = program if isinstance(program, ProgramSpec) else None
    insns = tuple(spec.insns if spec else program)
    end = len(insns)
    second = {pc + 1 for pc, insn in enumerate(insns) if insn[0] == _WIDE}
    refs: list[tuple[int, int, str]] = []
    outside, indirect, stops = [], [], set()
    leaders, functions = {0} if insns else set(), {0}
    for pc, insn in enumerate(insns):
        op = None if pc in second else op_of(insn)
        if op is None:
            continue
        if op.verb == "indirect":
            indirect.append(pc)
        target = _target(op, insn, pc)
        kind = {"jmp": "taken", "jcond": "taken", "ja": "jump"}.get(op.kind, "call")
        if target is not None:
            if not 0 <= target < end or target in second:
                outside.append((pc, target))
            else:
                refs.append((pc, target, kind))
                leaders.add(target)
                if kind == "call":
                    functions.add(target)
        if op.kind in ("jmp", "jcond", "ja", "exit"):
            leaders.add(pc + 1)
        if op.kind in ("ja", "exit"):
            stops.add(pc)
    starts = sorted(start for start in leaders if start < end)
    entries = sorted(functions)
    names = {**(spec.labels if spec else {}), **(spec.functions if spec else {})}
    blocks = tuple(Block(start, stop, max(f for f in entries if f <= start), names.get(start, ""))
                   for start, stop in pairwise([*starts, end]))
    owner = {pc: block.start for block in blocks for pc in range(block.start, block.end)}
    edges = [(owner[pc], target, kind) for pc, target, kind in refs]
    for block in blocks:
        last = block.end - 1
        if last not in stops and block.end < end and block.end not in functions:
            edges.append((block.start, block.end, "fall"))
    return Graph(insns, blocks, _mark_back(edges, entries), tuple(outside), tuple(indirect))


def _mark_back(edges: list[tuple[int, int, str]], entries: list[int]) -> tuple[Edge, ...]:
    """Depth-first from every function: an edge to a block on the path is a back edge."""
    leads: dict[int, list[int]] = {}
    for source, target, kind in edges:
        if kind != "call":
            leads.setdefault(source, []).append(target)
    done: set[int] = set()
    back: set[tuple[int, int]] = set()
    for entry in [*entries, *sorted(leads)]:
        if entry in done:
            continue
        path, stack = {entry}, [(entry, iter(leads.get(entry, ())))]
        while stack:
            at, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                path.discard(at)
                done.add(at)
            elif following in path:
                back.add((at, following))
            elif following not in done:
                path.add(following)
                stack.append((following, iter(leads.get(following, ()))))
    return tuple(Edge(s, t, k, k != "call" and (s, t) in back) for s, t, k in sorted(edges))
