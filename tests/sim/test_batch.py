"""Many packets: the native loop gives what one run after the other gives."""

import pytest

from ebpflab.asm import assemble
from ebpflab.errors import Fault, KernelError, SpecError, Unsupported
from ebpflab.sim import Machine, packets, pcap
from ebpflab.targets.sim import SimTarget

from .conftest import TIERS

np = pytest.importorskip("numpy", reason="the batch API needs numpy")

COUNT = """
.map ports hash u32 u64 64
.map total percpu_array u32 u64 1
    r6 = r1
    r2 = *(u32 *)(r6 + 4)
    r7 = *(u32 *)(r6 + 0)
    r3 = r7
    r3 += 42
    if r3 > r2 goto drop
    r3 = *(u16 *)(r7 + 36)
    r3 = be16 r3
    *(u32 *)(r10 - 4) = r3
    *(u8 *)(r7 + 0) = r3
    r1 = ports ll
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 != 0 goto known
    *(u64 *)(r10 - 16) = 1
    r1 = ports ll
    r2 = r10
    r2 += -4
    r3 = r10
    r3 += -16
    r4 = 0
    call bpf_map_update_elem
    goto pass
known:
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
pass:
    *(u32 *)(r10 - 4) = 0
    r1 = total ll
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0 goto drop
    r1 = *(u64 *)(r0 + 0)
    r1 += 1
    *(u64 *)(r0 + 0) = r1
    r0 = 2
    exit
drop:
    r0 = 1
    exit
"""
KEY_IN_PACKET = """
.map seen hash 6 u32 4096
    r2 = *(u32 *)(r1 + 4)
    r6 = *(u32 *)(r1 + 0)
    r3 = r6
    r3 += 14
    if r3 > r2 goto out
    r1 = seen ll
    r2 = r6
    r2 += 6
    r3 = r6
    r4 = 0
    call bpf_map_update_elem
out:
    r0 = *(u8 *)(r6 + 60)
    exit
"""
SHRINK = """
    r6 = r1
    r2 = -4
    call bpf_xdp_adjust_tail
    r0 = 2
    exit
"""
MANY = [packets.udp(b"x" * (number % 5), dport=number % 11, src_mac=f"02:00:00:00:00:{number % 9:02x}")
        for number in range(300)]


def everything(batch):
    return (batch.retvals.tolist(), batch.insns.tolist(), batch.lengths.tolist(),
            [(at, str(fault), fault.pc) for at, fault in batch.faults.items()],
            [batch.packet(at) for at in range(len(batch.retvals))],
            {name: (after.keys, after.values) for name, (_, after) in batch.maps.items()})


@pytest.mark.parametrize(("text", "type_"), [(COUNT, "xdp"), (KEY_IN_PACKET, "xdp"), (SHRINK, "xdp"), (COUNT, "xdp"),
                                             ("r0 = *(u32 *)(r1 + 0)\nexit", "socket_filter")])
def test_all_tiers_alike(text, type_):
    spec = assemble(text, type=type_)
    found = []
    for tier in TIERS:
        machine = Machine()
        found.append(everything(machine.run_batch(machine.load(spec), MANY, tier=tier, errors="keep", cpu=1)))
    assert all(one == found[0] for one in found[1:])


def test_forms_of_packets(tmp_path):
    machine = Machine()
    program = machine.load(assemble(COUNT, type="xdp"))
    frame = packets.udp(b"four")
    array = np.tile(np.frombuffer(frame, np.uint8), (5, 1))
    for name in ("a.pcap", "a.pcapng"):
        pcap.write(tmp_path / name, [frame] * 5)
    for form in ([frame] * 5, array, tmp_path / "a.pcap", str(tmp_path / "a.pcapng"), pcap.read(tmp_path / "a.pcap")):
        batch = machine.run_batch(program, form)
        assert batch.retvals.tolist() == [2] * 5 and batch.lengths.tolist() == [len(frame)] * 5
        assert batch.packet(4)[0] == 5678 & 0xFF and batch.packet(4)[1:] == frame[1:]
    assert bytes(array[0]) == frame
    machine.run_batch(program, array, tier=TIERS[-1], copy=False)
    assert (array[0, 0] == 5678 & 0xFF) or TIERS[-1] != "jit"
    assert machine.run_batch(program, []).retvals.tolist() == []


@pytest.mark.parametrize("tier", TIERS)
def test_what_is_wrong_is_told(tier):
    machine = Machine()
    program = machine.load(assemble("r2 = *(u32 *)(r1 + 0)\nr0 = *(u8 *)(r2 + 50)\nexit", type="xdp"))
    mixed = [packets.udp(b"x" * 20), packets.udp(b"x" * 20), packets.udp(), packets.udp(b"x" * 20)]
    with pytest.raises(Fault, match="past the end of packet") as caught:
        machine.run_batch(program, mixed, tier=tier)
    assert "packet 2, instruction 1" in str(caught.value) and caught.value.pc == 1
    batch = machine.run_batch(program, mixed, tier=tier, errors="keep")
    assert list(batch.faults) == [2] and batch.retvals.tolist() == [ord("x"), ord("x"), 0, ord("x")]
    with pytest.raises(KernelError, match="Ethernet header"):
        machine.run_batch(program, [mixed[0], b"short"], tier=tier)
    with pytest.raises(Unsupported, match="several buffers"):
        machine.run_batch(program, [mixed[0], bytes(4000)], tier=tier)
    endless = machine.load(assemble("again: goto again", type="xdp"))
    with pytest.raises(Fault, match="budget"):
        machine.run_batch(endless, mixed, tier=tier, budget=1000)
    assert not [page for page in machine.memory.views if page < 0x100]


@pytest.mark.parametrize("wrong", [np.zeros((2, 2, 2), np.uint8), np.zeros((2, 20)), b"one frame", 5])
def test_what_is_no_list_of_packets(wrong):
    machine = Machine()
    with pytest.raises(SpecError):
        machine.run_batch(machine.load(assemble("r0 = 2\nexit", type="xdp")), wrong)


def test_dataframe():
    pytest.importorskip("pandas", reason="run_many gives a DataFrame")
    with SimTarget() as target:
        program = target.load(assemble(COUNT, type="xdp"))
        frame = program.run_many([*MANY, MANY[0][:30]])
        assert frame["verdict"].tolist() == ["XDP_PASS"] * 300 + ["XDP_DROP"]
        assert frame["length"].tolist()[-1] == 30 and (frame["ns"] > 0).all() and frame["fault"].isna().all()
        ports = frame.attrs["maps"]["ports"].set_index("key")["delta"].to_dict()
        assert ports == {port: sum(1 for number in range(300) if number % 11 == port) for port in range(11)}
        assert frame.attrs["maps"]["total"].to_dict("records") == [{"key": 0, "before": 0, "after": 300, "delta": 300}]
        assert frame.attrs["tier"] in ("jit", "codegen")
        again = program.run_many(MANY[:3])
        assert again.attrs["maps"]["ports"]["before"].tolist() == [ports[0], ports[1], ports[2]]
        assert program.run(MANY[0]).tier == "codegen"
        bad = target.load(assemble("r2 = *(u32 *)(r1 + 0)\nr0 = *(u8 *)(r2 + 50)\nexit", type="xdp"), unsafe=True)
        told = bad.run_many([packets.udp()])
        assert told["verdict"].tolist() == ["fault"] and "past the end" in told["fault"][0]
