"""Instruction set: one opcode table (RFC 9669 and the kernel's additions), encoder, decoder."""

from . import bits
from .insn import SLOT_BYTES, Insn, check, decode, encode, imm64, is_wide, op_of, slots, wrong
from .table import BY_NAME, OPS, Op, rows

__all__ = ["BY_NAME", "OPS", "SLOT_BYTES", "Insn", "Op", "bits", "check", "decode", "encode", "imm64", "is_wide",
           "op_of", "rows", "slots", "wrong"]
