"""A batch of simulated runs as a DataFrame."""

from __future__ import annotations

from ..abi.verdicts import verdict
from ..sim.batch import Batch
from ..sim.maps.base import Columns, round_up
from ..spec import MapSpec, ProgramSpec


def table(spec: ProgramSpec, batch: Batch):
    """One row a packet; see ``SimProgram.run_many``."""
    import numpy as np
    import pandas as pd

    numbers, codes = np.unique(batch.retvals, return_inverse=True)
    names = [verdict(spec.type, int(number)) or str(number) for number in numbers]
    columns: dict = {"verdict": pd.Series(pd.Categorical.from_codes(codes, pd.Index(names).astype(str)))
                     if len(set(names)) == len(names) else pd.Series([names[code] for code in codes], dtype=object),
                     "retval": batch.retvals, "length": batch.lengths, "insns": batch.insns}
    if batch.ns is not None:
        columns["ns"] = batch.ns
    frame = pd.DataFrame(columns)
    frame["fault"] = pd.Series(None, index=frame.index, dtype=object)
    if batch.faults:
        rows = list(batch.faults)
        frame["verdict"] = frame["verdict"].astype(object)
        frame.loc[rows, "verdict"] = "fault"
        frame.loc[rows, "fault"] = [fault.what for fault in batch.faults.values()]
    frame.attrs.update(tier=batch.tier, seconds=batch.seconds, maps={
        name: changes(each, *batch.maps[name]) for each in spec.maps if (name := each.name) in batch.maps})
    return frame


def changes(spec: MapSpec, before: Columns, after: Columns):
    """The entries that differ: key, before, after, delta. A per-CPU value is the sum over the CPUs; None: no entry.

    Keys and values of 1, 2, 4 or 8 bytes are unsigned little-endian numbers; others stay bytes and have no delta.
    """
    import pandas as pd

    old, new = _entries(spec, before), _entries(spec, after)
    rows = []
    for raw in [*new, *[key for key in old if key not in new]]:
        was, now = old.get(raw), new.get(raw)
        if was != now:
            a, b = _value(spec, was, before.cpus), _value(spec, now, after.cpus)
            known = [one or 0 for one in (a, b)] if not isinstance(a, bytes) and not isinstance(b, bytes) else None
            rows.append((_number(raw), a, b, known[1] - known[0] if known else None))
    return pd.DataFrame(rows, columns=["key", "before", "after", "delta"], dtype=object)


def _entries(spec: MapSpec, columns: Columns) -> dict[bytes, bytes]:
    size, keys = spec.key_size, columns.keys
    width = len(columns.values) // columns.count if columns.count else 0
    return {keys[at * size:(at + 1) * size]: columns.values[at * width:(at + 1) * width]
            for at in range(columns.count)}


def _number(raw: bytes) -> int | bytes:
    return int.from_bytes(raw, "little") if len(raw) in (1, 2, 4, 8) else raw


def _value(spec: MapSpec, raw: bytes | None, cpus: int) -> int | bytes | None:
    if raw is None or not spec.row.per_cpu:
        return None if raw is None else _number(raw)
    stride = round_up(spec.value_size)
    each = [_number(raw[at:at + spec.value_size]) for at in range(0, cpus * stride, stride)]
    numbers = [one for one in each if isinstance(one, int)]
    return sum(numbers) if len(numbers) == cpus else raw
