"""Explanations: numbers of this very program, the chain of proof, text and plain data; ours and a kernel's alike."""

import json

import pytest

from ebpflab.asm import assemble
from ebpflab.errors import SpecError
from ebpflab.explain import explain
from ebpflab.explain.catalogue import entries, entry
from ebpflab.trace import Trace, Verdict, klog
from ebpflab.verify import verify

LOOKUP = """
.type socket_filter
.map counts array u32 bytes[48] 1
r6 = *(u32 *)(r1 + 0)
*(u32 *)(r10 - 4) = 0
r2 = r10
r2 += -4
r1 = counts ll
call bpf_map_lookup_elem
if r0 == 0 goto out
if r6 > 47 goto out
r0 += r6
r0 = *(u64 *)(r0 + 0)
out:
r0 = 0
exit
"""


def said(text: str, *lines: str) -> Trace:
    """The trace of a program with another verdict: these last lines."""
    trace = verify(assemble(text))
    return Trace(trace.program, Verdict("reject", "a kernel", lines[-1], lines), tuple(trace.steps))


def test_numbers_registers_and_the_fix_are_those_of_the_program():
    found = explain(LOOKUP)
    assert found.id == "value-range"
    assert found.pc == 10
    assert found.sentence == ("The access of 8 bytes through R0 can reach offset 47 of map counts's value, "
                              "which has 48 bytes.")
    assert (found.need.allowed, found.need.known, found.need.size) == ((0, 40), (0, 47), 8)
    assert "if r6 > 40 goto out" in found.asm and "r0 += r6" in found.asm
    assert "if (i > 40)" in found.c
    assert found.lesson == "bounds"


def test_the_fix_in_assembly_is_one():
    fixed = LOOKUP.replace("if r6 > 47 goto out", explain(LOOKUP).asm.splitlines()[0].split("//")[0])
    assert verify(assemble(fixed)).ok


@pytest.mark.parametrize(("addition", "number"), [("r0 += r6", 6), ("r6 += r0", 6)])
def test_the_fix_bounds_the_number_that_is_added(addition, number):
    found = explain(LOOKUP.replace("if r6 > 47 goto out\nr0 += r6", f"r6 = *(u64 *)(r0 + 0)\n{addition}"))
    assert found.id == "arith-unbounded" and found.asm.startswith(f"if r{number} > 63 goto out")
    assert found.asm.endswith(addition)


def test_the_packet_fix_names_the_register_with_the_end():
    broken = """
    r2 = *(u32 *)(r1 + 0)
    r7 = *(u32 *)(r1 + 4)
    r0 = *(u8 *)(r2 + 23)
    out:
    r0 = 2
    exit
    """
    found = explain(broken)
    assert found.id == "packet-range"
    assert (found.need.allowed, found.need.known) == ((0, -1), (23, 23))
    fix = "\n".join(line.split("//")[0] for line in found.asm.splitlines())
    assert "if r5 > r7 goto out" in fix
    assert verify(assemble(broken.replace("r0 = *(u8", fix + "\nr0 = *(u8"))).ok


def test_the_chain_says_where_it_was_born_learned_lost_and_needed():
    links = explain(LOOKUP).chain
    assert [(link.pc, link.role) for link in links if "R6" in link.cells or "R0" in link.cells] == [
        (0, "born"), (6, "derived"), (8, "learned"), (9, "lost"), (10, "needed")]
    assert links[-1].text == "R0 holds value of map counts + (0 to 47)"
    assert all(trace_step.pc == link.pc for link in links
               for trace_step in [verify(assemble(LOOKUP)).steps[link.step]])


def test_a_register_that_a_call_destroyed():
    found = explain("r6 = r1\nr2 = 5\ncall bpf_get_prandom_u32\nr0 = r2\nexit")
    assert found.id == "register-unset"
    assert [(link.pc, link.role) for link in found.chain] == [(2, "lost"), (3, "needed")]
    assert "cannot be read any more after the call" in found.chain[0].text


