"""Programs for differential tests: registers and stack come out of the packet and go back into it.

The packet holds r0 … r9 in its first 80 bytes and 64 bytes of stack (r10-80 … r10-17) after them; what is in
between is one instruction under test or a random sequence.
"""

from hypothesis import strategies as st

from ebpflab.isa import OPS, Insn
from ebpflab.isa import bits as b
from ebpflab.spec import ProgramSpec

LDX, STX, ST = b.LDX | b.MEM, b.STX | b.MEM, b.ST | b.MEM
REGS, STACK = 80, 64
LOW, HIGH = -80, -16           # the stack that tests write; r10-8 keeps the packet pointer, r10-16 r0
LENGTH = REGS + STACK

EDGES = (0, 1, 2, 5, 31, 32, 63, 64, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF,
         0x1_0000_0000, 0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000, 0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF_8000_0000,
         0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210)


def mov(dst, src):
    return Insn(b.ALU64 | b.MOV | b.X, dst, src)


def exit_(value):
    return (Insn(b.ALU64 | b.MOV | b.K, 0, 0, 0, value), Insn(b.JMP | b.EXIT))


def wrap(body) -> ProgramSpec:
    """The program that loads registers and stack, does ``body``, and writes them back. It returns 2."""
    head = [
        Insn(LDX | b.W, 2, 1, 4), Insn(LDX | b.W, 1, 1, 0),
        mov(3, 1), Insn(b.ALU64 | b.ADD | b.K, 3, 0, 0, LENGTH),
        Insn(b.JMP | b.JLE | b.X, 3, 2, 2), *exit_(1),
        Insn(STX | b.DW, 10, 1, -8),
        *[insn for at in range(0, STACK, 8)
          for insn in (Insn(LDX | b.DW, 2, 1, REGS + at), Insn(STX | b.DW, 10, 2, LOW + at))],
        *[Insn(LDX | b.DW, reg, 1, reg * 8) for reg in (0, 2, 3, 4, 5, 6, 7, 8, 9, 1)],
    ]
    tail = [
        Insn(STX | b.DW, 10, 0, -16), Insn(LDX | b.DW, 0, 10, -8),
        *[Insn(STX | b.DW, 0, reg, reg * 8) for reg in range(1, 10)],
        Insn(LDX | b.DW, 1, 10, -16), Insn(STX | b.DW, 0, 1, 0),
        *[insn for at in range(0, STACK, 8)
          for insn in (Insn(LDX | b.DW, 2, 10, LOW + at), Insn(STX | b.DW, 0, 2, REGS + at))],
        *exit_(2),
    ]
    return ProgramSpec((*head, *body, *tail), "xdp", "differ")


def packet(registers, stack=()) -> bytes:
    words = [*registers, *([0] * (10 - len(registers))), *stack]
    return b"".join(word.to_bytes(8, "little") for word in words).ljust(LENGTH, b"\0")


ALU = [op for op in OPS if op.kind in ("alu", "end")]
JMP = [op for op in OPS if op.kind == "jmp"]
MEMORY = [op for op in OPS if op.kind in ("ldx", "st", "stx", "atomic")]

registers = st.integers(0, 9)
values = st.one_of(st.sampled_from(EDGES), st.integers(0, b.U64))
immediates = st.one_of(st.sampled_from((0, 1, -1, 2, 7, 31, 63, 127, -128, 0x7FFF_FFFF, -0x8000_0000)),
                       st.integers(-0x8000_0000, 0x7FFF_FFFF))


@st.composite
def alu(draw):
    op = draw(st.sampled_from(ALU))
    imm = op.fixed.get("imm", 0)
    if "imm" in op.operands:
        imm = draw(immediates)
        if op.verb in ("lsh", "rsh", "arsh"):     # what the verifier asks of constants
            imm %= op.width
        elif op.verb in ("div", "mod", "sdiv", "smod"):
            imm = imm or 3
    src = draw(registers) if "src" in op.operands else 0
    return Insn(op.opcode, draw(registers), src, op.fixed.get("off", 0), imm)


@st.composite
def memory(draw):
    """An access to the tests' part of the stack, atomics aligned."""
    op = draw(st.sampled_from(MEMORY))
    off = draw(st.integers(LOW, HIGH - op.bytes))
    off -= (off - LOW) % op.bytes       # the verifier wants the stack aligned
    reg = draw(registers)
    imm = draw(immediates) if "imm" in op.operands else op.fixed.get("imm", 0)
    loads = op.kind == "ldx" or op.verb == "load_acquire"
    dst, src = (reg, 10) if loads else (10, reg if op.source == "x" else 0)
    return Insn(op.opcode, dst, src, off, imm)


@st.composite
def jump(draw, length: int):
    op = draw(st.sampled_from(JMP))
    src = draw(registers) if op.source == "x" else 0
    imm = draw(immediates) if op.source == "k" else 0
    return Insn(op.opcode, draw(registers), src, draw(st.integers(0, length)), imm)


@st.composite
def forward(draw, size=30, jumps=8):
    """A body with forward jumps only, which every verifier takes."""
    count = draw(st.integers(1, size))
    body = []
    for left in range(count - 1, -1, -1):
        if jumps and left and draw(st.integers(0, 4)) == 0:
            jumps -= 1
            body.append(draw(jump(left)))
        else:
            body.append(draw(st.one_of(alu(), alu(), memory())))
    return tuple(body)


@st.composite
def anywhere(draw, size=24):
    """A body whose jumps go anywhere within it: loops, also endless ones, and irreducible tangles."""
    count = draw(st.integers(2, size))
    body = []
    for at in range(count):
        if draw(st.integers(0, 2)) == 0:
            insn = draw(jump(0))
            body.append(insn._replace(off=draw(st.integers(-at - 1, count - at - 1))))
        else:
            body.append(draw(st.one_of(alu(), memory())))
    return tuple(body)
