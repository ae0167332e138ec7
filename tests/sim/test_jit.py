"""What only the machine-code tier has: two levels, promotion, native look-ups that follow the maps."""

import random
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ebpflab.asm import assemble
from ebpflab.errors import Fault, SpecError
from ebpflab.sim import Machine, available_tiers, jit, packets
from ebpflab.spec import ProgramSpec

from .programs import anywhere, packet, values, wrap
from .test_fuzz import programs

pytestmark = pytest.mark.skipif(not jit.installed(), reason="llvmlite is not installed (pip install ebpflab[jit])")
UDP = packets.udp(b"hello world")
RELAXED = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def optimised(program):
    program.machine.jit().native(program, jit.HOT)
    return program


def outcome(program, data, tier, budget=600):
    try:
        done = program.run(data, tier=tier, budget=budget)
        return done.retval, done.data, done.insns
    except Fault as fault:
        return ("fault", str(fault), fault.pc, fault.regs) if "budget" not in fault.what else "endless"


@given(anywhere(), st.lists(values, min_size=18, max_size=18))
@settings(max_examples=100, **RELAXED)
def test_optimised_code_is_the_same_program(body, words):
    data, machine = packet(words[:10], words[10:]), Machine()
    program = machine.load(wrap(body))
    assert outcome(optimised(program), data, "jit") == outcome(program, data, "interpreter")


@given(programs())
@settings(max_examples=100, **RELAXED)
def test_optimised_code_of_anything(spec):
    data = b"" if spec.type == "kprobe" else UDP
    found = []
    for tier in ("interpreter", "jit"):
        program = Machine(cpus=2).load(spec)
        if tier == "jit":
            optimised(program)
        try:
            found.append(outcome(program, data, tier, budget=300))
        except Exception as error:   # Unsupported helpers: the same words
            found.append(str(error))
    assert found[0] == found[1]


def test_hot_programs_are_compiled_again_and_repetitions_promoted():
    program = Machine().load(assemble("r0 = *(u32 *)(r1 + 4)\nr0 &= 1\nr0 += 1\nexit", type="xdp"))
    assert program.run(UDP).tier == "codegen" and program.run(UDP, tier="jit").tier == "jit"
    assert program.native.level == jit.FAST
    done = program.run(UDP, repeat=2_000_000)
    assert (done.tier, done.insns, program.native.level) == ("jit", 4, jit.HOT)
    assert program.run(UDP, tier="interpreter").r0 == done.r0


@pytest.mark.parametrize("map_", [".map m hash {key} u64 40", ".map m percpu_hash {key} u64 40"])
@pytest.mark.parametrize("key", [1, 2, 3, 4, 5, 7, 8, 12, 13, 16, 31, 64, 65])
def test_look_ups_follow_a_changing_map(map_, key):
    """Thousands of additions and removals: machine code finds what Python has, and nothing else."""
    text = map_.format(key=key) + f"""
        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r4 = r2
        r4 += {max(key, 14)}
        if r4 > r3 goto out
        r1 = m ll
        call bpf_map_lookup_elem
        if r0 == 0 goto out
        r0 = *(u64 *)(r0 + 0)
    out:
        exit"""
    machine = Machine(cpus=2)
    program = machine.load(assemble(text, type="xdp"))
    found, pick = program.maps["m"], random.Random(key)
    keys = [bytes([number % 256]) + pick.randbytes(key - 1) for number in range(60)]
    held: dict[bytes, int] = {}
    for at in range(1500):
        one = pick.choice(keys)
        if one in held and pick.random() < 0.6:
            found.delete(one)
            del held[one]
        elif len(held) < 40 or one in held:
            held[one] = at + 1
            found.update(one, (at + 1).to_bytes(8, "little") * (2 if found.per_cpu else 1))
        if at % 5 == 0:
            one = pick.choice(keys)
            got = program.run(one.ljust(64, b"\0"), tier="jit", cpu=at % 2).r0
            assert got == held.get(one, 0), (at, one)


