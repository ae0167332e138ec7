"""The decoded form that all execution tiers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

from ..abi import HELPER_NAMES
from ..abi.helpers import HELPERS
from ..errors import DecodeError, Unsupported
from ..isa import OPS, Insn, Op, bits, check, imm64, op_of
from ..spec import ProgramSpec
from .memory import FUNCTION_BASE

CALL = bits.JMP | bits.CALL
#: verb -> what no tier of the simulator runs
NOT_SIMULATED = {
    "cast": "the arena address cast", "kfunc": "a kernel function (kfunc) call", "indirect": "callx",
    "var": "a kernel variable (BTF) address",
}


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """One instruction, ready to run.

    ``value`` is the second operand's constant as an unsigned number of the operation's width (for a wide
    load of an address: what ``Image.link`` put there); ``target`` the slot a jump or local call goes to;
    ``next`` the slot after this instruction.
    """

    pc: int
    op: Op
    kind: str
    verb: str
    dst: int
    src: int
    off: int
    imm: int
    value: int
    target: int
    next: int


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A program's code by slot (HOLE: the second half of a wide load, which nothing reaches).

    ``functions`` are the entry slots: 0, local call targets, callbacks; each maps to the slot after its last.
    ``relocations``: slots of wide loads whose value an address space gives, with (kind, index, offset).
    ``lenient``: loads where nothing is read 0 (``follows_types``).
    """

    codes: tuple[Code, ...]
    functions: dict[int, int]
    relocations: dict[int, tuple[str, int, int]]
    lenient: bool = False

    def link(self, address_of) -> Image:
        """With ``address_of(kind, index, offset)`` filled in. Kinds: map, map_value, map_idx, map_idx_value."""
        codes = list(self.codes)
        for pc, what in self.relocations.items():
            codes[pc] = _with_value(codes[pc], address_of(*what))
        return replace(self, codes=tuple(codes))

    def check_simulated(self) -> None:
        """Raise Unsupported at the first instruction that the simulator has no meaning for."""
        for code in self.codes:
            if code.verb in NOT_SIMULATED:
                raise Unsupported(f"{NOT_SIMULATED[code.verb]} is not simulated", where=f"instruction {code.pc}",
                                  hint="run the program on a kernel target (local or a guest)")


def follows_types(spec: ProgramSpec) -> bool:
    """May the program have pointers to structs of the kernel (``PTR_TO_BTF_ID``)? The kernel lets it read through
    them without a test, and what cannot be read is 0 (``BPF_PROBE_MEM``)."""
    if spec.type in ("tracing", "lsm", "struct_ops"):
        return True
    called = {HELPER_NAMES.get(insn.imm) for insn in spec.insns if insn.opcode == CALL and insn.src == bits.CALL_HELPER}
    return any(HELPERS[name].ret.kind == "btf_id" for name in called if name in HELPERS)


HOLE = Code(-1, OPS[0], "hole", "", 0, 0, 0, 0, 0, -1, -1)


def _with_value(code: Code, value: int) -> Code:
    return Code(code.pc, code.op, code.kind, code.verb, code.dst, code.src, code.off, code.imm, value, code.target,
                code.next)


def function_address(pc: int) -> int:
    """What a pointer to the function at slot ``pc`` looks like."""
    return FUNCTION_BASE + pc * 8


def decode(insns: Sequence[Insn]) -> Image:
    """The decoded form. Raises DecodeError for what is no instruction or jumps out of the program."""
    return _decode(tuple(insns))


@lru_cache(maxsize=64)
def _decode(insns: tuple[Insn, ...]) -> Image:
    if not insns:
        raise DecodeError("a program needs at least one instruction", pc=0)
    check(insns)
    codes = [HOLE] * len(insns)
    entries, relocations = {0}, {}
    pc = 0
    while pc < len(insns):
        insn = insns[pc]
        op = op_of(insn)
        assert op is not None   # check() was happy
        following = pc + (2 if op.kind == "lddw" else 1)
        value, target = insn.imm & (bits.U64 if op.width == 64 else bits.U32), -1
        if op.kind in ("jmp", "jcond"):
            target = pc + 1 + insn.off
        elif op.kind == "ja":
            target = pc + 1 + (insn.off if op.width == 16 else insn.imm)
        elif op.kind == "call" and op.verb == "local":
            target = pc + 1 + insn.imm
            entries.add(target)
        elif op.kind == "lddw":
            value = imm64(insns, pc)
            if op.verb == "func":
                target = pc + 1 + insn.imm
                entries.add(target)
                value = function_address(target)
            elif op.verb != "imm64":
                relocations[pc] = (op.verb, insn.imm, insns[pc + 1].imm)
        codes[pc] = Code(pc, op, op.kind, op.verb, insn.dst, insn.src, insn.off, insn.imm, value, target, following)
        pc = following
    for code in codes:
        if not (code.kind in ("jmp", "ja", "jcond") or code.verb in ("local", "func")):
            continue
        if not 0 <= code.target < len(codes) or codes[code.target] is HOLE:
            raise DecodeError(f"jump to {code.target}, which is no instruction of the program", pc=code.pc)
    bounds = [*sorted(entries), len(insns)]
    return Image(tuple(codes), dict(pairwise(bounds)), relocations)
