"""What a chart shows, as numbers: which series, which bars, which bins, and what a message carries."""

import numpy as np
import pandas as pd
import pytest

from ebpflab.errors import SpecError
from ebpflab.spec import map_spec
from ebpflab.stream.poller import Batch
from ebpflab.view import live_models as models
from ebpflab.view.live_still import page, short, ticks

from ..mapsource import DictMap


def batch(number, values, **more):
    """A batch of a function's frame: names and numbers."""
    frame = pd.DataFrame({"who": [*values], "n": np.array([*values.values()], float)})
    return Batch(number, 0, number * 0.1, frame, **more)


def map_batch(kind, contents, cpus=1, size=256, key="u32", value="u64"):
    m = DictMap(map_spec("m", kind, key, value, size), cpus)
    for k, v in contents.items():
        m.data[k.to_bytes(4, "little")] = b"".join(x.to_bytes(8, "little") for x in (v if cpus > 1 else [v]))
    return Batch(0, 0, 0.0, m.read())


def test_lines_keep_their_place_and_their_history():
    line = models.Line(models.Picker(), points=5)
    first = line.absorb([batch(0, {"b": 1, "a": 2})])
    assert line.names == ["b", "a"] and first.block[:, 0].tolist()[:3] == [0, 1, 2]
    message = line.absorb([batch(1, {"a": 3}), batch(2, {"a": 4, "b": 5, "c": 6})])
    assert line.names == ["b", "a", "c"] and message.block.shape == (1 + models.TOP, 2)
    np.testing.assert_array_equal(message.block[:4], [[0.1, 0.2], [np.nan, 5], [3, 4], [np.nan, 6]])
    for number in range(3, 9):
        line.absorb([batch(number, {"a": number})])
    assert line.history.shape == (1 + models.TOP, 5) and line.everything().block[2].tolist() == [4, 5, 6, 7, 8]


def test_more_series_than_places_the_largest_are_shown_and_the_rest_counted():
    line = models.Line(models.Picker(), points=10)
    values = {f"k{i}": float(i) for i in range(30)}
    message = line.absorb([batch(0, values)])
    assert set(line.names) == {f"k{i}" for i in range(20, 30)} and message.header["hidden"] == 19
    message = line.absorb([batch(1, {**values, "k21": 22.0})])
    assert "clear" not in message.header, "a little more is no reason to change places"
    place = line.names.index("k20")
    for number in range(2, 8):
        message = line.absorb([batch(number, {**values, "k1": 1000.0})])
        if "clear" in message.header:
            assert message.header["clear"] == [f"s{place}"] and line.names[place] == "k1"
            assert np.isnan(line.history[1 + place, :-1]).all() and line.history[1 + place, -1] == 1000
            return
    raise AssertionError("the largest series never got a place")


def test_a_large_map_of_zeros_shows_only_what_moves():
    line = models.Line(models.Picker(), points=10)
    line.absorb([map_batch("percpu_array", {6: [1, 2], 17: [3, 4]}, cpus=2)])
    assert line.names == ["17", "6"] and line.history[1:3, 0].tolist() == [7, 3] and line.picker.entries == 256


def test_by_groups_and_by_cpu():
    labels, values = models.Picker(by="cpu")(map_batch("percpu_hash", {1: [1, 2], 2: [10, 20]}, cpus=2))
    assert labels == ["0", "1"] and values.tolist() == [11, 22]
    picker = models.Picker(by="who")
    frame = pd.DataFrame({"who": ["x", "y", "x"], "what": ["1", "2", "3"], "n": [1, 2, 3], "m": [0.5, 0, 0]})
    assert picker(Batch(0, 0, 0.0, frame)) [0] == ["x", "y"] and picker(Batch(0, 0, 0.0, frame))[1].tolist() == [4, 2]
    assert models.Picker(y="m")(Batch(0, 0, 0.0, frame))[1].tolist() == [0.5, 0, 0]
    with pytest.raises(SpecError, match="who, what"):
        models.Picker(by="n")(Batch(0, 0, 0.0, frame))
    with pytest.raises(SpecError, match="n, m"):
        models.Picker(y="what")(Batch(0, 0, 0.0, frame))
    with pytest.raises(SpecError, match="no number"):
        models.Picker()(Batch(0, 0, 0.0, frame[["who"]]))


def test_a_huge_map_lets_its_largest_compete():
    spec = map_spec("m", "hash", "u32", "u64", 20_000)
    m = DictMap(spec)
    m.data = {i.to_bytes(4, "little"): (i * 7 % 20_011).to_bytes(8, "little") for i in range(20_000)}
    labels, values = models.Picker()(Batch(0, 0, 0.0, m.read()))
    assert len(labels) == models.CANDIDATES and values.min() >= sorted(i * 7 % 20_011 for i in range(20_000))[-5000]


def test_bars():
    bar = models.Bar(models.Picker(), 10)
    message = bar.absorb([batch(0, {"z": 1, "a": 0, "m": 9})])
    assert bar.names == ["z", "a", "m"] and message.block.tolist() == [[0, 1, 2], [1, 0, 9]]
    message = bar.absorb([batch(1, {f"k{i}": float(-i) for i in range(15)})])
    assert bar.names == [f"k{i}" for i in range(14, 4, -1)] and message.header["hidden"] == 4
    message = models.Bar(models.Picker(), 10).absorb([map_batch("array", {17: 5, 6: 7})])
    assert message.header["ticks"] == [[0, "6"], [1, "17"]] and message.block[1].tolist() == [7, 5]


def test_histograms():
    counts = map_batch("array", {3: 5, 10: 1}, size=64)
    slots = models.Hist(models.Picker(), 10, spec=counts.reading.spec)
    message = slots.absorb([counts])
    assert slots.bins == "slots" and message.block[2].tolist() == [0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 1, 0]
    log2 = models.Hist(models.Picker(), 10)
    message = log2.absorb([map_batch("hash", dict(enumerate([0, 1, 1, 2, 3, 4, 7, 8, 1024])))])
    assert log2.bins == "log2" and message.block[2].tolist() == [1, 2, 2, 2, 1, 0, 0, 0, 0, 0, 0, 1]
    assert [0, "0"] in message.header["ticks"] and [5, "16"] in message.header["ticks"]
    linear = models.Hist(models.Picker(), 10, bins="linear").absorb([map_batch("hash", {i: i for i in range(100)})])
    assert linear.block[2].sum() == 100 and linear.block[0][0] == 0 and linear.block[1][-1] == 99
    with pytest.raises(SpecError, match="auto, slots"):
        models.Hist(models.Picker(), 10, bins="square")


@pytest.mark.parametrize("kind", [*models.KINDS])
def test_still_pictures_are_well_formed_and_escape_names(kind):
    from xml.dom.minidom import parseString

    model = models.KINDS[kind](models.Picker(), 10)
    parseString(page(kind, model, title="<t>", labels=("x", "y"), note="0", height=300))
    for number in range(4):
        model.absorb([batch(number, {"<b>&": number, "other": 2.0 * number, "never": float("nan")})])
    text = page(kind, model, title="<t> & \"q\"", labels=("x <", "y"), note="n", height=300)
    parseString(text)
    assert "<b>" not in text and "script" not in text and "http" not in text.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 7), (-3, 8), (0.001, 0.0123), (1e9, 1.1e9), (5, 5)])
def test_ticks_are_round_and_inside(low, high):
    found = ticks(low, high)
    assert 1 <= len(found) <= 7 and all(low - 1e-9 <= t <= high * (1 + 1e-9) for t in found)
    assert len({short(t) for t in found}) == len(found) or high > 1e9
