"""Programs from a seed: mostly such as a verifier accepts, made of what real programs are made of.

    spec = program(42)              # the same ProgramSpec for the same seed, always
    spec = program(42, wrong=1.0)   # with one to three instructions spoiled

A program is built of fragments (arithmetic, branches, stack, context, packet, maps, helpers, loops, calls).  The
builder keeps for every register what a *careful* programmer would think of it, and picks operands by that; it knows
nothing of the verifier's ranges, so a few per cent are rejected without being spoiled.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from ebpflab.abi import STRUCTS
from ebpflab.isa import Insn
from ebpflab.isa import bits as b
from ebpflab.spec import ProgramSpec, map_spec

TYPES = ("xdp", "sched_cls", "socket_filter", "cgroup_skb")
MAPS = (map_spec("small", "array", "u32", 16, 4), map_spec("big", "hash", 8, 48, 8),
        map_spec("one", "array", "u32", 64, 1))

WORDS = (0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 1000, 0x7FFF, 0x8000, 0xFFFF, 0x10000,
         0x7FFF_FFFF, -1, -2, -8, -16, -128, -129, -0x8000, -0x7FFF_FFFF, -0x8000_0000)
WIDE = (0x7FFF_FFFF_FFFF_FFFF, 1 << 63, b.U64, 0xFFFF_FFFF, 0x8000_0000, 0x1_0000_0000, 0xFFFF_FFFF_8000_0000,
        0x1_8000_0000, 0x7FFF_FFFF_0000_0000)
BINARY = (b.ADD, b.SUB, b.MUL, b.DIV, b.MOD, b.OR, b.AND, b.XOR, b.LSH, b.RSH, b.ARSH)
SHIFTS = (b.LSH, b.RSH, b.ARSH)
CONDITIONS = (b.JEQ, b.JNE, b.JGT, b.JGE, b.JLT, b.JLE, b.JSGT, b.JSGE, b.JSLT, b.JSLE, b.JSET)
SIZES = {1: b.B, 2: b.H, 4: b.W, 8: b.DW}
LDX, STX, ST = b.LDX | b.MEM, b.STX | b.MEM, b.ST | b.MEM
SKB_READ = ("len", "pkt_type", "mark", "queue_mapping", "protocol", "priority", "ingress_ifindex", "hash", "cb")
XDP_READ = ("ingress_ifindex", "rx_queue_index")
LOOKUP, UPDATE, DELETE, KTIME, RANDOM, CPU, LOAD_BYTES = 1, 2, 3, 5, 7, 8, 26
PRODUCED_SCALAR = (KTIME, RANDOM, CPU)

#: what the builder thinks a register is: ("num",), ("ctx",), ("fp", off), ("mem", bytes behind it), ("end",)
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

    def source(self, reg: int) -> None:
        """Put a number into a register, from anywhere."""
        rng, choice = self.rng, self.rng.random()
        if choice < 0.25:
            self.set(reg, self.word())
        elif choice < 0.35:
            self.emit(b.ALU | b.MOV | b.K, reg, 0, 0, self.word())
        elif choice < 0.45:
            self.wide(reg, rng.choice(WIDE))
        elif choice < 0.75 and 9 in self.now.regs and self.now.regs[9] == CTX:
            self.context_load(reg)
        elif choice < 0.9 and self.now.written:
            self.stack_load(reg)
        else:
            memory = self.registers("mem")
            if memory:
                self.memory_load(reg, rng.choice(memory))
            else:
                self.set(reg, self.word())
        self.now.regs[reg] = NUM

    # ---- fragments

    def alu(self) -> None:
        rng = self.rng
        dst = self.number()
        cls = rng.choice((b.ALU64, b.ALU64, b.ALU))
        width = 64 if cls == b.ALU64 else 32
        choice = rng.random()
        if choice < 0.08:
            self.emit(cls | b.NEG, dst)
        elif choice < 0.14:
            self.emit(rng.choice((b.ALU | b.END | b.K, b.ALU | b.END | b.X, b.ALU64 | b.END)), dst, 0, 0,
                      rng.choice((16, 32, 64)))
        elif choice < 0.24:
            src = self.number()
            narrow = rng.choice((8, 16, 32) if width == 64 else (8, 16))
            self.emit(cls | b.MOV | b.X, dst, src, narrow)
        elif choice < 0.34:
            self.emit(cls | b.MOV | b.X, dst, self.number())
        else:
            op = rng.choice(BINARY)
            off = rng.choice((0, 1)) if op in (b.DIV, b.MOD) else 0
            if rng.random() < 0.45:
                src = self.number(dst)
                if op in SHIFTS and rng.random() < 0.6:
                    self.emit(b.ALU64 | b.AND | b.K, src, 0, 0, width - 1)
                self.emit(cls | op | b.X, dst, src, off)
            else:
                imm = rng.randrange(width) if op in SHIFTS else self.word()
                if op in (b.DIV, b.MOD):
                    imm = imm or 3
                self.emit(cls | op | b.K, dst, 0, off, imm)
        self.now.regs[dst] = NUM

    def bound(self, reg: int, limit: int, skip: int) -> None:
        """Make a number at most ``limit`` by one of the ways that programs have; jump to ``skip`` if it is not."""
        rng, way = self.rng, self.rng.randrange(6)
        if way == 0:
            self.emit(rng.choice((b.ALU, b.ALU64)) | b.AND | b.K, reg, 0, 0, (1 << (limit + 1).bit_length() - 1) - 1)
        elif way == 1:
            self.jump(b.JMP | b.JGT | b.K, reg, 0, limit, skip)
        elif way == 2:
            self.jump(b.JMP | b.JSGT | b.K, reg, 0, limit, skip)
            self.jump(b.JMP | b.JSLT | b.K, reg, 0, 0, skip)
        elif way == 3:
            self.emit(b.ALU64 | b.MOD | b.K, reg, 0, 0, limit + 1)
            self.jump(b.JMP | b.JGE | b.K, reg, 0, limit + 1, skip)
        elif way == 4:
            self.emit(b.ALU | b.MOV | b.X, reg, reg)
            self.jump(b.JMP32 | b.JGT | b.K, reg, 0, limit, skip)
        else:
            self.emit(b.ALU64 | b.RSH | b.K, reg, 0, 0, 64 - max(1, (limit + 1).bit_length() - 1))

    def stack_store(self) -> None:
        rng = self.rng
        size = rng.choice((1, 2, 4, 8, 8, 8))
        off = -size * rng.randint(1, 96 // size)
        pointers = self.registers("mem", "ctx", "fp", "end")
        slot = off // 8 * 8
        if size == 8 and pointers and rng.random() < 0.35:
            reg = rng.choice(pointers)
            self.emit(STX | b.DW, 10, reg, off)
            self.now.stack[slot] = self.now.regs[reg]
            self.now.written -= set(range(slot, slot + 8))
            return
        if self.now.stack.pop(slot, None) and size < 8:
            self.now.written -= set(range(slot, slot + 8))
        if rng.random() < 0.6:
            self.emit(STX | SIZES[size], 10, self.number(), off)
        else:
            self.emit(ST | SIZES[size], 10, 0, off, rng.choice((0, 0, self.word())))
        self.now.written |= set(range(off, off + size))

    def stack_load(self, reg: int) -> None:
        for _ in range(8):
            size = self.rng.choice((1, 2, 4, 8, 8))
            off = -size * self.rng.randint(1, 96 // size)
            if all(at in self.now.written for at in range(off, off + size)):
                mode = b.MEMSX if size < 8 and self.rng.random() < 0.2 else b.MEM
                self.emit(b.LDX | mode | SIZES[size], reg, 10, off)
                return
        self.set(reg, self.word())

    def stack_fill(self) -> None:
        if self.now.stack:
            slot, kind = self.rng.choice(list(self.now.stack.items()))
            reg = self.free()
            self.emit(LDX | b.DW, reg, 10, slot)
            self.now.regs[reg] = kind

    def stack_variable(self) -> None:
        """A store or load at an offset of the frame that is not fixed."""
        base = -8 * self.rng.randint(2, 8)
        for off in range(base, base + 16, 8):
            self.emit(ST | b.DW, 10, 0, off, 0)
            self.now.stack.pop(off, None)
            self.now.written |= set(range(off, off + 8))
        skip, before = self.label(), self.now.copy()
        index = self.number()
        at = self.free(index)
        self.bound(index, 7, skip)
        self.mov(at, 10)
        self.emit(b.ALU64 | b.ADD | b.K, at, 0, 0, base)
        self.emit(b.ALU64 | b.ADD | b.X, at, index)
        if self.rng.random() < 0.5:
            self.emit(ST | b.B, at, 0, 0, self.rng.randint(0, 9))
        else:
            self.emit(LDX | b.B, at, at, self.rng.randint(0, 8))
            self.now.regs[at] = NUM
        self.now.regs[index] = NUM
        self.join(skip, before)

    def join(self, label: int, before: Known) -> None:
        self.place(label)
        # what was written on the way here may not have been: the registers were overwritten on one way only
        self.now.meet(before)

    def context_load(self, reg: int) -> None:
        shape = STRUCTS["xdp_md" if self.type == "xdp" else "__sk_buff"]
        member = shape.member(self.rng.choice(XDP_READ if self.type == "xdp" else SKB_READ))
        size, off = 4, member.offset
        if member.name == "cb":
            off += self.rng.choice((0, 4, 8, 12))
        elif self.rng.random() < 0.15 and self.type != "xdp":
            size = self.rng.choice((1, 2))
        self.emit(LDX | SIZES[size], reg, 9, off)

    def context_store(self) -> None:
        if self.type != "xdp" and self.now.regs.get(9) == CTX:
            member = STRUCTS["__sk_buff"].member("mark" if self.type in ("sched_cls", "cgroup_skb")
                                                 and self.rng.random() < 0.5 else "cb")
            self.emit(STX | b.W, 9, self.number(), member.offset)

    def memory_load(self, reg: int, pointer: int) -> None:
        size, off = self._inside(self.now.regs[pointer][1])
        mode = b.MEMSX if size < 8 and self.rng.random() < 0.2 else b.MEM
        self.emit(b.LDX | mode | SIZES[size], reg, pointer, off)

    def _inside(self, length: int) -> tuple[int, int]:
        size = self.rng.choice([s for s in (1, 2, 4, 8) if s <= length])
        return size, self.rng.randrange(0, length - size + 1, size)

    def memory(self) -> None:
        """Use a pointer into a map value or a packet that is known to be good."""
        pointers = self.registers("mem")
        if not pointers:
            return
        pointer = self.rng.choice(pointers)
        length, writable = self.now.regs[pointer][1:]
        if writable and self.rng.random() < 0.5:
            size, off = self._inside(length)
            if self.rng.random() < 0.25 and size >= 4 and writable == "atomic":
                fetch = self.rng.choice((0, b.FETCH))
                op = self.rng.choice((b.ADD, b.AND, b.OR, b.XOR)) | fetch
                self.emit(b.STX | b.ATOMIC | SIZES[size], pointer, self.number(), off, op)
            elif self.rng.random() < 0.6:
                self.emit(STX | SIZES[size], pointer, self.number(), off)
            else:
                self.emit(ST | SIZES[size], pointer, 0, off, self.word())
            return
        reg = self.free(pointer)
        self.memory_load(reg, pointer)
        self.now.regs[reg] = NUM

    def packet(self) -> None:
        """The classic: data, data_end, how many bytes are there."""
        if self.type == "socket_filter" or self.now.regs.get(9) != CTX:
            return self.load_packet()
        rng = self.rng
        shape = STRUCTS["xdp_md" if self.type == "xdp" else "__sk_buff"]
        before, skip = self.now.copy(), self.label()
        index = self.number() if rng.random() < 0.4 else None
        start = self.free(index)
        end = self.free(start, index)
        probe = self.free(start, end, index)
        self.emit(LDX | b.W, start, 9, shape.member("data").offset)
        self.emit(LDX | b.W, end, 9, shape.member("data_end").offset)
        if index is not None:
            self.bound(index, rng.choice((3, 15, 31, 100)), skip)
            self.emit(b.ALU64 | b.ADD | b.X, start, index)
        length = rng.choice((1, 2, 4, 8, 14, 20, 34))
        self.mov(probe, start)
        self.emit(b.ALU64 | b.ADD | b.K, probe, 0, 0, length)
        way = rng.randrange(3)
        if way == 0:
            self.jump(b.JMP | b.JGT | b.X, probe, end, 0, skip)
        elif way == 1:
            self.jump(b.JMP | b.JLT | b.X, end, probe, 0, skip)
        else:
            good = self.label()
            self.jump(b.JMP | b.JLE | b.X, probe, end, 0, good)
            self.jump(b.JMP | b.JA, 0, 0, 0, skip)
            self.place(good)
        writable = "plain" if self.type in ("xdp", "sched_cls") else ""
        self.now.regs[start], self.now.regs[end] = ("mem", length, writable), END
        for _ in range(rng.randint(1, 3)):
            self.memory()
        self.some(rng.randint(0, 2))
        self.join(skip, before)

    def load_packet(self) -> None:
        """LD_ABS, LD_IND; or bpf_skb_load_bytes."""
        if self.type == "xdp" or self.depth or self.now.regs.get(9) != CTX:
            return
        rng = self.rng
        if rng.random() < 0.5:
            self.mov(6, 9) if 6 not in self.locked else None
            if 6 in self.locked:
                return
            self.now.regs[6] = CTX
            size = rng.choice((1, 2, 4))
            if rng.random() < 0.6:
                self.emit(b.LD | b.ABS | SIZES[size], 0, 0, 0, rng.randint(0, 20))
            else:
                self.emit(b.LD | b.IND | SIZES[size], 0, self.number(6), 0, rng.randint(0, 8))
            self.called()
            return
        off = -8 * rng.randint(2, 8)
        skip, before = self.label(), self.now.copy()
        if rng.random() < 0.5:
            self.set(4, rng.randint(1, 16))
        else:
            length = self.number()
            if length != 4:
                self.mov(4, length)
            self.bound(4, 15, skip)
            if rng.random() < 0.7:
                self.jump(b.JMP | b.JEQ | b.K, 4, 0, 0, skip)
        self.mov(1, 9)
        self.set(2, rng.randint(0, 40))
        self.mov(3, 10)
        self.emit(b.ALU64 | b.ADD | b.K, 3, 0, 0, off)
        self.emit(b.JMP | b.CALL, 0, 0, 0, LOAD_BYTES)
        self.called()
        for at in range(off, off + 16):
            self.now.written.discard(at)
            self.now.stack.pop(at // 8 * 8, None)
        for at in range(off, off + 16):
            before.written.discard(at)
            before.stack.pop(at // 8 * 8, None)
        self.join(skip, before)

    def called(self) -> None:
        """Registers after a call."""
        for reg in range(1, 6):
            self.now.regs.pop(reg, None)
        self.now.regs[0] = NUM

    def simple_helper(self) -> None:
        if self.locked & set(range(6)):
            return
        self.emit(b.JMP | b.CALL, 0, 0, 0, self.rng.choice(PRODUCED_SCALAR))
        self.called()

    def lookup(self) -> None:
        """A map: look up, test for null, use."""
        rng = self.rng
        if rng.random() < 0.15:
            reg = self.free()
            off = rng.choice((0, 8, 32))
            self.wide(reg, 2 | off << 32, b.PSEUDO_MAP_VALUE)
            self.now.regs[reg] = ("mem", 64 - off, "atomic")
            return self.memory()
        index = rng.randrange(len(MAPS))
        spec = MAPS[index]
        skip, before = self.label(), self.now.copy()
        off = -8 * rng.randint(1, 8)
        if spec.key_size == 8:
            self.emit(STX | b.DW, 10, self.number(), off)
        elif rng.random() < 0.5:
            self.emit(ST | b.W, 10, 0, off, rng.randint(0, 5))
        else:
            self.emit(STX | b.W, 10, self.number(), off)
        for known in (self.now, before):
            known.stack.pop(off, None)
            known.written -= set(range(off, off + 8))
            known.written |= set(range(off, off + spec.key_size))
        self.wide(1, index, b.PSEUDO_MAP_FD)
        self.mov(2, 10)
        self.emit(b.ALU64 | b.ADD | b.K, 2, 0, 0, off)
        helper = rng.choices((LOOKUP, UPDATE, DELETE), (6, 1, 1))[0]
        if helper == UPDATE:
            base = -8 * rng.randint(1, 4) - spec.value_size
            for at in range(base, base + spec.value_size, 8):
                if at != off:
                    self.emit(ST | b.DW, 10, 0, at, rng.randint(0, 5))
                for known in (self.now, before):
                    known.stack.pop(at, None)
                    known.written |= set(range(at, at + 8))
            if base <= off < base + spec.value_size and spec.key_size == 4:
                self.emit(ST | b.W, 10, 0, off + 4, 0)
            self.mov(3, 10)
            self.emit(b.ALU64 | b.ADD | b.K, 3, 0, 0, base)
            self.set(4, rng.choice((0, 0, 1, 2)))
        self.emit(b.JMP | b.CALL, 0, 0, 0, helper)
        self.called()
        if helper != LOOKUP:
            before.regs = {r: kind for r, kind in before.regs.items() if r > 5}
            self.place(skip)
            return
        value = rng.choice((0, 0, *[r for r in (6, 7, 8) if r not in self.locked]))
        if value:
            self.mov(value, 0)
        del self.now.regs[0]
        if rng.random() < 0.7:
            self.jump(b.JMP | b.JEQ | b.K, rng.choice((0, value)), 0, 0, skip)
        else:
            good = self.label()
            self.jump(b.JMP | b.JNE | b.K, rng.choice((0, value)), 0, 0, good)
            self.jump(b.JMP | b.JA, 0, 0, 0, skip)
            self.place(good)
        length, writable = spec.value_size, "atomic"
        self.now.regs[value] = ("mem", length, writable)
        if rng.random() < 0.4:
            limit = rng.choice((3, 7, 7, 15))
            limit = min(limit, length - 9)
            number = self.number(value)
            if number != value:
                self.bound(number, limit, skip)
                self.emit(b.ALU64 | b.ADD | b.X, value, number)
                self.now.regs[value] = ("mem", length - limit, "plain")
                if rng.random() < 0.2:
                    self.emit(b.ALU64 | b.SUB | b.K, value, 0, 0, rng.randint(0, 1))
        for _ in range(rng.randint(1, 3)):
            self.memory()
        self.some(rng.randint(0, 2))
        before.regs = {r: kind for r, kind in before.regs.items() if r > 5}
        self.join(skip, before)

    def branch(self) -> None:
        rng = self.rng
        left = self.number()
        cls = rng.choice((b.JMP, b.JMP, b.JMP32))
        condition = rng.choice(CONDITIONS)
        other = self.label()
        if rng.random() < 0.4:
            self.jump(cls | condition | b.X, left, self.number(left), 0, other)
        else:
            self.jump(cls | condition | b.K, left, 0, self.word(), other)
        before = self.now.copy()
        self.some(rng.randint(1, 3))
        if rng.random() < 0.5:
            end = self.label()
            self.jump(b.JMP | b.JA, 0, 0, 0, end)
            self.place(other)
            after, self.now = self.now, before
            self.some(rng.randint(1, 3))
            self.join(end, after)
        else:
            self.join(other, before)

    def loop(self) -> None:
        """A counter that nothing in the loop touches, up or down, compared in one of many ways."""
        rng = self.rng
        choices = [r for r in (6, 7, 8) if r not in self.locked]
        if self.locked or not choices:
            return
        counter, rounds, again = rng.choice(choices), rng.randint(2, 6), self.label()
        down = rng.random() < 0.3
        self.set(counter, rounds if down else 0)
        self.now.regs[counter] = NUM
        self.locked.add(counter)
        before = self.now.copy()
        self.place(again)
        # the second round finds what the first left: only what is the same before and after may be used
        self.now.regs = {r: kind for r, kind in self.now.regs.items() if r == counter or r >= 9 or kind == NUM}
        self.now.stack.clear()
        kept = set(self.now.regs)
        length = len(self.code)
        self.some(rng.randint(1, 2), inner=True)
        for reg in kept - set(self.now.regs) - {0}:
            self.set(reg, 0)                 # whatever became of it: a number again
            self.now.regs[reg] = NUM
        for reg in kept & set(self.now.regs):
            if reg != counter and reg < 9 and self.now.regs[reg] != NUM:
                self.set(reg, 1)
                self.now.regs[reg] = NUM
        if 0 in kept and self.now.regs.get(0) != NUM:
            self.set(0, 0)
            self.now.regs[0] = NUM
        assert len(self.code) >= length
        cls = rng.choice((b.JMP, b.JMP32))
        if down:
            self.emit(b.ALU64 | b.ADD | b.K, counter, 0, 0, -1)
            self.jump(cls | rng.choice((b.JNE, b.JSGT)) | b.K, counter, 0, 0, again)
        else:
            self.emit(rng.choice((b.ALU, b.ALU64)) | b.ADD | b.K, counter, 0, 0, 1)
            self.jump(cls | rng.choice((b.JLT, b.JSLT, b.JNE)) | b.K, counter, 0, rounds, again)
        self.locked.discard(counter)
        self.now.meet(before)
        self.now.regs[counter] = NUM

    def call(self) -> None:
        """Call a function of the program, with numbers and sometimes a piece of the stack."""
        if self.depth >= 2 or self.locked & set(range(6)):
            return
        rng = self.rng
        arguments = rng.randint(0, 3)
        for reg in range(1, arguments + 1):
            numbers = self.registers("num")
            if numbers and rng.random() < 0.7:
                self.mov(reg, rng.choice(numbers))
            else:
                self.set(reg, self.word())
            self.now.regs[reg] = NUM
        pointer = rng.random() < 0.3
        if pointer:
            off = -8 * rng.randint(1, 6)
            self.emit(ST | b.DW, 10, 0, off, rng.randint(0, 9))
            self.now.stack.pop(off, None)
            self.now.written |= set(range(off, off + 8))
            arguments = 5
            for reg in range(1, 5):
                self.set(reg, reg) if self.now.regs.get(reg) != NUM else None
            self.mov(5, 10)
            self.emit(b.ALU64 | b.ADD | b.K, 5, 0, 0, off)
        label = self.label()
        self.functions.append((label, arguments))
        self.jump(b.JMP | b.CALL, 0, b.CALL_LOCAL, 0, label)
        self.called()

    FRAGMENTS = (("alu", 30), ("stack_store", 12), ("stack_fill", 4), ("stack_variable", 3), ("context_store", 2),
                 ("memory", 8), ("packet", 8), ("lookup", 9), ("branch", 12), ("simple_helper", 3), ("loop", 4),
                 ("call", 3), ("load_packet", 2))
    SMALL = (("alu", 30), ("stack_store", 8), ("memory", 6), ("branch", 5), ("simple_helper", 2), ("packet", 2))

    def some(self, count: int, inner: bool = False) -> None:
        if len(self.code) > 90:
            return
        names, weights = zip(*(self.SMALL if inner or self.locked else self.FRAGMENTS), strict=True)
        for name in self.rng.choices(names, weights, k=count):
            if len(self.code) < 110:
                getattr(self, name)()

    def body(self, regs: dict[int, tuple], fragments: int) -> None:
        self.now = Known(regs)
        self.some(fragments)
        numbers = self.registers("num")
        if self.depth:
            self.mov(0, self.rng.choice(numbers)) if numbers else self.set(0, 1)
        elif self.rng.random() < 0.5 and numbers:
            self.mov(0, self.rng.choice(numbers))
            self.emit(b.ALU64 | b.AND | b.K, 0, 0, 0, 1)
        else:
            self.set(0, self.rng.randint(0, 1))
        self.emit(b.JMP | b.EXIT)

    def whole(self) -> tuple[Insn, ...]:
        self.mov(9, 1)
        self.body({9: CTX, 1: CTX}, self.rng.randint(2, 9))
        self.depth = 1
        while self.functions:
            label, arguments = self.functions.pop(0)
            self.place(label)
            regs = dict.fromkeys(range(1, min(arguments, 4) + 1), NUM)
            if arguments == 5:
                regs[5] = ("mem", 8, "plain")
            if self.at and len(self.at) > 60:
                self.depth = 2
            self.body(regs, self.rng.randint(1, 4))
            self.depth = min(2, self.depth + (self.rng.random() < 0.5))
        return self.finish()


# ---- spoiling

def _jumps(insn: Insn) -> bool:
    return insn.opcode & 7 in (b.JMP, b.JMP32)


def spoil(insns: tuple[Insn, ...], rng: random.Random) -> tuple[Insn, ...]:
    """The same program with one to three instructions changed a little. No jump backwards is touched."""
    found = list(insns)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(found))
        insn = found[at]
        if insn.opcode in (0, 0x18) or (_jumps(insn) and (insn.off < 0 or insn.opcode in (b.JMP | b.CALL, 0x95))):
            continue
        way = rng.randrange(7)
        if way == 0:
            found[at] = insn._replace(dst=rng.randrange(11))
        elif way == 1 and insn.src:
            found[at] = insn._replace(src=rng.randrange(11))
        elif way == 2 and insn.off and not _jumps(insn):
            found[at] = insn._replace(off=insn.off + rng.choice((-8, -1, 1, 4, 8, 16, 512)))
        elif way == 3 and insn.imm:
            found[at] = insn._replace(imm=rng.choice((insn.imm + 1, insn.imm - 1, insn.imm * 2 & 0x7FFF_FFFF, 0,
                                                       rng.choice(WORDS))))
        elif way == 4:
            found[at] = insn._replace(opcode=insn.opcode ^ rng.choice((8, 16, 32, 64, 128, 3)))
        elif way == 5:
            found[at] = Insn(b.JMP | b.JA)
        elif at + 1 < len(found) and found[at + 1].opcode and not _jumps(insn) and not _jumps(found[at + 1]) \
                and found[at + 1].opcode != 0x18:
            found[at], found[at + 1] = found[at + 1], found[at]
    return tuple(found)


def program(seed: int, *, wrong: float = 0.3) -> ProgramSpec:
    """The program of this seed; with probability ``wrong`` it is spoiled."""
    rng = random.Random(seed)
    type = rng.choice(TYPES)
    insns = Builder(rng, type).whole()
    if rng.random() < wrong:
        insns = spoil(insns, rng)
    attach = "cgroup_inet_ingress" if type == "cgroup_skb" else ""
    return ProgramSpec(insns, type, f"s{seed}", MAPS, attach_type=attach)


def inputs(seed: int, count: int) -> list[tuple[bytes, dict[str, list[tuple[bytes, bytes]]]]]:
    """Packets, and map contents (name -> pairs of key and value) to run with."""
    rng = random.Random(~seed)
    made = []
    for _ in range(count):
        length = rng.choice((14, 34, 60, 80, 200))
        packet = bytes(12) + b"\x08\x00" + (rng.randbytes(length - 14) if rng.random() < 0.7 else bytes(length - 14))
        word = rng.choice((b"\0" * 8, b"\1" + b"\0" * 7, b"\xff" * 8, rng.randbytes(8)))
        made.append((packet, {
            "small": [(key.to_bytes(4, "little"), rng.randbytes(16)) for key in range(4)],
            "big": [(word, rng.randbytes(48)), (rng.randbytes(8), b"\xff" * 48)],
            "one": [(bytes(4), rng.choice((bytes(64), b"\xff" * 64, rng.randbytes(64))))],
        }))
    return made
