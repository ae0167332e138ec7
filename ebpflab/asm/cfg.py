"""The control-flow graph of a program: basic blocks and edges, as plain data."""

from __future__ import annotations

from collections.abc import Sequence

from ..isa import Insn, op_of


def successor(insn: Insn, pc: int) -> int | None:
    """The slot that a jump, local call or function reference at ``pc`` names, None for other instructions."""
    op = op_of(insn)
    if op is None:
        return None
    if op.kind in ("jmp", "jcond") or (op.kind == "ja" and op.verb == "ja"):
        return pc + 1 + (insn.imm if op.width == 32 and op.kind == "ja" else insn.off)
    if (op.kind == "call" and op.verb == "local") or op.name == "lddw_func":
        return pc + 1 + insn.imm
    return None


def targets(insns: Sequence[Insn]) -> dict[int, str]:
    """Slots that something refers to -> ``L`` (jumped to) or ``func`` (called, or its address taken)."""
    found: dict[int, str] = {}
    for pc, insn in enumerate(insns):
        if insn[0] & 7 in (5, 6) or insn[0] == 0x18:
            at = successor(insn, pc)
            if at is not None:
                called = insn[0] in (0x85, 0x18)
                found[at] = "func" if called or found.get(at) == "func" else "L"
    return found
