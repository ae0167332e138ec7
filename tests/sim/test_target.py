"""The sim target: verified, loaded, run, attached to a wire, as the Target protocol says."""

import pytest

from ebpflab.asm import assemble
from ebpflab.errors import Fault, KernelError, Rejected, SpecError, TargetError, Unsupported
from ebpflab.sim import packets
from ebpflab.spec import map_spec
from ebpflab.targets import AttachPoint, Loaded, Net, Target, TargetMap
from ebpflab.targets.registry import open_target

COUNT = """
.map counts percpu_array u32 u64 256
    r2 = *(u32 *)(r1 + 4)
    r1 = *(u32 *)(r1 + 0)
    r3 = r1
    r3 += 34
    if r3 > r2 goto pass
    r3 = *(u8 *)(r1 + 23)
    *(u32 *)(r10 - 4) = r3
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


@pytest.fixture
def sim():
    with open_target("sim") as target:
        yield target


def xdp(text):
    return assemble(text, type="xdp")


def at(net, dev):
    return AttachPoint("xdp", {"net": net, "dev": dev})


def total(snapshot, key):
    width = 8 * snapshot.cpus
    row = snapshot.values[key * width:(key + 1) * width]
    return sum(int.from_bytes(row[i:i + 8], "little") for i in range(0, width, 8))


def test_protocols(sim):
    assert isinstance(sim, Target) and isinstance(sim.net(), Net)
    loaded = sim.load(xdp(COUNT))
    assert isinstance(loaded, Loaded) and isinstance(loaded.maps["counts"], TargetMap)
    assert sim.facts.cpus == 4 and not sim.facts.privileged


def test_run_names_the_verdict(sim):
    loaded = sim.load(xdp(COUNT))
    assert loaded.trace.ok
    done = loaded.run(packets.udp(), repeat=3)
    assert (done.retval, done.verdict, done.repeat) == (2, "XDP_PASS", 3) and done.duration_ns > 0
    assert done.data == packets.udp()
    assert total(loaded.maps["counts"].read(), 17) == 3
    assert done == done and loaded.run(packets.udp(), tier="interpreter").verdict == "XDP_PASS"


def test_traffic_changes_the_map(sim):
    loaded, net = sim.load(xdp(COUNT)), sim.net()
    frames = [packets.udp(sport=port) for port in range(64)] + [packets.tcp(), packets.icmp()]
    assert net.send(frames, end="lab1") == 66
    link = loaded.attach(at(net, "lab0"))
    assert net.send(frames, end="lab1", count=2) == 132
    net.send(frames, end="lab0")                     # leaves where the program does not see it
    link.close()
    net.send(frames, end="lab1")
    snapshot = loaded.maps["counts"].read()
    assert [total(snapshot, protocol) for protocol in (17, 6, 1)] == [128, 2, 2]
    row = snapshot.values[17 * 32:18 * 32]
    assert all(int.from_bytes(row[at:at + 8], "little") for at in range(0, 32, 8)), "flows spread over the CPUs"
    assert net.stats("lab0")["rx_packets"] == 66 * 4 and net.stats("lab0")["tx_packets"] == 66
    assert net.received("lab0")[-1] == packets.icmp()


def test_verdicts_on_the_wire(sim):
    net = sim.net()
    frame = packets.udp(b"ping")
    with sim.load(xdp("r0 = 1\nexit")) as drop:
        drop.attach(at(net, "lab0"))
        net.send([frame], end="lab1")
    assert net.stats("lab0")["rx_dropped"] == 1 and net.received("lab0") == []
    with sim.load(xdp("r0 = 3\nexit")) as reflect:
        reflect.attach(at(net, "lab0"))
        net.send([frame], end="lab1")
    assert net.received("lab1") == [frame] and net.received("lab0") == []
    with sim.load(xdp("r1 = 2\nr2 = 0\ncall bpf_redirect\nexit")) as redirect:   # 2 is lab0 itself: out there
        redirect.attach(at(net, "lab0"))
        net.send([frame], end="lab1")
    assert net.received("lab1") == [frame, frame]
    net.send([frame], end="lab1")                    # closing a program detached it
    assert net.received("lab0") == [frame]


def test_two_reflectors_do_not_run_for_ever(sim):
    net = sim.net()
    for dev in net.ends:
        sim.load(xdp("r0 = 3\nexit")).attach(at(net, dev))
    net.send([packets.udp()], end="lab1")
    assert net.dropped == 1


def test_a_program_sees_where_the_packet_came_in(sim):
    program = sim.load(xdp("""
    .map at array u32 u32 1
    r2 = *(u32 *)(r1 + 12)
    r1 = map[at][0] ll
    *(u32 *)(r1 + 0) = r2
    r0 = 2
    exit"""))
    net = sim.net()
    program.attach(at(net, "lab1"))
    net.send([packets.udp()], end="lab0")
    assert program.maps["at"].lookup(bytes(4)) == (3).to_bytes(4, "little")


def test_rejected_programs_do_not_load_unless_unsafe(sim):
    wild = xdp("r0 = 0\nr0 = *(u64 *)(r0 + 0)\nexit")
    with pytest.raises(Rejected) as caught:
        sim.load(wild)
    assert caught.value.trace.verdict.result == "reject"
    assert not sim.machine.programs
    with sim.load(wild, unsafe=True) as loaded, pytest.raises(Fault, match="NULL pointer"):
        loaded.run(bytes(64))


def test_programs_without_a_verdict_load_and_say_so(sim, monkeypatch):
    """Whatever our verifier learns, the simulator's rule stays: no verdict is neither yes nor no."""
    from ebpflab.trace import Trace, Verdict

    spec = xdp("r0 = 2\nexit")
    monkeypatch.setattr(sim, "verify", lambda spec, log_level=2: Trace(spec, Verdict("unsupported", "ebpflab", "x")))
    with sim.load(spec) as loaded:
        assert loaded.trace.verdict.result == "unsupported" and not loaded.trace.ok
        assert loaded.run(bytes(64)).retval == 2


