"""Logs that five kernels wrote for the same programs of ours (``record``): every line is read, every verdict explained.

The corpus of Linux 6.18 is large, but it knows one kernel only.
"""

import json
from collections import Counter

import pytest

from ebpflab.explain import explain
from ebpflab.explain.catalogue import entries, matches
from ebpflab.isa import slots
from ebpflab.spec import ProgramSpec
from ebpflab.trace import klog
from ebpflab.trace.codec import from_json, to_json
from ebpflab.trace.compare import compare
from ebpflab.trace.diagnosis import separate

from .record import ENTRIES, FOLDER

KERNELS = ("5.10", "6.1", "6.12", "6.18", "7.3")
#: where a kernel stumbles over something else first, or has no such rule (None: it accepts the program)
OTHERWISE = {
    "5.10": {"stack-uninit": "helper-unknown", "stack-variable-helper": "stack-variable",
             "helper-sleeps": "helper-type", "timer-map": "helper-unknown", "dynptr-state": "helper-unknown",
             "flow-wide": None, "exception-callback": None},
    "6.1": {"stack-variable-helper": "stack-variable", "helper-sleeps": "helper-type", "exception-callback": None},
    "7.3": {"reference-two": None},
}


def recorded(kernel: str):
    """(row, spec, log) of every recorded verification."""
    for row in json.loads((FOLDER / f"linux-{kernel}.json").read_text()):
        yield row, ProgramSpec(slots(bytes.fromhex(row["insns"])), row["type"], "prog"), "\n".join(row["log"])


def read(kernel: str):
    for row, spec, log in recorded(kernel):
        yield row, klog.parse(log, spec, ok=row["ok"], by=f"Linux {kernel}.0", errno=row["errno"])


@pytest.mark.parametrize("kernel", KERNELS)
def test_no_line_is_skipped(kernel):
    unknown = []
    for row, spec, log in recorded(kernel):
        reader = klog.Reader(log, spec)
        reader.read()
        unknown += [(row["program"], line) for line in reader.unknown]
        unknown += [(row["program"], line) for line in reader.messages if row["ok"]]
    assert unknown == []


@pytest.mark.parametrize("kernel", KERNELS)
def test_as_many_steps_as_instructions_processed(kernel):
    for row, trace in read(kernel):
        assert not trace.truncated
        if row["level"] == 2:
            assert len(trace.steps) == trace.verdict.stats.processed, row["program"]
        assert from_json(to_json(trace)) == trace


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_verdict_has_the_entry_whose_program_it_is(kernel):
    known, seen = {each.id for each in entries()}, Counter()
    for row, trace in read(kernel):
        name = row["program"]
        if row["ok"]:
            assert name not in ENTRIES or name in OTHERWISE[kernel], name
            continue
        found = [match.entry.id for match in matches(trace.verdict.error_lines)]
        if name in ENTRIES:
            assert found == [OTHERWISE.get(kernel, {}).get(name, name)], (name, trace.verdict.error_lines)
        assert len(found) == 1 and found[0] in known
        said = explain(trace)
        assert said.id == found[0] and str(said) and json.dumps(said.to_dict())
        seen[found[0]] += 1
    assert len(seen) > 25


def test_a_kernel_s_diagnosis_is_read_whole():
    """Linux 7.3 prints it for most rejections, beside the old lines."""
    found = {}
    for row, trace in read("7.3"):
        for each in trace.verdict.diagnoses:
            assert each.category and each.problem and each.reason and each.suggestion, row["program"]
            assert each.at.pc is not None and each.at.label == "error"
            assert all(remark.label or remark.pc is None for remark in each.path)
            found[row["program"]] = each
        assert not any(line.startswith(("  ", "Verification failed")) for line in trace.verdict.error_lines)
    assert len({each.category for each in found.values()}) >= 4
    one = found["packet-range"]
    assert one.headline == "Memory Safety: Access outside bounds"
    assert one.reason.endswith("R2 is pkt; offset is constant 23; access_size is 1; object_size is 14.")
    assert [(remark.pc, remark.label) for remark in one.path] == [(0, "update"), (4, "branch")]
    assert one.path[1].text == "took the false branch of this conditional, goto not followed"
    assert one.at.pc == 5 and "insn 5: error" in str(one)
    source = found["lock-order"].at
    assert (source.function, source.source.file, source.pc) == ("prog", "lock-order.c", 9)
    assert source.source.text == "bpf_spin_unlock(&v->lock);"


def test_a_diagnosis_with_further_places_and_lines_after_it():
    messages, (found,) = separate("""\
first message
Verification failed: Resource Lifetime Safety: Unlock of another lock
Reason:
  one
  two
At:
  insn 12
       | ^-- error: a long remark
       |     that goes on
  Instruction context:
  >>> 12 | (85) call bpf_spin_unlock#94
Active lock:
  f @ a.c:7:2
  Source context:
  >>> 7 |   bpf_spin_lock(x);
        |   ^-- acquired: active bpf_spin_lock has verifier identity 3
  Instruction context:
  >>> 10 | (85) call bpf_spin_lock#93
Causal path:
  12 older causal-history events not retained because diagnostic event storage reached capacity
Suggestion:
  do so
last message""".splitlines())
    assert messages == ("first message", "last message")
    assert (found.reason, found.suggestion) == ("one two", "do so")
    assert (found.at.pc, found.at.text) == (12, "a long remark that goes on")
    (name, lock), = found.others
    assert (name, lock.pc, lock.label, lock.source.line, lock.source.text) == (
        "Active lock", 10, "acquired", 7, "bpf_spin_lock(x);")
    assert found.path[0].pc is None and found.path[0].text.startswith("12 older")


@pytest.mark.parametrize("kernel", KERNELS)
def test_two_kernels_are_compared_program_by_program(kernel):
    """With 6.18; that they differ at all is told by the first step, never by an exception."""
    mine = {(row["program"], row["level"]): trace for row, trace in read("6.18")}
    kinds = Counter()
    for row, trace in read(kernel):
        other = mine[row["program"], row["level"]]
        if row["level"] != 2 or other.program.insns != trace.program.insns:
            continue
        found = compare(other, trace)
        kinds[found.kind if found else "same"] += 1
        if other.verdict.result != trace.verdict.result:
            assert found is not None
    assert kinds["same"] >= 18
