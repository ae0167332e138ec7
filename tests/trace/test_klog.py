"""Verifier logs of four kernel ages, small and made by hand after each age's format."""

# ruff: noqa: E501 — logs have long lines

import pytest

from ebpflab.errors import EbpflabError
from ebpflab.isa import Insn
from ebpflab.spec import ProgramSpec
from ebpflab.trace import klog

# r2 = *(u32 *)(r1 +0); if r2 > 7 goto +2; r0 = r2; exit; r0 = 0; exit
SPEC = ProgramSpec((Insn(0x61, 2, 1), Insn(0x25, 2, 0, 2, 7), Insn(0xBF, 0, 2), Insn(0x95), Insn(0xB7, 0), Insn(0x95)),
                   type="socket_filter", name="small")

V5_10 = """\
func#0 @0
0: R1=ctx(id=0,off=0,imm=0) R10=fp0
; int small(struct __sk_buff *skb)
0: (61) r2 = *(u32 *)(r1 +0)
1: R1=ctx(id=0,off=0,imm=0) R2_w=inv(id=0,umax_value=4294967295,var_off=(0x0; 0xffffffff)) R10=fp0
1: (25) if r2 > 0x7 goto pc+2
 R1=ctx(id=0,off=0,imm=0) R2_w=inv(id=0,umax_value=7,var_off=(0x0; 0x7)) R10=fp0
2: R1=ctx(id=0,off=0,imm=0) R2_w=inv(id=0,umax_value=7,var_off=(0x0; 0x7)) R10=fp0
2: (bf) r0 = r2
3: R0_w=inv(id=1,umax_value=7,var_off=(0x0; 0x7)) R1=ctx(id=0,off=0,imm=0) R2_w=inv(id=1,umax_value=7,var_off=(0x0; 0x7)) R10=fp0
3: (95) exit
4: R1=ctx(id=0,off=0,imm=0) R2_w=inv(id=0,umin_value=8,umax_value=4294967295,var_off=(0x0; 0xffffffff)) R10=fp0
4: (b7) r0 = 0
5: R0_w=invP0 R1=ctx(id=0,off=0,imm=0) R2_w=inv(id=0,umin_value=8,umax_value=4294967295,var_off=(0x0; 0xffffffff)) R10=fp0
5: (95) exit
processed 6 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
V6_1 = """\
func#0 @0
0: R1=ctx(off=0,imm=0) R10=fp0
; int small(struct __sk_buff *skb)
0: (61) r2 = *(u32 *)(r1 +0)          ; R1=ctx(off=0,imm=0) R2_w=scalar(umax=4294967295,var_off=(0x0; 0xffffffff))
1: (25) if r2 > 0x7 goto pc+2         ; R2_w=scalar(umax=7,var_off=(0x0; 0x7))
2: (bf) r0 = r2                       ; R0_w=scalar(id=1,umax=7,var_off=(0x0; 0x7)) R2_w=scalar(id=1,umax=7,var_off=(0x0; 0x7))
3: (95) exit

from 1 to 4: R1=ctx(off=0,imm=0) R2_w=scalar(umin=8,umax=4294967295,var_off=(0x0; 0xffffffff)) R10=fp0
4: (b7) r0 = 0                        ; R0_w=P0
5: (95) exit
verification time 94 usec
stack depth 0
processed 6 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
V6_12 = """\
func#0 @0
0: R1=ctx() R10=fp0
; int small(struct __sk_buff *skb) @ small.bpf.c:7
0: (61) r2 = *(u32 *)(r1 +0)          ; R1=ctx() R2_w=scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff))
1: (25) if r2 > 0x7 goto pc+2         ; R2_w=scalar(smin=smin32=0,smax=umax=smax32=umax32=7,var_off=(0x0; 0x7))
; return skb->len; @ small.bpf.c:9
2: (bf) r0 = r2                       ; R0_w=scalar(id=1,smin=smin32=0,smax=umax=smax32=umax32=7,var_off=(0x0; 0x7)) R2_w=scalar(id=1,smin=smin32=0,smax=umax=smax32=umax32=7,var_off=(0x0; 0x7))
3: (95) exit

from 1 to 4: R1=ctx() R2_w=scalar(smin=umin=umin32=8,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff)) R10=fp0
4: R1=ctx() R2_w=scalar(smin=umin=umin32=8,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff)) R10=fp0
4: (b7) r0 = 0                        ; R0_w=P0
5: (95) exit
processed 6 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 1
"""
V6_18 = V6_12.replace("_w=", "=").replace("func#0 @0\n", """\
func#0 @0
Live regs before insn:
      0: .1........ (61) r2 = *(u32 *)(r1 +0)
      1: ..2....... (25) if r2 > 0x7 goto pc+2
      2: ..2....... (bf) r0 = r2
      3: 0......... (95) exit
      4: .......... (b7) r0 = 0
      5: 0......... (95) exit
""")
AGES = {"5.10": V5_10, "6.1": V6_1, "6.12": V6_12, "6.18": V6_18}


