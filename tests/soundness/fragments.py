"""Fragments of generated programs: arithmetic, stack, context, packet, plain helpers."""

from __future__ import annotations

from ebpflab.abi import STRUCTS
from ebpflab.isa import bits as b

from .builder import CTX, END, LDX, NUM, SIZES, ST, STX, Builder, Known

WIDE = (0x7FFF_FFFF_FFFF_FFFF, 1 << 63, b.U64, 0xFFFF_FFFF, 0x8000_0000, 0x1_0000_0000, 0xFFFF_FFFF_8000_0000,
        0x1_8000_0000, 0x7FFF_FFFF_0000_0000)
BINARY = (b.ADD, b.SUB, b.MUL, b.DIV, b.MOD, b.OR, b.AND, b.XOR, b.LSH, b.RSH, b.ARSH)
SHIFTS = (b.LSH, b.RSH, b.ARSH)
SKB_READ = ("len", "pkt_type", "mark", "queue_mapping", "protocol", "priority", "ingress_ifindex", "hash", "cb")
XDP_READ = ("ingress_ifindex", "rx_queue_index")
KTIME, RANDOM, CPU, LOAD_BYTES = 5, 7, 8, 26


class Fragments(Builder):
    """Each method adds one fragment and leaves ``now`` true."""

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
        self.emit(b.JMP | b.CALL, 0, 0, 0, self.rng.choice((KTIME, RANDOM, CPU)))
        self.called()
