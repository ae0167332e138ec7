"""Interpreter = source code = machine code = kernel, on every instruction and on random programs."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ebpflab.errors import Fault
from ebpflab.sim import Machine

from .conftest import TIERS
from .programs import ALU, EDGES, JMP, LOW, MEMORY, Insn, anywhere, b, forward, packet, values, wrap

RELAXED = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def outcome(program, data, budget=None):
    """What every tier gives: (retval, packet, instructions), or the fault. That they agree is asserted here."""
    found = []
    for tier in TIERS:
        try:
            done = program.run(data, tier=tier, budget=budget)
            found.append((done.retval, done.data, done.insns))
        except Fault as fault:
            found.append(("fault", str(fault), fault.pc, fault.regs) if "budget" not in fault.what else "endless")
    for tier, other in zip(TIERS, found, strict=True):
        assert found[0] == other, tier
    return found[0]


def one_instruction(op):
    """Bodies that exercise one row of the table with operands in r1 and r2 (memory: stack and r2)."""
    if op.kind in ("ldx", "st", "stx", "atomic"):
        loads = op.kind == "ldx" or op.verb == "load_acquire"
        imms = (-1, 0x7654_3210) if "imm" in op.operands else (op.fixed.get("imm", 0),)
        for imm in imms:
            yield (Insn(op.opcode, *((1, 10) if loads else (10, 2 if op.source == "x" else 0)), LOW + 8, imm),)
        return
    imms = [op.fixed.get("imm", 0)]
    if "imm" in op.operands:
        imms = [1, 7, op.width - 1] if op.verb in ("lsh", "rsh", "arsh") else [1, -1, 7, -128, 0x7FFF_FFFF, -(1 << 31)]
    for imm in imms:
        insn = Insn(op.opcode, 1, 2 if "src" in op.operands else 0, op.fixed.get("off", 0), imm)
        if op.kind == "jmp":
            yield (insn._replace(off=1), Insn(b.ALU64 | b.MOV | b.K, 3, 0, 0, 77))
        else:
            yield (insn,)


@pytest.mark.parametrize("op", [*ALU, *JMP, *MEMORY], ids=lambda op: f"{op.name}-{op.source}")
def test_every_instruction_as_the_kernel(op, oracle):
    machine = Machine()
    unary = op.source != "x" and op.kind != "ldx"
    pairs = [(x, y) for x in EDGES for y in (EDGES[:1] if unary else EDGES[::3])]
    for body in one_instruction(op):
        spec = wrap(body)
        kernel, program = oracle.load(spec), machine.load(spec)
        for x, y in pairs:
            data = packet([x, x, y, 3, 4, 5, 6, 7, 8, 9], [0x1111_2222_3333_4444, x, 0x8182_8384_8586_8788])
            assert oracle.run(kernel, data)[:2] == outcome(program, data)[:2], (body, hex(x), hex(y))
        oracle.session.close(kernel)


@given(forward(), st.lists(values, min_size=18, max_size=18))
@settings(max_examples=300, **RELAXED)
def test_random_programs_as_the_kernel(oracle, body, words):
    spec = wrap(body)
    data = packet(words[:10], words[10:])
    found = outcome(Machine().load(spec), data)
    kernel = oracle.load(spec)
    assert oracle.run(kernel, data)[:2] == found[:2]
    oracle.session.close(kernel)


@given(anywhere(), st.lists(values, min_size=18, max_size=18))
@settings(max_examples=400, **RELAXED)
def test_tangled_programs_alike_in_all_tiers(body, words):
    assert outcome(Machine().load(wrap(body)), packet(words[:10], words[10:]), budget=600)


@given(forward(), st.lists(values, min_size=18, max_size=18), st.integers(0, 29),
       st.sampled_from([op for op in MEMORY if op.bytes]), values)
@settings(max_examples=300, **RELAXED)
def test_wild_accesses_fault_alike(body, words, at, op, wild):
    """A random pointer in the middle: the same fault, instruction and registers in all tiers, never a crash."""
    loads = op.kind == "ldx" or op.verb == "load_acquire"
    imm = 5 if "imm" in op.operands else op.fixed.get("imm", 0)
    insns = (Insn(b.LD | b.IMM | b.DW, 4, 0, 0, (wild & b.U32) - ((wild & 1 << 31) << 1)),
             Insn(0, 0, 0, 0, (wild >> 32) - ((wild >> 32 & 1 << 31) << 1)),
             Insn(op.opcode, *((5, 4) if loads else (4, 5 if op.source == "x" else 0)), -3, imm))
    assert outcome(Machine().load(wrap((*insns, *body))), packet(words[:10], words[10:]))