@pytest.mark.parametrize("age", AGES)
def test_all_ages_say_the_same(age):
    trace = klog.parse(AGES[age], SPEC, ok=True, by=f"Linux {age}")
    assert trace.ok and trace.verdict.by == f"Linux {age}" and not trace.truncated
    assert [s.pc for s in trace.steps] == [0, 1, 2, 3, 4, 5]
    assert [s.parent for s in trace.steps] == [None, 0, 1, 2, 1, 4]
    assert [s.branch for s in trace.steps] == ["", "", "fall", "", "taken", ""]
    assert trace.verdict.stats.processed == 6
    loaded = trace.steps[0].after.frame.regs[2]
    assert (loaded.type, loaded.umin, loaded.umax, loaded.mask) == ("scalar", 0, 0xFFFFFFFF, 0xFFFFFFFF)
    assert (loaded.smin, loaded.smax, loaded.s32_min, loaded.s32_max) == (0, 0xFFFFFFFF, -1 << 31, (1 << 31) - 1)
    narrow = trace.steps[1].after.frame.regs[2]
    assert (narrow.smin, narrow.smax, narrow.u32_max, narrow.s32_min, narrow.s32_max) == (0, 7, 7, 0, 7)
    other = trace.steps[4].before.frame.regs[2]
    assert (other.umin, other.smin, other.u32_min, other.smax) == (8, 8, 8, 0xFFFFFFFF)
    last = trace.steps[-1].after.frame
    assert last.regs[0].const == 0 and last.regs[0].precise
    assert last.regs[10].text == "fp0" and last.regs[1].type == "ctx"
    assert "R0" in trace.steps[2].changed


def test_source_lines_come_from_the_log_or_else_from_the_spec():
    with_file = klog.parse(V6_18, SPEC, ok=True, by="k").steps[2].source
    assert (with_file.file, with_file.line, with_file.text) == ("small.bpf.c", 9, "return skb->len;")
    assert klog.parse(V6_1, SPEC, ok=True, by="k").steps[2].source.text == "int small(struct __sk_buff *skb)"


def test_log_level_1_of_5_10_knows_only_what_it_says():
    level1 = "\n".join(line for line in V5_10.splitlines() if ": R" not in line).replace(
        "3: (95) exit", "3: (95) exit\n\nfrom 1 to 4: R1=ctx(id=0,off=0,imm=0) R10=fp0")
    trace = klog.parse(level1, SPEC, ok=True, by="Linux 5.10")
    assert [s.parent for s in trace.steps] == [None, 0, 1, 2, 1, 4]
    assert 2 not in trace.steps[0].after.frame.regs
    assert trace.steps[1].after.frame.regs[2].umax == 7


def test_rejection_names_step_and_lines():
    log = """\
0: R1=ctx() R10=fp0
0: (61) r2 = *(u32 *)(r1 +0)          ; R1=ctx() R2=pkt(r=0)
1: (71) r0 = *(u8 *)(r2 +0)
invalid access to packet, off=0 size=1, R2(id=0,off=0,r=0)
R2 offset is outside of the packet
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
    trace = klog.parse(log, SPEC, ok=False, by="k", errno=13)
    verdict = trace.verdict
    assert (verdict.result, verdict.pc, verdict.errno) == ("reject", 1, 13)
    assert verdict.error == "R2 offset is outside of the packet" and len(verdict.error_lines) == 2
    last = trace.steps[-1]
    assert last.kind == "rejected" and last.after is last.before


def test_early_errors_have_no_steps():
    log = "unreachable insn 4\nprocessed 0 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0" \
          " mark_read 0\n"
    verdict = klog.parse(log, SPEC, ok=False, by="k", errno=22).verdict
    assert (verdict.pc, verdict.error) == (4, "unreachable insn 4")


def test_pruned_paths_are_steps_of_their_own():
    log = """\
0: R1=ctx() R10=fp0
0: (85) call bpf_get_prandom_u32#7    ; R0=scalar()
1: (15) if r0 == 0x1 goto pc+1        ; R0=scalar()
2: (05) goto pc+0
3: (95) exit

