"""What the annotated view costs for a long trace, beside reading the log and beside the naive way to send it."""

import json
import time

import pytest

from ebpflab.trace import klog
from tests.view.programs import long_trace


def cpu(work):
    start = time.thread_time()
    found = work()
    return found, time.thread_time() - start


@pytest.mark.benchmark
def test_hundred_thousand_steps(report):
    from ebpflab.view.payload import Payload
    from ebpflab.view.stepper import Stepper

    trace = long_trace(6250)
    _, parsing = cpu(lambda: klog.parse(trace.log, trace.program, ok=True, by=trace.verdict.by))
    stepper, opening = cpu(lambda: Stepper(trace))
    report("open a stepper on 100,001 steps", opening * 1e3, "ms", "parse its log", parsing * 1e3)
    _, chunk = cpu(lambda: Payload(trace).chunk(40))
    report("one chunk of 1,024 steps", chunk * 1e3, "ms", "parse its log", parsing * 1e3)
    sent = len(stepper.columns) + sum(map(len, stepper.inline.values())) + len(json.dumps(stepper.head))
    naive = len(json.dumps(trace.to_records()))
    report("bytes before the first picture", sent, "bytes", "all records as JSON", naive)
