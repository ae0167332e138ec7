"""One packet through a chain of programs."""

import pytest

import ebpflab as lab
from ebpflab.sim import packets

UDP = packets.udp(b"hello")
TTL = """.map seen hash u32 u64 4
    r2 = *(u32 *)(r1 + 0)
    r3 = *(u32 *)(r1 + 4)
    r4 = r2
    r4 += 34
    if r4 > r3 goto out
    *(u16 *)(r2 + 22) = 0x1109
    *(u32 *)(r10 - 4) = 7
    *(u64 *)(r10 - 16) = 1
    r1 = seen ll
    r2 = r10
    r2 += -4
    r3 = r10
    r3 += -16
    r4 = 0
    call bpf_map_update_elem
out:
    r0 = 2
    exit"""
MARK = "*(u32 *)(r1 + 8) = 5\nr0 = 0\nexit"


def test_a_chain():
    with lab.load(TTL, name="ttl") as first, lab.load(MARK, type="sched_cls", name="mark") as second, \
            lab.load("r0 = 20\nexit", type="socket_filter", name="cut") as third:
        found = lab.journey(UDP, [first, second, third])
    ttl, mark, cut = found.hops
    assert (ttl.verdict, mark.verdict, cut.verdict) == ("XDP_PASS", "TC_ACT_OK", "keep 20") and found.fate == "on"
    assert ttl.changed == ((22, b"\x40", b"\x09"),)
    assert ttl.maps == {"seen": {(7).to_bytes(4, "little"): (None, (1).to_bytes(8, "little"))}}
    assert mark.before == ttl.after and not mark.changed and not mark.maps
    assert cut.after == mark.after[:20]
    assert "byte 22: 40 → 09" in str(found) and list(found.to_frame()["fate"]) == ["on"] * 3


@pytest.mark.parametrize(("text", "type_", "fate", "says"), [
    ("r0 = 1\nexit", "xdp", "dropped", "XDP_DROP"), ("r0 = 3\nexit", "xdp", "sent back", "XDP_TX"),
    ("r1 = 3\nr2 = 0\ncall bpf_redirect\nexit", "xdp", "redirected", "redirected to 3"),
    ("r0 = 2\nexit", "sched_cls", "dropped", "TC_ACT_SHOT"), ("r0 = 0\nexit", "cgroup_skb", "dropped", "deny"),
    ("r0 = 0\nexit", "socket_filter", "dropped", "drop"),
])
def test_it_ends_where_a_program_does_not_pass_it_on(text, type_, fate, says):
    with lab.load(text, type=type_) as first, lab.load(MARK, type="sched_cls") as never:
        found = lab.journey(UDP, [first, never])
    assert len(found.hops) == 1 and found.fate == fate and says in str(found)


def test_a_packet_that_grows_and_a_fault():
    grow = "r2 = -8\ncall bpf_xdp_adjust_head\nr0 = 2\nexit"
    with lab.load(grow, name="grow") as program:
        hop, = lab.journey(UDP, [program]).hops
    assert len(hop.after) == len(UDP) + 8 and f"{len(UDP)} → {len(UDP) + 8} bytes" in str(hop) and not hop.changed
    from ebpflab.debugger import journey

    with lab.target("sim").load(lab.assemble("r6 = 5\nr0 = *(u64 *)(r6 + 0)\nexit"), unsafe=True) as wild:
        found = journey(UDP, [wild.inside])
    assert found.fate == "fault" and "NULL" in str(found)
