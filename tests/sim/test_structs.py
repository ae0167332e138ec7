"""Structs of the kernel that tracing programs are given: laid out by the program's types, read as the kernel reads."""

import pytest

from ebpflab.errors import Fault, SpecError
from ebpflab.obj.compile import compile_c
from ebpflab.obj.objects import read_object
from ebpflab.targets import sim

from .conftest import TIERS

SOURCE = """
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
struct in6_addr { unsigned char bytes[16]; };
struct sock_common {
        union { struct { __be32 skc_daddr, skc_rcv_saddr; }; __u64 pair; };
        unsigned short skc_family;
        volatile unsigned char skc_state;
        struct { __be16 skc_dport; __u16 skc_num; };
        struct in6_addr skc_v6_daddr;
};
struct sock { long before[3]; struct sock_common __sk_common; __u32 sk_mark; struct sock *peer; };
struct inet_connection_sock { struct { struct sock sk; } icsk_inet; };
struct tcp_sock { struct inet_connection_sock inet_conn; long between; __u32 srtt_us; };
struct request { int tag; struct sock *sk; };
#pragma clang attribute pop

struct seen { __u32 daddr, dport, num, family, state, mark, srtt; };
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, __u32); __type(value, struct seen); __uint(max_entries, 1); }
        seen SEC(".maps");

SEC("kprobe/tcp_v4_connect") int BPF_KPROBE(probes, struct sock *sk)
{
        __u32 zero = 0;
        struct seen *to = bpf_map_lookup_elem(&seen, &zero);
        if (!to) return 0;
        to->daddr = BPF_CORE_READ(sk, __sk_common.skc_daddr);
        to->dport = BPF_CORE_READ(sk, __sk_common.skc_dport);
        to->num = BPF_CORE_READ(sk, __sk_common.skc_num);
        to->family = BPF_CORE_READ(sk, __sk_common.skc_family);
        to->state = BPF_CORE_READ(sk, __sk_common.skc_state);
        to->mark = BPF_CORE_READ(sk, sk_mark);
        to->srtt = BPF_CORE_READ((struct tcp_sock *)sk, srtt_us);
        return 0;
}

SEC("fentry/tcp_v4_connect") int BPF_PROG(follows, struct sock *sk, int length)
{
        __u32 zero = 0;
        struct seen *to = bpf_map_lookup_elem(&seen, &zero);
        if (!to) return 0;
        to->mark = sk->sk_mark;
        to->state = sk->peer->__sk_common.skc_state;
        to->family = sk->peer->peer->peer->__sk_common.skc_family;
        to->num = length;
        return 0;
}

SEC("fentry/blk_mq_start_request") int BPF_PROG(through, struct request *rq)
{
        __u32 zero = 0;
        struct seen *to = bpf_map_lookup_elem(&seen, &zero);
        if (!to) return 0;
        to->num = rq->tag;
        to->mark = rq->sk->sk_mark;
        return 0;
}
"""
FIELDS = ("daddr", "dport", "num", "family", "state", "mark", "srtt")


@pytest.fixture(scope="module")
def programs():
    return read_object(compile_c(SOURCE).data).programs


@pytest.fixture
def lab():
    with sim.open() as target:
        yield target


def seen(program):
    value = program.maps["seen"].lookup(bytes(4))
    return {name: number for at, name in enumerate(FIELDS)
            if (number := int.from_bytes(value[4 * at:4 * at + 4], "little"))}


@pytest.mark.parametrize("tier", TIERS)
def test_a_kprobe_reads_a_socket(lab, programs, tier):
    client = lab.socket("tcp", bind="10.0.0.2:4000", connect="10.0.0.1:443", mark=7, tcp={"srtt_us": 800})
    program = lab.load(programs["probes"])
    program.run(ctx={"di": program.struct("tcp_sock", client)}, tier=tier)
    assert seen(program) == {"daddr": 0x0100000A, "dport": 0xBB01, "num": 4000, "family": 2, "state": 1, "mark": 7,
                             "srtt": 800}
    client.mark = 8
    program.run(ctx={"di": program.struct("tcp_sock", client)}, tier=tier)
    assert seen(program)["mark"] == 8


@pytest.mark.parametrize("tier", TIERS)
def test_a_function_entry_follows_pointers(lab, programs, tier):
    program = lab.load(programs["follows"])
    assert program.trace.verdict.result == "unsupported"      # its loads are not proved, so nothing may stop them
    peer = program.struct("sock", {"__sk_common.skc_state": 10})
    program.run(ctx=[program.struct("sock", {"sk_mark": 5, "peer": peer}), 16], tier=tier)
    assert seen(program) == {"mark": 5, "state": 10, "num": 16}      # beyond the last peer there is nothing: zeros


@pytest.mark.parametrize("tier", TIERS)
def test_any_struct_of_the_programs_types(lab, programs, tier):
    program = lab.load(programs["through"])
    held = program.struct("sock", {"sk_mark": 6})
    program.run(ctx=[program.struct("request", {"tag": 3, "sk": held})], tier=tier)
    assert seen(program) == {"num": 3, "mark": 6}
    with pytest.raises(SpecError, match="has no type struct bio"):
        program.struct("bio", {})
    with pytest.raises(SpecError, match="struct request has no member 'sector'"):
        program.struct("request", {"sector": 3})


@pytest.mark.parametrize("tier", TIERS)
def test_past_the_end_of_a_struct_is_a_fault(lab, programs, tier):
    """Zeros are for where nothing is, not for a wrong offset."""
    program = lab.load(programs["follows"])
    small = program.struct("request", {"tag": 3})
    with pytest.raises(Fault, match="past the end of struct request"):
        program.run(ctx=[small, 1], tier=tier)


def test_an_address_of_64_bits(lab, programs):
    program = lab.load(programs["probes"])
    program.run(ctx={"di": 0xFFFF_8880_0000_0000})
    assert seen(program) == {}
