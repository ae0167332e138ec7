"""Contexts and packet helpers against the kernel's TEST_RUN."""

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ebpflab.abi import CONTEXTS, STRUCTS, access
from ebpflab.asm import assemble
from ebpflab.errors import KernelError, Unsupported
from ebpflab.sim import Machine, packets

RELAXED = {"deadline": None, "suppress_health_check": list(HealthCheck)}
SKB = STRUCTS["__sk_buff"]
FRAMES = [
    packets.udp(b"payload"), packets.tcp(b"x" * 100, flags="SA"), packets.udp(b"six", src="fd00::1", dst="fd00::2"),
    packets.vlan(packets.icmp(b"tagged"), 7), packets.arp(), bytes(14), bytes(range(64)), b"\xff" * 64,
    packets.udp(dst_mac=bytes(6)), bytes(1500),
]
SKB_TYPES = ("socket_filter", "sched_cls", "sched_act", "cgroup_skb", "lwt_in", "lwt_out", "lwt_xmit")
ATTACH = {"cgroup_skb": "cgroup_inet_ingress"}


def program(text, type_="sched_cls"):
    from dataclasses import replace

    return replace(assemble(text, type=type_, name="differ"), attach_type=ATTACH.get(type_, ""))


def ours(loaded, data, ctx=b"", repeat=1, tier="codegen"):
    try:
        done = loaded.run(data, ctx=ctx, repeat=repeat, tier=tier)
    except KernelError as error:
        return error.errno
    return done.retval, done.data, done.ctx


def both(oracle, spec, cases):
    """Every case (data, ctx) gives the same in both tiers and in the kernel."""
    kernel, loaded = oracle.load(spec), Machine(cpus=oracle.cpus).load(spec)
    for data, ctx in cases:
        theirs = oracle.run(kernel, data, ctx)
        for tier in ("interpreter", "codegen"):
            assert ours(loaded, data, ctx, tier=tier) == theirs, (tier, data.hex(), ctx.hex())
    oracle.session.close(kernel)


def skb(**fields):
    """A __sk_buff to give to TEST_RUN."""
    buffer = bytearray(SKB.size)
    for name, value in fields.items():
        member = SKB.member(name)
        one = isinstance(value, int)
        raw = value.to_bytes(member.size, "little") if one else struct.pack(f"<{len(value)}I", *value)
        buffer[member.offset:member.offset + len(raw)] = raw
    return bytes(buffer)


FIELDS = [(type_, member) for type_ in SKB_TYPES for member in SKB.members if member.name not in ("hash", "napi_id")
          and access(type_, member.offset, 4, write=False, attach=ATTACH.get(type_, ""))
          and access(type_, member.offset, 4, write=False, attach=ATTACH.get(type_, "")).gives == "scalar"]


@pytest.mark.parametrize(("type_", "member"), FIELDS, ids=lambda value: getattr(value, "name", value))
def test_every_skb_field(type_, member, oracle):
    offsets = range(member.offset, member.end, 4)
    for offset in offsets:
        text = f"r0 = *(u32 *)(r1 + {offset})\n*(u32 *)(r1 + 48) = r0\nr0 = 1\nexit"   # cb[0] comes back
        both(oracle, program(text, type_), [(frame, ctx) for frame in FRAMES for ctx in (skb(), skb(mark=3))])
        if type_ != "cgroup_skb":
            both(oracle, program(f"r0 = *(u32 *)(r1 + {offset})\nexit", type_), [(frame, b"") for frame in FRAMES])


@pytest.mark.parametrize("offset", (12, 16))
def test_xdp_fields(offset, oracle):
    text = f"r0 = *(u32 *)(r1 + {offset})\nexit"
    both(oracle, program(text, "xdp"), [(frame, b"") for frame in FRAMES])


@pytest.mark.parametrize("type_", ["xdp", *SKB_TYPES])
def test_lengths(type_, oracle):
    spec = program("r0 = 1\nexit", type_)
    both(oracle, spec, [(bytes(length), b"") for length in (0, 1, 13, 14, 15, 60, 1500, 3000, 3400)])


@given(st.lists(st.sampled_from([0, 1, 4, 8, 13, 14, 24, 64, 100, 252, 256, 0xFFFF_FFFF]), min_size=6, max_size=6),
       st.sampled_from([0, 24, 28]))
@settings(max_examples=200, **RELAXED)
def test_given_xdp_contexts(oracle, fields, extra):
    spec = program("r2 = *(u32 *)(r1 + 4)\nr0 = *(u32 *)(r1 + 0)\nr2 -= r0\nr0 = r2\nexit", "xdp")
    data = bytes(100)
    ctx = struct.pack("<6I", *fields)[:24] + bytes(max(extra - 24, 0))
    if fields[3] not in (0, 1):   # other devices depend on the machine
        ctx = ctx[:12] + struct.pack("<I", 0) + ctx[16:]
    if fields[4]:
        ctx = ctx[:16] + struct.pack("<I", 0) + ctx[20:]
    if fields[0] <= fields[1] < 100 and fields[0] % 4 == 0 and not fields[2] and not fields[5]:
        with pytest.raises(Unsupported, match="several buffers"):
            Machine().load(spec).run(data, ctx=ctx)
        ctx = ctx[:4] + struct.pack("<I", 100) + ctx[8:]
    both(oracle, spec, [(data, ctx), (data, struct.pack("<6I", fields[0], 100, 0, 0, 0, 0))])


