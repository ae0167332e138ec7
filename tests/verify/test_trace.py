"""The trace itself: made lazily, whole in every case, and never a verdict on what is not modelled."""

import signal
import struct
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpflab.isa import Insn
from ebpflab.spec import ProgramSpec
from ebpflab.verify import verify
from ebpflab.verify.result import LazyTrace
from tests.verify.programs import ACCEPT, HASH_LOOKUP, PROGRAMS, UNKNOWN, VALUE, program

#: a million instructions
LONG = UNKNOWN + "r1 = 0\nl: r1 += 1\nif r1 != 900000 goto l\nr0 = 0\nexit"


def test_steps_follow_the_paths():
    trace = verify(program(VALUE + "r0 = *(u64 *)(r0 + 0)\nexit"))
    steps = trace.steps
    assert isinstance(trace, LazyTrace) and len(steps) == trace.verdict.stats.processed
    assert [step.index for step in steps] == list(range(len(steps)))
    branch = next(step for step in steps if step.pc == 6 and step.parent is not None and steps[step.parent].pc == 5)
    children = [step for step in steps if step.parent == branch.index]
    assert {child.branch for child in children} == {"taken", "fall"}
    for step in steps:
        if step.parent is not None and steps[step.parent].kind == "insn" and step.parent == step.index - 1:
            assert steps[step.parent].after == step.before
    assert steps[-1] == steps[len(steps) - 1] and len(steps[2:4]) == 2


@pytest.mark.parametrize("at_once", [1, 7, 10_000])
def test_the_end_of_a_log_is_spelled_without_the_rest(monkeypatch, at_once):
    monkeypatch.setattr("ebpflab.verify.log._AT_ONCE", at_once)
    for level in (1, 2):
        for _, text, _ in PROGRAMS:
            trace = verify(program(text), log_level=level)
            whole = trace.log
            assert trace.log_tail(len(whole)) == (whole, True)
            for size in (0, 1, 80, len(whole) // 2, len(whole) - 1):
                tail, complete = trace.log_tail(size)
                assert not complete and whole.endswith(tail) and len(tail) <= size
                assert not tail or whole[-len(tail) - 1] == "\n"
                assert len(tail) == size or "\n" not in whole[-size - 1:-len(tail) - 1], "no line more would fit"


def test_the_rejected_step_is_the_last():
    trace = verify(program(HASH_LOOKUP + "r0 = *(u64 *)(r0 + 0)\nexit"))
    assert trace.steps[-1].kind == "rejected" and trace.verdict.pc == trace.steps[-1].pc
    assert trace.log.splitlines()[-2] == trace.verdict.error


def test_log_levels():
    spec = program(VALUE + "r0 = *(u64 *)(r0 + 9)\nexit")
    loud, low, silent = (verify(spec, log_level=level) for level in (2, 1, 0))
    assert loud.verdict == low.verdict == silent.verdict
    assert "Live regs before insn:" in loud.log and "Live regs" not in low.log
    assert silent.log == loud.log.splitlines(keepends=True)[-1] or silent.log == ""
    assert low.log.endswith("".join(loud.log.splitlines(keepends=True)[-3:]))


def test_an_accepted_program_has_only_counts_at_level_1():
    trace = verify(program("r0 = 0\nexit"), log_level=1)
    assert trace.log.startswith("processed 2 insns") and trace.log.count("\n") == 1


def test_limit():
    trace = verify(program(LONG), limit=1000)
    assert trace.verdict.error == "BPF program is too large. Processed 1001 insn"


def test_interrupt_keeps_what_was_walked():
    main = threading.main_thread().ident

    def press() -> None:
        time.sleep(0.5)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    try:
        trace = verify(program(LONG), log_level=0)
    except KeyboardInterrupt:       # it came before the walk began
        pytest.fail("not caught")
    finally:
        thread.join()
    assert (trace.verdict.result, trace.verdict.error) == ("unsupported", "interrupted")
    assert 0 < len(trace.steps) <= trace.verdict.stats.processed
    assert trace.steps[-1].after.frames


@pytest.mark.parametrize("spec", [
    ProgramSpec((Insn(0x85, 0, 2, 0, 5), Insn(0x95))),                      # a kernel function
    ProgramSpec((Insn(0xB7), Insn(0x95)), type="lsm"),
    ProgramSpec((Insn(0x18, 1, 3, 0, 1), Insn(0), Insn(0xB7), Insn(0x95))),  # a variable of the kernel
], ids=["kfunc", "lsm", "variable"])
def test_what_is_not_modelled_gets_no_verdict(spec):
    verdict = verify(spec).verdict
    assert verdict.result == "unsupported" and verdict.error


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=8, max_size=160))
def test_any_bytes_get_a_verdict(raw):
    fields = struct.iter_unpack("<BBhi", raw[:len(raw) // 8 * 8])
    insns = tuple(Insn(opcode, regs & 15, regs >> 4, off, imm) for opcode, regs, off, imm in fields)
    trace = verify(ProgramSpec(insns), limit=2000)
    assert trace.verdict.result in ("accept", "reject", "unsupported")
    assert trace.log is not None and list(trace.steps) is not None


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_programs_get_a_verdict(data):
    insns = list(program(data.draw(st.sampled_from([row[1] for row in PROGRAMS if row[2] == ACCEPT]))).insns)
    at = data.draw(st.integers(0, len(insns) - 1))
    field = data.draw(st.sampled_from(("opcode", "dst", "src", "off", "imm")))
    number = data.draw({"opcode": st.integers(0, 255), "dst": st.integers(0, 15), "src": st.integers(0, 15),
                        "off": st.integers(-9, 9), "imm": st.integers(-(1 << 31), (1 << 31) - 1)}[field])
    insns[at] = insns[at]._replace(**{field: number})
    trace = verify(ProgramSpec(tuple(insns), maps=program("r0 = 0\nexit").maps), limit=5000)
    assert trace.verdict.result in ("accept", "reject", "unsupported")
