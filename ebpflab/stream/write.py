"""DataFrames back into a map's bytes: the columns that ``LabMap.frame`` gives, checked, without a loop over rows."""

from __future__ import annotations

import numpy as np

from ..errors import SpecError
from ..spec import MapSpec
from .frames import names, value_stride
from .schema import Column, dtype
from .values import describe, pack


def pack_frame(spec: MapSpec, frame, cpus: int) -> tuple[bytes, bytes, int]:
    """(keys, values, count) as in a Snapshot. SpecError names the column and the row that does not fit.

    A frame with a ``cpu`` column has one row for each key and CPU; without it a row goes to every CPU.
    """
    key_columns, value_columns = names(spec)
    wanted = {**key_columns, **value_columns}
    if missing := [name for name in wanted if name not in frame.columns]:
        raise SpecError(f"map {spec.name!r}: the frame has no column {missing[0]!r}", hint="needs " + ", ".join(wanted))
    known = {*wanted, "time", *(["cpu"] if spec.row.per_cpu else [])}
    if extra := [name for name in frame.columns if name not in known]:
        raise SpecError(f"map {spec.name!r} has no column {extra[0]!r}", hint="columns: " + ", ".join(wanted))
    keys = _rows(spec.name, key_columns, frame, spec.key_size)
    values = _rows(spec.name, value_columns, frame, value_stride(spec))
    if not spec.row.per_cpu:
        return keys.tobytes(), values.tobytes(), len(frame)
    if "cpu" not in frame.columns:
        return keys.tobytes(), np.repeat(values[:, None, :], cpus, axis=1).tobytes(), len(frame)
    distinct, row = np.unique(keys.view(f"V{spec.key_size}").reshape(-1), return_inverse=True)
    cpu = frame["cpu"].to_numpy()
    spread = np.zeros((len(distinct), cpus, values.shape[1]), "u1")
    places = {*zip(row.tolist(), cpu.tolist(), strict=True)}
    if places != {(key, number) for key in range(len(distinct)) for number in range(cpus)} or len(frame) != len(places):
        raise SpecError(f"map {spec.name!r}: the frame needs one row for each key and each of {cpus} CPUs",
                        hint="leave the cpu column out to give every CPU the same value")
    spread[row, cpu] = values
    return distinct.tobytes(), spread.tobytes(), len(distinct)


def _rows(name: str, columns: dict[str, Column], frame, stride: int) -> np.ndarray:
    """The columns packed into rows of ``stride`` bytes; padding is zero."""
    raw = np.zeros((len(frame), stride), "u1")
    for label, column in columns.items():
        where = f"map {name!r}, column {label!r}"
        place = column.view(raw.data, (len(frame),), (stride,)) if len(frame) else raw[:, 0]
        given = frame[label].to_numpy()
        if column.bits:
            _check(given, column, where)
            unit = place.copy()
            mask = (1 << column.bits) - 1
            place[...] = unit | (given.astype(unit.dtype) & unit.dtype.type(mask)) << column.bit_offset
        elif column.number:
            _check(given, column, where)
            place[...] = given.astype(place.dtype)
        elif len(frame):
            place[...] = _packed(given, column, where)
    return raw


def _packed(given: np.ndarray, column: Column, where: str) -> np.ndarray:
    """Values that are not numbers, packed once for each distinct one."""
    if given.dtype.kind in "Mm":
        raise SpecError(f"{where}: times are not written back", hint="give ktime columns as integers, ns since boot")
    rows = given.tolist()
    hashable = [tuple(row) if isinstance(row, np.ndarray) else row for row in rows]
    done = {row: pack(column.layout, row, where) for row in set(hashable)}
    packed = np.frombuffer(b"".join(done[row] for row in hashable), f"V{column.layout.size}")
    return packed.view(dtype(column.layout)) if dtype(column.layout).subdtype is None else packed


def _check(given: np.ndarray, column: Column, where: str) -> None:
    layout = column.layout
    if not len(given) or (layout.kind == "float" and given.dtype.kind in "iuf"):
        return
    if given.dtype.kind not in "iuf" or (given.dtype.kind == "f" and not np.all(given == np.floor(given))):
        raise SpecError(f"{where} must hold whole numbers ({describe(layout)})")
    bits = column.bits or layout.size * 8
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if layout.kind == "int" else (0, (1 << bits) - 1)
    for row in (int(given.argmin()), int(given.argmax())):
        if not low <= int(given[row]) <= high:
            raise SpecError(f"{where}: {given[row]} in row {row} does not fit {describe(layout)}",
                            hint=f"{low} … {high}")
