"""``LabMap``: a live map with types. numpy and pandas are loaded by the methods that need them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..errors import EbpflabError, SpecError, Unsupported
from ..spec import MapSpec
from ..targets.base import Closing, Snapshot, TargetMap
from .values import describe, pack, unpack


def lab_map(target_map) -> LabMap:
    """A LabMap as it is, a TargetMap wrapped."""
    return target_map if isinstance(target_map, LabMap) else LabMap(target_map)


def _objects(value):
    """What a target puts into a map of objects for ``value``; None if it is a plain value."""
    parts = value if isinstance(value, tuple) else (value,)
    things = tuple(part.target_map if isinstance(part, LabMap) else getattr(part, "loaded", part) for part in parts)
    if not any(isinstance(thing, Closing) or hasattr(thing, "net") for thing in things):
        return None
    return things if isinstance(value, tuple) else things[0]


class LabMap:
    """The typed handle of a target's map; it behaves like a dict and gives DataFrames and streams.

    Keys and values are converted by the map's layout (see ``stream.values``)::

        counts[6]                       counts["10.0.0.1"] = (1, 64)       del counts[6]
        counts.frame()                  counts.watch(every=0.2)            counts.update(frame)

    In a per-CPU map a value is a list with one item a possible CPU; a single value assigned goes to every CPU.
    """

    def __init__(self, target_map: TargetMap):
        self.target_map = target_map
        self.spec: MapSpec = target_map.spec
        self._cpus = 0
        self._epoch: int | None = None
        self._before = None

    @property
    def name(self) -> str:
        return self.spec.name

    # ── one entry ──

    def __getitem__(self, key):
        raw = self.target_map.lookup(self._key(key))
        if raw is None:
            raise KeyError(key)
        return self._value_out(raw)

    def get(self, key, default=None):
        """The value of ``key``, ``default`` if it is not there."""
        raw = self.target_map.lookup(self._key(key))
        return default if raw is None else self._value_out(raw)

    def __setitem__(self, key, value) -> None:
        """Write an entry. In a map of objects the value is the object: ``jumps[0] = prog``, ``socks[1] = sock``,
        ``devices[0] = (ifindex, prog)``."""
        held = _objects(value)
        self.target_map.update(self._key(key), self._value_in(value) if held is None else held)

    def __delitem__(self, key) -> None:
        if not self.target_map.delete(self._key(key)):
            raise KeyError(key)

    def __contains__(self, key) -> bool:
        return self.target_map.lookup(self._key(key)) is not None

    def __len__(self) -> int:
        return self.snapshot().count

    def __bool__(self) -> bool:
        return True     # an empty map is still a map

    def __iter__(self) -> Iterator:
        return (key for key, _ in self.items())

    def items(self) -> list[tuple]:
        """(key, value) of one reading, in the map's order."""
        snapshot, size = self.snapshot(), self.spec.key_size
        width = len(snapshot.values) // snapshot.count if snapshot.count else 0
        return [(unpack(self.spec.key, snapshot.keys[i * size:(i + 1) * size]),
                 self._value_out(snapshot.values[i * width:(i + 1) * width])) for i in range(snapshot.count)]

    def _key(self, key) -> bytes:
        if self.spec.key is None:
            raise SpecError(f"map {self.name!r}: a {self.spec.type} map has no keys")
        return pack(self.spec.key, key, f"key of {self.name}")

    def _stride(self) -> int:
        return -(-self.spec.value_size // 8) * 8

    def _value_out(self, raw: bytes):
        if not self.spec.row.per_cpu:
            return unpack(self.spec.value, raw)
        step = self._stride()
        return [unpack(self.spec.value, raw[at:at + step]) for at in range(0, len(raw), step)]

    def _value_in(self, value) -> bytes:
        where = f"value of {self.name}"
        if not self.spec.row.per_cpu:
            return pack(self.spec.value, value, where)
        cpus = self.cpus
        if isinstance(value, list):
            if len(value) != cpus:
                raise SpecError(f"{where} needs one item for each of {cpus} CPUs, not {len(value)}",
                                hint="a single value, not in a list, goes to every CPU")
            parts = [pack(self.spec.value, item, f"{where}, CPU {cpu}") for cpu, item in enumerate(value)]
        else:
            parts = [pack(self.spec.value, value, where)] * cpus
        return b"".join(part.ljust(self._stride(), b"\0") for part in parts)

    @property
    def cpus(self) -> int:
        """Items in a per-CPU value (possible CPUs of the target); 1 for other maps."""
        if not self.spec.row.per_cpu:
            return 1
        self._cpus = self._cpus or self.snapshot().cpus
        return self._cpus

    # ── everything at once ──

    def snapshot(self) -> Snapshot:
        """One reading as raw columns."""
        if not self.spec.row.user_read or not self.spec.value_size:
            raise Unsupported(f"map {self.name!r}: a {self.spec.type} map cannot be read as a table",
                              hint="ring buffers and perf arrays are event streams" if "ring" in self.spec.type
                              or "perf" in self.spec.type else None)
        reading = self.target_map.read()
        if self._epoch is None and reading.seconds:
            import time

            self._epoch = time.time_ns() - int(reading.seconds * 1e9)
        return reading

    def frame(self, *, per_cpu: str = "long"):
        """The contents as a typed DataFrame: key columns, then value columns; ``per_cpu`` long, wide or sum.

        ``frame.attrs`` holds ``lost`` and ``duplicates`` of the reading. ktime columns are UTC times.
        """
        from . import frames

        reading = self.snapshot()
        frame = frames.data_frame(frames.table(frames.grid(reading, epoch=self._epoch), per_cpu))
        frame.attrs.update(map=self.name, lost=reading.lost, duplicates=reading.duplicates)
        return frame

    def diff(self):
        """What changed since the last ``diff()``, as a DataFrame; see ``stream.diff.changes``.

        The first call takes what is there as new: call it once, let things happen, call it again.
        """
        from . import diff, frames

        now = frames.grid(self.snapshot(), epoch=self._epoch)
        before, self._before = self._before, now
        return diff.changes(now, now.take([]) if before is None else before)

    def update(self, rows, flags: int = 0) -> int:
        """Write a DataFrame with this map's columns (as ``frame()`` gives them), or a dict of keys and values.

        ``flags`` as in BPF_MAP_UPDATE_ELEM (1 only new entries, 2 only existing ones). Returns the entries written.
        Nothing is written if any row is wrong.
        """
        if isinstance(rows, Mapping):
            pairs = [(self._key(key), self._value_in(value)) for key, value in rows.items()]
            keys, values, count = b"".join(k for k, _ in pairs), b"".join(v for _, v in pairs), len(pairs)
        else:
            from .write import pack_frame

            keys, values, count = pack_frame(self.spec, rows, self.cpus)
        if many := getattr(self.target_map, "write", None):
            return many(keys, values, flags)
        size, width = self.spec.key_size, len(values) // count if count else 0
        for row in range(count):
            self.target_map.update(keys[row * size:(row + 1) * size], values[row * width:(row + 1) * width], flags)
        return count

    def watch(self, every: float = 0.2, *, mode: str = "absolute", buffer: int = 600, per_cpu: str = "long"):
        """A ``Stream`` of readings, one every ``every`` seconds; ``mode`` absolute, delta or rate."""
        from .poller import Stream

        self.snapshot()         # a map that cannot be read is said here, not in a thread
        return Stream(self.target_map.read, every=every, mode=mode, buffer=buffer, per_cpu=per_cpu, name=self.name,
                      spec=self.spec)

    # ── display ──

    def __repr__(self) -> str:
        spec = self.spec
        types = " -> ".join(describe(layout) for layout in (spec.key, spec.value) if layout)
        return f"<{spec.type} map {spec.name!r}: {types}, {spec.max_entries} entries at most>"

    def _repr_html_(self) -> str | None:
        """The first rows, without those that are all zero in an array."""
        import html

        head = html.escape(repr(self)[1:-1])
        try:
            frame = self.frame(per_cpu="sum")
        except (EbpflabError, ImportError) as error:
            return f"<div><code>{head}</code><br>{html.escape(str(error))}</div>"
        total = len(frame)
        if "array" in self.spec.type:
            numbers = frame.select_dtypes("number").columns.difference(["key"])
            frame = frame[(frame[numbers] != 0).any(axis=1)] if len(numbers) else frame
        kind = "entries" if "array" not in self.spec.type else "entries that are not zero"
        note = f"{len(frame)} {kind} of {total}" + (f", first {20}" if len(frame) > 20 else "")
        return f"<div><code>{head}</code><br><small>{note}</small>{frame.head(20).to_html(index=False)}</div>"
