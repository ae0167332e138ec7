"""Maps that belong to cgroups, and buffers that user space fills: here and in the kernel."""

from errno import EINVAL, ENOENT, ENOSPC

import pytest

from ebpflab.asm import assemble
from ebpflab.errors import KernelError
from ebpflab.sim import Machine, packets
from ebpflab.sim.tasks import Task

from .agree import FRAME, agreed, signed
from .conftest import TIERS


@pytest.fixture(params=TIERS)
def tier(request):
    return request.param


COUNTS = """.map s {type} bytes[{key}] u64 0
    r1 = map[s] ll
    r2 = 0
    call bpf_get_local_storage
    r6 = *(u64 *)(r0 + 0)
    r6 += 1
    *(u64 *)(r0 + 0) = r6
    r0 = r6
    r0 &= 1
    exit"""


@pytest.mark.parametrize("type_", ("cgroup_storage", "percpu_cgroup_storage"))
@pytest.mark.parametrize("key", (8, 16))
def test_a_cgroup_has_its_own(type_, key, tier):
    machine = Machine()
    program = machine.load(assemble(COUNTS.format(type=type_, key=key), type="cgroup_skb"))
    found = program.maps["s"]

    def count(cgroup):
        name = cgroup.to_bytes(8, "little") + bytes(key - 8)
        value = found.lookup(name)
        return None if value is None else int.from_bytes(value[:8], "little")

    machine.task = Task(cgroup_id=5)
    assert count(5) is None
    program.run(FRAME, repeat=3, tier=tier)
    machine.task = Task(cgroup_id=6)
    program.run(FRAME, tier=tier)
    assert (count(5), count(6)) == (3, 1)
    assert len(list(found.keys())) == 2
    with pytest.raises(KernelError) as caught:
        found.delete(found.keys()[0])
    assert caught.value.errno == EINVAL
    with pytest.raises(KernelError) as caught:
        found.update((7).to_bytes(8, "little") + bytes(key - 8), bytes(found.user_value_size))
    assert caught.value.errno == ENOENT
    found.update(found.keys()[0], bytes(found.user_value_size))
    assert count(5) == 0


@pytest.mark.parametrize("type_", ("cgroup_storage", "percpu_cgroup_storage"))
def test_the_kernel_counts_alike(type_, oracle):
    assert agreed(oracle, COUNTS.format(type=type_, key=16), "cgroup_skb") == 1


@pytest.mark.parametrize(("options", "number"), [("max_entries=1", EINVAL), ("max_entries=0", None)])
def test_descriptions(options, number):
    from ebpflab.spec import map_spec

    made = map_spec("s", "cgroup_storage", "bytes[16]", "u64", int(options[-1]))
    if number is None:
        assert Machine().create_map(made).spec == made
    else:
        with pytest.raises(KernelError) as caught:
            Machine().create_map(made)
        assert caught.value.errno == number


DRAIN = """.map u user_ringbuf max_entries=4096
    *(u64 *)(r10 - 8) = 0
    r1 = map[u] ll
    r2 = each ll
    r3 = r10
    r3 += -8
    r4 = {flags}
    call bpf_user_ringbuf_drain
    r6 = r0
    r0 = r6
    exit
each:
    r6 = r2
    r3 = r1
    r1 = r10
    r1 += -8
    *(u64 *)(r10 - 8) = 0
    r2 = 4
    r4 = 0
    r5 = 0
    call bpf_dynptr_read
    r1 = *(u64 *)(r10 - 8)
    r2 = *(u64 *)(r6 + 0)
    r2 += r1
    *(u64 *)(r6 + 0) = r2
    r0 = 0
    if r1 != 3 goto +1
    r0 = 1
    exit
"""


def test_records_of_user_space(tier):
    program = Machine().load(assemble(DRAIN.format(flags=0), type="xdp"))
    ring = program.maps["u"]
    for number in (1, 2, 3, 4, 5):
        ring.submit(number.to_bytes(4, "little"))
    assert program.run(FRAME, tier=tier).retval == 3      # the third ends it
    assert program.run(FRAME, tier=tier).retval == 2
    assert program.run(FRAME, tier=tier).retval == 0
    ring.submit(bytes(4088))
    with pytest.raises(KernelError) as caught:
        ring.submit(b"")
    assert caught.value.errno == ENOSPC


@pytest.mark.parametrize(("flags", "answer"), [(0, 0), (1, 0), (2, 0), (4, -EINVAL)])
def test_an_empty_one_and_flags(flags, answer, tier):
    """``bpf_user_ringbuf_drain``; a kernel wants types for a callback, which assembly has not."""
    program = Machine().load(assemble(DRAIN.format(flags=flags), type="xdp"))
    assert signed(program.run(FRAME, tier=tier).retval) == answer


def test_what_the_callback_sees(tier):
    text = DRAIN.format(flags=0).replace("r0 = r6\n    exit\neach", "r0 = *(u64 *)(r10 - 8)\n    exit\neach")
    program = Machine().load(assemble(text, type="xdp"))
    for number in (10, 20, 7):
        program.maps["u"].submit(number.to_bytes(4, "little"))
    assert signed(program.run(packets.udp(), tier=tier).retval) == 37
