"""The simulated network beside the kernel's: the same programs at the same hooks, the same frames, the same fate."""

import pytest

from ebpflab.asm import assemble
from ebpflab.errors import KernelError, SpecError, Unsupported
from ebpflab.sim import packets, pcap
from ebpflab.targets import sim as simulated
from ebpflab.targets.base import AttachPoint

FRAMES = [packets.udp(bytes([number] * 40), sport=number) for number in range(1, 5)]

#: counts[0] += 1
COUNT = """
    r1 = map[counts] ll
    *(u32 *)(r10 - 4) = {slot}
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0 goto +3
    r1 = *(u64 *)(r0 + 0)
    r1 += 1
    *(u64 *)(r0 + 0) = r1
"""
MAP = ".map counts array u32 u64 4\n"
#: low bit of the UDP source port in r7, or to ``out``
ODD = """
    r6 = r1
    r2 = *(u32 *)(r1 + {data})
    r3 = *(u32 *)(r1 + {end})
    r4 = r2
    r4 += 36
    if r4 > r3 goto out
    r7 = *(u8 *)(r2 + 35)
    r7 &= 1
"""
XDP, TC = {"data": 0, "end": 4}, {"data": 76, "end": 80}
XDP_DROPS_ODD = ("xdp", ODD.format(**XDP) + "if r7 == 0 goto out\nr0 = 1\nexit\nout:\nr0 = 2\nexit")
TC_DROPS_ODD = ("sched_cls", ODD.format(**TC) + "if r7 == 0 goto out\nr0 = 2\nexit\nout:\nr0 = 0\nexit")
COUNTS = ("sched_cls", MAP + COUNT.format(slot=0) + "r0 = 0\nexit")
MARKS = ("sched_cls", "*(u32 *)(r1 + 8) = 7\n*(u32 *)(r1 + 48) = 9\nr0 = -1\nexit")
SEES = ("sched_cls", MAP + "r6 = r1\nr7 = *(u32 *)(r6 + 8)\nr8 = *(u32 *)(r6 + 48)\nif r7 != 7 goto out\n"
        "if r8 != 9 goto out\n" + COUNT.format(slot=1) + "out:\nr0 = 0\nexit")
REFLECTS = ("xdp", "r0 = 3\nexit")
BOUNCES = ("sched_cls", "r1 = *(u32 *)(r1 + 40)\nr2 = 0\ncall bpf_redirect\nexit")
LOOPS_BACK = ("sched_cls", "r1 = *(u32 *)(r1 + 40)\nr2 = 1\ncall bpf_redirect\nexit")
COPIES = ("sched_cls", "r2 = *(u32 *)(r1 + 40)\nr3 = 0\ncall bpf_clone_redirect\nr0 = 0\nexit")
NOTES = ("xdp", """
    r6 = r1
    r2 = -4
    call bpf_xdp_adjust_meta
    if r0 != 0 goto out
    r2 = *(u32 *)(r6 + 8)
    r3 = *(u32 *)(r6 + 0)
    r4 = r2
    r4 += 4
    if r4 > r3 goto out
    *(u32 *)(r2 + 0) = 77
out:
    r0 = 2
    exit""")
READS_NOTE = ("sched_cls", MAP + """
    r6 = r1
    r2 = *(u32 *)(r6 + 140)
    r3 = *(u32 *)(r6 + 76)
    r4 = r2
    r4 += 4
    if r4 > r3 goto out
    r7 = *(u32 *)(r2 + 0)
    if r7 != 77 goto out
    """ + COUNT.format(slot=2) + "out:\nr0 = 0\nexit")
#: name -> counts frames of which a member of __sk_buff is not 0
HAS = {name: ("sched_cls", MAP + f"r6 = r1\nr7 = *(u32 *)(r6 + {offset})\nif r7 == 0 goto out\n" + COUNT.format(slot=3)
              + "out:\nr0 = 0\nexit") for name, offset in (("mark", 8), ("priority", 32), ("ingress_ifindex", 36))}