def test_given_skb_contexts(oracle):
    spec = program("r0 = *(u32 *)(r1 + 8)\nr2 = 77\n*(u32 *)(r1 + 8) = r2\nexit")
    cases = [(FRAMES[0], skb(**{member.name: 1})) for member in SKB.members
             if member.name not in ("ingress_ifindex", "ifindex", "gso_segs", "gso_size", "wire_len")
             and not member.name.startswith("_")]
    both(oracle, spec, [*cases, (FRAMES[0], skb(mark=5, priority=6, cb=[1, 2, 3, 4, 5], tstamp=99)),
                        (FRAMES[0], skb(mark=5) + bytes(8)), (FRAMES[0], skb(mark=5) + b"\1")])


ADJUST = """
    r9 = r1
    r2 = *(u32 *)(r1 + 4)
    r1 = *(u32 *)(r1 + 0)
    r3 = r1
    r3 += 14
    if r3 > r2 goto bad
    r6 = *(s16 *)(r1 + 0)
    r7 = *(s16 *)(r1 + 2)
    r8 = *(s16 *)(r1 + 4)
    r1 = r9
    r2 = r6
    call bpf_xdp_adjust_meta
    r6 = r0
    r1 = r9
    r2 = r7
    call bpf_xdp_adjust_head
    r7 = r0
    r1 = r9
    r2 = r8
    call bpf_xdp_adjust_tail
    r0 &= 0xff
    r0 <<= 8
    r7 &= 0xff
    r0 |= r7
    r0 <<= 8
    r6 &= 0xff
    r0 |= r6
    exit
bad:
    r0 = 0xabc
    exit
"""
near = st.one_of(st.sampled_from([0, 1, 4, -4, 14, -14, -20, -216, -217, -212, -256, -252, 256, 3420, 3421]),
                 st.integers(-300, 300))


@given(near, near, near, st.sampled_from([14, 20, 100, 1500, 3500]))
@settings(max_examples=300, **RELAXED)
def test_moving_the_ends_of_an_xdp_frame(oracle, meta, head, tail, length):
    data = struct.pack("<3h", meta, head, tail) + bytes(at % 251 for at in range(length - 6))
    both(oracle, program(ADJUST, "xdp"), [(data, b"")])


SKB_HELPERS = {   # arguments come in cb[0..4]; the result goes to mark, what was loaded to cb[0..1]
    "skb_load_bytes": "r2 = r6\nr3 = r10\nr3 += -16\nr4 = 8",
    "skb_load_bytes_relative": "r2 = r6\nr3 = r10\nr3 += -16\nr4 = 8\nr5 = r7",
    "skb_store_bytes": "r2 = r6\nr3 = r10\nr3 += -16\nr4 = 8\nr5 = r7",
    "l3_csum_replace": "r2 = r6\nr3 = r8\nr4 = r9\nr5 = r7",
    "l4_csum_replace": "r2 = r6\nr3 = r8\nr4 = r9\nr5 = r7",
    "skb_change_tail": "r2 = r6\nr3 = 0",
    "skb_change_head": "r2 = r6\nr3 = 0",
    "skb_pull_data": "r2 = r6",
    "skb_change_type": "r2 = r6",
}
HELPER = """
    r6 = *(u32 *)(r1 + 48)
    r7 = *(u32 *)(r1 + 52)
    r8 = *(u32 *)(r1 + 56)
    r9 = *(u32 *)(r1 + 60)
    *(u64 *)(r10 - 24) = r1
    *(u32 *)(r10 - 16) = r8
    *(u32 *)(r10 - 12) = r9
    {arguments}
    call bpf_{name}
    r1 = *(u64 *)(r10 - 24)
    *(u32 *)(r1 + 8) = r0
    r2 = *(u32 *)(r10 - 16)
    *(u32 *)(r1 + 48) = r2
    r2 = *(u32 *)(r10 - 12)
    *(u32 *)(r1 + 52) = r2
    r0 = *(u32 *)(r1 + 4)
    exit
"""
offsets = st.one_of(st.sampled_from([0, 1, 2, 8, 14, 24, 26, 40, 50, 0xFFFF, 0x10000, 0x7FFF_FFFF, 0xFFFF_FFFF, 2000,
                                      16015, 16016, 16064, 16065]), st.integers(0, 120))
