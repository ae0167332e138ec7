"""Witnesses: what is reported happens when the program is run on that input, and what cannot happen is not reported."""

import json
import struct

import pytest

from ebpflab.asm import assemble
from ebpflab.errors import Fault
from ebpflab.explain import challenge, explain, solve, witness
from ebpflab.explain.catalogue import entries, entry
from ebpflab.sim.contexts import ETH_HLEN
from ebpflab.targets.sim import SimTarget
from ebpflab.trace import Trace, Verdict
from ebpflab.verify import verify

GUARDED = """
.type xdp
.map limits hash u32 u64 4
r2 = *(u32 *)(r1 + 0)
r3 = *(u32 *)(r1 + 4)
r4 = r2
r4 += 34
if r4 > r3 goto out
r5 = *(u16 *)(r2 + 12)
if r5 != 0x0008 goto out        // IPv4
r5 = *(u8 *)(r2 + 23)
if r5 != 17 goto out            // UDP
r6 = *(u8 *)(r2 + 14)
r6 &= 15
r6 <<= 2                        // length of the IP header
r2 += r6
r0 = *(u16 *)(r2 + 16)          // destination port, if there is one
out:
r0 = 2
exit
"""
SAFE_BUT_REJECTED = """
.type socket_filter
.map m hash u32 bytes[64] 1
*(u32 *)(r10 - 4) = 0
r2 = r10
r2 += -4
r1 = m ll
call bpf_map_lookup_elem
if r0 == 0 goto out
r1 = *(u64 *)(r0 + 0)
r2 = r1
r2 *= r1                        // a square is 0 or 1 modulo 4: bit 1 is never set
r2 &= 2
r2 <<= 5
r0 += r2
r0 = *(u8 *)(r0 + 32)
out:
r0 = 0
exit
"""


def search(text: str, **options):
    spec = assemble(text)
    return spec, witness(spec, verify(spec), **options)


def replay(spec, found):
    """Run it again, by the simulator as everybody uses it."""
    with SimTarget(cpus=1) as target, target.load(spec, unsafe=True) as program:
        for name, key, value in found.maps:
            program.maps[name].update(key, value)
        return program.run(found.packet, tier="interpreter")


@pytest.fixture(params=["z3", "search"])
def prover(request, monkeypatch):
    if request.param == "z3":
        pytest.importorskip("z3")
    else:
        monkeypatch.setattr(solve, "prover", lambda: None)
    return request.param


def test_a_packet_is_found_through_three_checks(prover):
    spec, found = search(GUARDED, seconds=20)
    assert found, found
    assert found.packet[12:14] == b"\x08\x00" and found.packet[23] == 17
    assert len(found.packet) >= 34
    assert 16 + 4 * (found.packet[14] & 15) + 2 > len(found.packet)
    assert found.pc == 13
    with pytest.raises(Fault) as caught:
        replay(spec, found)
    assert caught.value.pc == found.pc
    assert "past the end of packet" in found.what


def test_the_contents_of_a_map_are_found(prover):
    spec, found = search(entry("arith-unbounded").program, seconds=20)
    assert found, found
    (name, key, value), = found.maps
    assert (name, key) == ("m", bytes(4))
    assert int.from_bytes(value[:8], "little") > 63
    with pytest.raises(Fault):
        replay(spec, found)


def test_an_entry_of_a_hash_map_is_put_there():
    spec, found = search("""
    .type socket_filter
    .map m hash u32 u32 4
    *(u32 *)(r10 - 4) = 7
    r2 = r10
    r2 += -4
    r1 = m ll
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    r1 = *(u32 *)(r0 + 0)
    if r1 != 0x1234 goto out
    r0 = *(u32 *)(r0 + 4)
    out:
    r0 = 0
    exit
    """)
    assert found.maps == (("m", b"\x07\0\0\0", b"\x34\x12\0\0"),)
    with pytest.raises(Fault):
        replay(spec, found)


def test_a_helper_s_result_is_found(prover):
    _, found = search("""
    .type socket_filter
    call bpf_get_prandom_u32
    if r0 < 100 goto out
    if r0 > 110 goto out
    r1 = r10
    r1 += r0
    r0 = *(u8 *)(r1 - 105)
    out:
    r0 = 0
    exit
    """, seconds=20)
    assert found, found
    (pc, helper, value), = found.results
    assert (pc, helper) == (0, "get_prandom_u32")
    assert 105 <= value <= 110


def test_a_context_field_is_found():
    _, found = search(entry("offset-negative").program)
    assert dict(found.context)["mark"] >= 1 << 31


def test_what_cannot_happen_is_proved():
    pytest.importorskip("z3")
    spec, found = search(SAFE_BUT_REJECTED, seconds=30)
    assert verify(spec).verdict.result == "reject"
    assert not found
    assert found.proved, found
    assert "too weak" in found.why