def test_a_register_that_nobody_wrote():
    found = explain("r0 = r3\nexit")
    assert [(link.step, link.role) for link in found.chain] == [(None, "never"), (0, "needed")]


def test_a_pointer_that_became_a_number():
    found = explain("""
    r6 = r1
    r7 = *(u32 *)(r1 + 0)
    r8 = *(u32 *)(r1 + 4)
    r2 = 4
    call bpf_xdp_adjust_head
    r0 = *(u8 *)(r7 + 0)
    exit
    """)
    assert found.id == "scalar-access"
    assert [(link.pc, link.role) for link in found.chain] == [(1, "born"), (4, "lost"), (5, "needed")]


def test_a_reference_is_followed_from_where_it_was_acquired():
    found = explain(entry("reference-leak").program)
    assert [(link.pc, link.role) for link in found.chain] == [(4, "born"), (6, "needed")]
    assert "instruction 4 acquired" in found.sentence


@pytest.mark.kernel
@pytest.mark.parametrize("id", ["value-range", "packet-range", "size-unbounded", "return-range", "offset-negative",
                                "register-unset", "null-access", "stack-variable", "reference-leak"])
def test_a_kernel_s_log_is_explained_as_our_trace_is(local, id):
    spec = assemble(entry(id).program)
    ours, kernel = explain(verify(spec)), explain(local.verify(spec))
    assert kernel.by.startswith("Linux")
    assert (kernel.id, kernel.sentence, kernel.need, kernel.asm, kernel.c) \
        == (ours.id, ours.sentence, ours.need, ours.asm, ours.c)
    assert [(link.pc, link.role, link.text) for link in kernel.chain] \
        == [(link.pc, link.role, link.text) for link in ours.chain]


def test_an_old_kernel_s_words():
    log = "0: R1=ctx(id=0,off=0,imm=0) R10=fp0\n0: (b7) r0 = 2\n1: R0_w=inv2 R1=ctx(id=0,off=0,imm=0) R10=fp0\n" \
          "1: (95) exit\nAt program exit the register R0 has value (0x2; 0x0) should have been in (0x0; 0x1)\n" \
          "processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n"
    spec = assemble(".type cgroup_skb\nr0 = 2\nexit")
    found = explain(klog.parse(log, spec, ok=False, by="Linux 5.10"))
    assert found.id == "return-range"
    assert found.by == "Linux 5.10"


def test_the_cause_of_a_failed_call_of_a_global_function():
    found = explain(said("r0 = r3\nexit", "invalid read from stack R1 off=-8 size=16",
                         "Caller passes invalid args into func#1 ('foo')"))
    assert found.id == "function-arguments"
    assert found.cause.id == "stack-read-range"
    assert "which argument" in str(found)


@pytest.mark.parametrize("each", [each for each in entries() if each.trigger and each.flow], ids=lambda e: e.id)
def test_text_and_plain_data_of_every_entry(each):
    found = explain(each.program)
    if found.verdict == "unsupported":
        assert "says neither yes nor no" in found.sentence
        return
    text, data = str(found), found.to_dict()
    assert data == json.loads(json.dumps(data))
    for part in (found.message[-1], found.need.needs):
        assert part in text
    assert each.id in text
    assert max(map(len, text.splitlines())) < 140
    assert "$" not in found.sentence + found.need.needs + found.need.has + found.asm
    for text_, source in ((found.sentence, each.says), (found.need.needs, each.needs), (found.need.has, each.known)):
        assert text_.count("…") == source.count("…"), text_


def test_what_needs_no_explanation_and_what_has_none():
    assert explain("r0 = 2\nexit").sentence == "Every path was followed to its end and is safe."
    with pytest.raises(SpecError, match="int cannot be explained"):
        explain(5)
    found = explain(said("r0 = r3\nexit", "never heard of"))
    assert found.entry is None and found.id == ""
    assert found.sentence == "The verifier said: never heard of"
    assert found.chain
    assert "never heard of" in str(found)


def test_a_rejected_program_object_is_explained():
    import ebpflab

    with ebpflab.load("r0 = r3\nexit") as program:
        assert explain(program).id == "register-unset"