LABELS = "*(u32 *)(r1 + 8) = 7\n*(u32 *)(r1 + 32) = 5\n"
LOOPS, COPY = LOOPS_BACK[1], COPIES[1]
#: name -> a program that sends frames elsewhere, its device and direction, the direction in which they come by next
AWAY = {
    "looped": (LOOPS, "lab0", "egress", "ingress"),
    "bounced": (BOUNCES[1], "lab1", "ingress", "egress"),
    "copied in": (COPY.replace("r3 = 0", "r3 = 1"), "lab0", "egress", "ingress"),
    "copied out": (COPY, "lab1", "ingress", "egress"),
}
PEER = ("sched_cls", "r1 = *(u32 *)(r1 + 40)\nr2 = 0\ncall bpf_redirect_peer\nexit")
WHERE = ("sched_cls", MAP + "r6 = r1\nr7 = *(u32 *)(r6 + 40)\nr8 = *(u32 *)(r6 + 36)\nif r7 == r8 goto out\n"
         + COUNT.format(slot=3) + "out:\nr0 = 0\nexit")
KEEPS = ("socket_filter", "r0 = 20\nexit")
KEEPS_ODD = ("socket_filter", "r6 = r1\nr0 = *(u8 *)skb[35]\nr0 &= 1\nif r0 == 0 goto out\nr0 = 65535\nout:\nexit")
ACTS = ("sched_act", "r0 = 2\nexit")

#: name -> hooked programs: (program, kind, device, options)
CASES = {
    "nothing": [],
    "XDP drops": [(XDP_DROPS_ODD, "xdp", "lab1", {})],
    "XDP reflects": [(REFLECTS, "xdp", "lab1", {})],
    "XDP reflects to one that drops": [(REFLECTS, "xdp", "lab1", {}), (XDP_DROPS_ODD, "xdp", "lab0", {})],
    "tcx egress drops": [(TC_DROPS_ODD, "tcx", "lab0", {"direction": "egress"})],
    "tcx ingress drops before one that counts": [(TC_DROPS_ODD, "tcx", "lab1", {}), (COUNTS, "tcx", "lab1", {})],
    "tcx goes on, with mark and cb": [(MARKS, "tcx", "lab1", {}), (SEES, "tcx", "lab1", {})],
    "mark and cb on the way to the filters": [(MARKS, "tcx", "lab1", {}), (SEES, "clsact", "lab1", {})],
    "filters by priority": [(TC_DROPS_ODD, "clsact", "lab1", {"priority": 2}),
                            (COUNTS, "clsact", "lab1", {"priority": 1})],
    "filters go on": [(MARKS, "clsact", "lab1", {"priority": 1}), (SEES, "clsact", "lab1", {"priority": 2})],
    "bounced": [(BOUNCES, "tcx", "lab1", {})],
    "bounced by a filter": [(BOUNCES, "clsact", "lab1", {})],
    "sent out twice": [(COPIES, "tcx", "lab1", {}), (COUNTS, "tcx", "lab0", {})],
    "sent into itself": [(LOOPS_BACK, "tcx", "lab0", {"direction": "egress"}), (COUNTS, "tcx", "lab0", {})],
    "metadata from XDP to traffic control": [(NOTES, "xdp", "lab1", {}), (READS_NOTE, "tcx", "lab1", {})],
    "filters of one priority": [(TC_DROPS_ODD, "clsact", "lab1", {}), (COUNTS, "clsact", "lab1", {})],
    "to the peer": [(PEER, "tcx", "lab1", {}), (COUNTS, "tcx", "lab0", {})],
    "to the peer on the way out": [(PEER, "tcx", "lab0", {"direction": "egress"}), (COUNTS, "tcx", "lab1", {})],
    **{f"labels of what was {name}": [
        (("sched_cls", LABELS + text), "tcx", dev, {"direction": first}),
        *(((seen[0], seen[1].replace("r0 = 0\nexit", "r0 = -1\nexit")), "tcx", dev, {"direction": then})
          for seen in HAS.values())] for name, (text, dev, first, then) in AWAY.items()},
    "where it came in": [(WHERE, "tcx", "lab1", {}), (WHERE, "tcx", "lab0", {"direction": "egress"})],
}


