"""BTF, the type information of kernels and programs (``Documentation/bpf/btf.rst``, ``include/uapi/linux/btf.h``).

::

    header (24 bytes)   magic eb9f, version, flags, hdr_len, type_off, type_len, str_off, str_len
    type section        one record a type, ids count from 1 in the order of the records
        +-----------+-----------------------------------------+-----------+
        | name_off  | kind_flag(31)  kind(28..24)  vlen(15..0) | size|type |  + data by kind
        +-----------+-----------------------------------------+-----------+
    string section      NUL-terminated; offset 0 is ""

A kernel has 150,000 types, of which a program needs a few: opening only finds where each record starts (and checks
that it ends inside the section); records are decoded when they are asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ..errors import EbpflabError

MAGIC = 0xEB9F
_HEADER = struct.Struct("HBBIIIII")

(VOID, INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC,
 FLOAT, DECL_TAG, TYPE_TAG, ENUM64) = range(20)
KINDS = ("void", "int", "ptr", "array", "struct", "union", "enum", "fwd", "typedef", "volatile", "const", "restrict",
         "func", "func_proto", "var", "datasec", "float", "decl_tag", "type_tag", "enum64")
#: bytes that follow the 12-byte record, by kind: fixed part, part for each of vlen
_EXTRA = {INT: (4, 0), ARRAY: (12, 0), STRUCT: (0, 12), UNION: (0, 12), ENUM: (0, 8), FUNC_PROTO: (0, 8), VAR: (4, 0),
          DATASEC: (0, 12), DECL_TAG: (4, 0), ENUM64: (0, 12)}
MODIFIERS = frozenset((TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG))
INT_SIGNED, INT_CHAR, INT_BOOL = 1, 2, 4


class BtfError(EbpflabError):
    """BTF that cannot be read; ``offset`` is the byte in the blob."""

    def __init__(self, what: str, offset: int):
        super().__init__(what, where=f"BTF byte {offset:#x}",
                         hint="the data is truncated, damaged, or not BTF of this machine's byte order")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Member:
    """A field of a struct or union. ``offset`` in bits from its start; ``bits`` > 0 for a bit field."""

    name: str
    type: int
    offset: int
    bits: int = 0


@dataclass(frozen=True, slots=True)
class Type:
    """One record.

    id, kind (``KINDS``), name; ``size`` in bytes (int, struct, union, enum, float, datasec); ``type`` the id that it
    refers to (ptr, modifiers, array element, function prototype, return type, variable).
    members   struct, union
    values    enum: (name, value);  func_proto: (parameter name, type id);  datasec: (type id, offset, size)
    count, index   array: number of elements, id of the index type
    flags     int: INT_SIGNED | INT_CHAR | INT_BOOL;  fwd: 1 for a union;  func, var: linkage;  decl_tag: component
    bit_offset, bits   int: where in its bytes, and how many
    """

    id: int
    kind: int
    name: str = ""
    size: int = 0
    type: int = 0
    members: tuple[Member, ...] = ()
    values: tuple[tuple, ...] = ()
    count: int = 0
    index: int = 0
    flags: int = 0
    bit_offset: int = 0
    bits: int = 0
    signed: bool = False

    @property
    def kind_name(self) -> str:
        return KINDS[self.kind]


VOID_TYPE = Type(0, VOID, "void")


class Btf:
    """A BTF blob, with its base if it is split BTF (of a module). Index it by type id.

    Raises BtfError (with the offset) for whatever is not BTF.
    """

    def __init__(self, data: bytes, base: Btf | None = None):
        self.data = bytes(data)
        self.base = base
        if len(self.data) < _HEADER.size:
            raise BtfError(f"{len(self.data)} bytes are too few for a header", 0)
        for order in "<>":
            header = struct.unpack_from(order + _HEADER.format, self.data)
            if header[0] == MAGIC:
                break
        else:
            raise BtfError(f"magic is {header[0]:#06x}, not {MAGIC:#06x}", 0)
        self.order = order
        _, version, _, hdr_len, type_off, type_len, str_off, str_len = header
        if version != 1:
            raise BtfError(f"version {version} is unknown", 2)
        if hdr_len < _HEADER.size or hdr_len > len(self.data):
            raise BtfError(f"a header of {hdr_len} bytes", 4)
        for what, off, length in (("type", type_off, type_len), ("string", str_off, str_len)):
            behind = hdr_len + off + length - len(self.data)
            if behind > 0:
                raise BtfError(f"the {what} section ends {behind} bytes behind the data", hdr_len + off)
        self._types = hdr_len + type_off
        self._types_end = self._types + type_len
        self._strings = hdr_len + str_off
        self._strings_len = str_len
        self.first_id = len(base) if base else 1
        self._string_base = base._string_base + base._strings_len if base else 0
        self._offsets = self._scan()
        self._cache: dict[int, Type] = {}

    def _scan(self) -> list[int]:
        """Where each record starts. Only the info word of each is read."""
        at, end, data = self._types, self._types_end, self.data
        extra = [(*_EXTRA.get(kind, (0, 0)), kind < len(KINDS) and kind != VOID) for kind in range(32)]
        info_word = struct.Struct(self.order + "I").unpack_from
        offsets: list[int] = []
        append = offsets.append
        while at + 12 <= end:
            (info,) = info_word(data, at + 4)
            fixed, each, known = extra[info >> 24 & 0x1F]
            if not known:
                raise BtfError(f"kind {info >> 24 & 0x1F} of type {len(offsets) + self.first_id} is unknown", at)
            append(at)
            at += 12 + fixed + each * (info & 0xFFFF)
        if at != end:
            raise BtfError(f"type {len(offsets) + self.first_id - 1} does not end with the section", offsets[-1]
                           if offsets else at)
        return offsets

    def __len__(self) -> int:
        """Number of type ids, void and those of the base included."""
        return self.first_id + len(self._offsets)

    def offset_of(self, id: int) -> int:
        """The byte in ``data`` where a type's record starts."""
        return self._offsets[id - self.first_id]

    def record(self, id: int) -> bytes:
        """A type's bytes, with all that follows its head."""
        index = id - self.first_id
        end = self._offsets[index + 1] if index + 1 < len(self._offsets) else self._types_end
        return self.data[self._offsets[index]:end]

    def rebuilt(self, records: bytes) -> bytes:
        """A blob with the same strings and these records in place of its own."""
        strings = self.data[self._strings:self._strings + self._strings_len]
        head = struct.pack(self.order + _HEADER.format, MAGIC, 1, 0, _HEADER.size, 0, len(records), len(records),
                           len(strings))
        return head + records + strings

    def string(self, offset: int) -> str:
        """The string at an offset of the string section."""
        if offset < self._string_base:
            return self.base.string(offset)
        local = offset - self._string_base
        if local >= self._strings_len:
            if offset == 0:
                return ""
            raise BtfError(f"string offset {offset} is outside of the string section", self._strings)
        start = self._strings + local
        end = self.data.find(b"\0", start, self._strings + self._strings_len)
        if end < 0:
            raise BtfError("a string does not end", start)
        return self.data[start:end].decode("utf-8", "replace")

    def __getitem__(self, id: int) -> Type:
        if id == 0:
            return VOID_TYPE
        if id < self.first_id:
            return self.base[id]
        found = self._cache.get(id)
        if found is None:
            if not 0 < id < len(self):
                raise BtfError(f"type {id} does not exist, there are {len(self) - 1}", self._types)
            found = self._cache[id] = self._decode(id, self._offsets[id - self.first_id])
        return found

    def _decode(self, id: int, at: int) -> Type:
        name_off, info, size_or_type = struct.unpack_from(self.order + "III", self.data, at)
        kind, vlen, flag = info >> 24 & 0x1F, info & 0xFFFF, info >> 31
        return _DECODERS.get(kind, _refers)(self, id, kind, self.string(name_off), size_or_type, at + 12, vlen, flag)

    def words(self, at: int, count: int, format: str) -> Iterator[tuple[int, ...]]:
        """``count`` groups of 32-bit words from byte ``at``."""
        item = struct.Struct(self.order + format)
        return item.iter_unpack(self.data[at:at + item.size * count])

    def __iter__(self) -> Iterator[Type]:
        """All types but void, in the order of their ids, those of the base first. What is only passed by is not kept:
        a kernel's types, decoded, are twenty times as large as their blob."""
        if self.base is not None:
            yield from self.base
        for id, at in enumerate(self._offsets, self.first_id):
            yield self._cache.get(id) or self._decode(id, at)

    def of_kind(self, kind: int) -> Iterator[Type]:
        """Its own types of one kind (not those of the base); the others are not decoded."""
        info_word = struct.Struct(self.order + "I").unpack_from
        for id, at in enumerate(self._offsets, self.first_id):
            if info_word(self.data, at + 4)[0] >> 24 & 0x1F == kind:
                yield self[id]

    @cached_property
    def names(self) -> dict[str, list[int]]:
        """Name -> ids that carry it, base included."""
        found = {name: list(ids) for name, ids in self.base.names.items()} if self.base else {}
        pair = struct.Struct(self.order + "I").unpack_from
        for id, at in enumerate(self._offsets, self.first_id):
            (name_off,) = pair(self.data, at)
            if name_off:
                found.setdefault(self.string(name_off), []).append(id)
        return found

    def find(self, name: str, *kinds: int) -> Type | None:
        """The first type of that name (and of one of the kinds, if any are given)."""
        for id in self.names.get(name, ()):
            found = self[id]
            if not kinds or found.kind in kinds:
                return found
        return None

    def strip(self, id: int) -> Type:
        """Follow typedefs, qualifiers and tags to the type behind them. Raises BtfError on a cycle."""
        seen = 0
        found = self[id]
        while found.kind in MODIFIERS:
            seen += 1
            if seen > 64:
                raise BtfError(f"type {id} is a chain without end", self._types)
            found = self[found.type]
        return found

    def size(self, id: int) -> int:
        """``sizeof`` in bytes; 0 for void, functions and forward declarations."""
        found, count = self.strip(id), 1
        for _ in range(64):
            if found.kind == PTR:
                return 8 * count
            if found.kind == VAR:
                found = self.strip(found.type)
            elif found.kind == ARRAY:
                count *= found.count
                found = self.strip(found.type)
            else:
                return found.size * count
        raise BtfError(f"type {id} is an array without end", self._types)


