"""One instruction slot, its encoding, and the way from bytes to table rows."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from ..errors import DecodeError
from .table import Op, rows

_SLOT = struct.Struct("<BBhi")
SLOT_BYTES = _SLOT.size
_FIELDS = ("dst", "src", "off", "imm")


class Insn(NamedTuple):
    """``struct bpf_insn``: one eight-byte slot.

    A wide load takes two slots, the second with opcode 0, so an index into a program is
    always the kernel's index.  ``off`` is signed 16 bit, ``imm`` signed 32 bit.
    (A NamedTuple, not a dataclass: the assembler makes them by the million, and it is 4× faster.)
    """

    opcode: int
    dst: int = 0
    src: int = 0
    off: int = 0
    imm: int = 0


def encode(insns: Iterable[Insn]) -> bytes:
    """The program as the kernel takes it, eight bytes a slot."""
    pack = _SLOT.pack
    return b"".join([pack(op, (src << 4) | dst, off, imm) for op, dst, src, off, imm in insns])


def slots(data: bytes) -> tuple[Insn, ...]:
    """Split bytes into slots without judging them. Raises DecodeError if not a multiple of eight."""
    if len(data) % SLOT_BYTES:
        raise DecodeError(
            f"{len(data)} bytes are not a whole number of 8-byte instructions",
            pc=len(data) // SLOT_BYTES, raw=data[len(data) // 8 * 8:],
        )
    new = Insn._make
    return tuple([new((op, regs & 15, regs >> 4, off, imm)) for op, regs, off, imm in _SLOT.iter_unpack(data)])


def _selection(opcode: int):
    """How to choose among the rows of one opcode: (key of a slot, key -> (row, fields left to compare)).

    The key is made of the fields that no row has as an operand, so operand values never matter.
    """
    candidates = rows(opcode)
    common = [i for i, f in enumerate(_FIELDS) if not any(f in op.operands for op in candidates)]
    key = itemgetter(*(i + 1 for i in common))
    found = {}
    for op in candidates:
        required = Insn(opcode, *(op.fixed.get(f, 0) for f in _FIELDS))
        rest = tuple((i + 1, required[i + 1]) for i, f in enumerate(_FIELDS)
                     if i not in common and f not in op.operands)
        if found.setdefault(key(required), (op, rest))[0] is not op:
            raise AssertionError(f"{op.name} and {found[key(required)][0].name} have the same encoding")
    return key, found


_SELECTIONS = {opcode: _selection(opcode) for opcode in range(256) if rows(opcode)}


def op_of(insn: Insn) -> Op | None:
    """The table row of a slot, or None if no instruction is encoded like this."""
    selection = _SELECTIONS.get(insn[0])
    if selection is None:
        return None
    key, found = selection
    match = found.get(key(insn))
    if match is None:
        return None
    op, rest = match
    for index, value in rest:
        if insn[index] != value:
            return None
    return op


def decode(data: bytes) -> tuple[Insn, ...]:
    """Bytes to slots, each checked against the table.

    Raises DecodeError (slot index and bytes) for an unknown opcode, a register above r10, a
    non-zero unused field, or a wide load without its second slot.
    """
    program = slots(data)
    check(program)
    return program


def check(program: Sequence[Insn]) -> None:
    """Raise DecodeError at the first slot that is not an instruction."""
    pc, end = 0, len(program)
    while pc < end:
        op = op_of(program[pc])
        wrong = _wrong(op, program, pc)
        if wrong:
            raise DecodeError(wrong, pc=pc, raw=encode(program[pc:pc + 1]))
        pc += 2 if op.kind == "lddw" else 1


def _wrong(op: Op | None, program: Sequence[Insn], pc: int) -> str:
    insn = program[pc]
    if op is None:
        if not rows(insn.opcode):
            return f"unknown opcode {insn.opcode:#04x}"
        names = ", ".join(sorted({row.name for row in rows(insn.opcode)}))
        return f"opcode {insn.opcode:#04x} ({names}) with a reserved field set"
    for field in ("dst", "src"):
        if field in op.operands and getattr(insn, field) > 10:
            return f"register r{getattr(insn, field)} does not exist"
    if op.kind == "lddw":
        if pc + 1 == len(program) or program[pc + 1][:4] != (0, 0, 0, 0):
            return "wide load without its second slot"
        if "next" not in op.operands and program[pc + 1].imm:
            return f"{op.name} with a reserved field set in its second slot"
    return ""


def wrong(program: Sequence[Insn], pc: int) -> str:
    """Why slot ``pc`` is not an instruction, "" if it is one."""
    return _wrong(op_of(program[pc]), program, pc)


def imm64(program: Sequence[Insn], pc: int) -> int:
    """The unsigned 64-bit constant of the wide load at ``pc``."""
    return (program[pc].imm & 0xFFFF_FFFF) | (program[pc + 1].imm & 0xFFFF_FFFF) << 32


def is_wide(insn: Insn) -> bool:
    """Does the instruction take two slots?"""
    return insn.opcode == 0x18
