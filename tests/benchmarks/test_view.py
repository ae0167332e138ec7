"""What the annotated view costs for a long trace, beside reading the log and beside the naive way to send it."""

import json
import statistics
import time
from html import escape

import pytest

from ebpflab.trace import klog
from tests.browser.lab import missing
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


JUMPS = (99_991, 12_345, 55_555, 40_000, 77_777, 3, 65_432, 31_313)

# What one would write first: every step a row of the page, with what is known there; a jump scrolls and marks.
NAIVE = """<!doctype html><style>.here {{ background: #ffd }}</style><div class="ebpflab" id="rows">{rows}</div>"""
NAIVE_JUMP = """(step) => new Promise((done) => {
  const began = performance.now(), rows = document.getElementById("rows").children;
  document.querySelector(".here")?.classList.remove("here");
  rows[step].classList.add("here");
  rows[step].scrollIntoView({ block: "center" });
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
})"""


@pytest.mark.benchmark
@pytest.mark.browser
def test_jumps_in_a_browser(report, tmp_path):
    """Until the state of a step far away is painted, in Chromium, beside a page that has every step as a row."""
    if missing():
        pytest.skip(missing())
    from tests.browser.test_stepper import JUMP, static_page

    def naive(trace):
        rows = (" ".join(f"{name}={escape(str(value))}" for name, value in row.items()) for row in trace.to_records())
        return NAIVE.format(rows="".join(f"<p class=cell>{row}</p>" for row in rows))

    def jumps(page, script):
        page.wait_for_timeout(500)
        return statistics.median(page.evaluate(script, step) for step in JUMPS)

    trace, found = long_trace(6250), {}
    for name, options, script in (("ours", {}, JUMP), ("naive", {"page_of": lambda *_: naive(trace)}, NAIVE_JUMP)):
        began = time.monotonic()
        with static_page(tmp_path / f"{name}.html", (trace,) if options else trace, **options) as page:
            found[name] = time.monotonic() - began, jumps(page, script)
    report("open a page of 100,001 steps", found["ours"][0], "s", "a row for every step", found["naive"][0])
    report("jump to a step far away", found["ours"][1], "ms", "a row for every step", found["naive"][1])
