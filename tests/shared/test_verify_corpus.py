"""The verifier against the kernel corpus: what Linux 6.18 said of thousands of programs (an extra)."""

import os
from pathlib import Path

import pytest

from ebpflab.verify import records

CORPUS = Path(__file__).resolve().parents[3] / "shared/data/kernel-corpus/dev.jsonl.gz"
#: programs that take the kernel longer are left to ``ebpflab verify --records``
AT_MOST = 8_000

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CORPUS.exists(), reason="../shared is not beside this checkout")]


@pytest.fixture(scope="module")
def results():
    btf = records.read_btf(CORPUS)
    chosen = [row for row in records.read(CORPUS) if row["stats"] and row["stats"]["processed"] <= AT_MOST]
    return [(row, records.verify_record(row, btf)) for row in chosen]


def test_no_verdict_is_wrong(results):
    wrong = [(row["id"], row["prog"], ours["verdict"], row["verdict"]) for row, ours in results
             if ours["verdict"] not in ("unsupported", row["verdict"])]
    assert not wrong


@pytest.mark.parametrize(("tier", "supported"), [("A", 0.99), ("B", 0.4)])
def test_how_much_is_supported(results, tier, supported):
    chosen = [ours for row, ours in results if row["tier"] == tier]
    assert sum(ours["verdict"] != "unsupported" for ours in chosen) >= supported * len(chosen)


def test_agreement_on_tier_a(results):
    pairs = [(row, ours) for row, ours in results if row["tier"] == "A" and ours["verdict"] != "unsupported"]
    rejected = [(row, ours) for row, ours in pairs if row["verdict"] == "reject" and row["error_lines"]]
    same_error = sum(ours["error"] == row["error_lines"][-1] for row, ours in rejected)
    same_count = sum(ours["processed"] == row["stats"]["processed"] for row, ours in pairs)
    assert same_error >= 0.98 * len(rejected)
    assert same_count >= 0.99 * len(pairs)


def test_a_file_of_records_is_compared(tmp_path):
    """The report's numbers, on a few records, in two processes."""
    import gzip
    import itertools

    few, out = tmp_path / "few.jsonl.gz", tmp_path / "out.jsonl"
    with gzip.open(CORPUS, "rt") as lines, gzip.open(few, "wt") as into:
        into.writelines(itertools.islice(lines, 60))
    (tmp_path / "few-btf.jsonl.gz").write_bytes((CORPUS.parent / "dev-btf.jsonl.gz").read_bytes())
    found = records.verify_file(few, out, jobs=min(2, os.cpu_count() or 1), report=True)
    assert len(out.read_text().splitlines()) == 60 == found.done
    assert sum(found.agreement.programs.values()) == 60 and not found.agreement.wrong and not found.bad
    assert found.agreement.to_dict()["tiers"]["A"]["verdict"][0] > 0 and "verdict" in str(found.agreement)
