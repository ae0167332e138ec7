"""Traces written as JSON and read again."""

import json
from dataclasses import replace

import pytest

from ebpflab.errors import EbpflabError
from ebpflab.isa import Insn
from ebpflab.spec import ProgramSpec, SourceLine, map_spec
from ebpflab.trace import Trace, klog
from ebpflab.trace.codec import from_json, to_json

from .test_klog import AGES, SPEC


def same(a: Trace, b: Trace) -> None:
    assert a.program == b.program and a.verdict == b.verdict and a.truncated == b.truncated
    assert len(a.steps) == len(b.steps)
    for x, y in zip(a.steps, b.steps, strict=True):
        assert x == y


@pytest.mark.parametrize("age", AGES)
def test_round_trip(age):
    trace = klog.parse(AGES[age], SPEC, ok=True, by=f"Linux {age}")
    again = from_json(to_json(trace))
    same(trace, again)
    assert again.log == trace.log
    assert from_json(to_json(trace, log=False)).log == ""


def test_program_with_everything_on_it():
    inner = map_spec("inner", "array", "u32", "u64", 4)
    spec = ProgramSpec(
        (Insn(0xB7), Insn(0x95)), type="sched_cls", name="full", license="MIT", labels={0: "start"},
        lines={1: SourceLine("a.c", 3, 2, "return 0;")}, functions={0: "full"}, source="r0 = 0\nexit", btf=b"\x9f\xeb",
        maps=(map_spec("flows", "hash", "struct { ipv4 src; be16 port; }", "struct { u64 packets; u64 bytes; }", 16),
              map_spec("outer", "array_of_maps", "u32", "u32", 2, inner=inner)))
    trace = klog.parse(AGES["6.18"], spec, ok=True, by="k")
    same(trace, from_json(to_json(trace)))


def test_frames_references_and_rejection():
    log = """\
0: R1=ctx() R10=fp0
0: (85) call bpf_ringbuf_reserve#131  ; R0=ringbuf_mem_or_null(id=2,ref_obj_id=2,sz=8) refs=2
1: (85) call pc+1
caller:
 R10=fp0 refs=2
callee:
 frame1: R1=ctx() R10=fp0 refs=2
3: frame1: R1=ctx() R10=fp0 refs=2
3: (7b) *(u64 *)(r10 -8) = r1         ; frame1: R1=ctx() R10=fp0 fp-8=ctx() refs=2
4: (63) *(u32 *)(r10 -16) = r1
invalid write to stack R10 off=-16 size=4
processed 4 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
    trace = klog.parse(log, SPEC, ok=False, by="k", errno=13)
    again = from_json(to_json(trace))
    same(trace, again)
    assert again.steps[2].after.refs == (2,) and again.steps[2].after.frame.stack[-8].text == "ctx()"


def test_values_whose_text_does_not_say_all_are_kept():
    trace = klog.parse(AGES["6.1"], SPEC, ok=True, by="k")
    odd = replace(trace.steps[0].after.frame.regs[2], text="my own words", umax=5)
    frame = replace(trace.steps[0].after.frame, regs={**trace.steps[0].after.frame.regs, 2: odd})
    steps = (replace(trace.steps[0], after=replace(trace.steps[0].after, frames=(frame,))), *trace.steps[1:])
    same(replace(trace, steps=steps), from_json(to_json(replace(trace, steps=steps))))


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"format": "ebpflab trace 1"}', "\x00\xff"])
def test_anything_else_is_refused(text):
    with pytest.raises(EbpflabError):
        from_json(text)


def test_a_damaged_file_is_refused_in_one_sentence():
    data = json.loads(to_json(klog.parse(AGES["6.18"], SPEC, ok=True, by="k")))
    for key in ("values", "states", "steps"):
        with pytest.raises(EbpflabError, match=r"cannot be read"):
            from_json(json.dumps({**data, key: data[key][:1]}))
    with pytest.raises(EbpflabError, match="nothing that a trace holds"):
        from_json(json.dumps({**data, "program": {"is": "Popen", "args": "x"}}))