def outcome(target, hooked, filters):
    """What packet sockets at both ends get, and what the programs counted."""
    with target.net() as net:
        taps = {end: net.socket("packet", end) for end in ("lab0", "lab1")}
        loaded = []
        for (type_, text), kind, dev, options in hooked:
            program = target.load(assemble(text, type=type_))
            program.attach(AttachPoint(kind, {"net": net, "dev": dev, **options}))
            loaded.append(program)
        for (type_, text), end in filters:
            program = target.load(assemble(text, type=type_))
            program.attach(AttachPoint("socket_filter", {"socket": taps[end]}))
            loaded.append(program)
        for frame in FRAMES:
            net.send([frame], end="lab0")
        got = {}
        for end, tap in taps.items():
            got[end] = sorted(bytes(frame) for frame in tap.receive(64, 0.3))
        counts = [program.maps["counts"].read().values for program in loaded if "counts" in program.maps]
        for program in loaded:
            program.close()
    return got, counts


@pytest.mark.kernel
@pytest.mark.parametrize("name", CASES)
def test_frames_fare_as_in_the_kernel(name, local):
    want = outcome(local, CASES[name], [])
    with simulated.open() as lab:
        assert outcome(lab, CASES[name], []) == want
    assert name == "nothing" or want != ({"lab0": sorted(FRAMES), "lab1": sorted(FRAMES)}, [])


@pytest.mark.kernel
@pytest.mark.parametrize("filters", ([(KEEPS, "lab1")], [(KEEPS_ODD, "lab1")], [(KEEPS_ODD, "lab0"), (KEEPS, "lab1")]))
def test_filters_of_packet_sockets(filters, local):
    want = outcome(local, [], filters)
    with simulated.open() as lab:
        assert outcome(lab, [], filters) == want


@pytest.fixture
def lab():
    with simulated.open() as target:
        yield target


def hook(lab, program, kind, net, dev, **options):
    loaded = lab.load(assemble(program[1], type=program[0]))
    loaded.attach(AttachPoint(kind, {"net": net, "dev": dev, **options}))
    return loaded


def test_the_trace_tells_every_step(lab):
    net = lab.net()
    hook(lab, XDP_DROPS_ODD, "xdp", net, "lab1")
    hook(lab, BOUNCES, "tcx", net, "lab1")
    assert net.send(FRAMES[:2], end="lab0") == 2
    found = net.trace()
    columns = found[["packet", "end", "hook", "verdict", "to", "fate"]]
    assert [tuple(row) for row in columns.itertuples(index=False)] == [
        (1, "lab1", "xdp", "XDP_DROP", "", "dropped"), (2, "lab1", "xdp", "XDP_PASS", "", "on"),
        (2, "lab1", "tc ingress", "TC_ACT_REDIRECT", "lab1", "redirected")]
    assert found.attrs["untraced"] == 0 and net.received("lab1") == [] and net.received("lab0") == FRAMES[1:2]


def test_steps_that_find_no_room_are_counted(lab, monkeypatch):
    from ebpflab.sim import wire

    monkeypatch.setattr(wire, "KEPT_STEPS", 3)
    net = lab.net()
    hook(lab, COUNTS, "tcx", net, "lab1")
    net.send(FRAMES, end="lab0", count=2)
    assert len(net.trace()) == 3 and net.trace().attrs["untraced"] == 5


@pytest.mark.parametrize("name", ("out.pcap", "out.pcapng"))
def test_what_arrived_goes_into_a_capture(lab, tmp_path, name):
    net = lab.net()
    net.send(FRAMES, end="lab0")
    assert net.save(tmp_path / name, "lab1") == 4
    assert [bytes(packet) for packet in pcap.read(tmp_path / name)] == FRAMES


