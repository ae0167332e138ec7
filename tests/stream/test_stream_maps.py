"""LabMap: a map that behaves like a dict, takes frames back and tells what changed."""

import numpy as np
import pandas as pd
import pytest

from ebpflab.errors import SpecError, Unsupported
from ebpflab.spec import map_spec
from ebpflab.stream import frame, watch
from ebpflab.stream.maps import LabMap, lab_map

from ..mapsource import DictMap


def flows(rows=0):
    key, value = "struct { ipv4 src; be16 port; }", "struct { u64 packets; s16 d; }"
    m = LabMap(DictMap(map_spec("flows", "hash", key, value, 64)))
    for i in range(rows):
        m[f"10.0.0.{i}", 80 + i] = (i, -i)
    return m


def test_it_is_a_dict():
    m = flows(3)
    assert m["10.0.0.2", 82] == (2, -2) and m["10.0.0.2", 82].packets == 2
    assert ("10.0.0.9", 1) not in m and m.get(("10.0.0.9", 1), "none") == "none"
    m[{"src": "10.0.0.9", "port": 1}] = {"packets": 5, "d": 0}
    assert len(m) == 4 and list(m)[3] == ("10.0.0.9", 1) and dict(m.items())["10.0.0.9", 1] == (5, 0)
    del m["10.0.0.9", 1]
    with pytest.raises(KeyError):
        del m["10.0.0.9", 1]
    with pytest.raises(KeyError):
        m["10.0.0.9", 1]
    with pytest.raises(SpecError, match=r"key of flows\.port"):
        m["10.0.0.9", 70000]
    assert lab_map(m) is m and lab_map(m.target_map).spec is m.spec


def test_numpy_scalars_are_numbers():
    m = LabMap(DictMap(map_spec("m", "hash", "u32", "u64", 8)))
    m[np.uint32(3)] = np.int64(4)
    assert m[3] == 4


def test_per_cpu_assignment():
    m = LabMap(DictMap(map_spec("m", "percpu_array", "u32", "u32", 2), 3))
    m[0] = 7
    m[1] = [1, 2, 3]
    assert m[0] == [7, 7, 7] and m[1] == [1, 2, 3]
    with pytest.raises(SpecError, match="each of 3 CPUs"):
        m[0] = [1, 2]
    with pytest.raises(SpecError, match="CPU 1"):
        m[0] = [1, -2, 3]


@pytest.mark.parametrize("how", ["frame", "dict"])
def test_update_writes_many(how):
    m, other = flows(20), flows()
    assert other.update(m.frame() if how == "frame" else dict(m.items())) == 20
    assert other.items() == m.items()


def test_update_of_every_kind_of_column():
    kinds = "struct { u8 a; be32 b; s64 c; f64 d; bool e; ipv4 f; ipv6 g; mac h; char[6] i; bytes[3] j; u16[2] k; }"
    m, other = (LabMap(DictMap(map_spec("m", "hash", "u32", kinds, 64))) for _ in range(2))
    for i in range(5):
        m[i] = (i, i * 7, -i, i / 3, i % 2, f"10.0.0.{i}", f"fd00::{i}", f"02:00:00:00:00:0{i}", "x" * i,
                bytes([i] * 3), (i, i))
    other.update(m.frame())
    assert other.items() == m.items()


def test_update_of_per_cpu_maps():
    spec = map_spec("m", "percpu_hash", "u32", "u32", 16)
    m, other = LabMap(DictMap(spec, 3)), LabMap(DictMap(spec, 3))
    m[4], m[2] = [1, 2, 3], [4, 5, 6]
    long = m.frame()
    other.update(long.sample(frac=1, random_state=1))
    assert dict(other.items()) == dict(m.items())
    with pytest.raises(SpecError, match="each of 3 CPUs"):
        other.update(long.iloc[1:])
    other.update(pd.DataFrame({"key": [9], "value": [8]}))
    assert other[9] == [8, 8, 8]


@pytest.mark.parametrize(("change", "said"), [
    (lambda f: f.drop(columns="port"), "no column 'port'"), (lambda f: f.assign(z=1), "no column 'z'"),
    (lambda f: f.assign(port=70000), "70000 in row 0"), (lambda f: f.assign(d=0.5), "whole numbers"),
    (lambda f: f.assign(src="ten"), "no ipv4 address"), (lambda f: f.assign(packets="x"), "whole numbers"),
])
def test_a_wrong_frame_writes_nothing(change, said):
    m, other = flows(3), flows()
    with pytest.raises(SpecError, match=said):
        other.update(change(m.frame()))
    assert len(other) == 0


def test_diff_tells_added_changed_and_removed():
    m = flows(3)
    assert m.diff()["change"].tolist() == ["added"] * 3
    assert m.diff().empty and "packets" in m.diff().columns
    m["10.0.0.1", 81] = (11, 4)
    m["10.0.0.7", 7] = (70, 0)
    del m["10.0.0.2", 82]
    found = m.diff().set_index("src")
    assert found.loc["10.0.0.1", ["change", "packets", "d"]].tolist() == ["changed", 10, 5]
    assert found.loc["10.0.0.7", ["change", "packets"]].tolist() == ["added", 70]
    assert found.loc["10.0.0.2", ["change", "packets"]].tolist() == ["removed", -2]


def test_maps_that_cannot_be_read_say_so():
    ring = LabMap(DictMap(map_spec("events", "ringbuf", max_entries=4096)))
    with pytest.raises(Unsupported, match="ringbuf"):
        ring.frame()
    with pytest.raises(Unsupported):
        ring.watch()
    assert "ringbuf" in ring._repr_html_()


def test_displays():
    m = flows(30)
    assert "30 entries of 30, first 20" in m._repr_html_() and "10.0.0.1" in m._repr_html_()
    counters = LabMap(DictMap(map_spec("c", "array", "u32", "u64", 100)))
    counters[17] = 5
    assert "1 entries that are not zero of 100" in counters._repr_html_()
    assert "<hash map 'flows'" in repr(m)


def test_module_functions():
    m = flows(2)
    assert frame(m.target_map).equals(m.frame())
    with watch(m, every=0.01) as stream:
        assert next(iter(stream)).table().rows == 2
