"""Maps against the kernel's: the same calls, the same results and errnos, from user space and from programs."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ebpflab.abi import map_struct
from ebpflab.asm import assemble
from ebpflab.errors import KernelError, SpecError, Unsupported
from ebpflab.sim import Machine
from ebpflab.spec import map_spec

from .conftest import TIERS

RELAXED = {"deadline": None, "suppress_health_check": list(HealthCheck)}
MAPS = [
    map_spec("m", "hash", "u32", "u64", 4), map_spec("m", "hash", 5, 3, 4, flags=1),
    map_spec("m", "array", "u32", "u64", 4), map_spec("m", "array", "u32", 3, 4),
    map_spec("m", "percpu_hash", "u32", 12, 4), map_spec("m", "percpu_array", "u32", "u32", 4),
    map_spec("m", "lru_hash", "u32", "u64", 1000), map_spec("m", "lru_percpu_hash", "u32", "u64", 1000),
    map_spec("m", "lpm_trie", 8, "u64", 4, flags=1), map_spec("m", "lpm_trie", 5, "u32", 4, flags=1),
]
QUEUES = [map_spec("m", "queue", "", "u64", 3), map_spec("m", "stack", "", 6, 3)]


def name(spec):
    return f"{spec.type}-{spec.key_size}-{spec.value_size}"


def attempt(call, *arguments):
    """The result, or the errno as a negative number."""
    try:
        return call(*arguments)
    except KernelError as error:
        return -error.errno


def rows(keys, values, count):
    if not count:
        return {}
    size, width = len(keys) // count, len(values) // count
    return {keys[i * size:(i + 1) * size]: values[i * width:(i + 1) * width] for i in range(count)}


def make_key(spec, number):
    if spec.type == "lpm_trie":   # few prefixes, one of them too long, over few addresses
        bits = (spec.key_size - 4) * 8
        length = (0, 3, 8, bits - 1, bits, bits + 1)[number % 6]
        return length.to_bytes(4, "little") + bytes([number * 37 % 256]) * (spec.key_size - 4)
    return number.to_bytes(spec.key_size, "little")


operations = st.lists(st.tuples(st.sampled_from(("lookup", "update", "delete")), st.integers(0, 7),
                                st.integers(0, 255), st.sampled_from((0, 0, 0, 1, 2, 3, 4, 8))), max_size=25)


@pytest.mark.parametrize("spec", MAPS, ids=name)
def test_user_space_sees_the_kernels_results(spec, oracle):
    @given(operations)
    @settings(max_examples=40, **RELAXED)
    def compare(todo):
        ours = Machine(cpus=oracle.cpus).create_map(spec)
        session, theirs = oracle.session, oracle.map(spec)
        done = []
        for what, number, byte, flags in todo:
            key = make_key(spec, number)
            copies = oracle.cpus if ours.per_cpu else 1
            value = b"".join((bytes([byte + cpu & 255]) * spec.value_size).ljust(ours.user_value_size // copies, b"\0")
                             for cpu in range(copies))
            arguments = (key, value, flags) if what == "update" else (key,)
            one = attempt(getattr(ours, what), *arguments)
            other = attempt(getattr(session, "map_" + what), theirs, *arguments)
            done.append((what, key, flags, one))
            assert one == other, done
        read = session.map_read(theirs)
        mine = ours.read()
        assert mine.count == read["count"] and mine.cpus == read["cpus"]
        assert rows(mine.keys, mine.values, mine.count) == rows(read["keys"], read["values"], read["count"])
        session.close(theirs)

    compare()


@pytest.mark.parametrize("spec", QUEUES, ids=name)
def test_queues_and_stacks(spec, oracle):
    @given(st.lists(st.tuples(st.sampled_from(("lookup", "update", "delete")), st.integers(0, 255),
                              st.sampled_from((0, 0, 1, 2, 3))), max_size=20))
    @settings(max_examples=40, **RELAXED)
    def compare(todo):
        ours, theirs = Machine().create_map(spec), oracle.map(spec)
        for what, byte, flags in todo:
            arguments = (b"", bytes([byte]) * spec.value_size, flags) if what == "update" else (b"",)
            one = attempt(getattr(ours, what), *arguments)
            other = attempt(getattr(oracle.session, "map_" + what), theirs, *arguments)
            assert one == other, (what, flags)
        oracle.session.close(theirs)

    compare()


# The program reads what to do from the packet: flags, key and value; it returns the helper's result.
PROGRAM = """
.map m {type} {key} {value} {entries} flags={flags}
    r2 = *(u32 *)(r1 + 4)
    r6 = *(u32 *)(r1 + 0)
    r3 = r6
    r3 += 64
    if r3 > r2 goto bad
    {copies}
    r7 = *(u64 *)(r6 + 8)
    r8 = *(u64 *)(r6 + 0)
    if r8 == 0 goto lookup
    if r8 == 1 goto update
    r1 = m ll
    r2 = r10
    r2 += -32
    call bpf_map_delete_elem
    goto out
