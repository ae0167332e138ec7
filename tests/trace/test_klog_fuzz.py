"""Any text gives a trace or one clear error: logs cut, shuffled and scribbled over."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ebpflab.errors import EbpflabError
from ebpflab.trace import Trace, klog
from ebpflab.trace.codec import from_json, to_json
from ebpflab.trace.slice import backwards

from .test_klog import AGES, SPEC

CALLS = """\
0: R1=ctx() R10=fp0
0: (85) call pc+1
caller:
 R10=fp0
callee:
 frame1: R1=ctx() R10=fp0
2: frame1: R1=ctx() R10=fp0
2: (15) if r1 == 0x0 goto pc+1        ; frame1: R1=ctx()
3: (95) exit
returning from callee:
 frame1: R1=ctx() R10=fp0
to caller at 1:
 R0=1 R10=fp0

from 3 to 1: R0=1 R10=fp0
1: (95) exit

from 2 to 4: frame1: R1=0 R10=fp0 cb
4: safe
Validating f() func#1...
4: R1=scalar() R10=fp0
4: (b7) r0 = 0
Func#1 ('f') is safe for any args that match its prototype
processed 5 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
LINES = sorted({line for log in (*AGES.values(), CALLS) for line in log.splitlines()})
PIECES = sorted({line[a:b] for line in LINES for a, b in ((0, 9), (3, 30), (20, 99)) if line[a:b]})

line = st.one_of(st.sampled_from(LINES), st.builds("".join, st.lists(st.sampled_from(PIECES), max_size=3)),
                 st.text(max_size=30))


@settings(max_examples=300, deadline=None)
@given(st.lists(line, max_size=25), st.booleans())
def test_never_a_traceback(lines, ok):
    log = "\n".join(lines)
    try:
        trace = klog.parse(log, SPEC, ok=ok, by="k")
    except EbpflabError:
        return
    assert isinstance(trace, Trace) and trace.ok == ok
    for step in trace.steps:
        assert step.parent is None or 0 <= step.parent < step.index
    assert from_json(to_json(trace)).steps == trace.steps
    if not ok:
        backwards(trace)
