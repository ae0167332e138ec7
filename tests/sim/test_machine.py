"""The machine without a kernel: calls, helpers, faults, budget, reproducibility. All tiers, always."""

import pytest

from ebpflab.asm import assemble
from ebpflab.errors import DecodeError, Fault, KernelError, SpecError, Unsupported
from ebpflab.isa import Insn
from ebpflab.sim import Clock, Machine, packets
from ebpflab.spec import ProgramSpec, map_spec

from .conftest import TIERS

UDP = packets.udp(b"hello world")


@pytest.fixture(params=TIERS)
def tier(request):
    return request.param


def load(text, type_="xdp", machine=None, **options):
    return (machine or Machine(**options)).load(assemble(text, type=type_))


def faults(program, data=UDP, **options):
    """The same fault from every tier."""
    found = []
    for tier in TIERS:
        with pytest.raises(Fault) as caught:
            program.run(data, tier=tier, **options)
        found.append(caught.value)
    one = found[0]
    for other in found[1:]:
        assert (str(one), one.pc, one.regs, one.address) == (str(other), other.pc, other.regs, other.address)
    return one


FAULTS = [   # name, program, what the message must say, instruction
    ("null", "r0 = 0\nr0 = *(u64 *)(r0 + 0)\nexit", "read of 8 bytes at 0x0: a NULL pointer", 1),
    ("near null", "r1 = 0\n*(u8 *)(r1 + 9) = r1\nexit", "9 bytes from a NULL pointer", 1),
    ("wild", "r1 = 0x7fffdeadbeef1234 ll\nr0 = *(u32 *)(r1 + 0)\nexit", "no memory of this program is there", 2),
    ("past the packet", "r2 = *(u32 *)(r1 + 4)\nr0 = *(u8 *)(r2 + 0)\nexit", "1 byte past the end of packet", 1),
    ("before the packet", "r2 = *(u32 *)(r1 + 0)\nr0 = *(u16 *)(r2 - 4)\nexit", "4 bytes before the start of packet",
     1),
    ("stack overflow", "*(u64 *)(r10 - 520) = r1\nr0 = 0\nexit", "8 bytes before the start of stack of frame 0", 0),
    ("above the stack", "r0 = *(u64 *)(r10 - 4)\nexit", "4 bytes past the end of stack", 0),
    ("context", "r0 = *(u32 *)(r1 + 24)\nexit", "past the end of context (xdp_md)", 0),
    ("writing the map itself", ".map m array u32 u64 1\nr1 = m ll\n*(u64 *)(r1 + 0) = r10\nexit",
     "map m itself (bpf_map_lookup_elem finds its values) is read-only", 2),
    ("past the map itself", ".map m array u32 u64 1\nr1 = m ll\nr0 = *(u64 *)(r1 + 4000)\nexit", "map m itself", 2),
    ("writing xdp_md", "*(u32 *)(r1 + 0) = r1\nr0 = 0\nexit", "context (xdp_md) is read-only", 0),
    ("packet load past its end", "r2 = *(u32 *)(r1 + 0)\nr2 += 50\nr0 = *(u32 *)(r2 + 0)\nexit",
     "1 byte past the end of packet", 2),
    ("packet store past its end", "r2 = *(u32 *)(r1 + 0)\nr3 = r2\n*(u8 *)(r3 + 53) = 1\nr0 = 0\nexit",
     "1 byte past the end of packet", 2),
    ("misaligned atomic", "lock *(u64 *)(r10 - 9) += r1\nr0 = 0\nexit", "no multiple of 8", 0),
    ("not a map", "r2 = r10\nr1 = 5\ncall bpf_map_lookup_elem\nexit", "is not a map", 2),
    ("key off the stack", ".map m array u32 u64 1\nr1 = m ll\nr2 = r10\nr2 += -2\ncall bpf_map_lookup_elem\nexit",
     "read of 4 bytes", 4),
    ("no such helper", "call 9999\nexit", "no helper number 9999", 0),
    ("wrong context", "r1 = r10\nr2 = 0\ncall bpf_xdp_adjust_head\nexit", "not the context", 2),
    ("packet load in xdp", "r6 = r1\nr0 = *(u8 *)skb[0]\nexit", "no socket buffer", 1),
]


