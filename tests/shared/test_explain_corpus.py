"""Every recorded rejection of tiers A and B has exactly one entry in the catalogue, and can be explained."""

import gzip
import json
from pathlib import Path

import pytest

from ebpflab.explain import explain
from ebpflab.explain.catalogue import matches
from ebpflab.trace import klog
from ebpflab.verify import records

CORPUS = Path(__file__).parents[3] / "shared" / "data" / "kernel-corpus" / "dev.jsonl.gz"


@pytest.fixture(scope="module")
def rejected():
    if not CORPUS.exists():
        pytest.skip("../shared with the kernel corpus is not here")
    with gzip.open(CORPUS, "rt") as lines:
        return [record for record in map(json.loads, lines)
                if record["verdict"] == "reject" and record["tier"] in ("A", "B")]


def test_every_rejection_has_exactly_one_entry(rejected):
    wrong = {}
    for record in rejected:
        found = [match.entry.id for match in matches(record["error_lines"])]
        if len(found) != 1:
            wrong[record["id"]] = (found, record["error_lines"])
    assert not wrong
    assert len(rejected) > 400


def test_every_recorded_log_is_explained_with_its_numbers(rejected):
    btf = records.read_btf(CORPUS)
    shown = 0
    for record in rejected:
        if not record["log"]:
            continue
        trace = klog.parse(record["log"], records.program(record, btf), ok=False, by="Linux 6.18")
        found = explain(trace)
        assert found.entry is not None, (record["id"], trace.verdict.error_lines)
        said = (found.sentence, found.need.needs, found.need.has, found.asm, found.c)
        template = (found.entry.says, found.entry.needs, found.entry.known, found.entry.asm, found.entry.c)
        for text, source in zip(said, template, strict=True):
            assert text.count("…") == source.count("…"), (record["id"], text)
        json.dumps(found.to_dict())
        assert str(found)
        shown += bool(found.chain)
    assert shown > 300
