"""What one instruction reads and writes: registers and stack slots, in the frames where they lie."""

from __future__ import annotations

from dataclasses import dataclass

from ..abi import HELPER_NAMES
from ..isa import Insn, op_of
from .model import Frame, State, Value

#: (frame, n): register n if n >= 0, else the stack slot at fp + n (n = -8, -16, …)
Cell = tuple[int, int]
NOTHING: frozenset[Cell] = frozenset()


@dataclass(frozen=True, slots=True)
class Effects:
    """``feeds`` are the cells that the result is made of; ``reads`` all that must be readable; ``writes`` what gets
    a new value; ``clobbers`` what becomes unreadable."""

    reads: frozenset[Cell] = NOTHING
    writes: frozenset[Cell] = NOTHING
    feeds: frozenset[Cell] = NOTHING
    clobbers: frozenset[Cell] = NOTHING


def cell_name(cell: Cell, depth: int) -> str:
    """``R1``, ``fp-8``; with the frame's number if it is not the one at ``depth``."""
    frame, n = cell
    name = f"R{n}" if n >= 0 else f"fp{n}"
    return name if frame == depth else f"frame{frame} {name}"


def lookup(state: State, cell: Cell):
    """The Value or Slot of a cell, None if nothing is known of it."""
    number, n = cell
    if number >= len(state.frames):
        return None
    frame: Frame = state.frames[number]
    return frame.regs.get(n) if n >= 0 else frame.stack.get(n)


def slots_at(pointer: Value | None, depth: int, off: int, size: int) -> frozenset[Cell]:
    """The stack slots of ``size`` bytes at a pointer, none if it is no stack pointer with a known offset."""
    if pointer is None or pointer.type != "fp" or pointer.mask or size <= 0:
        return NOTHING
    frame = depth if pointer.frame is None else pointer.frame
    first = pointer.off + off
    return frozenset((frame, slot) for slot in range(first // 8 * 8, first + size, 8) if slot < 0)


def _memory(op, insn: Insn, regs, depth: int) -> Effects:
    base, source = (insn.src, insn.dst) if op.kind == "ldx" or op.verb == "load_acquire" else (insn.dst, insn.src)
    place = slots_at(regs.get(base), depth, insn.off, op.bytes)
    if op.kind == "ldx" or op.verb == "load_acquire":
        return Effects(frozenset({(depth, base)}) | place, frozenset({(depth, insn.dst)}), place)
    stored = frozenset({(depth, source)}) if op.source == "x" or op.kind in ("stx", "atomic") else NOTHING
    if op.kind in ("st", "stx") or op.verb == "store_release":
        return Effects(stored | {(depth, base)}, place, stored)
    fetched = {"cmpxchg": 0}.get(op.verb, insn.src)
    writes = place | ({(depth, fetched)} if op.verb == "cmpxchg" or op.verb.startswith(("fetch", "xchg")) else NOTHING)
    compared = {(depth, 0)} if op.verb == "cmpxchg" else set()
    return Effects(stored | {(depth, base)} | place | compared, writes, place | stored)


def _helper(insn: Insn, regs, depth: int, prog_type: str) -> Effects:
    from ..abi.helpers import HELPERS, prototype

    caller_saved = frozenset((depth, n) for n in range(1, 6))
    name = HELPER_NAMES.get(insn.imm, "")
    if name not in HELPERS:
        return Effects(caller_saved, frozenset({(depth, 0)}), NOTHING, caller_saved)
    reads, writes, feeds = set(), {(depth, 0)}, set()
    args = prototype(name, prog_type).args
    for at, arg in enumerate(args, 1):
        reads.add((depth, at))
        if arg.kind == "const_map_ptr":
            feeds.add((depth, at))      # the map decides what the result is
        size = arg.size
        if at < len(args) and args[at].kind.startswith("const_size"):
            length = regs.get(at + 1)
            size = length.umax if length is not None and length.umax <= 512 else 0
        if arg.kind == "mem":
            place = slots_at(regs.get(at), depth, 0, size)
            if "write" in arg.flags:
                writes |= place
            else:
                reads |= place
        elif arg.kind in ("map_key", "map_value"):
            reads |= slots_at(regs.get(at), depth, 0, 8)
    return Effects(frozenset(reads), frozenset(writes), frozenset(feeds), caller_saved)


def effects(insn: Insn, state: State, prog_type: str) -> Effects:
    """Reads and writes of ``insn`` in ``state``. A call of the program's own function and ``exit`` write nothing."""
    op, depth = op_of(insn), len(state.frames) - 1
    if op is None:
        return Effects()
    regs = state.frame.regs
    dst, src = frozenset({(depth, insn.dst)}), frozenset({(depth, insn.src)})
    if op.kind in ("alu", "end", "cast"):
        moved = op.verb in ("mov", "movsx", "cast")
        reads = (NOTHING if moved else dst) | (src if op.source == "x" else NOTHING)
        return Effects(reads, dst, reads)
    if op.kind in ("ldx", "st", "stx", "atomic"):
        return _memory(op, insn, regs, depth)
    if op.kind == "lddw":
        return Effects(writes=dst)
    if op.kind == "ld":
        return Effects(frozenset({(depth, 6)}) | (src if op.source == "x" else NOTHING), frozenset({(depth, 0)}),
                       NOTHING, frozenset((depth, n) for n in range(1, 6)))
    if op.kind == "jmp":
        return Effects(dst | (src if op.source == "x" else NOTHING))
    if op.kind == "exit":
        return Effects(frozenset({(depth, 0)}))
    if op.kind == "call" and op.verb == "helper":
        return _helper(insn, regs, depth, prog_type)
    if op.kind == "call" and op.verb != "local":
        saved = frozenset((depth, n) for n in range(1, 6))
        return Effects(saved & {(depth, n) for n in regs}, frozenset({(depth, 0)}), NOTHING, saved)
    return Effects()
