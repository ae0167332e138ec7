"""Our verifier's trace and the one read from the kernel's log, compared step by step, cell by cell (an extra)."""

import gzip
import json
from pathlib import Path

import pytest

from ebpflab.trace import klog
from ebpflab.trace.compare import compare
from ebpflab.verify import verify
from ebpflab.verify.records import program, read_btf

CORPUS = Path(__file__).resolve().parents[3] / "shared/data/kernel-corpus/dev.jsonl.gz"


@pytest.mark.skipif(not CORPUS.exists(), reason="../shared is not beside this checkout")
def test_traces_agree_to_the_last_cell():
    """Programs of tier A with short logs. A difference here is a fault of ours or of the log's reader."""
    btf = read_btf(CORPUS)
    agree, differ = 0, []
    with gzip.open(CORPUS, "rt") as lines:
        for record in map(json.loads, lines):
            if not record["log"] or record["tier"] != "A" or record["stats"]["processed"] > 1000:
                continue
            spec = program(record, btf)
            ours = verify(spec)
            if ours.verdict.result == "unsupported":
                continue
            kernels = klog.parse(record["log"], spec, ok=record["verdict"] == "accept", by="Linux 6.18")
            found = compare(ours, kernels)
            if found:
                differ.append((record["id"], record["prog"], found.kind, found.pc_a, found.words))
            else:
                agree += 1
    assert agree > 800
    assert len(differ) <= 0.02 * agree, differ
