"""A log of 100,000 instructions: reading it, beside the kernel that verified and printed it. CPU time, same run."""

import time

import pytest

from ebpflab.errors import TargetError
from ebpflab.isa import Insn
from ebpflab.spec import ProgramSpec
from ebpflab.targets.registry import open_target
from ebpflab.trace import klog
from ebpflab.trace.codec import from_json, to_json

#: r0 counts to 20,000; five instructions a turn
LOOP = (Insn(0xB7, 0), Insn(0xB7, 6), Insn(0x07, 0, 0, 0, 1), Insn(0xBF, 1, 0), Insn(0x57, 1, 0, 0, 255),
        Insn(0xBF, 6, 1), Insn(0xA5, 0, 0, -5, 20_000), Insn(0xB7, 0), Insn(0x95))


@pytest.fixture(scope="module")
def session():
    try:
        target = open_target("local")
    except TargetError as error:
        pytest.skip(str(error))
    with target:
        yield target.session


@pytest.mark.benchmark
@pytest.mark.kernel
@pytest.mark.slow
def test_reading_a_long_log(session, report):
    spec = ProgramSpec(LOOP, type="socket_filter", name="long")
    start = time.thread_time()
    answer = session.prog_load(1, spec.bytes, [], "GPL", 2)
    kernel = time.thread_time() - start
    session.close(answer["prog"])
    start = time.thread_time()
    trace = klog.parse(answer["log"], spec, ok=True, by="this kernel")
    parsed = time.thread_time() - start
    steps = len(trace.steps)
    assert steps == trace.verdict.stats.processed > 90_000 and not trace.truncated
    report("read a kernel log", steps / parsed, "steps/s", "kernel, verifying at level 2", steps / kernel,
           faster="more")
    start = time.thread_time()
    text = to_json(trace, log=False)
    again = from_json(text)
    report("write and read it as JSON", steps / (time.thread_time() - start), "steps/s", "parsing the log",
           steps / parsed, faster="more")
    assert len(again.steps) == steps and len(text) < len(answer["log"])
