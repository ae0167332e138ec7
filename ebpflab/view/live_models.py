"""What a live chart shows, as numbers: series picked from readings, history kept, one block of float64 a message.

A message's block holds columns one after the other, each ``rows`` numbers long::

    line   t s0 s1 … s9        appended to the history in the browser
    bar    value               replaced, largest first; labels go in the header
    hist   left right count    replaced
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..errors import SpecError
from ..spec import MapSpec
from ..stream.frames import Table, names
from ..stream.poller import Batch

TOP = 10            # series or bars shown at most
FADE = 0.05         # weight of one reading in the size by which series are ranked: a short burst changes no places
CANDIDATES = 5000   # of a larger map only its largest entries compete for a place


@dataclass(slots=True)
class Message:
    """One update for the browser: ``columns`` names, a float64 block, and header fields that changed."""

    columns: list[str]
    block: np.ndarray                   # (len(columns), rows)
    header: dict = field(default_factory=dict)


class Picker:
    """Takes labels and numbers out of a batch: ``y`` names the value column, ``by`` the key column that groups."""

    def __init__(self, y: str | None = None, by: str | None = None):
        self.y, self.by = y, by
        self.entries = 0

    def check(self, spec: MapSpec) -> None:
        """SpecError now, not in a thread, if a map of this kind has no such columns."""
        keys, values = names(spec)
        self._value([name for name, column in values.items() if column.number], [*keys, *values])
        self._group([*keys, "cpu"] if spec.row.per_cpu else [*keys])

    def __call__(self, batch: Batch) -> tuple[list[str], np.ndarray]:
        """(labels, values), one a group; in key order."""
        flat = batch.table("long" if self.by == "cpu" else "sum")
        self.entries = flat.rows
        self._value([name for name in flat.values if name in flat.numbers], [*flat.keys, *flat.values])
        self._group([*flat.keys])
        values = flat.values[self.y].astype("f8")
        if self.by is not None:
            column = flat.keys[self.by]
            groups, place = np.unique(column.astype(str) if column.dtype.kind == "O" else column, return_inverse=True)
            return [str(group) for group in groups.tolist()], np.bincount(place, values, len(groups))
        rows = np.arange(flat.rows)
        if flat.rows > CANDIDATES:
            rows = np.sort(np.argpartition(-np.abs(values), CANDIDATES)[:CANDIDATES])
        return _labels(flat, rows), values[rows]

    def _value(self, numeric: list[str], every: list[str]) -> None:
        if self.y is None:
            if not numeric:
                raise SpecError("there is no number to draw", hint="columns: " + ", ".join(every))
            self.y = numeric[0]
        if self.y not in numeric:
            raise SpecError(f"y={self.y!r} is no column of numbers", hint="columns: " + ", ".join(numeric))

    def _group(self, keys: list[str]) -> None:
        if self.by is not None and self.by not in keys:
            raise SpecError(f"by={self.by!r} is no key column", hint="key columns: " + ", ".join(keys))


def _labels(flat: Table, rows: np.ndarray) -> list[str]:
    columns = [[_label(value) for value in column[rows].tolist()] for column in flat.keys.values()]
    return [" ".join(parts) for parts in zip(*columns, strict=True)] if columns else ["value"] * len(rows)


def _label(value) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


class Line:
    """Time lines. The largest series take ``TOP`` places and keep them until another is twice as large."""

    mode = "append"
    columns = ["t", *(f"s{place}" for place in range(TOP))]

    def __init__(self, picker: Picker, points: int):
        self.picker, self.points = picker, points
        self.names: list[str] = []
        self.hidden = 0
        self._scores: dict[str, float] = {}
        self._start: float | None = None
        self.history = np.empty((1 + TOP, 0))
        self._renamed: list[int] = []       # places whose earlier history belongs to another series

    def absorb(self, batches: list[Batch]) -> Message:
        """Take readings in; the message appends one row for each."""
        known = list(self.names)
        block = np.full((1 + TOP, len(batches)), np.nan)
        for row, batch in enumerate(batches):
            labels, values = self.picker(batch)
            now = dict(zip(labels, values.tolist(), strict=True))
            if self._start is None:
                self._start = batch.seconds
            taken = self._place(now)
            for place in taken:             # what stood there is another series' past
                block[1 + place, :row] = self.history[1 + place] = np.nan
            block[0, row] = batch.seconds - self._start
            for place, name in enumerate(self.names):
                block[1 + place, row] = now.get(name, np.nan)
        self.history = np.concatenate([self.history, block], axis=1)[:, -self.points:]
        changed = [place for place, name in enumerate(known) if self.names[place] != name]
        header = {"names": self.names, "hidden": self.hidden}
        if changed:
            header["clear"] = [f"s{place}" for place in changed]
        return Message(self.columns, block[:, -self.points:], header)

    def everything(self) -> Message:
        return Message(self.columns, self.history, {"names": self.names, "hidden": self.hidden})

    def _place(self, now: dict[str, float]) -> list[int]:
        """Give places to series; returns the places that changed hands."""
        few = len(now) <= TOP
        for name, value in now.items():
            if value or few or name in self._scores:
                score = self._scores.get(name)
                size = abs(value)
                self._scores[name] = size if score is None else (1 - FADE) * score + FADE * size
        for name in [name for name in self._scores if name not in now and name not in self.names]:
            del self._scores[name]
        waiting = sorted((n for n in self._scores if n not in self.names), key=lambda n: -self._scores[n])
        if not self.names and few:
            waiting = list(now)             # a small map keeps its own order
        taken = []
        for name in waiting:
            if len(self.names) < TOP:
                self.names.append(name)
                continue
            weakest = min(range(TOP), key=lambda place: self._scores.get(self.names[place], 0.0))
            if self._scores[name] <= 2 * self._scores.get(self.names[weakest], 0.0):
                break
            self.names[weakest] = name
            taken.append(weakest)
        self.hidden = sum(1 for name, score in self._scores.items() if score and name not in self.names)
        return taken


class Bar:
    """Bars of the last reading: all of them in key order if they have room, else the largest, largest first."""

    mode = "replace"
    columns = ["y", "value"]

    def __init__(self, picker: Picker, points: int):
        self.picker = picker
        self.names: list[str] = []
        self.values = np.empty(0)
        self.hidden = 0

    def absorb(self, batches: list[Batch]) -> Message:
        labels, values = self.picker(batches[-1])
        shown = np.flatnonzero(values) if len(labels) > TOP else np.arange(len(labels))
        if len(shown) > TOP:
            shown = shown[np.argsort(-np.abs(values[shown]), kind="stable")]
        self.hidden = max(0, len(shown) - TOP)
        shown = shown[:TOP]
        self.names, self.values = [labels[row] for row in shown], values[shown]
        return self.everything()

    def everything(self) -> Message:
        return Message(self.columns, np.stack([np.arange(len(self.values), dtype="f8"), self.values]),
                       {"ticks": [[place, name] for place, name in enumerate(self.names)], "hidden": self.hidden})


class Hist:
    """A histogram of the last reading.

    ``slots``: the map is a histogram itself, keys are slots and values counts (arrays); ``log2`` and ``linear`` sort
    the entries' values into bins. ``auto``: slots for arrays of at most 512 entries, else log2.
    """

    mode = "replace"
    columns = ["left", "right", "count"]
    BINS = ("auto", "slots", "log2", "linear")

    def __init__(self, picker: Picker, points: int, bins: str = "auto", spec: MapSpec | None = None):
        if bins not in self.BINS:
            raise SpecError(f"bins={bins!r} is not known", hint="one of " + ", ".join(self.BINS))
        if bins == "auto":
            bins = "slots" if spec is not None and "array" in spec.type and spec.max_entries <= 512 else "log2"
        self.picker, self.bins = picker, bins
        self.names: list[str] = []
        self.block = np.empty((3, 0))
        self.ticks: list = []
        self.hidden = 0

    def absorb(self, batches: list[Batch]) -> Message:
        labels, values = self.picker(batches[-1])
        left, right, count, self.ticks = getattr(self, f"_{self.bins}")(labels, values)
        self.block = np.stack([left, right, count])
        return self.everything()

    def everything(self) -> Message:
        return Message(self.columns, self.block, {"ticks": self.ticks, "hidden": 0})

    def _slots(self, labels, values):
        used = np.flatnonzero(values)
        end = max(8, int(used[-1]) + 2 if len(used) else 0)
        values, labels = values[:end], labels[:end]
        place = np.arange(len(values), dtype="f8")
        step = max(1, -(-len(labels) // 16))
        return place - 0.45, place + 0.45, values, [[at, labels[at]] for at in range(0, len(labels), step)]

    def _log2(self, labels, values):
        """Bin k holds 2^k … 2^(k+1)-1; zero and below have a bin of their own on the left."""
        positive = values[values >= 1]
        power = np.floor(np.log2(positive)).astype(int) if len(positive) else np.empty(0, int)
        top = int(power.max()) + 1 if len(power) else 4
        count = np.concatenate([[float((values < 1).sum())], np.bincount(power, minlength=top).astype("f8")])
        place = np.arange(len(count), dtype="f8")
        step = max(1, -(-len(count) // 16))
        ticks = [[at, "0" if at == 0 else _short(2 ** (at - 1))] for at in range(0, len(count), step)]
        return place - 0.45, place + 0.45, count, ticks

    def _linear(self, labels, values):
        count, edges = np.histogram(values, bins=24) if len(values) else (np.zeros(1), np.array([0.0, 1.0]))
        return edges[:-1], edges[1:], count.astype("f8"), []


def _short(number: int) -> str:
    for power, letter in ((60, "E"), (50, "P"), (40, "T"), (30, "G"), (20, "M"), (10, "K")):
        if number >= 1 << power:
            return f"{number >> power}{letter}i"
    return str(number)


KINDS = {"line": Line, "bar": Bar, "hist": Hist}