flags = st.sampled_from([0, 1, 2, 4, 3, 0x10, 0x12, 0x14, 0x20, 0x22, 0x34, 0x44, 0x62, 0x80, 0x94, 0x100, 0xFFFF_FFFF])
words = st.one_of(st.sampled_from([0, 1, 0xFFFF, 0xFFFF_FFFF, 0x0A00_0001, 0x10000]), st.integers(0, 0xFFFF_FFFF))


@pytest.mark.parametrize(("type_", "name"), [
    (type_, name) for type_ in ("sched_cls", "lwt_xmit") for name in SKB_HELPERS
    if type_ == "sched_cls" or name not in ("skb_load_bytes_relative", "skb_change_type")])
def test_skb_helpers(type_, name, oracle):
    spec = program(HELPER.format(name=name, arguments=SKB_HELPERS[name]), type_)
    kernel, loaded = oracle.load(spec), Machine().load(spec)

    @given(st.sampled_from(FRAMES), offsets, flags, words, words)
    @settings(max_examples=150, **RELAXED)
    def compare(frame, offset, flag, one, other):
        ctx = skb(cb=[offset, flag, one, other])
        theirs = oracle.run(kernel, frame, ctx)
        for tier in ("interpreter", "codegen"):
            mine = ours(loaded, frame, ctx, tier=tier)
            assert mine == theirs, (tier, offset, flag, one, other)

    compare()
    oracle.session.close(kernel)


@pytest.mark.parametrize(("old", "new"), [(0, 8), (8, 0), (4, 8), (8, 8), (8, 4), (0, 4), (4, 0)])
def test_csum_diff(old, new, oracle):
    spec = program(f"""
        r6 = *(u32 *)(r1 + 48)
        r7 = *(u32 *)(r1 + 52)
        r8 = *(u32 *)(r1 + 56)
        r9 = *(u32 *)(r1 + 60)
        r5 = *(u32 *)(r1 + 64)
        *(u32 *)(r10 - 16) = r6
        *(u32 *)(r10 - 12) = r7
        *(u32 *)(r10 - 8) = r8
        *(u32 *)(r10 - 4) = r9
        r1 = {'0' if not old else 'r10'}
        {'' if not old else 'r1 += -16'}
        r2 = {old}
        r3 = {'0' if not new else 'r10'}
        {'' if not new else 'r3 += -8'}
        r4 = {new}
        call bpf_csum_diff
        exit
    """)

    @given(st.lists(words, min_size=5, max_size=5))
    @settings(max_examples=60, **RELAXED)
    def compare(values):
        both(oracle, spec, [(FRAMES[0], skb(cb=values))])

    compare()


@pytest.mark.parametrize("size", "bhw")
@pytest.mark.parametrize("type_", ("sched_cls", "socket_filter"))
def test_packet_loads(size, type_, oracle):
    from dataclasses import replace

    from ebpflab.isa import BY_NAME, Insn

    loads = BY_NAME["ldind" + size, "x"]
    spec = program("r6 = r1\nr2 = *(u32 *)(r1 + 48)\nr0 = 0\nexit", type_)
    insns = (*spec.insns[:2], Insn(loads.opcode, 0, 2, 0, 0), spec.insns[3])
    for imm in (0, 12, -0x100000, -0x200000, -0x100004, -0x1FFFFE):
        tried = replace(spec, insns=(*insns[:2], insns[2]._replace(imm=imm), insns[3]))
        both(oracle, tried, [(frame, skb(cb=[at])) for frame in FRAMES[:7:2]
                             for at in (0, 1, 6, 13, 28, 60, 0x7FFF_FFFF, 0xFFFF_FFFF)])


def test_tail_calls_stop_at_33(oracle):
    text = """
    .map jumps prog_array u32 u32 1
        r6 = *(u32 *)(r1 + 4)
        r7 = *(u32 *)(r1 + 0)
        r8 = r7
        r8 += 14
        if r8 > r6 goto out
        r8 = *(u8 *)(r7 + 0)
        r8 += 1
        *(u8 *)(r7 + 0) = r8
        r2 = jumps ll
        r3 = 0
        call bpf_tail_call
    out:
        r0 = 2
        exit
    """
    spec = program(text, "xdp")
    theirs = oracle.map(spec.maps[0])
    kernel = oracle.load(spec, [theirs])
    oracle.session.map_update(theirs, bytes(4), kernel.to_bytes(4, "little"))
    for tier in ("interpreter", "codegen"):
        loaded = Machine().load(spec)
        loaded.maps["jumps"].update(bytes(4), loaded.id.to_bytes(4, "little"))
        mine = ours(loaded, bytes(64), tier=tier)
        assert mine == oracle.run(kernel, bytes(64))
        assert mine[1][0] == 34
    oracle.session.close(kernel)
    oracle.session.close(theirs)


def test_contexts_that_test_run_knows_are_simulated():
    assert set(CONTEXTS) >= {"xdp", *SKB_TYPES}
