"""docs/isa.md is what the table says now."""

from pathlib import Path

from ebpflab.isa import OPS
from ebpflab.isa.document import page

DOCS = Path(__file__).parents[2] / "docs" / "isa.md"


def test_the_page_is_current():
    assert DOCS.read_text(encoding="utf-8") == page(), "run: python -m ebpflab.isa.document docs/isa.md"


def test_every_instruction_is_on_it_with_its_facts():
    rows = [line.split(" | ") for line in page().splitlines() if line.startswith("| `")]
    assert len(rows) == len(OPS)
    assert sorted((row[0].strip("| `"), row[1], row[-2]) for row in rows) == sorted(
        (f"{op.opcode:02x}", op.name, op.since) for op in OPS)
    assert not [row for row in rows if len(row) != 10]
    assert "{" not in page().split("## ", 1)[1]
