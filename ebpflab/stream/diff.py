"""Differences of two readings, entry by entry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .frames import Grid, data_frame, table

MODES = ("absolute", "delta", "rate")


def match(now: Grid, before: Grid) -> np.ndarray | None:
    """For each row of ``now`` its row in ``before``, -1 if it is new; None where both have the same keys in order."""
    if now.raw_keys is not None and now.raw_keys == before.raw_keys:
        return None
    where = {key: row for row, key in enumerate(before.ids())}
    return np.fromiter((where.get(key, -1) for key in now.ids()), np.intp, now.rows)


def subtract(now: Grid, before: Grid, seconds: float | None = None) -> Grid:
    """``now`` minus ``before``, entry by entry; per second if ``seconds`` is given. New entries count from zero.

    Unsigned counters are subtracted in their own width, so one that wrapped gives its true small step, and one that
    was set back gives a negative step. What is not a number stays as it is now.
    """
    rows = match(now, before)
    values = dict(now.values)
    for name in now.numbers & before.values.keys():
        old, new = before.values[name], now.values[name]
        if rows is not None:
            old = np.where((rows >= 0)[:, None], old[rows] if len(old) else 0, 0).astype(new.dtype)
        step = new - old
        step = step.view(f"i{step.itemsize}") if step.dtype.kind == "u" else step
        values[name] = step / seconds if seconds else step
    return replace(now, values=values)


def changes(now: Grid, before: Grid):
    """The rows that changed as a DataFrame: ``change`` says added, changed or removed, numbers are differences.

    An entry that is gone gives what it had, negated. Per-CPU maps give one row a CPU of each entry that changed.
    """
    import pandas as pd

    rows = match(now, before)
    rows = np.arange(now.rows) if rows is None else rows
    differs = rows < 0
    if now.rows and before.rows:
        for name, new in now.values.items():
            differs |= (new != before.values[name][rows]).reshape(now.rows, -1).any(axis=1)
    gone = np.ones(before.rows, bool)
    gone[rows[rows >= 0]] = False
    changed = np.flatnonzero(differs)
    step = subtract(now, before).take(changed)
    left = before.take(np.flatnonzero(gone))
    nothing = replace(left, values={name: np.zeros_like(v) if name in left.numbers else v
                                    for name, v in left.values.items()})
    parts = []
    for part, words in ((step, np.where(rows[changed] < 0, "added", "changed")),
                        (subtract(nothing, left), np.full(left.rows, "removed"))):
        flat = table(part)
        cpus = flat.rows // part.rows if part.rows else 1
        parts.append(data_frame(flat, change=np.repeat(words, cpus).astype(object)))
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