def test_without_a_prover_nothing_is_called_proved(monkeypatch):
    monkeypatch.setattr(solve, "prover", lambda: None)
    _, found = search(SAFE_BUT_REJECTED, seconds=1)
    assert not found
    assert not found.proved
    assert "or the bound too small" in found.why


def test_nothing_is_proved_past_a_helper_that_has_no_model():
    pytest.importorskip("z3")
    _, found = search(SAFE_BUT_REJECTED.replace("r1 = *(u64 *)(r0 + 0)", "r6 = r0\ncall bpf_get_numa_node_id\n"
                                                "r1 = *(u64 *)(r6 + 0)\nr0 = r6"), seconds=5)
    assert not found
    assert not found.proved


@pytest.mark.parametrize("type, start", [("xdp", 0), ("cgroup_skb", 76)])
def test_packets_are_never_shorter_than_an_ethernet_header(type, start):
    """One byte, unchecked: an XDP program always has 14, a program that starts at the IP header may have none."""
    _, found = search(f".type {type}\nr2 = *(u32 *)(r1 + {start})\nr0 = *(u8 *)(r2 + 0)\nr0 = 1\nexit")
    assert bool(found) == (type == "cgroup_skb")
    if found:
        assert len(found.packet) == ETH_HLEN


def test_metadata_in_front_of_a_packet_is_tried():
    """Only a frame with metadata comes to the access."""
    spec, found = search("""
.type xdp
r2 = *(u32 *)(r1 + 8)
r3 = *(u32 *)(r1 + 0)
r0 = 2
r4 = r2
r4 += 4
if r4 > r3 goto out
r0 = *(u8 *)(r3 + 100)
out:
exit
""")
    assert found and found.pc == 6 and found.context == (("bytes of metadata", 8),)
    meta, data = 8, found.packet
    with SimTarget(cpus=1) as target, target.load(spec, unsafe=True) as program, pytest.raises(Fault) as caught:
        program.run(bytes(meta) + data, ctx=struct.pack("<II", meta, meta + len(data)), tier="interpreter")
    assert caught.value.pc == found.pc


def test_unset_registers_loops_results_and_references():
    for id, said in {"register-unset": "r2 is read, and nothing was written to it",
                     "loop-infinite": "instructions the program has not ended",
                     "return-range": "the result is 2, and it must be in [0, 1]",
                     "reference-leak": "still holds what instruction 4 acquired"}.items():
        _, found = search(entry(id).program)
        assert found and said in found.what, id


def test_stack_bytes_that_nobody_wrote_under_an_old_kernel_s_rule():
    spec = assemble(".type socket_filter\nr0 = *(u64 *)(r10 - 16)\nr0 = 0\nexit")
    line = "invalid read from stack off -16+0 size 8"
    old = Trace(spec, Verdict("reject", "Linux 6.1", line, (line,)), tuple(verify(spec).steps))
    assert witness(spec, old).what == "the stack at r10-16 is read, and nothing was written to it"


def test_an_accepted_program_and_rules_that_no_run_can_show():
    assert "was not rejected" in search("r0 = 2\nexit")[1].why
    assert "program's text" in search(entry("flow-unreachable").program)[1].why
    found = search(entry("map-read-only").program)[1]
    assert not found and "a run in the simulator cannot show it" in found.why
    assert json.loads(json.dumps(found.to_dict()))["found"] is False


def test_what_is_refused_before_the_walk_may_lie_where_no_run_comes():
    found = search("r0 = 2\nexit\ncall f\nexit\nf:\nr0 = 1")[1]
    assert not found and "refused before any path was followed" in found.why


@pytest.mark.parametrize("each", [each for each in entries() if each.trigger and each.flow and each.harm],
                         ids=lambda e: e.id)
def test_every_entry_gives_a_witness_or_a_reason(each):
    spec = assemble(each.program)
    found = witness(spec, verify(spec), seconds=5)
    assert found.to_dict() == json.loads(json.dumps(found.to_dict()))
    assert str(found)
    if found and not found.context and not found.results and "not ended" not in found.what and found.regs:
        with pytest.raises(Fault) as caught:
            replay(spec, found)
        assert caught.value.pc == found.pc


def test_witness_and_explanation_speak_of_the_same_place():
    spec, found = search(GUARDED)
    assert explain(spec).pc == found.pc
    assert f"at instruction {found.pc}" in str(found)
    assert f"{len(found.packet)} bytes" in str(found)


def test_programs_that_were_accepted_can_be_challenged():
    found = challenge(assemble("r0 = 2\nexit"), seconds=1)
    assert not found and "ended without a fault" in found.why
    found = challenge(assemble(GUARDED), seconds=10)
    assert found and found.pc == 13