@pytest.mark.parametrize(("text", "says", "pc"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_faults_say_what_and_where(text, says, pc):
    fault = faults(load(text))
    assert says in str(fault)
    assert fault.pc == pc
    assert len(fault.regs) == 11


def test_value_bounds_are_those_of_one_element():
    text = """.map m {type} u32 u32 4
    *(u32 *)(r10 - 4) = 0
    r1 = m ll
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    r0 = *(u64 *)(r0 + 0)
out:
    exit"""
    for type_ in ("array", "percpu_array", "hash", "percpu_hash", "lru_hash"):
        program = load(text.format(type=type_))
        program.maps["m"].update(bytes(4), bytes(program.maps["m"].user_value_size))
        assert "4 bytes past the end of the value of m[0]" in str(faults(program))


def test_read_only_map_values():
    machine = Machine()
    found = machine.create_map(map_spec("ro", "array", "u32", "u64", 1, flags=1 << 7))
    program = machine.load(assemble(""".map ro array u32 u64 1 flags=128
    r1 = map[ro][0] ll
    r0 = *(u64 *)(r1 + 0)
    *(u64 *)(r1 + 0) = r0
    exit""", type="xdp"), maps={"ro": found})
    assert "read-only" in str(faults(program))


def test_packet_pointers_go_stale():
    text = """
    r6 = r1
    r7 = *(u32 *)(r1 + 0)
    r2 = 4
    call bpf_xdp_adjust_head
    r0 = *(u8 *)(r7 + 6)
    exit"""
    assert "from before bpf_xdp_adjust_head" in str(faults(load(text)))


def test_budget_stops_endless_loops():
    fault = faults_message(load("l:\ngoto l\nexit"), budget=1000)
    assert "budget" in fault
    text = "r0 = 0\nl:\nr0 += 1\nif r0 < 100 goto l\nexit"
    program = load(text)
    for tier in TIERS:
        assert program.run(UDP, tier=tier, budget=202).insns == 202
        with pytest.raises(Fault, match="budget"):
            program.run(UDP, tier=tier, budget=201)


def faults_message(program, **options):
    """Endless programs stop in every tier (where exactly is the tier's)."""
    messages = set()
    for tier in TIERS:
        with pytest.raises(Fault) as caught:
            program.run(UDP, tier=tier, **options)
        messages.add(caught.value.what)
    assert len(messages) == 1
    return messages.pop()


def test_recursion_ends_at_eight_frames():
    program = load("call f\nexit\nf:\ncall f\nexit")
    assert "8 frames" in faults_message(program)


def test_subprograms_keep_registers(tier):
    program = load("""
    r6 = 7
    r7 = 8
    r1 = 5
    r2 = 6
    *(u64 *)(r10 - 8) = r6
    call f
    r0 += r6
    r0 += r7
    r1 = *(u64 *)(r10 - 8)
    r0 += r1
    exit
f:
    r6 = r1
    r7 = r2
    *(u64 *)(r10 - 8) = r1
    r0 = r6
    r0 *= r7
    exit""")
    assert program.run(UDP, tier=tier).retval == 5 * 6 + 7 + 8 + 7


def test_callbacks(tier):
    program = load(""".map m hash u32 u64 8
    *(u64 *)(r10 - 8) = 0
    r1 = 10
    r2 = add ll
    r3 = r10
    r3 += -8
    r4 = 0
    call bpf_loop
    r6 = r0
    r1 = m ll
    r2 = sum ll
    r3 = r10
    r3 += -8
    r4 = 0
    call bpf_for_each_map_elem
    r1 = *(u64 *)(r10 - 8)
    r6 <<= 8
    r0 |= r6
    r1 <<= 16
    r0 |= r1
    exit
add:
    if r1 == 5 goto stop
    r3 = *(u64 *)(r2 + 0)
    r3 += r1
    *(u64 *)(r2 + 0) = r3
    r0 = 0
    exit
stop:
    r0 = 1
    exit
sum:
    r5 = *(u64 *)(r3 + 0)
    r2 = *(u64 *)(r4 + 0)
    r2 += r5
    *(u64 *)(r4 + 0) = r2
    r0 = 0
    exit""".replace("r2 = add ll", "r2 = func[add] ll").replace("r2 = sum ll", "r2 = func[sum] ll"))
    for number in range(3):
        program.maps["m"].update(number.to_bytes(4, "little"), (100).to_bytes(8, "little"))
    assert program.run(UDP, tier=tier).retval == (10 + 300) << 16 | 6 << 8 | 3


def test_endless_callbacks_stop():
    program = load("r1 = 8000000\nr2 = func[f] ll\nr3 = 0\nr4 = 0\ncall bpf_loop\nexit\nf:\nr0 = 0\nexit")
    assert "budget" in faults_message(program, budget=5000)


def test_time_chance_and_cpu_are_reproducible(tier):
    text = """
    call bpf_ktime_get_ns
    r6 = r0
    call bpf_get_prandom_u32
    r6 ^= r0
    call bpf_get_smp_processor_id
    r6 += r0
    r0 = r6
    exit"""
    first, second, other = (load(text, seed=seed).run(UDP, cpu=2, tier=tier).r0 for seed in (1, 1, 2))
    assert first == second != other
    machine = Machine(clock=Clock(start=5000, tick=0))
    program = load("call bpf_ktime_get_ns\nexit", machine=machine)
    machine.clock.advance(37)
    assert program.run(UDP, tier=tier).r0 == 5037
    assert load("call bpf_get_smp_processor_id\nexit").run(UDP, cpu=3, tier=tier).r0 == 3
    with pytest.raises(SpecError, match="CPU 4"):
        program.run(UDP, cpu=4)


def test_printk_and_task(tier):
    machine = Machine()
    machine.task.comm = "worker"
    words = b"%d %s %llx\0\0\0\0\0\0"
    stores = "\n".join(f"r1 = {int.from_bytes(words[at:at + 8], 'little'):#x} ll\n*(u64 *)(r10 - {16 - at}) = r1"
                       for at in (0, 8))
    load(f"""
    r1 = r10
    r1 += -32
    r2 = 16
    call bpf_get_current_comm
    {stores}
    r1 = r10
    r1 += -16
    r2 = 11
    r3 = -5
    r4 = r10
    r4 += -32
    r5 = -1
    call bpf_trace_printk
    exit""", machine=machine).run(UDP, tier=tier)
    assert list(machine.printed) == ["-5 worker ffffffffffffffff"]


def test_ring_and_perf_buffers(tier):
    machine = Machine()
    program = load(""".map ring ringbuf 4096
    .map perf perf_event_array u32 u32 4
    r6 = r1
    r1 = ring ll
    r2 = 16
    r3 = 0
    call bpf_ringbuf_reserve
    if r0 == 0 goto full
    r7 = 0x1122334455667788 ll
    *(u64 *)(r0 + 0) = r7
    *(u64 *)(r0 + 8) = r7
    r1 = r0
    r2 = 0
    call bpf_ringbuf_submit
full:
    *(u64 *)(r10 - 8) = 99
    r1 = r6
    r2 = perf ll
    r3 = 0xffffffff ll
    r4 = r10
    r4 += -8
    r5 = 8
    call bpf_perf_event_output
    exit""", machine=machine)
    ring, perf = program.maps["ring"], program.maps["perf"]
    for _ in range(3):
        assert program.run(UDP, cpu=1, tier=tier).r0 == 0
    assert [event.data for event in ring.consume()] == [bytes.fromhex("8877665544332211") * 2] * 3
    assert [(event.cpu, event.data) for event in perf.consume()] == [(1, (99).to_bytes(8, "little"))] * 3
    assert ring.consume() == [] and ring.lost == 0
    for _ in range(200):   # 24 bytes a record: 170 fit into 4,096
        program.run(UDP, tier=tier)
    assert len(ring.consume()) == 170 and ring.lost == 30


def test_submitted_records_are_gone():
    program = load(""".map ring ringbuf 4096
    r1 = ring ll
    r2 = 8
    r3 = 0
    call bpf_ringbuf_reserve
    r6 = r0
    r1 = r0
    r2 = 0
    call bpf_ringbuf_submit
    *(u64 *)(r6 + 0) = r0
    exit""")
    assert "already submitted" in str(faults(program))


def test_helpers_that_are_not_simulated_say_their_name(tier):
    program = load("call bpf_tcp_gen_syncookie\nexit")
    with pytest.raises(Unsupported, match="helper bpf_tcp_gen_syncookie is not simulated"):
        program.run(UDP, tier=tier)


def test_instructions_that_are_not_simulated_are_told_at_load():
    machine = Machine()
    with pytest.raises(Unsupported, match="instruction 0: a kernel function"):
        machine.load(ProgramSpec((Insn(0x85, 0, 2, 0, 77), Insn(0x95)), "xdp"))
    with pytest.raises(DecodeError, match="jump to 9"):
        machine.load(ProgramSpec((Insn(0x05, 0, 0, 8), Insn(0x95)), "xdp"))
    with pytest.raises(DecodeError):
        machine.load(ProgramSpec((), "xdp"))


def test_falling_off_the_end():
    fault = faults(Machine().load(ProgramSpec((Insn(0xB7, 0, 0, 0, 2),), "xdp")))
    assert "past the last instruction" in str(fault)


def test_packets_too_short_are_einval(tier):
    with pytest.raises(KernelError, match="EINVAL") as caught:
        load("r0 = 2\nexit").run(bytes(13), tier=tier)
    assert caught.value.errno == 22


def test_repeat_keeps_the_packet(tier):
    program = load("""
    r2 = *(u32 *)(r1 + 0)
    r3 = *(u8 *)(r2 + 0)
    r3 += 1
    *(u8 *)(r2 + 0) = r3
    r0 = 2
    exit""")
    assert program.run(bytes(64), repeat=5, tier=tier).data[0] == 5


def test_contexts_of_programs_without_packets(tier):
    program = load("r0 = *(u64 *)(r1 + 112)\nexit", "kprobe")    # di: the first argument
    assert program.run(ctx=bytes(112) + (4711).to_bytes(8, "little") + bytes(48), tier=tier).r0 == 4711
    assert program.run(tier=tier).r0 == 0
    with pytest.raises(KernelError, match="no packet"):
        program.run(UDP, tier=tier)


def test_nothing_is_left_in_memory_after_a_run():
    machine = Machine()
    program = load(""".map m hash u32 u32 4
    *(u32 *)(r10 - 4) = 1
    r1 = m ll
    r2 = r10
    r2 += -4
    r3 = r10
    r3 += -4
    r4 = 0
    call bpf_map_update_elem
    r1 = m ll
    r2 = r10
    r2 += -4
    call bpf_map_delete_elem
    exit""", machine=machine)
    before = dict(machine.memory.owners)
    for tier in TIERS * 3:
        program.run(UDP, tier=tier)
    assert machine.memory.owners == before
    program.close()
    assert len(machine.memory.owners) == len(machine.stacks) and not machine.map_at and not machine.programs


def test_shared_maps_live_as_long_as_their_last_user():
    machine = Machine()
    text = """.map m array u32 u64 1
    r1 = map[m][0] ll
    r0 = *(u64 *)(r1 + 0)
    r0 += 1
    *(u64 *)(r1 + 0) = r0
    exit"""
    first = load(text, machine=machine)
    second = machine.load(first.spec, maps=first.maps)
    shared = second.maps["m"]
    first.run(UDP)
    first.close()
    assert second.run(UDP).retval == 2
    assert shared.lookup(bytes(4)) == (2).to_bytes(8, "little")
    second.close()
    with pytest.raises(KernelError, match="closed"):
        shared.lookup(bytes(4))


@pytest.mark.parametrize("text", [   # arithmetic on pointers that a verifier refuses; found by fuzzing. r9 is r10
    "w1 -= 1\nr0 = r1\nexit", "r1 = *(u32 *)(r1 + 0)\nr1 -= 0x7fffffff\nr0 = r1\nexit",
    "r9 -= 0x7fffffff\nr9 -= 0x7fffffff\nr9 -= 0x7fffffff\nr0 = r9\nexit", "w9 += -9\nr0 = r9\nexit",
    "r1 = *(u32 *)(r1 + 0)\nr1 += -600000000\nr1 *= r1\nr0 = r1\nexit", "r0 = r9\nr0 = -r0\nexit",
])
def test_pointer_arithmetic_wraps_alike(text):
    spec = ProgramSpec((Insn(0xBF, 9, 10), *assemble(text, type="xdp").insns), "xdp")
    one, *others = (Machine().load(spec).run(UDP, tier=tier).r0 for tier in TIERS)
    assert all(one == other for other in others) and 0 <= one < 1 << 64