def _refers(btf, id, kind, name, other, at, vlen, flag):
    return Type(id, kind, name, type=other, flags=vlen if kind == FUNC else flag)


def _int(btf, id, kind, name, size, at, vlen, flag):
    ((word,),) = btf.words(at, 1, "I")
    encoding = word >> 24 & 0xF
    return Type(id, kind, name, size, flags=encoding, bit_offset=word >> 16 & 0xFF, bits=word & 0xFF,
                signed=bool(encoding & INT_SIGNED))


def _array(btf, id, kind, name, size, at, vlen, flag):
    ((element, index, count),) = btf.words(at, 1, "III")
    return Type(id, kind, name, type=element, index=index, count=count)


def _composite(btf, id, kind, name, size, at, vlen, flag):
    members = tuple([
        Member(btf.string(name_off), type, off & 0xFFFFFF if flag else off, off >> 24 if flag else 0)
        for name_off, type, off in btf.words(at, vlen, "III")])
    return Type(id, kind, name, size, members=members)


def _enum(btf, id, kind, name, size, at, vlen, flag):
    values = tuple([(btf.string(name_off), value) for name_off, value in btf.words(at, vlen, "Ii" if flag else "II")])
    return Type(id, kind, name, size, values=values, signed=bool(flag))


def _enum64(btf, id, kind, name, size, at, vlen, flag):
    values = []
    for name_off, low, high in btf.words(at, vlen, "III"):
        value = high << 32 | low
        values.append((btf.string(name_off), value - (1 << 64) if flag and value >> 63 else value))
    return Type(id, kind, name, size, values=tuple(values), signed=bool(flag))


def _func_proto(btf, id, kind, name, returns, at, vlen, flag):
    params = tuple([(btf.string(name_off), type) for name_off, type in btf.words(at, vlen, "II")])
    return Type(id, kind, name, type=returns, values=params)


def _var(btf, id, kind, name, type, at, vlen, flag):
    ((linkage,),) = btf.words(at, 1, "I")
    return Type(id, kind, name, type=type, flags=linkage)


def _datasec(btf, id, kind, name, size, at, vlen, flag):
    return Type(id, kind, name, size, values=tuple(btf.words(at, vlen, "III")))


def _decl_tag(btf, id, kind, name, type, at, vlen, flag):
    ((component,),) = btf.words(at, 1, "i")
    return Type(id, kind, name, type=type, flags=component)


def _sized(btf, id, kind, name, size, at, vlen, flag):
    return Type(id, kind, name, size)


_DECODERS = {INT: _int, ARRAY: _array, STRUCT: _composite, UNION: _composite, ENUM: _enum, ENUM64: _enum64,
             FUNC_PROTO: _func_proto, VAR: _var, DATASEC: _datasec, DECL_TAG: _decl_tag, FLOAT: _sized}