def test_maps_of_their_own(sim):
    shared = sim.map(map_spec("counts", "percpu_array", "u32", "u64", 256))
    with sim.load(xdp(COUNT), maps={"counts": shared}) as one, sim.load(xdp(COUNT), maps={"counts": shared}) as other:
        one.run(packets.udp())
        other.run(packets.udp())
        with pytest.raises(SpecError, match="no map 'nothing'"):
            sim.load(xdp(COUNT), maps={"nothing": shared})
    assert total(shared.read(), 17) == 2
    assert shared.read(limit=3).count == 3
    shared.write(b"\0\0\0\0\1\0\0\0", bytes(64))
    assert total(shared.read(), 17) == 2
    shared.close()
    shared.close()
    with pytest.raises(KernelError, match="closed"):
        shared.read()


def test_tail_calls_by_loaded_program(sim):
    caller = sim.load(xdp(""".map jumps prog_array u32 u32 2
    r2 = jumps ll
    r3 = 1
    call bpf_tail_call
    r0 = 2
    exit"""))
    target = sim.load(xdp("r0 = 1\nexit"))
    assert caller.run(bytes(64)).verdict == "XDP_PASS"
    caller.maps["jumps"].update((1).to_bytes(4, "little"), target)
    assert caller.run(bytes(64)).verdict == "XDP_DROP"
    assert caller.maps["jumps"].delete((1).to_bytes(4, "little"))
    assert caller.run(bytes(64)).verdict == "XDP_PASS"


def test_events(sim):
    program = sim.load(xdp(""".map ring ringbuf 4096
    *(u64 *)(r10 - 8) = 7
    r1 = ring ll
    r2 = r10
    r2 += -8
    r3 = 8
    r4 = 0
    call bpf_ringbuf_output
    r0 = 2
    exit"""))
    program.run(bytes(64), repeat=2)
    assert [event.data for event in program.maps["ring"].consume()] == [(7).to_bytes(8, "little")] * 2
    assert program.maps["ring"].lost == 0


@pytest.mark.parametrize(("text", "type_", "where", "error"), [
    ("r0 = 2\nexit", "xdp", {"dev": "eth0"}, SpecError),
    ("r0 = 2\nexit", "xdp", {}, SpecError),
    ("r0 = 0\nexit", "sched_cls", {"dev": "lab0"}, KernelError),
])
def test_bad_attachments(sim, text, type_, where, error):
    loaded, net = sim.load(assemble(text, type=type_)), sim.net()
    with pytest.raises(error):
        loaded.attach(AttachPoint("xdp", {"net": net, **where}))
    with pytest.raises(Unsupported, match="tracepoint"):
        loaded.attach(AttachPoint("tracepoint", {}))


def test_one_program_an_end(sim):
    net, first = sim.net(), sim.load(xdp("r0 = 2\nexit"))
    first.attach(at(net, "lab0"))
    with pytest.raises(KernelError, match="EBUSY"):
        sim.load(xdp("r0 = 1\nexit")).attach(at(net, "lab0"))


def test_bad_traffic(sim):
    net = sim.net()
    with pytest.raises(SpecError, match="13 bytes"):
        net.send([bytes(13)], end="lab0")
    with pytest.raises(SpecError, match="no device"):
        net.send([bytes(64)], end="eth0")
    net.close()
    with pytest.raises(TargetError, match="closed"):
        net.send([bytes(64)], end="lab0")


def test_closing_the_target_leaves_nothing():
    target = open_target("sim:2")
    assert target.facts.cpus == 2
    loaded, net = target.load(xdp(COUNT)), target.net()
    loaded.attach(at(net, "lab0"))
    net.send([packets.udp()], end="lab1", count=10)
    target.close()
    machine = target.machine
    assert not machine.programs and not machine.map_at and len(machine.memory.owners) == len(machine.stacks)
    with pytest.raises(TargetError, match="sim:many"):
        open_target("sim:many")


def test_rate(sim):
    import time

    net = sim.net()
    start, before = time.monotonic(), sim.machine.clock.now
    assert net.send([packets.udp()], end="lab0", count=50, pps=1000) == 50
    assert time.monotonic() - start >= 0.049 and sim.machine.clock.now - before == 50_000_000
