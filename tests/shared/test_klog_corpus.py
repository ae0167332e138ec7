"""The log parser on every recorded log of Linux 6.18 (an extra: skipped where ../shared is absent)."""

import gzip
import json
from functools import cache
from pathlib import Path

import pytest

from ebpflab.isa import slots
from ebpflab.spec import ProgramSpec
from ebpflab.trace import klog

CORPUS = Path(__file__).resolve().parents[3] / "shared/data/kernel-corpus/dev.jsonl.gz"
pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="../shared is not beside this checkout")


@cache
def records() -> list[tuple[dict, klog.Reader, object]]:
    found = []
    with gzip.open(CORPUS, "rt") as lines:
        for record in map(json.loads, lines):
            if not record["log"]:
                continue
            spec = ProgramSpec(slots(bytes.fromhex(record["insns"])), name=record["prog"])
            reader = klog.Reader(record["log"], spec)
            reader.read()
            trace = klog.parse(record["log"], spec, ok=record["verdict"] == "accept", by="Linux 6.18",
                               errno=record["errno"])
            found.append((record, reader, trace))
    return found


def test_every_line_is_understood():
    unknown = [(record["id"], line) for record, reader, _ in records() for line in reader.unknown]
    assert unknown == []


def test_as_many_steps_as_instructions_processed():
    wrong = [(r["id"], len(t.steps), r["stats"]["processed"]) for r, _, t in records()
             if len(t.steps) != r["stats"]["processed"]]
    assert wrong == []


def test_verdict_and_error_lines():
    def whole(line):    # some kernel messages lack their line end, the record has the next line glued on
        return line.partition("processed ")[0]
    wrong = [(r["id"], t.verdict.error_lines) for r, _, t in records()
             if t.verdict.error_lines != tuple(map(whole, r["error_lines"])) or t.truncated != r["log_truncated"]]
    assert wrong == []


def test_statistics():
    for record, _, trace in records():
        stats = trace.verdict.stats
        assert {name: getattr(stats, name) for name in record["stats"]} == record["stats"]


def test_every_step_but_the_first_of_a_function_has_a_parent_that_leads_to_it():
    for record, _, trace in records():
        starts = {f["insn_off"] for f in record["func_info"]} | {0}
        for step in trace.steps:
            if step.parent is None:
                assert step.pc in starts, (record["id"], step.index)
                continue
            parent = trace.steps[step.parent]
            assert parent.kind == "insn", (record["id"], step.index)
            if parent.text[1:3] in ("b7", "bf", "07", "0f", "61", "71", "79", "7b"):
                assert step.pc == parent.pc + 1, (record["id"], step.index)


def test_every_value_says_what_its_text_says():
    """Printed again by the rules of print_reg_state, a value read from the log is the same text."""
    seen = set()
    for _, reader, _ in records():
        for text, value in reader.walk.values.items():
            if text not in seen:
                seen.add(text)
                if value.type == "scalar":
                    assert spell(value) == text.lstrip("P"), text
                assert value.umin <= value.umax and value.smin <= value.smax
                assert value.u32_min <= value.u32_max and value.s32_min <= value.s32_max
    assert len(seen) > 2000


def number(value: int, signed: bool) -> str:
    decimal = -32768 <= value <= 32767 if signed else value <= 0xFFFF
    return str(value) if decimal else hex(value & 0xFFFFFFFFFFFFFFFF)


def spell(v) -> str:
    """print_reg_state of 6.18 for a scalar, written again from its rules."""
    if v.mask == 0:
        return number(v.smin, True)

    def low(x):     # 32-bit signed bounds are not sign-extended in hexadecimal
        return x if -32768 <= x <= 32767 else x & 0xFFFFFFFF
    bounds = [("smin", v.smin, -1 << 63), ("smax", v.smax, (1 << 63) - 1), ("umin", v.umin, 0),
              ("umax", v.umax, (1 << 64) - 1), ("smin32", low(v.s32_min), low(-1 << 31)),
              ("smax32", low(v.s32_max), low((1 << 31) - 1)), ("umin32", v.u32_min, 0),
              ("umax32", v.u32_max, 0xFFFFFFFF)]
    parts, done = [], {name for name, value, default in bounds if value == default}
    if v.id:
        parts.append(f"id={v.id}{v.off:+d}" if v.off else f"id={v.id}")
    for at, (name, value, _) in enumerate(bounds):
        if name in done:
            continue
        names = [name]
        for other, same, _ in bounds[at + 2::2]:
            if other not in done and same % (1 << 64) == value % (1 << 64) and (
                    (other[0] == "s" and same < 0) == (name[0] == "s" and value < 0)):
                names.append(other)
                done.add(other)
        parts.append("=".join(names) + "=" + number(value, name[0] == "s"))
    if v.mask != (1 << 64) - 1:
        parts.append(f"var_off=({v.value:#x}; {v.mask:#x})")
    return f"scalar({','.join(parts)})"
