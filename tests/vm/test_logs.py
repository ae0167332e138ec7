"""A guest's verifier logs: another kernel than this machine's, its words read line by line."""

import pytest

from ebpflab.explain import explain
from ebpflab.trace import klog
from ebpflab.trace.compare import compare
from ebpflab.verify import verify

from ..trace.record import SMALL
from ..verify.programs import PROGRAMS, program

pytestmark = pytest.mark.vm


def test_a_guest_s_logs_are_read_to_the_last_line_and_explained(guest):
    same = 0
    for name, text, _ in PROGRAMS:
        spec = program(text)
        trace = guest.verify(spec)
        reader = klog.Reader(trace.log, spec)
        reader.read()
        assert reader.unknown == [], name
        assert len(trace.steps) == trace.verdict.stats.processed, name
        if not trace.ok:
            assert explain(trace).id, (name, trace.verdict.error_lines)
        same += name in SMALL and compare(verify(spec), trace) is None
    assert same >= 2