def test_a_devmap_sends_to_its_devices(lab):
    net = lab.net()
    text = ".map ports devmap u32 u32 4\nr1 = map[ports] ll\nr2 = {index}\nr3 = {flags}\ncall bpf_redirect_map\nexit"
    for index, flags, there, back in ((1, 0, 0, 1), (0, 0, 0, 0), (0, 2, 1, 0), (0, 8, 0, 2), (0, 24, 0, 0)):
        program = lab.load(assemble(text.format(index=index, flags=flags), type="xdp"))
        program.maps["ports"].update((1).to_bytes(4, "little"), net.device("lab1"))
        if flags == 8:
            program.maps["ports"].update((2).to_bytes(4, "little"), net.device("lab1"))
        link = program.attach(AttachPoint("xdp", {"net": net, "dev": "lab1"}))
        before = [len(net.received(end)) for end in ("lab1", "lab0")]
        net.send(FRAMES[:1], end="lab0")
        after = [len(net.received(end)) for end in ("lab1", "lab0")]
        assert [b - a for a, b in zip(before, after, strict=True)] == [there, back], (index, flags)
        link.close()


def test_an_action_and_a_closed_link(lab):
    net = lab.net()
    loaded = lab.load(assemble(ACTS[1], type=ACTS[0]))
    link = loaded.attach(AttachPoint("action", {"net": net, "dev": "lab1"}))
    net.send(FRAMES, end="lab0")
    link.close()
    net.send(FRAMES, end="lab0")
    assert net.received("lab1") == FRAMES


@pytest.mark.kernel
@pytest.mark.parametrize("text", ("r0 = 2\nexit", "r0 = 4\nexit", LOOPS, "r1 = 99\nr2 = 0\ncall bpf_redirect\nexit"))
def test_a_sender_hears_of_what_was_shot_only(lab, local, text):
    heard = []
    for target in (lab, local):
        with target.net() as net:
            loaded = hook(target, ("sched_cls", text), "clsact", net, "lab0", direction="egress")
            heard.append((net.send(FRAMES, end="lab0"), net.dropped))
            loaded.close()
    assert heard[0] == heard[1]


def test_egress_drops_are_counted(lab):
    net = lab.net()
    hook(lab, TC_DROPS_ODD, "clsact", net, "lab0", direction="egress")
    assert (net.send(FRAMES, end="lab0"), net.dropped) == (2, 2)
    assert net.stats("lab0")["tx_packets"] == 2


def test_sockets_keep_a_bounded_number_and_count_the_rest(lab):
    net = lab.net()
    tap = net.socket("packet", "lab1")
    net.send(FRAMES[:1], end="lab0", count=1003)
    assert tap.lost == 3 and len(tap.receive(2000)) == 1000
    tap.close()
    net.send(FRAMES[:1], end="lab0")
    assert tap.receive() == []


@pytest.mark.parametrize("kind, options, error, said", [
    ("tcx", {"direction": "sideways"}, SpecError, "ingress or egress"),
    ("clsact", {"priority": 0}, SpecError, "1 … 65535"),
    ("xdp", {}, KernelError, "no xdp program"), ("socket_filter", {}, KernelError, "no socket_filter program"),
    ("cgroup_skb", {}, Unsupported, "cannot attach to 'cgroup_skb'")])
def test_bad_attachments(lab, kind, options, error, said):
    loaded, net = lab.load(assemble(COUNTS[1], type="sched_cls")), lab.net()
    with pytest.raises(error, match=said):
        loaded.attach(AttachPoint(kind, {"net": net, "dev": "lab0", **options}))
    with pytest.raises(SpecError, match="network of its own target"):
        loaded.attach(AttachPoint("tcx", {"dev": "lab0"}))
    with pytest.raises(Unsupported, match="no udp sockets"):
        net.socket("udp", "lab0")
