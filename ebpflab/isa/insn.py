"""One instruction slot, its encoding, and the way from bytes to table rows."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
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


@lru_cache(maxsize=4096)
def _select(opcode: int, dst: int, src: int, off: int, imm: int) -> Op | None:
    """The row whose selectors match and whose unused fields are zero."""
    fields = {"dst": dst, "src": src, "off": off, "imm": imm}
    for op in rows(opcode):
        if all(fields[f] == op.fixed.get(f, 0) for f in _FIELDS if f not in op.operands):
            return op
    return None


def op_of(insn: Insn) -> Op | None:
    """The table row of a slot, or None if no instruction is encoded like this.

    Operand values do not select, so they are folded away before the cached look-up.
    """
    opcode, dst, src, off, imm = insn
    candidates = rows(opcode)
    if len(candidates) == 1:
        op = candidates[0]
        for name, value in (("dst", dst), ("src", src), ("off", off), ("imm", imm)):
            if name not in op.operands and value != op.fixed.get(name, 0):
                return None
        return op
    return _select(opcode, dst, src, off, imm) if candidates else None


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
        insn = program[pc]
        op = op_of(insn)
        raw = encode((insn,))
        if op is None:
            if not rows(insn.opcode):
                raise DecodeError(f"unknown opcode {insn.opcode:#04x}", pc=pc, raw=raw)
            names = ", ".join(sorted({row.name for row in rows(insn.opcode)}))
            raise DecodeError(f"opcode {insn.opcode:#04x} ({names}) with a reserved field set", pc=pc, raw=raw)
        for field in ("dst", "src"):
            if field in op.operands and getattr(insn, field) > 10:
                raise DecodeError(f"register r{getattr(insn, field)} does not exist", pc=pc, raw=raw)
        if op.kind == "lddw":
            if pc + 1 == end or program[pc + 1][:4] != (0, 0, 0, 0):
                raise DecodeError("wide load without its second slot", pc=pc, raw=raw)
            pc += 1
        pc += 1


def imm64(program: Sequence[Insn], pc: int) -> int:
    """The unsigned 64-bit constant of the wide load at ``pc``."""
    return (program[pc].imm & 0xFFFF_FFFF) | (program[pc + 1].imm & 0xFFFF_FFFF) << 32


def is_wide(insn: Insn) -> bool:
    """Does the instruction take two slots?"""
    return insn.opcode == 0x18
