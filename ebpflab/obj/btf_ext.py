""".BTF.ext: which function, source line and CO-RE relocation belongs to which instruction (``struct btf_ext_header``).

::

    header   magic eb9f, version, flags, hdr_len, then offset and length of func_info, line_info, core_relo
    each     record size, then for each ELF section: name, number of records, records
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .btf import MAGIC, Btf, BtfError

_HEADER = struct.Struct("<HBBI")
_U32 = struct.Struct("<I")
_PAIR = struct.Struct("<II")
_QUAD = struct.Struct("<IIII")


@dataclass(frozen=True, slots=True)
class FuncInfo:
    """``offset`` in bytes into its ELF section; ``type`` the id of a FUNC."""

    offset: int
    type: int


@dataclass(frozen=True, slots=True)
class LineInfo:
    """``file`` and ``text`` are string offsets in the BTF; ``line`` and ``column`` count from 1."""

    offset: int
    file: int
    text: int
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class CoreInfo:
    """``path`` is the access string, ``kind`` of ``enum bpf_core_relo_kind``."""

    offset: int
    type: int
    path: str
    kind: int


@dataclass(frozen=True, slots=True)
class BtfExt:
    """The three tables, each by ELF section name."""

    funcs: dict[str, tuple[FuncInfo, ...]]
    lines: dict[str, tuple[LineInfo, ...]]
    core: dict[str, tuple[CoreInfo, ...]]


def read(data: bytes, types: Btf) -> BtfExt:
    """Parse the section. Raises BtfError with the offset."""
    if len(data) < 24:
        raise BtfError(f".BTF.ext has {len(data)} bytes, too few for a header", 0)
    magic, version, _, hdr_len = _HEADER.unpack_from(data)
    if magic != MAGIC or version != 1:
        raise BtfError(f".BTF.ext has magic {magic:#06x}, version {version}", 0)
    tables = []
    for number in range(3):
        at = 8 + 8 * number
        off, length = _PAIR.unpack_from(data, at) if at + 8 <= min(hdr_len, len(data)) else (0, 0)
        start = hdr_len + off
        if start + length > len(data):
            raise BtfError(f".BTF.ext table {number} ends {start + length - len(data)} bytes behind the section", at)
        tables.append((start, start + length))

    def func(at):
        return FuncInfo(*_PAIR.unpack_from(data, at))

    def line(at):
        offset, file, text, position = _QUAD.unpack_from(data, at)
        return LineInfo(offset, file, text, position >> 10, position & 0x3FF)

    def core(at):
        offset, type_, path, kind = _QUAD.unpack_from(data, at)
        return CoreInfo(offset, type_, types.string(path), kind)

    return BtfExt(*(dict(_table(data, types, start, end, smallest, make))
                    for (start, end), smallest, make in zip(tables, (8, 16, 16), (func, line, core), strict=True)))


def _table(data: bytes, types: Btf, at: int, end: int, smallest: int, make):
    if at == end:
        return
    if at + 4 > end:
        raise BtfError(".BTF.ext table without a record size", at)
    (size,) = _U32.unpack_from(data, at)
    if size < smallest or size % 4:
        raise BtfError(f".BTF.ext records of {size} bytes, at least {smallest} are needed", at)
    at += 4
    while at < end:
        if at + 8 > end:
            raise BtfError(".BTF.ext section entry is cut off", at)
        name, count = _PAIR.unpack_from(data, at)
        at += 8
        if at + size * count > end:
            raise BtfError(f".BTF.ext promises {count} records and has room for {(end - at) // size}", at - 4)
        yield types.string(name), tuple([make(at + size * number) for number in range(count)])
        at += size * count
