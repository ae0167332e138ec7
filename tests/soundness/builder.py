"""What writes generated programs: instructions, labels, and what a careful programmer knows of each register."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from ebpflab.isa import Insn
from ebpflab.isa import bits as b

WORDS = (0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 1000, 0x7FFF, 0x8000, 0xFFFF, 0x10000,
         0x7FFF_FFFF, -1, -2, -8, -16, -128, -129, -0x8000, -0x7FFF_FFFF, -0x8000_0000)

SIZES = {1: b.B, 2: b.H, 4: b.W, 8: b.DW}
LDX, STX, ST = b.LDX | b.MEM, b.STX | b.MEM, b.ST | b.MEM

#: what the builder thinks a register is: a number, the context, the packet's end; ("fp", off), ("mem", bytes behind it,
#: how it may be written)
NUM, CTX, END = ("num",), ("ctx",), ("end",)


@dataclass
class Known:
    """What may be used at one point: registers, and initialised stack bytes (negative offsets) by content."""

    regs: dict[int, tuple] = field(default_factory=dict)
    stack: dict[int, tuple] = field(default_factory=dict)       # offset of 8 bytes -> what was spilled there
    written: set[int] = field(default_factory=set)              # offsets of bytes that hold plain data

    def copy(self) -> Known:
        return Known(dict(self.regs), dict(self.stack), set(self.written))

    def meet(self, other: Known) -> None:
        """After two ways come together: only what holds on both."""
        self.regs = {r: kind for r, kind in self.regs.items() if other.regs.get(r) == kind}
        self.stack = {at: kind for at, kind in self.stack.items() if other.stack.get(at) == kind}
        self.written &= other.written


class Builder:
    """One program in the making. ``code`` holds Insns and jumps to labels: (opcode, dst, src, imm, label)."""

    def __init__(self, rng: random.Random, type: str):
        self.rng, self.type = rng, type
        self.code: list[Insn | tuple] = []
        self.at: dict[int, int] = {}            # label -> slot
        self.labels = 0
        self.functions: list[tuple[int, int]] = []      # label, number of arguments
        self.depth = self.main = 0
        self.locked: set[int] = set()           # registers that a loop counts in
        self.now = Known()

    # ---- writing instructions

    def emit(self, opcode: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> None:
        self.code.append(Insn(opcode, dst, src, off, imm))

    def mov(self, dst: int, src: int) -> None:
        self.emit(b.ALU64 | b.MOV | b.X, dst, src)

    def set(self, dst: int, imm: int) -> None:
        self.emit(b.ALU64 | b.MOV | b.K, dst, 0, 0, imm)

    def wide(self, dst: int, word: int, src: int = 0) -> None:
        halves = [word & b.U32, word >> 32]
        low, high = (half - ((half & 1 << 31) << 1) for half in halves)
        self.emit(b.LD | b.IMM | b.DW, dst, src, 0, low)
        self.emit(0, 0, 0, 0, high)

    def label(self) -> int:
        self.labels += 1
        return self.labels

    def jump(self, opcode: int, dst: int, src: int, imm: int, label: int) -> None:
        self.code.append((opcode, dst, src, imm, label))

    def place(self, label: int) -> None:
        self.at[label] = len(self.code)

    def finish(self) -> tuple[Insn, ...]:
        done = []
        for slot, item in enumerate(self.code):
            if not isinstance(item, Insn):
                opcode, dst, src, imm, label = item
                far = self.at[label] - slot - 1
                item = Insn(opcode, dst, src, 0, far) if opcode == b.JMP | b.CALL else Insn(opcode, dst, src, far, imm)
            done.append(item)
        return tuple(done)

    # ---- choosing operands

    def registers(self, *kinds: str) -> list[int]:
        return [r for r, kind in self.now.regs.items() if kind[0] in kinds]

    def free(self, *but: int) -> int:
        """A register to write to; what it held is lost."""
        reg = self.rng.choice([r for r in range(9) if r not in self.locked and r not in but])
        self.now.regs.pop(reg, None)
        return reg

    def number(self, *but: int) -> int:
        """A register that holds a number; made if there is none."""
        have = [r for r in self.registers("num") if r not in but and r not in self.locked]
        if have and self.rng.random() < 0.8:
            return self.rng.choice(have)
        reg = self.free(*but)
        self.source(reg)
        return reg

    def word(self) -> int:
        return self.rng.choice(WORDS) if self.rng.random() < 0.7 else self.rng.randint(-300, 300)

    # ---- what the fragments give

    def source(self, reg: int) -> None:
        """Put a number into a register, from anywhere."""
        raise NotImplementedError

    def some(self, count: int, inner: bool = False) -> None:
        """``count`` fragments; ``inner``: of those that may stand in a loop."""
        raise NotImplementedError
