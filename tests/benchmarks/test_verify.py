"""``ebpflab bench verify``, by the source and by the compiled build, each beside the kernel in the same run."""

import tracemalloc

import pytest

from ebpflab import bench
from ebpflab.asm import assemble
from ebpflab.bench.verify import PROGRAMS
from ebpflab.verify import verify

from ..compiled import run

pytestmark = pytest.mark.benchmark


@pytest.mark.kernel
@pytest.mark.parametrize("build", ["pure Python", "compiled"])
def test_throughput_beside_the_kernel(report, build):
    rows = bench.measure("verify") if build == "pure Python" else run("ebpflab", "bench", "verify", "--json")
    assert len(rows) == 3 * len(PROGRAMS) - 1 and all(build in row["name"] for row in rows)
    if rows[0]["ratio"] is None:
        pytest.skip(rows[0]["peer"])
    for row in rows:
        report(row["name"], row["value"], row["unit"], row["peer"], row["peer_value"],
               faster="less" if row["unit"] == "ms" else "more")


def test_memory_of_a_long_walk(report):
    """140,000 walked instructions with all their states and the log's events."""
    spec = assemble(PROGRAMS["140,000 instructions"])
    tracemalloc.start()
    trace = verify(spec)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert trace.verdict.stats.processed > 139_000
    report("verify, memory for 140,000 instructions", peak / 2**20, "MiB", "allowed", 1024)
