"""Programs made of anything: every run ends with a result or an error of ours, and all tiers agree."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ebpflab.errors import Fault, Unsupported
from ebpflab.isa import OPS, Insn
from ebpflab.isa import bits as b
from ebpflab.sim import Machine, jit, packets
from ebpflab.sim.decode import NOT_SIMULATED
from ebpflab.sim.helpers import HELPERS
from ebpflab.spec import ProgramSpec, map_spec

from .conftest import TIERS

MAPS = (
    map_spec("a", "array", "u32", "u64", 4), map_spec("h", "hash", "u32", "u64", 2),
    map_spec("p", "percpu_hash", "u32", 12, 2), map_spec("l", "lpm_trie", 8, "u32", 2, flags=1),
    map_spec("q", "queue", "", "u64", 2), map_spec("r", "ringbuf", "", "", 4096),
    map_spec("e", "perf_event_array", "u32", "u32", 4), map_spec("j", "prog_array", "u32", "u32", 2),
    map_spec("d", "devmap", "u32", "u32", 2), map_spec("s", "stack_trace", "u32", 16, 4),
    map_spec("b", "bloom_filter", "", "u64", 2), map_spec("o", "percpu_array", "u32", "u64", 2),
)
ANY = [op for op in OPS if op.verb not in NOT_SIMULATED and op.kind not in ("call", "lddw")]
TYPES = ("xdp", "sched_cls", "socket_filter", "kprobe")
numbers = st.one_of(st.sampled_from((0, 1, 4, 8, 16, -4, -8, -16, 40, 512, 0x7FFF_FFFF, -1, -0x8000_0000)),
                    st.integers(-64, 64), st.integers(-0x8000_0000, 0x7FFF_FFFF))
registers = st.integers(0, 10)


def mov(dst, src):
    return Insn(b.ALU64 | b.MOV | b.X, dst, src)


@st.composite
def anything(draw):
    op = draw(st.sampled_from(ANY))
    value = {field: draw(registers if field in ("dst", "src") else numbers) if field in op.operands
             else op.fixed.get(field, 0) for field in ("dst", "src", "off", "imm")}
    if op.kind in ("jmp", "jcond") or op.name == "ja":
        value["off"] = draw(st.integers(-3, 3))
    elif op.name == "ja32":
        value["imm"] = draw(st.integers(-3, 3))
    elif "off" in op.operands:
        value["off"] = draw(st.sampled_from((0, 0, 4, -8, -16, -32, -1, 17, 80, 0x7FFF)))
    return [Insn(op.opcode, **value)]


@st.composite
def call(draw):
    """A helper with arguments that are often, but not always, what it wants."""
    number = draw(st.sampled_from([*sorted(HELPERS), 12, 200]))
    insns = []
    for reg in range(1, 6):
        kind = draw(st.integers(0, 5))
        if kind == 0:
            index = draw(st.integers(0, len(MAPS) - 1))
            insns += [Insn(b.LD | b.IMM | b.DW, reg, b.PSEUDO_MAP_FD, 0, index), Insn(0)]
        elif kind in (1, 2):
            down = draw(st.sampled_from((-8, -16, -64, -512, 3)))
            insns += [mov(reg, 10), Insn(b.ALU64 | b.ADD | b.K, reg, 0, 0, down)]
        elif kind == 3:
            insns.append(mov(reg, 9))     # the context
        else:
            insns.append(Insn(b.ALU64 | b.MOV | b.K, reg, 0, 0, draw(numbers)))
    return [*insns, Insn(b.JMP | b.CALL, 0, 0, 0, number)]


@st.composite
def programs(draw):
    body = [mov(9, 1)]
    for _ in range(draw(st.integers(1, 12))):
        body += draw(st.one_of(anything(), anything(), call()))
    body.append(Insn(b.JMP | b.EXIT))
    slots = {at for at, insn in enumerate(body) if insn.opcode}
    for at, insn in enumerate(body):      # jumps that leave the program become jumps to the next instruction
        if insn.opcode & 7 in (b.JMP, b.JMP32) and insn.opcode not in (b.JMP | b.CALL, b.JMP | b.EXIT):
            far = insn.opcode == b.JMP32 | b.JA
            if at + 1 + (insn.imm if far else insn.off) not in slots:
                body[at] = insn._replace(imm=0) if far else insn._replace(off=0)
    return ProgramSpec(tuple(body), draw(st.sampled_from(TYPES)), "fuzz", MAPS)


def outcome(spec, tier):
    machine = Machine(cpus=2)
    program = machine.load(spec)
    data = b"" if spec.type == "kprobe" else packets.udp(b"fuzz" * 8)
    found = []
    for _ in range(2):
        try:
            done = program.run(data, tier=tier, budget=300)
            found.append((done.r0, done.data, done.insns, done.redirect))
        except Fault as fault:
            if "budget" in fault.what:
                return ["endless"]
            found.append((str(fault), fault.pc, fault.regs))
        except Unsupported as error:
            found.append(str(error))
    contents = [(one.spec.name, one.read()) for one in program.maps.values()
                if one.spec.type in ("array", "hash", "percpu_hash", "lpm_trie", "queue", "percpu_array")]
    return found + [(name, read.keys, read.values, read.count) for name, read in contents]


@given(programs())
@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_it_is_it_ends_and_the_tiers_agree(spec):
    wanted = outcome(spec, "interpreter")
    for tier in TIERS[1:]:
        assert outcome(spec, tier) == wanted, tier


@pytest.mark.parametrize("number", sorted(HELPERS))
def test_no_helper_crashes_on_nonsense(number):
    """Every helper, with each argument at its worst."""
    for value in (0, -1, 0x7FFF_FFFF, -0x8000_0000):
        insns = [*[Insn(b.ALU64 | b.MOV | b.K, reg, 0, 0, value) for reg in range(2, 6)],
                 Insn(b.JMP | b.CALL, 0, 0, 0, number), Insn(b.JMP | b.EXIT)]
        for first in (None, 10, *range(len(MAPS))):
            if first is None:
                head = []
            elif first == 10:
                head = [mov(1, 10)]
            else:
                head = [Insn(b.LD | b.IMM | b.DW, 1, b.PSEUDO_MAP_FD, 0, first), Insn(0)]
            spec = ProgramSpec((*head, *insns), "sched_cls", "worst", MAPS)
            assert outcome(spec, "interpreter") == outcome(spec, "codegen")
        if jit.installed():   # a compilation each: with the stack as first argument only
            spec = ProgramSpec((mov(1, 10), *insns), "sched_cls", "worst", MAPS)
            assert outcome(spec, "interpreter") == outcome(spec, "jit")
