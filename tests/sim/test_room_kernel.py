"""Helpers that reshape socket buffers, in sequences, against the kernel's TEST_RUN: tags, room, protocols, marks."""

from functools import reduce
from operator import or_

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpflab.sim import Machine, packets

from .conftest import TIERS
from .test_packets_kernel import FRAMES, RELAXED, SKB, ours, program, skb

ECT = [packets.udp(b"x" * 40, tos=tos, **ip) for tos in range(4) for ip in ({}, {"src": "fd00::1", "dst": "fd00::2"})]
NAMED = [*FRAMES, *ECT, packets.vlan(packets.vlan(packets.udp(b"q"), 5, priority=3), 6, ethertype=0x88A8),
         packets.vlan(ECT[3], 9), b"\2" * 12 + b"\x81\0" + bytes(2), b"\2" * 12 + b"\x81\0\0\1" + bytes(2),
         b"\2" * 12 + b"\x81\0\0\1\0\5\xff\xff" + bytes(20), b"\2" * 12 + b"\x08\0" + bytes(22),
         b"\2" * 12 + b"\x86\xdd" + bytes(50), packets.udp(b"t" * 60, tos=255)]
READ = ("vlan_present", "vlan_tci", "vlan_proto", "protocol", "len")


def sequence(calls, type_="sched_cls"):
    """A program that does the calls (name, r2 …), one after the other: results mixed in mark, what it sees in cb."""
    text = "r6 = r1\nr7 = 0\n"
    for name, *arguments in calls:
        text += "r1 = r6\n" + "".join(f"r{at} = {value:#x} ll\n" for at, value in enumerate(arguments, 2))
        text += f"call bpf_{name}\nr7 *= 31\nr7 += r0\n"
    for at, name in enumerate(READ):
        text += f"r0 = *(u32 *)(r6 + {SKB.member(name).offset})\n*(u32 *)(r6 + {48 + 4 * at}) = r0\n"
    return program(text + "*(u32 *)(r6 + 8) = r7\nr0 = 0\nexit", type_)


def same(oracle, calls, cases, type_="sched_cls"):
    spec = sequence(calls, type_)
    kernel, loaded = oracle.load(spec), Machine().load(spec)
    for data, ctx in cases:
        theirs = oracle.run(kernel, data, ctx)
        for tier in TIERS:
            assert ours(loaded, data, ctx, tier=tier) == theirs, (tier, calls, data.hex(), ctx.hex())
    oracle.session.close(kernel)


BITS = (0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1 << 56, 14 << 56, 20 << 56)
adjust_flags = st.lists(st.sampled_from(BITS), max_size=3).map(lambda bits: reduce(
    or_, bits, 0))
signed = st.sampled_from((0, 4, 20, -4, -20, -8, 14, 28, 40, 1400, -40, -60, 0xFFF, 0x1000, -0x1000, -0x80000000)).map(
    lambda value: value & 0xFFFF_FFFF)
pushes = st.tuples(st.just("skb_vlan_push"), st.sampled_from((0x81, 0xA888, 0, 8)),
                   st.sampled_from((0, 1, 0xFFFF, 0x2005, 0x10001)))
pops = st.just(("skb_vlan_pop",))
room = st.tuples(st.just("skb_adjust_room"), signed, st.sampled_from((0, 0, 1, 1, 2)), adjust_flags)
proto = st.tuples(st.just("skb_change_proto"), st.sampled_from((8, 0xDD86, 0x81)), st.sampled_from((0, 0, 0, 1)))
levels = st.tuples(st.just("csum_level"), st.integers(0, 4))
marks = st.just(("skb_ecn_set_ce",))
stamps = st.tuples(st.just("skb_set_tstamp"), st.sampled_from((0, 5, 1 << 40)), st.integers(0, 3))
tails = st.tuples(st.just("skb_change_tail"), st.sampled_from((0, 14, 33, 34, 60, 100, 2000)), st.just(0))
#: without those that cut into a header: room made there shows memory that nobody wrote
longer = st.tuples(st.just("skb_change_tail"), st.sampled_from((0, 60, 100, 2000)), st.just(0))
heads = st.tuples(st.just("skb_change_head"), st.sampled_from((0, 14, 100, 0x80000000)), st.just(0))
loads = st.tuples(st.just("skb_pull_data"), st.sampled_from((0, 14, 200)))
contexts = st.sampled_from((skb(), skb(), skb(), skb(gso_size=100), skb(gso_size=100, gso_segs=2, mark=3)))


@pytest.mark.parametrize("calls", [
    st.lists(st.one_of(pushes, pops), min_size=1, max_size=5),
    st.lists(st.one_of(room, room, proto, levels), min_size=1, max_size=3),
    st.lists(st.one_of(pushes, pops, room, proto, levels, marks, stamps, longer, heads, loads), min_size=1, max_size=6),
    st.lists(st.one_of(levels, stamps), min_size=1, max_size=6),
], ids=("tags", "room", "everything", "levels"))
def test_sequences(calls, oracle):
    @given(calls, st.lists(st.sampled_from(NAMED), min_size=3, max_size=3), contexts)
    @settings(max_examples=60, **RELAXED)
    def compare(calls, frames, ctx):
        same(oracle, calls, [(frame, ctx) for frame in frames])

    compare()


@given(st.lists(st.one_of(tails, heads, levels), min_size=1, max_size=5), contexts)
@settings(max_examples=40, **RELAXED)
def test_sequences_without_link_header(oracle, calls, ctx):
    same(oracle, calls, [(frame, ctx) for frame in NAMED[::5]], "lwt_xmit")


@pytest.mark.parametrize("type_", ["sched_cls", "cgroup_skb"])
def test_ecn_marks_on_all_frames(type_, oracle):
    same(oracle, [("skb_ecn_set_ce",), ("skb_ecn_set_ce",)], [(frame, skb()) for frame in NAMED], type_)


@pytest.mark.parametrize("flag", range(10))
@pytest.mark.parametrize("mode", (0, 1))
def test_every_flag_of_adjust_room(flag, mode, oracle):
    for difference in (8, -8 & 0xFFFF_FFFF):
        same(oracle, [("skb_adjust_room", difference, mode, 1 << flag), ("csum_level", 0)],
             [(frame, skb()) for frame in NAMED])
