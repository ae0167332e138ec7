"""Instructions a second of the simulator's tiers, beside this kernel's JIT (BPF_PROG_TEST_RUN) in the same run."""

import time

import pytest

from ebpflab.asm import assemble
from ebpflab.errors import KernelError
from ebpflab.sim import Machine, packets

ALU = """
    r0 = 0x12345
    r2 = {rounds}
loop:
    r3 = r0
    r3 <<= 13
    r0 ^= r3
    r3 = r0
    r3 >>= 7
    r0 ^= r3
    r3 = r0
    r3 <<= 17
    r0 ^= r3
    r0 += r2
    r2 += -1
    if r2 != 0 goto loop
    r0 &= 1
    exit
"""
PARSE = """
.map counts percpu_array u32 u64 256
    r2 = *(u32 *)(r1 + 4)
    r1 = *(u32 *)(r1 + 0)
    r3 = r1
    r3 += 42
    if r3 > r2 goto pass
    r4 = *(u16 *)(r1 + 12)
    if r4 != 0x0008 goto pass
    r5 = *(u8 *)(r1 + 14)
    r5 &= 15
    if r5 != 5 goto pass
    r6 = *(u8 *)(r1 + 23)
    if r6 != 17 goto pass
    r7 = *(u16 *)(r1 + 36)
    r7 = be16 r7
    if r7 == 0 goto pass
    r8 = *(u32 *)(r1 + 26)
    r9 = *(u32 *)(r1 + 30)
    r8 ^= r9
    r8 *= 0x1b873593
    w8 >>= 24
    *(u32 *)(r10 - 4) = r8
    r1 = counts ll
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0 goto pass
    r1 = *(u64 *)(r0 + 0)
    r1 += 1
    *(u64 *)(r0 + 0) = r1
pass:
    r0 = 2
    exit
"""
HASH = """
.map flows hash u32 u64 1024
    r2 = *(u32 *)(r1 + 4)
    r1 = *(u32 *)(r1 + 0)
    r3 = r1
    r3 += 34
    if r3 > r2 goto pass
    r3 = *(u32 *)(r1 + 26)
    *(u32 *)(r10 - 4) = r3
    r1 = flows ll
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0 goto new
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
    goto pass
new:
    *(u64 *)(r10 - 16) = 1
    r1 = flows ll
    r2 = r10
    r2 += -4
    r3 = r10
    r3 += -16
    r4 = 0
    call bpf_map_update_elem
pass:
    r0 = 2
    exit
"""
# name, text, type, times the kernel runs it, times the simulator does
PROGRAMS = [("alu loop", ALU.format(rounds=10_000), "socket_filter", 200, 5),
            ("parse", PARSE, "xdp", 1_000_000, 50_000), ("hash", HASH, "xdp", 1_000_000, 50_000)]


@pytest.mark.benchmark
@pytest.mark.parametrize(("name", "text", "type_", "many", "few"), PROGRAMS, ids=[row[0] for row in PROGRAMS])
def test_instructions_a_second(name, text, type_, many, few, report):
    from ebpflab.kernel.session import Session

    spec, packet = assemble(text, type=type_), packets.udp(b"x" * 22)
    program = Machine().load(spec)
    insns = program.run(packet, tier="codegen").insns
    rates = {}
    for tier, times in (("interpreter", max(few // 20, 1)), ("codegen", few)):
        start = time.thread_time()
        program.run(packet, tier=tier, repeat=times)
        rates[tier] = insns * times / (time.thread_time() - start) / 1e6
    session = Session()
    try:
        maps = [session.map_create(one.row.number, one.key_size, one.value_size, one.max_entries)["map"]
                for one in spec.maps]
        loaded = session.prog_load(spec.row.number, spec.bytes, maps)
        assert loaded["prog"], loaded["log"][-2000:]
        best = min(session.prog_run(loaded["prog"], packet, repeat=many)["duration_ns"] for _ in range(3))
    except KernelError as error:
        pytest.skip(f"bpf(2) is not allowed here: {error.what}")
    finally:
        session.close_all()
    kernel = insns / max(best, 1) * 1e3
    for tier, rate in rates.items():
        report(f"{name}, {tier}", rate, "M insn/s", "kernel JIT", kernel, faster="more")


@pytest.mark.benchmark
def test_code_generation(report):
    """Milliseconds to make and compile the Python source of a program of 1,000 instructions, per 100."""
    body = "\n".join(f"r{at % 5} += {at}\nif r{at % 5} > {at * 7} goto +1\nr{at % 5} ^= r{(at + 1) % 5}"
                     for at in range(333))
    spec = assemble("r0 = 0\nr1 = 1\nr2 = 2\nr3 = 3\nr4 = 4\n" + body + "\nexit", type="xdp")
    machine = Machine()
    start = time.thread_time()
    for _ in range(3):
        machine.load(spec).generated()
    taken = (time.thread_time() - start) / 3 * 1e3 / (len(spec.insns) / 100)
    start = time.thread_time()
    for _ in range(20):
        program = machine.load(spec)
    loading = (time.thread_time() - start) / 20 * 1e3 / (len(spec.insns) / 100)
    assert program.image
    report("code generation, 100 insns", taken, "ms", "decode and link", max(loading, 1e-6))
