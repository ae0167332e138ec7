"""Streams: every reading arrives or is counted, errors are kept, nothing is left running."""

import asyncio
import gc
import threading
import time
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpflab.errors import SpecError, TargetError
from ebpflab.spec import map_spec
from ebpflab.stream.maps import LabMap
from ebpflab.stream.poller import Stream

from ..mapsource import DictMap


def counters(kind="hash", value="u64", cpus=1):
    return LabMap(DictMap(map_spec("counts", kind, "u32", value, 16), cpus))


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("ebpflab-")]


def wait_for(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    gc.collect()
    wait_for(lambda: not threads())


def test_readings_come_in_order_and_at_the_pace_asked_for():
    m = counters()
    m[1] = 1
    with m.watch(every=0.02) as stream:
        batches = [batch for batch, _ in zip(stream, range(10), strict=False)]
    assert [b.number for b in batches] == [*range(10)]
    steps = [b.seconds - a.seconds for a, b in pairwise(batches)]
    assert 0.01 < sum(steps) / len(steps) < 0.1
    frame = stream.frame()
    assert list(frame.columns) == ["time", "key", "value"] and str(frame["time"].dtype) == "datetime64[ns, UTC]"
    assert frame["time"].is_monotonic_increasing and stream.reason == "stopped" and "stopped" in repr(stream)
    assert len(stream.frame(last=2)) == 2


def test_two_consumers_each_get_everything():
    with counters().watch(every=0.005) as stream:
        a, b = stream.reader(history=True), stream.reader(history=True)
        got = []
        while len(got) < 8:
            got += a.take(timeout=1)
        assert [x.number for x in b.take(timeout=1)][:8] == [x.number for x in got][:8]


@pytest.mark.parametrize("buffer", [1, 5])
def test_what_leaves_the_buffer_unseen_is_counted(buffer):
    with counters().watch(every=0.002, buffer=buffer) as stream:
        reader = stream.reader(history=True)
        wait_for(lambda: stream.count >= 30)
        stream.stop()
        got = reader.take(timeout=0)
        assert len(got) == buffer and reader.lost + len(got) == stream.count
        assert stream.lost == stream.count - buffer


def test_what_somebody_took_is_not_lost():
    with counters().watch(every=0.002, buffer=3) as stream:
        reader = stream.reader(history=True)
        seen = 0
        while seen < 30:
            seen += len(reader.take(timeout=1))
        assert reader.lost == stream.lost


def test_missed_entries_and_late_readings_are_counted():
    m = counters()
    m.target_map.missing = 3
    with m.watch(every=0.005) as stream:
        wait_for(lambda: stream.count >= 4)
    assert stream.missed >= 12

    def slow():
        time.sleep(0.05)
        return pd.DataFrame({"n": [1]})

    with Stream(slow, every=0.01) as stream:
        wait_for(lambda: stream.count >= 3)
    assert stream.late >= 3 * stream.count // 2 and "late" in repr(stream)


def test_a_target_that_dies_ends_the_stream_with_its_reason():
    m = counters()
    m[1] = 5
    stream = m.watch(every=0.005)
    wait_for(lambda: stream.count >= 2)
    m.target_map.die("the guest panicked")
    with pytest.raises(TargetError, match="the guest panicked"):
        for _ in stream:
            pass
    assert not stream.running and stream.reason == "the guest panicked" and "panicked" in repr(stream)
    assert stream.frame()["value"].tolist() == [5] * stream.count


def test_any_other_error_is_kept_too():
    def broken():
        raise ValueError("no such column")

    stream = Stream(broken, every=0.01, name="mine")
    with pytest.raises(TargetError, match="ValueError: no such column") as caught:
        list(stream)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_stream_that_nobody_holds_ends():
    m = counters()
    stream = m.watch(every=0.005)
    next(iter(stream))
    del stream
    gc.collect()
    wait_for(lambda: not threads())
    reads = m.target_map.reads
    time.sleep(0.05)
    assert m.target_map.reads == reads


def test_asynchronous_iteration():
    async def main(stream, wanted):
        got = []
        async for batch in stream:
            got.append(batch.number)
            if len(got) == wanted:
                stream.stop()
        return got

    assert asyncio.run(main(counters().watch(every=0.005), 5))[:5] == [*range(5)]


def test_asynchronous_iteration_raises_the_error():
    m = counters()

    async def main(stream):
        async for batch in stream:
            if batch.number == 2:
                m.target_map.die("gone")

    with pytest.raises(TargetError, match="gone"):
        asyncio.run(main(m.watch(every=0.005)))


@pytest.mark.parametrize(("options", "said"), [
    ({"every": 0}, "seconds between"), ({"mode": "speed"}, "absolute, delta, rate"), ({"buffer": 0}, "how many"),
    ({"per_cpu": "tall"}, "long, wide, sum")])
def test_wrong_options(options, said):
    with pytest.raises(SpecError, match=said):
        counters().watch(**options)


def test_delta_and_rate():
    m = counters()
    m[1], m[2] = 2**64 - 5, 100
    with m.watch(every=0.03, mode="delta") as stream, m.watch(every=0.03, mode="rate") as rates:
        wait_for(lambda: stream._before and rates._before)
        m[1], m[2], m[3] = 5, 90, 7          # wrapped, set back, new
        frame = pd.concat([b.frame() for b, _ in zip(stream, range(3), strict=False)])
        assert frame.groupby("key")["value"].sum().to_dict() == {1: 10, 2: -10, 3: 7}
        rate = pd.concat([b.frame().assign(dt=b.seconds - b.before_seconds)
                          for b, _ in zip(rates, range(3), strict=False)])
        assert (rate["value"] * rate["dt"]).groupby(rate["key"]).sum().round(6).to_dict() == {1: 10, 2: -10, 3: 7}


@given(st.lists(st.dictionaries(st.integers(0, 8), st.integers(0, 2**64 - 1)), min_size=2, max_size=5))
@settings(max_examples=50, deadline=None)
def test_deltas_add_up(states):
    """Whatever comes, goes and comes back: each delta is now minus before, new entries from zero."""
    m = counters()
    script = iter(states)

    def read():
        state = next(script, None)
        if state is None:
            raise EOFError
        m.target_map.data = {k.to_bytes(4, "little"): v.to_bytes(8, "little") for k, v in state.items()}
        return m.target_map.read()

    stream = Stream(read, every=0.001, mode="delta")
    wait_for(lambda: not stream.running)
    batches = stream.reader(history=True).take(0)
    assert len(batches) == len(states) - 1
    for batch, before, now in zip(batches, states, states[1:], strict=False):
        found = batch.table()
        step = dict(zip(found.keys["key"].tolist(), found.values["value"].tolist(), strict=True))
        assert {k: v % 2**64 for k, v in step.items()} == {k: (v - before.get(k, 0)) % 2**64 for k, v in now.items()}


def test_memory_stays_bounded(monkeypatch):
    monkeypatch.setattr("ebpflab.stream.poller.MEMORY", 20_000)
    m = LabMap(DictMap(map_spec("m", "array", "u32", "u64", 500)))      # 6,000 bytes a reading
    with m.watch(every=0.002, buffer=1000) as stream:
        wait_for(lambda: stream.count >= 20)
        assert len(stream._buffer) <= 4 and stream.lost >= 15


def test_a_function_that_gives_frames():
    calls = iter(range(100))
    with Stream(lambda: pd.DataFrame({"who": ["a", "b"], "n": [1, 10]}).assign(n=lambda f: f.n * next(calls)),
                every=0.01, mode="delta") as stream:
        batch = next(iter(stream))
    assert batch.table().values["n"].tolist() == [1, 10] and batch.table().keys["who"].tolist() == ["a", "b"]
