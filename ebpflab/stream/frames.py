"""Readings of a map as columns, and columns as DataFrames; no Python loop over rows.

A reading becomes a ``Grid``: key columns of shape (n,), value columns of shape (n, cpus)::

    key        value  cpu0 cpu1 cpu2          long:  n × cpus rows, column ``cpu``
    10.0.0.1            7    0    2           wide:  n rows, ``value.cpu0`` ``value.cpu1`` …
    10.0.0.2            0    1    0           sum:   n rows, numbers added over the CPUs
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import SpecError
from ..spec import MapSpec
from ..targets.base import Snapshot
from .schema import Column, columns

PER_CPU = ("long", "wide", "sum")
RESERVED = ("cpu", "time")


@dataclass(frozen=True, slots=True)
class Grid:
    """Decoded columns of one reading. ``numbers`` names the values that can be added and subtracted.

    ``raw_keys`` are the keys as bytes if the reading had them; ``per_cpu`` says that axis 1 of the values is CPUs.
    """

    keys: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    numbers: frozenset[str]
    rows: int
    raw_keys: bytes | None = None
    per_cpu: bool = False

    def take(self, rows) -> Grid:
        """The grid of these rows."""
        rows = np.asarray(rows, np.intp)
        raw = None
        if self.raw_keys is not None:
            size = len(self.raw_keys) // self.rows if self.rows else 0
            raw = np.frombuffer(self.raw_keys, "u1").reshape(self.rows, size)[rows].tobytes()
        return Grid({name: column[rows] for name, column in self.keys.items()},
                    {name: column[rows] for name, column in self.values.items()},
                    self.numbers, len(rows), raw, self.per_cpu)

    def ids(self) -> list:
        """One hashable a row that says which entry it is."""
        if self.raw_keys is not None:
            size = len(self.raw_keys) // self.rows if self.rows else 0
            return [self.raw_keys[at:at + size] for at in range(0, len(self.raw_keys), size or 1)]
        if not self.keys:
            return list(range(self.rows))
        return list(zip(*(column.tolist() for column in self.keys.values()), strict=True))


@dataclass(frozen=True, slots=True)
class Table:
    """Flat columns, all of one length: ``keys`` and ``values`` by name, ``numbers`` as in Grid."""

    keys: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    numbers: frozenset[str]
    rows: int


def names(spec: MapSpec) -> tuple[dict[str, Column], dict[str, Column]]:
    """Column names of a map's keys and values. A name on both sides gets ``key.`` or ``value.`` in front."""
    key, value = columns(spec.key), columns(spec.value)
    plain = [column.path for column in (*key, *value)]

    def named(side: str, column: Column) -> str:
        if not column.path or column.path[0] == "[":
            return side + column.path
        clash = plain.count(column.path) > 1 or column.path in RESERVED
        return f"{side}.{column.path}" if clash else column.path

    return {named("key", c): c for c in key}, {named("value", c): c for c in value}


def value_stride(spec: MapSpec) -> int:
    """Bytes from one CPU's value to the next: the kernel pads per-CPU values to 8."""
    return -(-spec.value_size // 8) * 8 if spec.row.per_cpu else spec.value_size


def grid(reading, *, epoch: int | None = None) -> Grid:
    """A Snapshot or a DataFrame as a Grid. ``epoch``: wall-clock ns at monotonic 0, for ktime columns.

    In a DataFrame the columns that are not numbers are the keys; if there are none, its index is.
    """
    if not isinstance(reading, Snapshot):
        return _frame_grid(reading)
    spec, count = reading.spec, reading.count
    cpus = reading.cpus if spec.row.per_cpu else 1
    stride = value_stride(spec)
    if len(reading.keys) != count * spec.key_size or len(reading.values) != count * cpus * stride:
        raise SpecError(f"map {spec.name!r}: a reading of {count} entries has {len(reading.keys)} bytes of keys and "
                        f"{len(reading.values)} of values", hint=f"key {spec.key_size}, value {stride} × {cpus} CPUs")
    key_columns, value_columns = names(spec)
    keys = {name: column.decode(column.view(reading.keys, (count,), (spec.key_size,)), epoch)
            for name, column in key_columns.items()}
    values = {name: column.decode(column.view(reading.values, (count, cpus), (stride * cpus, stride)), epoch)
              for name, column in value_columns.items()}
    numbers = frozenset(name for name, column in value_columns.items() if column.number)
    return Grid(keys, values, numbers, count, reading.keys, spec.row.per_cpu)


def _frame_grid(frame) -> Grid:
    numeric = [name for name in frame.columns if frame[name].dtype.kind in "iuf"]
    keys = {str(name): frame[name].to_numpy(object) for name in frame.columns if name not in numeric}
    if not keys:
        keys = {str(frame.index.name or "key"): frame.index.to_numpy()}
    values = {str(name): frame[name].to_numpy().reshape(-1, 1) for name in numeric}
    return Grid(keys, values, frozenset(values), len(frame))


# ── per-CPU values, tables, frames ────────────────────────────────────────────────────────────────────────


def table(found: Grid, per_cpu: str = "long") -> Table:
    """Lay the CPUs' values out ``long``, ``wide`` or as their ``sum``; see the module.

    In ``sum`` numbers are added, times keep the latest, and other values stay where all CPUs agree, else None.
    """
    if per_cpu not in PER_CPU:
        raise SpecError(f"per_cpu={per_cpu!r} is not known", hint="one of " + ", ".join(PER_CPU))
    if not found.per_cpu:
        return Table(found.keys, {name: v[:, 0] for name, v in found.values.items()}, found.numbers, found.rows)
    cpus = next((v.shape[1] for v in found.values.values()), 1)
    if per_cpu == "long":
        keys = {name: np.repeat(column, cpus) for name, column in found.keys.items()}
        keys["cpu"] = np.tile(np.arange(cpus, dtype="u4"), found.rows)
        values = {name: v.reshape(-1) for name, v in found.values.items()}
        return Table(keys, values, found.numbers, found.rows * cpus)
    if per_cpu == "wide":
        values = {f"{name}.cpu{cpu}": v[:, cpu] for name, v in found.values.items() for cpu in range(cpus)}
        numbers = frozenset(f"{name}.cpu{cpu}" for name in found.numbers for cpu in range(cpus))
        return Table(found.keys, values, numbers, found.rows)
    values = {name: v.sum(axis=1) if name in found.numbers else _merge(v) for name, v in found.values.items()}
    return Table(found.keys, values, found.numbers, found.rows)


def _merge(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "Mm":
        return np.fmax.reduce(values, axis=1)
    out = values[:, 0].astype(object)
    same = np.array([all(np.array_equal(other, row[0]) for other in row[1:]) for row in values], bool)
    out[~same] = None
    return out


def data_frame(found: Table, **front):
    """A Table as a DataFrame; ``front`` are columns (or scalars) to put before the others."""
    import pandas as pd

    data = {**front, **found.keys, **found.values}
    frame = pd.DataFrame(data, index=pd.RangeIndex(found.rows), copy=False)
    for name, column in data.items():
        if getattr(column, "dtype", None) is not None and column.dtype.kind == "M":
            frame[name] = frame[name].dt.tz_localize("UTC")
    return frame
