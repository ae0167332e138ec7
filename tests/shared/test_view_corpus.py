"""The views on every recorded log of Linux 6.18 (an extra: skipped where ../shared is absent)."""

from pathlib import Path

import pytest

from ebpflab.view.text import trace_text
from ebpflab.view.words import cell_words, verdict_words
from tests.shared.test_klog_corpus import records
from tests.view.test_payload import told

CORPUS = Path(__file__).resolve().parents[3] / "shared/data/kernel-corpus/dev.jsonl.gz"
pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="../shared is not beside this checkout")


def test_every_state_arrives_exactly():
    wrong = [record["id"] for record, _, trace in records()
             if told(trace, 1024) != [(step.before, step.after) for step in trace.steps]]
    assert not wrong


def test_every_trace_has_a_text():
    for record, _, trace in records():
        lines = trace_text(trace).splitlines()
        assert trace.program.name in lines[0], record["id"]
        if not trace.ok:
            assert any(trace.verdict.error.split()[0] in line for line in lines[1:]), record["id"]


def test_every_cell_has_words():
    texts = {cell_words(cell) for _, _, trace in records() for step in trace.steps[:200]
             for _, cell in step.after.cells()}
    assert len(texts) > 500
    assert not [words for words in texts if not words or "{" in words or "None" in words]


def test_most_rejections_have_a_plain_sentence():
    rejected = [trace for record, _, trace in records() if not trace.ok and record["tier"] in "AB"]
    plain = sum(bool(verdict_words(trace)) for trace in rejected)
    print(f"{plain} of {len(rejected)} rejections have a plain sentence")
    assert plain / len(rejected) >= 0.95
