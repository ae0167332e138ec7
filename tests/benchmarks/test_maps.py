"""A hash map of 100,000 rows out of the kernel, all at once and one entry at a time: CPU time, both in the same run."""

import statistics
import struct
import time

import pytest

from ebpflab.errors import TargetError
from ebpflab.spec import map_spec
from ebpflab.targets.registry import open_target

ROWS = 100_000


def cpu(function, runs: int = 5) -> float:
    """Median CPU seconds of this thread, user and kernel."""
    taken = []
    for _ in range(runs):
        start = time.thread_time()
        function()
        taken.append(time.thread_time() - start)
    return statistics.median(taken)


@pytest.fixture(scope="module")
def counts():
    try:
        target = open_target("local")
    except TargetError as error:
        pytest.skip(str(error))
    with target:
        made = target.map(map_spec("counts", "hash", "u32", "u64", ROWS))
        made.write(struct.pack(f"<{ROWS}I", *range(ROWS)), struct.pack(f"<{ROWS}Q", *range(1, ROWS + 1)))
        yield made


def one_at_a_time(counts) -> dict:
    """What a user would write without batches: next key, look it up, until the end."""
    session, handle = counts.session, counts.handle
    rows, key = {}, session.map_next_key(handle)
    while key is not None:
        rows[key] = session.map_lookup(handle, key)
        key = session.map_next_key(handle, key)
    return rows


def tight_loop(counts) -> dict:
    """The same without our layers: prepared buffers, two bare system calls a row. The best that Python can do."""
    return counts.session._things[counts.handle].thing._walk(0)


@pytest.mark.benchmark
@pytest.mark.kernel
def test_hash_to_columns(counts, report):
    snapshot, rows = counts.read(), one_at_a_time(counts)
    assert snapshot.count == len(rows) == ROWS == tight_loop(counts)["count"]
    assert dict(zip(struct.iter_unpack("<I", snapshot.keys), struct.iter_unpack("<Q", snapshot.values), strict=True)) \
        == {struct.unpack("<I", key): struct.unpack("<Q", value) for key, value in rows.items()}
    batch = cpu(counts.read) * 1e3
    report("hash map, 1e5 rows to raw columns", batch, "ms", "next_key + lookup each",
           cpu(lambda: one_at_a_time(counts), 3) * 1e3)
    report("hash map, 1e5 rows to raw columns", batch, "ms", "bare syscalls each",
           cpu(lambda: tight_loop(counts), 3) * 1e3)


@pytest.mark.benchmark
@pytest.mark.kernel
def test_hash_to_frame(counts, report):
    """The goal of the mission: at least 15 times faster than one-at-a-time look-ups into the same DataFrame."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed (extra lab)")
    from ebpflab.stream import frame

    def slowly():
        rows = one_at_a_time(counts)
        return pandas.DataFrame({"key": [int.from_bytes(key, "little") for key in rows],
                                 "value": [int.from_bytes(value, "little") for value in rows.values()]})

    fast, slow = frame(counts), slowly()
    assert len(fast) == len(slow) == ROWS
    assert sorted(fast.reset_index()["value"]) == sorted(slow["value"])
    report("hash map, 1e5 rows to a DataFrame", cpu(lambda: frame(counts)) * 1e3, "ms", "next_key + lookup each",
           cpu(slowly, 3) * 1e3)
