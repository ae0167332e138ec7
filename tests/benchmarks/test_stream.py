"""Maps to DataFrames beside one look-up at a time on the same map, and how far a live chart is behind."""

import json
import time

import numpy as np
import pytest

from ebpflab.spec import map_spec
from ebpflab.stream.maps import LabMap

from ..browser.lab import LabServer, lab_page, missing, notebook

ROWS = 100_000


def cpu(work, runs=5) -> float:
    """Best CPU seconds of this thread."""
    taken = []
    for _ in range(runs):
        start = time.thread_time()
        work()
        taken.append(time.thread_time() - start)
    return min(taken)


def filled(local, kind, value="u64"):
    target_map = local.map(map_spec("rows", kind, "u32", value, ROWS))
    cpus = local.facts.cpus if "percpu" in kind else 1
    keys = np.arange(ROWS, dtype="<u4")
    target_map.write(keys.tobytes(), np.repeat(keys.astype("<u8"), cpus).tobytes())
    return LabMap(target_map)


def one_at_a_time(m, rows=20_000) -> float:
    """Rows a second, the keys already known (a user would have to walk them as well)."""
    keys = [i.to_bytes(4, "little") for i in range(rows)]
    return rows / cpu(lambda: [m.target_map.lookup(key) for key in keys], runs=2)


@pytest.mark.benchmark
@pytest.mark.kernel
@pytest.mark.parametrize(("kind", "per_cpu"), [("hash", "long"), ("array", "long"), ("percpu_hash", "sum")])
def test_map_to_frame(report, local, kind, per_cpu):
    m = filled(local, kind)
    frame = m.frame(per_cpu=per_cpu)
    assert len(frame) == ROWS and frame["key"].nunique() == ROWS
    rate = ROWS / cpu(lambda: m.frame(per_cpu=per_cpu))
    report(f"{kind} of {ROWS:,} -> DataFrame", rate / 1e6, "M rows/s", "one look-up at a time", one_at_a_time(m) / 1e6,
           faster="more")


CHART = """
import math, time
import pandas as pd
from ebpflab.view import live
start = time.monotonic()
def wave():
    t = time.monotonic() - start
    return pd.DataFrame({"name": ["a", "b", "c", "d"], "value": [math.sin(t + k) + 2 for k in range(4)]})
chart = live.watch(wave, every=EVERY, window=1000)
chart
"""
CLEAR = "chart.delays.clear(); at = time.monotonic(), time.process_time(), chart.stream.count"
READ = """
import json
wall, cpu, count = time.monotonic() - at[0], time.process_time() - at[1], chart.stream.count - at[2]
d = sorted(chart.delays)
print(json.dumps({"p50": d[len(d) // 2], "p95": d[len(d) * 95 // 100], "max": d[-1], "updates": len(d) / wall,
                  "offered": count / wall, "cpu": cpu / wall}))
"""


@pytest.mark.benchmark
@pytest.mark.browser
@pytest.mark.parametrize("offered", [20, 100])
def test_live_chart_delay(report, tmp_path, offered):
    """From sending to painting, one clock (same host), history of 1,000 points; ``offered`` readings a second."""
    if missing():
        pytest.skip(missing())
    with LabServer(tmp_path) as server:
        server.put("chart.ipynb", notebook([CHART.replace("EVERY", str(1 / offered)), CLEAR, READ]))
        with lab_page(server, "chart.ipynb") as lab:
            lab.run(0)
            lab.page.wait_for_selector(".ebpflab-chart[data-state=live]", timeout=30_000)
            lab.page.wait_for_timeout(2000)
            lab.run(1)
            lab.page.wait_for_timeout(8000)     # the kernel is idle meanwhile, as when somebody looks on
            found = json.loads(lab.run(2))
    print(f"\n{found}")
    assert found["updates"] > 1
    report(f"live chart, {offered} offered/s: delay p50", found["p50"] * 1e3, "ms", "a frame at 60 Hz", 1000 / 60)
    report(f"live chart, {offered} offered/s: delay p95", found["p95"] * 1e3, "ms", "a frame at 60 Hz", 1000 / 60)
