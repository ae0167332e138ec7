"""Logs of the running kernel, levels 1 and 2, of programs made here."""

import pytest

from ebpflab.isa import Insn
from ebpflab.spec import ProgramSpec
from ebpflab.trace import klog
from ebpflab.trace.compare import compare
from ebpflab.trace.slice import backwards

from ..abi.loader import load, why_not

RET0 = [Insn(0xB7, 0), Insn(0x95)]
#: name -> (instructions, does the kernel take it)
PROGRAMS = {
    "straight": ([Insn(0xB7, 0, 0, 0, 7), Insn(0x07, 0, 0, 0, 1), Insn(0x95)], True),
    "branches": ([Insn(0x85, imm=7), Insn(0x25, 0, 0, 1, 9), Insn(0x07, 0, 0, 0, 1), Insn(0x55, 0, 0, 1, 3),
                  Insn(0xB7, 0), Insn(0x95)], True),
    "loop": ([Insn(0xB7, 0), Insn(0x07, 0, 0, 0, 1), Insn(0xA5, 0, 0, -2, 20), Insn(0x95)], True),
    "function": ([Insn(0x85, 0, 1, 0, 2), Insn(0x07, 0, 0, 0, 1), Insn(0x95), Insn(0xB7, 0, 0, 0, 5), Insn(0x95)],
                 True),
    "stack": ([Insn(0x7A, 10, 0, -8, 5), Insn(0x63, 10, 1, -12), Insn(0x79, 0, 10, -8), Insn(0x95)], False),
    "unset": ([Insn(0xBF, 0, 3), Insn(0x95)], False),
    "late": ([Insn(0x85, imm=7), Insn(0x15, 0, 0, 2, 0), Insn(0xB7, 0), Insn(0x95), Insn(0x61, 0, 0),
              Insn(0x95)], False),
    "unreachable": ([*RET0, *RET0], False),
}
pytestmark = pytest.mark.kernel


def trace(name: str, level: int):
    if why_not():
        pytest.skip(why_not())
    insns, _ = PROGRAMS[name]
    errno, log = load(1, insns, level=level)
    return klog.parse(log, ProgramSpec(tuple(insns), type="socket_filter", name=name), ok=errno == 0,
                      by="this kernel", errno=errno)


@pytest.mark.parametrize("name", PROGRAMS)
def test_level_2(name):
    insns, taken = PROGRAMS[name]
    found = trace(name, 2)
    assert found.ok == taken and not found.truncated
    assert len(found.steps) == found.verdict.stats.processed
    for step in found.steps:
        assert 0 <= step.pc < len(insns)
        assert step.before.frame.regs[10].text == "fp0"
    if not taken:
        assert found.verdict.error and found.verdict.pc is not None


@pytest.mark.parametrize("name", [name for name, (_, taken) in PROGRAMS.items() if not taken])
def test_level_1_is_the_failing_path_of_level_2(name):
    """At level 1 the kernel takes back the log of a path that was safe."""
    short, full = trace(name, 1), trace(name, 2)
    assert short.verdict.error_lines == full.verdict.error_lines and short.verdict.pc == full.verdict.pc
    if full.steps:
        path = full.path(full.steps[-1])
        assert [step.pc for step in short.steps][-len(path):] == [step.pc for step in path][-len(short.steps):]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_twice(name):
    assert compare(trace(name, 2), trace(name, 2)) is None


def test_a_slice_of_a_live_rejection():
    found = backwards(trace("late", 2))
    assert [(link.role, link.cells) for link in found.links] == [
        ("sets", ("R0",)), ("checks", ("R0",)), ("fails", ("R0",))]
