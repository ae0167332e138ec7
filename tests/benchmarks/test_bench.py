"""What ``ebpflab bench`` measures, each subject with its peers in the same run."""

import pytest

from ebpflab import bench


@pytest.mark.benchmark
@pytest.mark.parametrize("subject", [name for name in bench.SUBJECTS if name != "verify"])
def test_subject(report, subject):
    rows = bench.measure(subject)
    assert rows and all(set(row) == {"name", "value", "unit", "peer", "peer_value", "ratio"} for row in rows)
    for row in rows:
        if row["ratio"] is None:   # a peer that is not here is said, not guessed
            assert "not here" in row["name"] + row["peer"]
            print(f"\n{row['name']}: {row['value']:.4g} {row['unit']}; {row['peer']}")
        else:
            report(row["name"], row["value"], row["unit"], row["peer"], row["peer_value"],
                   faster="less" if row["unit"] in ("ns", "ms") else "more")
