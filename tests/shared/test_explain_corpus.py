"""Every recorded rejection of tiers A and B has exactly one entry in the catalogue, and can be explained."""

import gzip
import json
from pathlib import Path

import pytest

from ebpflab.explain import challenge, explain, witness
from ebpflab.explain.catalogue import matches
from ebpflab.trace import klog
from ebpflab.verify import records, verify

CORPUS = Path(__file__).parents[3] / "shared" / "data" / "kernel-corpus" / "dev.jsonl.gz"


@pytest.fixture(scope="module")
def recorded():
    if not CORPUS.exists():
        pytest.skip("../shared with the kernel corpus is not here")
    with gzip.open(CORPUS, "rt") as lines:
        return [record for record in map(json.loads, lines) if record["tier"] in ("A", "B")]


@pytest.fixture(scope="module")
def rejected(recorded):
    return [record for record in recorded if record["verdict"] == "reject"]


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


def test_no_input_makes_an_accepted_program_fault(recorded):
    """What we and the kernel accept is searched for a fault as if it had been rejected."""
    btf = records.read_btf(CORPUS)
    tried = 0
    for record in [each for each in recorded if each["verdict"] == "accept" and each["insn_cnt"] < 300][::4]:
        spec = records.program(record, btf)
        if not verify(spec, log_level=0).ok:
            continue
        found = challenge(spec, seconds=0.3)
        assert not found, (record["id"], str(found))
        tried += "runs ended without a fault" in found.why
    assert tried > 100


def test_witnesses_are_found_for_many_recorded_rejections(rejected):
    """And never an exception. (What is proved needs z3.)"""
    pytest.importorskip("z3")
    btf = records.read_btf(CORPUS)
    found = proved = 0
    for record in rejected[::3]:
        if not record["log"]:
            continue
        spec = records.program(record, btf)
        said = witness(spec, klog.parse(record["log"], spec, ok=False, by="Linux 6.18"), seconds=1)
        found += bool(said)
        proved += not said and said.proved
    assert found > 40
    assert proved > 5
