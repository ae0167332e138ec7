"""Layouts as numpy dtypes, and structs flattened into named columns.

A column is a strided view into raw bytes: a map of ``struct { u32 ip; u16 port; }`` keys read as ::

    keys    | ip ip ip ip pt pt -- -- | ip ip ip ip pt pt -- -- | ...
    ip        offset 0, every 8 bytes          port   offset 4, every 8 bytes

so no row is ever touched by Python.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..errors import SpecError
from ..layout import Layout

MAX_FLAT = 64       # an array with more elements stays one column of numpy arrays
NUMBERS = ("uint", "int", "float")

_PLAIN = {"bool": "u1", "char": "S1", "mac": "V6", "ipv6": "V16", "ipv4": "V4"}
_LETTER = {"uint": "u", "int": "i", "float": "f", "ktime": "u", "enum": "u"}


@lru_cache(maxsize=1024)
def dtype(layout: Layout) -> np.dtype:
    """The numpy dtype with exactly ``layout``'s size, offsets and byte order.

    Structs and unions become structured dtypes (a union's members overlap), char arrays ``S``, addresses and
    opaque bytes ``V``. Bit fields appear as the whole unit that holds them.
    """
    kind = layout.kind
    if kind in _LETTER:
        return np.dtype(f"{layout.order}{_LETTER[kind]}{layout.size}")
    if kind in _PLAIN:
        return np.dtype(_PLAIN[kind])
    if kind == "bytes":
        return np.dtype(f"V{layout.size}")
    if kind == "array":
        return np.dtype(f"S{layout.count}") if is_text(layout) else np.dtype((dtype(layout.element), layout.count))
    if kind in ("struct", "union"):
        names = [field.name or f"_{number}" for number, field in enumerate(layout.fields)]
        return np.dtype({"names": names, "formats": [dtype(field.type) for field in layout.fields],
                         "offsets": [field.offset for field in layout.fields], "itemsize": layout.size})
    raise SpecError(f"no column type for layout kind {kind!r}")


def is_text(layout: Layout) -> bool:
    return layout.kind == "array" and layout.element.kind == "char"


@dataclass(frozen=True, slots=True)
class Column:
    """A leaf of a layout: ``path`` as ``src.port`` or ``slots[3]``; ``offset`` in bytes; ``bits`` of a bit field."""

    path: str
    layout: Layout
    offset: int = 0
    bit_offset: int = 0
    bits: int = 0

    @property
    def number(self) -> bool:
        """True where adding and subtracting make sense."""
        return self.layout.kind in NUMBERS

    def view(self, raw, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
        """The column's raw values, ``strides`` bytes apart along each axis of ``shape``: a view, no copy."""
        if not all(shape):
            return np.empty(shape, dtype(self.layout))
        return np.ndarray(shape, dtype(self.layout), raw, self.offset, strides)

    def decode(self, raw: np.ndarray, epoch: int | None = None) -> np.ndarray:
        """Raw values of this column (any shape) as what users see. ``epoch``: wall-clock ns at monotonic 0."""
        return _DECODE.get(self.layout.kind, _number)(raw, self, epoch)


@lru_cache(maxsize=1024)
def columns(layout: Layout | None, path: str = "") -> tuple[Column, ...]:
    """``layout`` flattened to its leaves, in memory order; no column for no layout."""
    return tuple(_flatten(layout, path, 0, 0, 0)) if layout else ()


def _flatten(layout: Layout, path: str, offset: int, bit_offset: int, bits: int):
    if layout.kind in ("struct", "union"):
        for field in layout.fields:
            name = f"{path}.{field.name}" if path and field.name else path or field.name
            yield from _flatten(field.type, name, offset + field.offset, field.bit_offset, field.bits)
    elif layout.kind == "array" and not is_text(layout) and layout.count <= MAX_FLAT:
        for index in range(layout.count):
            yield from _flatten(layout.element, f"{path}[{index}]", offset + index * layout.element.size, 0, 0)
    else:
        yield Column(path, layout, offset, bit_offset, bits)


# ── decoding ──────────────────────────────────────────────────────────────────────────────────────────────


def native(raw: np.ndarray) -> np.ndarray:
    """A contiguous copy in this machine's byte order."""
    return raw.astype(raw.dtype.newbyteorder("="), order="C", copy=True)


def _number(raw, column: Column, epoch):
    values = native(raw)
    if column.bits:
        # Little-endian bit fields count from the unit's lowest bit.
        width = column.layout.size * 8
        values = values << (width - column.bit_offset - column.bits)    # the sign bit comes to the top
        values = values >> (width - column.bits)                        # arithmetic for signed types
    return values


def _ktime(raw, column: Column, epoch):
    """Monotonic ns as UTC times, or as time since boot where the wall clock is unknown; 0 means never."""
    values = native(raw)
    never = values == 0
    values = values.astype("i8") if epoch is None else values.astype("i8") + epoch
    values = values.view("m8[ns]" if epoch is None else "M8[ns]")
    values[never] = np.datetime64("NaT") if epoch is not None else np.timedelta64("NaT")
    return values


def _texts(make: Callable[[bytes], object]):
    """Decode by distinct value: repeated addresses and names are formatted once."""

    def decode(raw, column: Column, epoch):
        shape, rows = raw.shape, np.ascontiguousarray(raw).reshape(-1).tolist()
        table = {row: make(row) for row in set(rows)}
        out = np.empty(len(rows), object)
        out[:] = [table[row] for row in rows]
        return out.reshape(shape)

    return decode


def _enum(raw, column: Column, epoch):
    names = dict(column.layout.names)
    return _texts(lambda number: names.get(number, str(number)))(raw, column, epoch)


def _array(raw, column: Column, epoch):
    """Arrays: text for char, else one numpy array a row."""
    if is_text(column.layout):
        return _texts(text)(raw, column, epoch)
    inner = Column(column.path, column.layout.element)
    values = native(raw) if column.layout.element.kind in ("struct", "union") else inner.decode(raw, epoch)
    out = np.empty(math.prod(raw.shape[:-1]), object)
    for row, value in enumerate(values.reshape(len(out), -1)):
        out[row] = value
    return out.reshape(raw.shape[:-1])


def text(raw: bytes) -> str:
    """A C string: up to the first NUL; bytes that are not UTF-8 are shown as ``\\xNN``."""
    return raw.split(b"\0", 1)[0].decode(errors="backslashreplace")


_DECODE = {
    "bool": lambda raw, column, epoch: raw != 0,
    "ipv4": _texts(lambda raw: socket.inet_ntop(socket.AF_INET, raw)),
    "ipv6": _texts(lambda raw: socket.inet_ntop(socket.AF_INET6, raw)),
    "mac": _texts(lambda raw: raw.hex(":")),
    "char": _texts(text),
    "bytes": _texts(bytes),
    "ktime": _ktime,
    "enum": _enum,
    "array": _array,
}
