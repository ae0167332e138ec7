"""Assembler and disassembler for three dialects: LLVM's pseudo-C, the kernel log's, and mnemonics."""

from .assembler import assemble
from .forms import DIALECTS
from .printer import disassemble, line

__all__ = ["DIALECTS", "assemble", "disassemble", "line"]
