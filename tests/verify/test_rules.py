"""Each rule of the verifier on a small program of its own, and what the trace shows."""

import pytest

from ebpflab.verify import verify
from tests.verify.programs import PROGRAMS, STATES, program


@pytest.mark.parametrize(("text", "expected"), [row[1:] for row in PROGRAMS], ids=[row[0] for row in PROGRAMS])
def test_rule(text, expected):
    trace = verify(program(text))
    assert trace.verdict.error == expected
    assert trace.verdict.result == ("reject" if expected else "accept")


@pytest.mark.parametrize(("text", "pc", "reg", "expected"), [row[1:] for row in STATES], ids=[row[0] for row in STATES])
def test_state(text, pc, reg, expected):
    trace = verify(program(text))
    step = next(step for step in trace.steps if step.pc == pc)
    assert step.after.frames[-1].regs[reg].text == expected