def test_large_arrays_and_values_of_their_own():
    """Pages beyond the first table, elements exposed when first looked up, read-only maps."""
    machine = Machine()
    program = machine.load(assemble("""
        .map big array u32 u64 100000
        .map fixed array u32 u64 1 flags=128
        r6 = *(u32 *)(r1 + 12)
        *(u32 *)(r10 - 4) = 99999
        r1 = big ll
        r2 = r10
        r2 += -4
        call bpf_map_lookup_elem
        if r0 == 0 goto out
        *(u64 *)(r0 + 0) = 77
        r7 = *(u64 *)(r0 + 0)
        *(u32 *)(r10 - 4) = 100000
        r1 = big ll
        r2 = r10
        r2 += -4
        call bpf_map_lookup_elem
        if r0 != 0 goto out
        r0 = r7
    out:
        exit""", type="xdp"))
    for _ in range(3):
        assert program.run(UDP, tier="jit").r0 == 77
    assert program.maps["big"].lookup((99999).to_bytes(4, "little")) == (77).to_bytes(8, "little")
    stores = machine.load(assemble("""
        .map fixed array u32 u64 1 flags=128
        *(u32 *)(r10 - 4) = 0
        r1 = fixed ll
        r2 = r10
        r2 += -4
        call bpf_map_lookup_elem
        *(u64 *)(r0 + 0) = 1
        exit""", type="xdp"))
    with pytest.raises(Fault, match="read-only"):
        stores.run(UDP, tier="jit")


def test_another_programs_map_is_not_built_in():
    """The address of a map as a mere number, and the map goes away: a fault, no stale pointer in machine code."""
    machine = Machine()
    other = machine.load(assemble(".map m hash u32 u64 4\nr1 = m ll\nr0 = 2\nexit", type="xdp"))
    other.maps["m"].update(bytes(4), bytes(8))
    text = f"""
        *(u32 *)(r10 - 4) = 0
        r1 = {other.maps["m"].address:#x} ll
        r2 = r10
        r2 += -4
        call bpf_map_lookup_elem
        exit"""
    program = machine.load(assemble(text, type="xdp"))
    assert program.run(UDP, tier="jit").r0 == program.run(UDP, tier="interpreter").r0 > 0
    other.close()
    for tier in ("interpreter", "jit"):
        with pytest.raises(Fault, match="is not a map"):
            program.run(UDP, tier=tier)


def test_huge_budgets():
    program = Machine().load(assemble("r0 = 2\nexit", type="xdp"))
    assert program.run(UDP, tier="jit", budget=1 << 80).insns == 2


def test_history_and_machine_code_exclude_each_other():
    machine = Machine()
    program = machine.load(assemble("r0 = 2\nexit", type="xdp"))
    machine.memory.journal = []
    with pytest.raises(SpecError, match="history"):
        program.run(UDP, tier="jit")
    assert program.run(UDP, repeat=50_000).tier == "codegen"


def test_interrupts_come_through():
    """Ctrl-C in a helper and between chunks ends the run, and the machine works on."""
    machine = Machine()
    program = machine.load(assemble("call bpf_ktime_get_ns\nr0 = 2\nexit", type="xdp"))

    class Interrupting(type(machine.clock)):
        def read(self):
            raise KeyboardInterrupt

    clock, machine.clock = machine.clock, Interrupting()
    with pytest.raises(KeyboardInterrupt):
        program.run(UDP, tier="jit")
    machine.clock = clock
    assert program.run(UDP, tier="jit").retval == 2


def test_without_llvmlite_everything_else_works():
    """In a process where llvmlite cannot be imported: auto takes codegen, jit says what to install."""
    code = """
import sys
sys.meta_path.insert(0, type("No", (), {"find_spec": staticmethod(
    lambda name, *rest: (_ for _ in ()).throw(ImportError(name)) if name.startswith("llvmlite") else None)}))
import importlib.util as u
real = u.find_spec
u.find_spec = lambda name, *rest: None if name.startswith("llvmlite") else real(name, *rest)
from ebpflab.asm import assemble
from ebpflab.sim import Machine, available_tiers, packets
from ebpflab.errors import Unsupported
program = Machine().load(assemble("r0 = 2\\nexit", type="xdp"))
assert program.run(packets.udp(), repeat=30000).tier == "codegen", "tier"
assert available_tiers() == ["codegen", "interpreter"]
try:
    program.run(packets.udp(), tier="jit")
except Unsupported as error:
    assert "ebpflab[jit]" in str(error)
    print("told")
assert "llvmlite" not in sys.modules and "numpy" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "told\n", done.stderr
    assert available_tiers()[0] == "jit"


def test_programs_are_freed():
    """Machine code goes with its program."""
    import gc
    import weakref

    machine = Machine()
    program = machine.load(ProgramSpec(assemble("r0 = 2\nexit", type="xdp").insns, "xdp"))
    program.run(UDP, tier="jit")
    gone = weakref.ref(program.native)
    program.close()
    del program
    gc.collect()
    assert gone() is None
