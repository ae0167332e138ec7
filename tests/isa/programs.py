"""Hypothesis strategies that read the instruction table: any instruction with any operands."""

from hypothesis import strategies as st

from ebpflab.isa import OPS, Insn

S16 = st.one_of(st.integers(-8, 8), st.integers(-0x8000, 0x7FFF))
S32 = st.one_of(st.integers(-8, 8), st.integers(-0x8000_0000, 0x7FFF_FFFF))
REGISTERS = st.integers(0, 10)
FIELDS = {"dst": REGISTERS, "src": REGISTERS, "off": S16, "imm": S32, "next": S32}


SLOTS = st.builds(Insn, st.integers(0, 255), st.integers(0, 15), st.integers(0, 15), S16, S32)


@st.composite
def instructions(draw, ops=OPS):
    """(row, its one or two slots) with random operands."""
    op = draw(st.sampled_from(ops))
    value = {name: draw(FIELDS[name]) for name in op.operands}
    get = lambda name: value.get(name, op.fixed.get(name, 0))
    first = Insn(op.opcode, get("dst"), get("src"), get("off"), get("imm"))
    return op, (first, Insn(0, imm=value.get("next", 0))) if op.kind == "lddw" else (first,)


@st.composite
def programs(draw, ops=OPS, max_size=12):
    """Slots of several instructions; jumps go anywhere, so labels fall inside and outside of the program."""
    return tuple(insn for _, insns in draw(st.lists(instructions(ops), max_size=max_size)) for insn in insns)
