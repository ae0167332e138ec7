"""Where walking backwards goes wrong the program is refused, in the kernel's words, as the kernel refuses it.

No program leads there (``verifier_bug`` in ``backtrack_insn``), so what is wanted is made up here.
"""

import pytest

from ebpflab.verify import precision
from ebpflab.verify.cfg import Shape
from ebpflab.verify.env import EFAULT, Stop
from ebpflab.verify.explore import Run
from ebpflab.verify.log import Log
from ebpflab.verify.state import Frame
from tests.verify.programs import program

CALL = "call bpf_get_prandom_u32\nr0 = 0\nexit\n"
FUNCTION = "call f\nr0 = 0\nexit\nf: r6 = 0\nr0 = 0\nexit\n"
#: (program, where, where the state began, history, registers and slots wanted, what is said)
WRONG = [
    (CALL, 1, 0, [], 1 << 3, 0, "backtracking call unexpected regs 8"),
    (FUNCTION, 1, 5, [(1, 5, 0, ())], 1 << 3, 0, "backtracking exit unexpected regs 8"),
    (FUNCTION, 4, 0, [(3, 0, 0, ())], 1 << 7, 0, "static subprog unexpected regs 80"),
    (FUNCTION, 4, 0, [(3, 0, 0, ())], 0, 1 << 2, "static subprog leftover stack slots 4"),
    (CALL, 1, 5, [], 1 << 7, 0, "backtracking idx -1"),
    (CALL, -1, 0, [], 1 << 7, 0, "backtracking func entry subprog 0 reg_mask 80 stack_mask 0"),
]


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize(("text", "at", "first", "jumps", "regs", "slots", "said"), WRONG,
                         ids=[row[-1] for row in WRONG])
def test_a_walk_that_is_lost_refuses_the_program(level, text, at, first, jumps, regs, slots, said):
    spec = program(text)
    run = Run(spec, Shape(spec.insns), Log(level, lambda pc: ""), 1000, 1)
    run.prepare()
    env, state = run.env, run.env.state
    if "static" in said:
        state.frames.append(Frame(1, callsite=0, sub=1))
    state.insn, state.first, state.jumps = at, first, jumps
    wanted = precision.Wanted(len(state.frames))
    wanted.regs[wanted.top], wanted.slots[wanted.top] = regs, slots
    with pytest.raises(Stop) as stop:
        precision.mark_chain(env, state, wanted)
    assert stop.value.errno == EFAULT and env.messages[-1] == f"verifier bug: {said}"