update:
    r1 = m ll
    r2 = r10
    r2 += -32
    r3 = r10
    r3 += -64
    r4 = r7
    call bpf_map_update_elem
    goto out
lookup:
    r1 = m ll
    r2 = r10
    r2 += -32
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    r1 = *(u8 *)(r0 + 0)
    *(u64 *)(r6 + 48) = r1
    r1 = 77
    *(u8 *)(r0 + {last}) = r1
    r0 = 1000
out:
    *(u64 *)(r6 + 56) = r0
    r0 = 2
    exit
bad:
    r0 = 1
    exit
"""


@pytest.mark.parametrize("spec", MAPS, ids=name)
def test_programs_see_the_kernels_results(spec, oracle):
    copies = "\n".join(f"r1 = *(u64 *)(r6 + {16 + at})\n*(u64 *)(r10 - {32 - at}) = r1\n"
                       f"r1 = *(u64 *)(r6 + {32 + at})\n*(u64 *)(r10 - {64 - at}) = r1" for at in (0, 8))
    text = PROGRAM.format(type=spec.type, key=f"bytes[{spec.key_size}]" if spec.row.key is None else "u32",
                          value=f"bytes[{spec.value_size}]", entries=spec.max_entries, flags=spec.flags, copies=copies,
                          last=spec.value_size - 1)
    program = assemble(text, type="xdp")

    @given(operations)
    @settings(max_examples=40, **RELAXED)
    def compare(todo):
        machines = {tier: Machine(cpus=oracle.cpus).load(program) for tier in ("interpreter", "codegen")}
        theirs = oracle.map(program.maps[0])
        kernel = oracle.load(program, [theirs])
        for what, number, byte, flags in todo:
            data = (("lookup", "update", "delete").index(what).to_bytes(8, "little") + flags.to_bytes(8, "little")
                    + make_key(spec, number).ljust(16, b"\0") + bytes([byte]) * 16 + bytes(16))
            other = oracle.run(kernel, data)[:2]
            for tier, loaded in machines.items():
                done = loaded.run(data, tier=tier)
                assert (done.retval, done.data) == other, (tier, what, flags, done.data[56:], other[1][56:])
        read = oracle.session.map_read(theirs)
        for loaded in machines.values():
            mine = loaded.maps["m"].read()
            assert rows(mine.keys, mine.values, mine.count) == rows(read["keys"], read["values"], read["count"])
        oracle.session.close(kernel)
        oracle.session.close(theirs)

    compare()


THEMSELVES = [*MAPS, *QUEUES, map_spec("m", "hash", "u32", "u32", 7, flags=1 | 1 << 7),
              map_spec("m", "lpm_trie", 8, 4, 2, flags=1 | 1 << 2), map_spec("m", "ringbuf", "", "", 8192),
              map_spec("m", "prog_array", "u32", "u32", 3), map_spec("m", "perf_event_array", "u32", "u32", 2),
              map_spec("m", "stack_trace", "u32", 16, 5), map_spec("m", "cgroup_array", "u32", "u32", 2),
              map_spec("m", "devmap", "u32", "u32", 2), map_spec("m", "sockmap", "u32", "u32", 2)]
#: what a program that runs in the kernel would find elsewhere: its addresses, and the number it gave this map
ELSEWHERE = {"ops", "inner_map_meta", "security", "record", "btf", "objcg", "id"}


@pytest.mark.parametrize("spec", THEMSELVES, ids=lambda spec: f"{name(spec)}-{spec.flags}")
def test_what_a_program_reads_of_the_map_itself(spec, oracle):
    """Each word of ``struct bpf_map`` goes into the packet, from the kernel's map and from ours."""
    words = [(at, member) for member in map_struct.MEMBERS if member.name not in ELSEWHERE
             for at in range(member.offset, member.end, 4)]
    text = "\n".join([
        "r2 = *(u32 *)(r1 + 0)", "r3 = *(u32 *)(r1 + 4)", "r4 = r2", f"r4 += {4 * len(words)}", "if r4 > r3 goto out",
        "r1 = m ll", *(f"r0 = *(u32 *)(r1 + {at})\n*(u32 *)(r2 + {4 * slot}) = r0"
                       for slot, (at, _) in enumerate(words)), "out:", "r0 = 2", "exit"])
    text = f".license GPL\n.map m array u32 u32 1\n{text}"
    program = replace(assemble(text, type="xdp"), maps=(spec,))
    kernel = oracle.load(program)
    data = b"\xee" * (4 * len(words) + 8)
    _, theirs, _ = oracle.run(kernel, data)
    for tier in TIERS:
        loaded = Machine(cpus=oracle.cpus).load(program)
        done = loaded.run(data, tier=tier)
        for slot, (at, member) in enumerate(words):
            ours = done.data[4 * slot:4 * slot + 4]
            assert ours == theirs[4 * slot:4 * slot + 4], (tier, member, at)
        at = next(member.offset for member in map_struct.MEMBERS if member.name == "id")
        reader = assemble(f".map m array u32 u32 1\nr1 = m ll\nr0 = *(u32 *)(r1 + {at})\nexit", type="xdp")
        again = Machine().load(replace(reader, maps=(spec,)))
        assert again.run(bytes(64), tier=tier).retval == again.maps["m"].id
    oracle.session.close(kernel)


