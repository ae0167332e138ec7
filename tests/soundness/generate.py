"""Programs from a seed: mostly such as a verifier accepts, made of what real programs are made of.

    spec = program(42)              # the same ProgramSpec for the same seed, always
    spec = program(42, wrong=1.0)   # with one to three instructions spoiled

A program is built of fragments (arithmetic, branches, stack, context, packet, maps, helpers, loops, calls).  The
builder keeps for every register what a *careful* programmer would think of it, and picks operands by that; it knows
nothing of the verifier's ranges, so a few per cent are rejected without being spoiled.
"""

from __future__ import annotations

import random

from ebpflab.isa import Insn
from ebpflab.isa import bits as b
from ebpflab.spec import ProgramSpec, map_spec

from .builder import CTX, NUM, ST, STX, WORDS, Known
from .fragments import Fragments

TYPES = ("xdp", "sched_cls", "socket_filter", "cgroup_skb")
MAPS = (map_spec("small", "array", "u32", 16, 4), map_spec("big", "hash", 8, 48, 8),
        map_spec("one", "array", "u32", 64, 1))
CONDITIONS = (b.JEQ, b.JNE, b.JGT, b.JGE, b.JLT, b.JLE, b.JSGT, b.JSGE, b.JSLT, b.JSLE, b.JSET)
LOOKUP, UPDATE, DELETE = 1, 2, 3


class Composer(Fragments):
    """Fragments that hold others, and the whole program."""

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
            imm = rng.choice((insn.imm + 1, insn.imm - 1, insn.imm * 2 & 0x7FFF_FFFF, 0, rng.choice(WORDS)))
            found[at] = insn._replace(imm=(imm + (1 << 31) & b.U32) - (1 << 31))
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
    insns = Composer(rng, type).whole()
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
