"""The backward slice: which steps matter for a rejection."""

from ebpflab.isa import Insn
from ebpflab.spec import ProgramSpec
from ebpflab.trace import klog
from ebpflab.trace.slice import backwards

TAIL = "processed 9 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n"


def slice_of(insns, log, **how):
    trace = klog.parse(log + TAIL, ProgramSpec(tuple(insns), type="socket_filter"), ok=False, by="k", errno=13)
    return backwards(trace, **how)


def shown(found):
    return [(link.step, link.role, link.cells) for link in found.links]


def test_a_value_is_followed_through_the_stack_and_a_check():
    found = slice_of(
        [Insn(0x85, imm=7), Insn(0x7B, 10, 0, -8), Insn(0xB7, 3, 0, 0, 5), Insn(0x79, 4, 10, -8),
         Insn(0x65, 4, 0, 1, 1), Insn(0xBF, 2, 3), Insn(0x0F, 5, 4)], """\
0: R1=ctx() R10=fp0
0: (85) call bpf_get_prandom_u32#7    ; R0=scalar()
1: (7b) *(u64 *)(r10 -8) = r0         ; R0=scalar(id=1) R10=fp0 fp-8=scalar(id=1)
2: (b7) r3 = 5                        ; R3=5
3: (79) r4 = *(u64 *)(r10 -8)         ; R4=scalar(id=1) R10=fp0 fp-8=scalar(id=1)
4: (65) if r4 s> 0x1 goto pc+1        ; R4=scalar(id=1,smax=1)
5: (bf) r2 = r3                       ; R2=5 R3=5
6: (0f) r5 += r4
R4 min value is negative, either use unsigned or 'var &= const'
""")
    assert found.needed == ("R4",) and found.never == ()
    assert shown(found) == [(0, "sets", ("R0",)), (1, "sets", ("fp-8",)), (3, "sets", ("R4",)),
                            (4, "checks", ("R4",)), (6, "fails", ("R4",))]


def test_what_was_never_set():
    found = slice_of([Insn(0xB7, 0), Insn(0x0F, 0, 3)], """\
0: R1=ctx() R10=fp0
0: (b7) r0 = 0                        ; R0=0
1: (0f) r0 += r3
R3 !read_ok
""")
    assert shown(found) == [(1, "fails", ("R3",))] and found.never == ("R3",)


def test_a_call_that_clobbered_it():
    found = slice_of([Insn(0xBF, 3, 1), Insn(0x85, imm=7), Insn(0x61, 0, 3)], """\
0: R1=ctx() R10=fp0
0: (bf) r3 = r1                       ; R1=ctx() R3=ctx()
1: (85) call bpf_get_prandom_u32#7    ; R0=scalar()
2: (61) r0 = *(u32 *)(r3 +0)
R3 !read_ok
""")
    assert shown(found) == [(1, "clobbers", ("R3",)), (2, "fails", ("R3",))]


def test_through_a_function_and_back():
    found = slice_of(
        [Insn(0xB7, 1, 0, 0, 9), Insn(0x85, 0, 1, 0, 2), Insn(0x0F, 6, 0), Insn(0x95), Insn(0xBF, 0, 1),
         Insn(0x95)], """\
0: R1=ctx() R10=fp0
0: (b7) r1 = 9                        ; R1=9
1: (85) call pc+2
caller:
 R10=fp0
callee:
 frame1: R1=9 R10=fp0
4: frame1: R1=9 R10=fp0
4: (bf) r0 = r1                       ; frame1: R0=9 R1=9
5: (95) exit
returning from callee:
 frame1: R0=9 R1=9 R10=fp0
to caller at 2:
 R0=9 R10=fp0

from 5 to 2: R0=9 R10=fp0
2: (0f) r6 += r0
R0 is wrong
""")
    assert shown(found) == [(0, "sets", ("R1",)), (1, "passes", ("R1",)), (2, "sets", ("R0",)), (3, "passes", ("R0",)),
                            (4, "fails", ("R0",))]


def test_other_cells_and_other_steps_can_be_asked_for():
    found = slice_of([Insn(0xB7, 3), Insn(0xB7, 4), Insn(0x0F, 3, 4)], """\
0: R1=ctx() R10=fp0
0: (b7) r3 = 0                        ; R3=0
1: (b7) r4 = 0                        ; R4=0
2: (0f) r3 += r4
R3 is wrong
""", root=2, cells=("R4",))
    assert shown(found) == [(1, "sets", ("R4",)), (2, "fails", ("R4",))]


def test_no_steps_no_slice():
    trace = klog.parse("unknown opcode ff\n" + TAIL, ProgramSpec((Insn(0xFF),)), ok=False, by="k")
    assert backwards(trace) is None