from 1 to 3: safe
processed 5 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 0
"""
    trace = klog.parse(log, SPEC, ok=True, by="k")
    last = trace.steps[-1]
    assert (last.pc, last.kind, last.parent, last.branch) == (3, "pruned", 1, "taken")


def test_a_call_pushes_a_frame_and_return_pops_it():
    log = """\
0: R1=ctx() R10=fp0
0: (b7) r6 = 4                        ; R6=4
1: (85) call pc+1
caller:
 R6=4 R10=fp0
callee:
 frame1: R1=ctx() R10=fp0
3: frame1: R1=ctx() R10=fp0
3: (b7) r0 = 1                        ; frame1: R0=1
4: (95) exit
returning from callee:
 frame1: R0=1 R1=ctx() R10=fp0
to caller at 2:
 R0=1 R6=4 R10=fp0

from 4 to 2: R0=1 R6=4 R10=fp0
2: (95) exit
processed 5 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
    trace = klog.parse(log, SPEC, ok=True, by="k")
    assert [len(s.before.frames) for s in trace.steps] == [1, 1, 2, 2, 1]
    assert [s.parent for s in trace.steps] == [None, 0, 1, 2, 3]
    inner = trace.steps[2].after
    assert inner.frame.number == 1 and inner.frames[0].regs[6].const == 4 and inner.frame.regs[0].const == 1


def test_what_the_log_leaves_unsaid():
    """A null check settles the copy too, a call clobbers r1–r5, a packet check extends every copy."""
    log = """\
0: R1=ctx() R2=pkt(r=0) R3=pkt_end() R10=fp0
0: (85) call bpf_map_lookup_elem#1    ; R0=map_value_or_null(id=1,map=m,ks=4,vs=8)
1: (bf) r6 = r0                       ; R0=map_value_or_null(id=1,map=m,ks=4,vs=8) R6=map_value_or_null(id=1,map=m,ks=4,vs=8)
2: (15) if r0 == 0x0 goto pc+1        ; R0=map_value(map=m,ks=4,vs=8)
3: (61) r7 = *(u32 *)(r9 +0)          ; R7=pkt(r=0)
4: (bf) r8 = r7                       ; R7=pkt(r=0) R8=pkt(r=0)
5: (07) r8 += 14                      ; R8=pkt(off=14,r=0)
6: (2d) if r8 > r9 goto pc+1          ; R8=pkt(off=14,r=14) R9=pkt_end()
7: (95) exit
"""
    steps = klog.parse(log, SPEC, ok=True, by="k").steps
    assert not {1, 2, 3} & set(steps[0].after.frame.regs)
    assert steps[2].after.frame.regs[6].text == "map_value(map=m,ks=4,vs=8)"
    assert steps[6].after.frame.regs[7].text == "pkt(r=14)" and steps[6].after.frame.regs[7].range == 14


def test_no_log_at_all():
    trace = klog.parse("", SPEC, ok=True, by="k")
    assert trace.ok and not trace.steps and not trace.truncated


def test_a_cut_log_is_said_to_be_cut():
    assert klog.parse(V6_18[:900], SPEC, ok=True, by="k").truncated


@pytest.mark.parametrize("value", ["scalar(id=)", "scalar(id=x+1)", "scalar(umax=)", "ctx(off=1=)"])
def test_values_that_no_kernel_spells_are_refused(value):
    with pytest.raises(EbpflabError, match="no verifier log that ebpflab knows"):
        klog.parse(f"0: R1={value} R10=fp0\n0: (95) exit\n", SPEC, ok=True, by="k")


def test_an_endless_loop_of_one_instruction_is_entered_twice():
    log = ("0: R1=ctx() R10=fp0\n0: (b7) r0 = 0 ; R0=0\n1: (e5) may_goto pc-1\ninfinite loop detected at insn 1\n"
           "cur state: R0=0 R1=ctx() R10=fp0\nold state: R0_w=0 R1=ctx() R10=fp0\n"
           "processed 3 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 0\n")
    trace = klog.parse(log, SPEC, ok=False, by="k")
    assert [(step.pc, step.kind) for step in trace.steps] == [(0, "insn"), (1, "insn"), (1, "rejected")]


def test_text_of_another_kind_is_refused():
    with pytest.raises(EbpflabError, match="no verifier log"):
        klog.parse("0: R1=ctx(size=zz) R10=fp0\n0: (95) exit\n".replace("size=zz", "off=zz"), SPEC, ok=True, by="k")


def test_every_line_is_kept_or_understood():
    reader = klog.Reader(V6_18.replace("3: (95) exit", "3: (95) exit\nwhat is this\n4: (b7) r0 = 0"), SPEC)
    reader.read()
    assert reader.unknown == ["what is this"]
    assert any("what is this" in step.notes for step in reader.walk.steps)
