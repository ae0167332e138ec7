"""Readings as DataFrames: the vectorised columns agree with the one-at-a-time values, whatever the layout."""

import os
import random
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpflab.errors import SpecError
from ebpflab.layout import Field, Layout, compose, parse
from ebpflab.spec import MapSpec, map_spec
from ebpflab.stream import frames, schema, values
from ebpflab.stream.maps import LabMap
from ebpflab.targets.base import Snapshot

from ..mapsource import DictMap

SCALARS = ["u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "be16", "be32", "be64", "f32", "f64", "bool",
           "ipv4", "ipv6", "mac", "char[7]", "bytes[5]", "u16[3]"]


@st.composite
def structs(draw):
    members = draw(st.lists(st.sampled_from(SCALARS), min_size=1, max_size=6))
    return compose("struct", [(f"m{i}", parse(name)) for i, name in enumerate(members)])


def leaves(value, layout, path=""):
    """What ``values.unpack`` gave, flattened the way columns are."""
    if layout.kind == "struct":
        for item, field in zip(value, layout.fields, strict=True):
            yield from leaves(item, field.type, f"{path}.{field.name}" if path else field.name)
    elif layout.kind == "array" and not schema.is_text(layout):
        for index, item in enumerate(value):
            yield from leaves(item, layout.element, f"{path}[{index}]")
    else:
        yield path, value


@given(layout=structs(), seed=st.integers(0, 2**32), rows=st.integers(0, 20))
@settings(max_examples=150, deadline=None)
def test_columns_agree_with_single_values(layout, seed, rows):
    spec = MapSpec("m", "hash", parse("u64"), layout, 100)
    raw = random.Random(seed).randbytes(layout.size * rows)
    keys = np.arange(rows, dtype="u8").tobytes()
    frame = frames.data_frame(frames.table(frames.grid(Snapshot(spec, keys, raw, rows))))
    assert len(frame) == rows and frame["key"].tolist() == list(range(rows))
    for row in range(rows):
        for path, value in leaves(values.unpack(layout, raw[row * layout.size:]), layout):
            assert frame[path][row] == value or (value != value and np.isnan(frame[path][row])), path


@given(layout=structs())
def test_dtype_has_the_layouts_size(layout):
    assert schema.dtype(layout).itemsize == layout.size


def test_types_of_columns():
    m = LabMap(DictMap(map_spec("m", "hash", "struct { ipv4 src; be16 port; }",
                                "struct { u64 packets; ktime last; char[8] comm; bool up; f32 load; }", 10)))
    now = time.monotonic_ns()
    m["10.0.0.1", 80] = (7, now, "curl", True, 0.5)
    m["10.0.0.2", 443] = (8, 0, "a\0b", False, 1.5)
    frame = m.frame()
    assert [str(t) for t in frame.dtypes] == [
        "str", "uint16", "uint64", "datetime64[ns, UTC]", "str", "bool", "float32"]
    assert frame["comm"].tolist() == ["curl", "a"]
    assert abs(frame["last"][0].timestamp() - time.time()) < 2 and pd.isna(frame["last"][1])


def test_enums_bit_fields_unions_and_long_arrays():
    enum = Layout("enum", 4, 4, names=((0, "NEW"), (1, "OPEN")), name="state")
    bits = Layout("struct", 4, 4, fields=(Field("lo", parse("u32"), 0, 0, 4), Field("neg", parse("s32"), 0, 4, 4)))
    layout = compose("struct", [("state", enum), ("bits", bits), ("u", parse("union { u32 v4; u8[4] raw; }")),
                                ("stack", parse("u64[100]"))])
    m = LabMap(DictMap(MapSpec("m", "hash", parse("u32"), layout, 4)))
    m[1] = ("OPEN", (9, -3), {"v4": 0x04030201}, range(100))
    row = m.frame().iloc[0]
    names = ["state", "bits.lo", "bits.neg", "u.v4", "u.raw[3]"]
    assert row[names].tolist() == ["OPEN", 9, -3, 0x04030201, 4]
    assert row["stack"].tolist() == list(range(100))
    assert m[1].bits == (9, -3)


def test_names_that_clash_are_told_apart():
    m = LabMap(DictMap(map_spec("m", "hash", "struct { u32 id; u32 cpu; }", "struct { u32 id; u32 n; }", 4)))
    assert list(m.frame().columns) == ["key.id", "key.cpu", "value.id", "n"]


@pytest.mark.parametrize("cpus", [1, 3])
def test_per_cpu_values_long_wide_and_summed(cpus):
    m = LabMap(DictMap(map_spec("m", "percpu_hash", "u32", "struct { u32 n; u16 q; }", 4), cpus))
    m[5] = [(2**32 - 1, cpu) for cpu in range(cpus)]
    m[9] = (1, 2)
    long, wide, total = (m.frame(per_cpu=how) for how in ("long", "wide", "sum"))
    assert long.shape == (2 * cpus, 4) and long["cpu"].tolist() == [*range(cpus)] * 2
    assert list(wide.columns) == ["key", *[f"n.cpu{c}" for c in range(cpus)], *[f"q.cpu{c}" for c in range(cpus)]]
    assert total["n"].tolist() == [cpus * (2**32 - 1), cpus] and total["q"].tolist() == [sum(range(cpus)), 2 * cpus]
    with pytest.raises(SpecError, match="long, wide, sum"):
        m.frame(per_cpu="tall")


def test_summed_times_take_the_latest_and_other_values_must_agree():
    m = LabMap(DictMap(map_spec("m", "percpu_array", "u32", "struct { ktime last; char[4] who; }", 1), 2))
    m[0] = [(5, "a"), (9, "a")]
    summed = m.frame(per_cpu="sum")
    assert summed["who"][0] == "a" and summed["last"][0] == m.frame()["last"].max()
    m[0] = [(5, "a"), (9, "b")]
    assert m.frame(per_cpu="sum")["who"][0] is None


def test_a_reading_of_the_wrong_size_is_no_frame():
    with pytest.raises(SpecError, match="bytes of keys"):
        frames.grid(Snapshot(map_spec("m", "hash", "u32", "u32", 4), b"123", b"1234", 1))


def test_bytes_that_are_not_utf8_are_shown():
    m = LabMap(DictMap(map_spec("m", "hash", "char[4]", "u32", 4)))
    m[b"\xffab\0"] = 1
    assert m.frame()["key"][0] == "\\xffab"
    assert os.linesep not in repr(m)