CREATED = [
    ("hash", 513, 8, 1, 0), ("hash", 1 << 22, 8, 1, 0), ("hash", 4, (1 << 22) - 53, 1, 0),
    ("hash", 4, (1 << 22) - 52, 1, 0), ("percpu_array", 4, 32769, 1, 0), ("percpu_hash", 4, 32776, 1, 0),
    ("lpm_trie", 8, 8, 1, 0), ("lpm_trie", 4, 8, 1, 1), ("lpm_trie", 261, 8, 1, 1),
    ("ringbuf", 0, 0, 4095, 0), ("ringbuf", 0, 0, 12288, 0), ("ringbuf", 0, 0, 4096, 0),
    ("stack_trace", 4, 12, 1, 0), ("stack_trace", 4, 1024, 1, 0), ("stack_trace", 4, 1016, 1, 0),
    # flags: each bit on its own, and the combinations that exclude each other
    *((type_, *sizes, 1 << at) for type_, *sizes in [
        ("hash", 4, 8, 1), ("array", 4, 8, 1), ("percpu_array", 4, 8, 1), ("lru_hash", 4, 8, 1), ("queue", 0, 8, 1),
        ("prog_array", 4, 4, 1), ("perf_event_array", 4, 4, 1), ("cgroup_array", 4, 4, 1), ("stack_trace", 4, 8, 1),
        ("devmap", 4, 4, 1), ("cpumap", 4, 4, 1), ("xskmap", 4, 4, 1), ("sockmap", 4, 4, 1), ("bloom_filter", 0, 8, 1),
        ("ringbuf", 0, 0, 4096)] for at in (0, 1, 3, 4, 5, 6, 7, 8, 10, 11, 12)),
    *(("lpm_trie", 8, 8, 1, 1 | 1 << at) for at in (1, 3, 4, 5, 6, 7, 8, 10, 11, 12)),
    ("hash", 4, 8, 1, 24), ("hash", 4, 8, 1, 0x180), ("array", 4, 8, 1, 0x180), ("array", 4, 8, 1, 0x88),
]


@pytest.mark.parametrize("row", CREATED, ids=str)
def test_descriptions_the_kernel_refuses(row, oracle):
    type_, key, value, entries, flags = row
    spec = map_spec("m", type_, key or "", value or "", entries, flags=flags)

    def theirs(spec):
        return oracle.session.close(oracle.map(spec))

    def ours(spec):
        Machine().create_map(spec)

    assert attempt(ours, spec) == attempt(theirs, spec)


def test_lru_drops_what_no_program_used():
    machine = Machine()
    found = machine.create_map(map_spec("m", "lru_hash", "u32", "u32", 3))
    for number in range(3):
        found.update(number.to_bytes(4, "little"), bytes(4))
    assert found.pointer((0).to_bytes(4, "little"), 0)          # a program's look-up counts as use
    found.lookup((1).to_bytes(4, "little"))                     # user space's does not
    found.update((9).to_bytes(4, "little"), bytes(4))
    assert sorted(key[0] for key in list(found.keys())) == [0, 2, 9]


def test_maps_of_maps_and_sizes():
    machine = Machine()
    inner = map_spec("inner", "array", "u32", "u64", 2)
    outer = machine.create_map(map_spec("outer", "array_of_maps", "u32", "u32", 2, inner=inner))
    first = machine.create_map(inner)
    outer.update(bytes(4), first.id.to_bytes(4, "little"))
    assert outer.pointer(bytes(4), 0) == first.address
    with pytest.raises(KernelError, match="EBADF"):
        outer.update(bytes(4), (1 << 20).to_bytes(4, "little"))
    other = machine.create_map(map_spec("other", "array", "u32", "u64", 3))
    with pytest.raises(KernelError, match="EINVAL"):
        outer.update(bytes(4), other.id.to_bytes(4, "little"))
    with pytest.raises(SpecError, match="4 bytes, not 3"):
        first.lookup(bytes(3))
    with pytest.raises(Unsupported, match="struct_ops"):
        machine.create_map(map_spec("no", "struct_ops", "u32", "u32", 1))
