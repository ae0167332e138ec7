"""Contexts by the names of their members, and tracepoints by their format."""

import struct

import pytest

from ebpflab.abi.records import context, fill, tracepoint
from ebpflab.abi.structs import STRUCTS
from ebpflab.asm import assemble
from ebpflab.errors import SpecError
from ebpflab.sim import Machine, packets
from tests.sim.conftest import TIERS

FORMAT = """name: sched_process_exec
ID: 311
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:__data_loc char[] filename;\toffset:8;\tsize:4;\tsigned:0;
\tfield:pid_t pid;\toffset:12;\tsize:4;\tsigned:1;
\tfield:char comm[16];\toffset:16;\tsize:16;\tsigned:0;
\tfield:unsigned long args[2];\toffset:32;\tsize:16;\tsigned:0;

print fmt: "filename=%s pid=%d", __get_str(filename), REC->pid
"""


def test_members_by_name():
    regs = context("kprobe", {"di": 7, "ip": 0xFFFF_FFFF_8100_0000, "ax": -1})
    shape = STRUCTS["pt_regs"]
    for name, value in (("di", 7), ("ip", 0xFFFF_FFFF_8100_0000), ("ax", (1 << 64) - 1), ("si", 0)):
        member = shape.member(name)
        assert int.from_bytes(regs[member.offset:member.end], "little") == value
    ops = context("sock_ops", {"op": "BPF_SOCK_OPS_TCP_CONNECT_CB", "local_ip4": "10.0.0.1", "family": "AF_INET"})
    member = STRUCTS["bpf_sock_ops"].member
    assert ops[member("op").offset] == 3 and ops[member("local_ip4").offset:member("local_ip4").end] == b"\x0a\0\0\1"
    six = fill(STRUCTS["bpf_sock_ops"], {"remote_ip6": "fd00::2"})
    assert six[member("remote_ip6").offset:member("remote_ip6").end] == b"\xfd" + bytes(14) + b"\2"
    assert context("xdp", b"abc") == b"abc"


@pytest.mark.parametrize(("type_", "given", "says"), [
    ("kprobe", {"orig": 1}, "its members: orig_ax"), ("cgroup_device", {"major": 1 << 32}, "does not fit into 4 bytes"),
    ("sched_cls", {"cb": [1] * 6}, "5 elements, not 6"), ("sock_ops", {"op": "BPF_SOCK_OPS_TCP_CONNECT"}, "_CB"),
    ("sched_cls", {"cb": bytes(21)}, "20 bytes, not 21"), ("tracepoint", {"x": 1}, "no members with names"),
])
def test_what_is_refused(type_, given, says):
    with pytest.raises(SpecError) as caught:
        context(type_, given)
    assert says in str(caught.value)


@pytest.mark.parametrize("tier", TIERS)
def test_programs_read_them(tier):
    cases = [("kprobe", {"di": 7}, "r0 = *(u64 *)(r1 + 112)\nexit", 7),
             ("perf_event", {"addr": 9}, "r0 = *(u64 *)(r1 + 176)\nexit", 9),
             ("cgroup_device", {"major": 1, "minor": 3}, "r0 = *(u32 *)(r1 + 8)\nexit", 3),
             ("cgroup_sock", {"mark": 5}, "r0 = *(u32 *)(r1 + 16)\nexit", 5),
             ("sock_ops", {"args": [4, 6]}, "r0 = *(u32 *)(r1 + 8)\nexit", 6)]
    for type_, given, text, answer in cases:
        program = Machine().load(assemble(text, type=type_))
        assert program.run(ctx=given, tier=tier).retval == answer, type_
    program = Machine().load(assemble("r0 = *(u32 *)(r1 + 8)\nexit", type="sched_cls"))
    assert program.run(packets.udp(), ctx={"mark": 77}, tier=tier).retval == 77


def test_a_tracepoint_by_its_format():
    event = tracepoint(FORMAT)
    assert (event.name, event.id, event.struct.size, event.dynamic) == ("sched_process_exec", 311, 48, {"filename"})
    record = event.record(filename="/bin/true", pid=-1, comm="a name that is too long", args=[5, 6])
    kind, place, pid = struct.unpack_from("<HxxxxxxIi", record)
    assert (kind, pid, place & 0xFFFF, place >> 16) == (311, -1, 48, 10)
    assert record[48:] == b"/bin/true\0" and record[16:32] == b"a name that is \0"
    assert struct.unpack_from("<2Q", record, 32) == (5, 6)
    program = Machine().load(assemble("r0 = *(u64 *)(r1 + 40)\nexit", type="tracepoint"))
    assert program.run(ctx=record).retval == 6
    with pytest.raises(SpecError, match="no member"):
        event.record(nothing=1)
    with pytest.raises(SpecError, match="no description"):
        tracepoint("hello")
