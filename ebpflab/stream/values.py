"""One key or value: Python objects to bytes and back, by layout. Standard library only.

=============  =================================  ========================================
layout         accepted                           given back
=============  =================================  ========================================
u8 … s64, be   int in range                       int
f32 f64 bool   number, bool                       float, bool
ipv4 ipv6 mac  text or bytes                      text
char[n]        text (UTF-8, at most n bytes)      text up to the first NUL
ktime          int, ns of the monotonic clock     int
enum           name or int                        name, or int where the enum has none
array          sequence of that many elements     tuple
struct         mapping, sequence or Record        named tuple
union          mapping with one member            named tuple of all members
bytes[n]       bytes                              bytes
=============  =================================  ========================================

Bytes of the right size are accepted everywhere.
"""

from __future__ import annotations

import ipaddress
import struct
from collections import namedtuple
from collections.abc import Mapping, Sequence
from functools import lru_cache
from keyword import iskeyword

from ..errors import SpecError
from ..layout import Field, Layout


def pack(layout: Layout, value, where: str = "value") -> bytes:
    """``value`` as ``layout.size`` bytes. SpecError says which member is wrong and what it can be."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        if len(value) == layout.size:
            return bytes(value)
        if not _is_text(layout):
            raise SpecError(f"{where} needs {layout.size} bytes, not {len(value)}")
    return (_PACK.get(layout.kind) or _number_in)(layout, _plain(value), where)


def unpack(layout: Layout, raw: bytes):
    """The Python object that ``raw`` (at least ``layout.size`` bytes) holds. See the module for the types."""
    return (_UNPACK.get(layout.kind) or _number_out)(layout, bytes(raw[:layout.size]))


def _plain(value):
    """numpy scalars become Python's; nothing else is touched."""
    item = getattr(value, "item", None)
    return item() if item is not None and getattr(value, "shape", None) == () else value


def _is_text(layout: Layout) -> bool:
    return layout.kind == "array" and layout.element.kind == "char"


def describe(layout: Layout) -> str:
    """The layout in the type language, as short as an error message wants it."""
    if layout.kind in ("struct", "union"):
        return f"{layout.kind} {{ {' '.join(f'{describe(f.type)} {f.name};' for f in layout.fields)} }}"
    if layout.kind == "array":
        return f"{describe(layout.element)}[{layout.count}]"
    return layout.name or f"{layout.kind}[{layout.size}]"


# ── scalars ───────────────────────────────────────────────────────────────────────────────────────────────


def _bounds(layout: Layout, bits: int = 0) -> tuple[int, int]:
    bits = bits or layout.size * 8
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if layout.kind == "int" else (0, (1 << bits) - 1)


def _endian(layout: Layout) -> str:
    return "big" if layout.order == ">" else "little"


def _number_in(layout: Layout, value, where: str) -> bytes:
    if layout.kind == "float":
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise SpecError(f"{where} must be a number ({describe(layout)}), not {value!r}")
        try:
            return struct.pack(f"{layout.order}{'f' if layout.size == 4 else 'd'}", value)
        except (OverflowError, struct.error) as error:
            raise SpecError(f"{where}: {value!r} does not fit {describe(layout)}") from error
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or (isinstance(value, bool) and layout.kind != "bool"):
        raise SpecError(f"{where} must be a whole number ({describe(layout)}), not {value!r}")
    low, high = (0, 1) if layout.kind == "bool" else _bounds(layout)
    if not low <= value <= high:
        raise SpecError(f"{where}: {value} does not fit {describe(layout)}", hint=f"{low} … {high}")
    return int(value).to_bytes(layout.size, _endian(layout), signed=layout.kind == "int")


def _number_out(layout: Layout, raw: bytes):
    if layout.kind == "float":
        return struct.unpack(f"{layout.order}{'f' if layout.size == 4 else 'd'}", raw)[0]
    number = int.from_bytes(raw, _endian(layout), signed=layout.kind == "int")
    return bool(number) if layout.kind == "bool" else number


def _enum_in(layout: Layout, value, where: str) -> bytes:
    names = {name: number for number, name in layout.names}
    if isinstance(value, str):
        if value not in names:
            raise SpecError(f"{where}: {layout.name or 'the enum'} has no {value!r}", hint="one of " + ", ".join(names))
        value = names[value]
    bits = layout.size * 8
    if not isinstance(value, int) or not -(1 << (bits - 1)) <= value < 1 << bits:
        raise SpecError(f"{where} must be a name or a number of {layout.size * 8} bits, not {value!r}")
    return (value % (1 << bits)).to_bytes(layout.size, _endian(layout))


def _enum_out(layout: Layout, raw: bytes):
    number = int.from_bytes(raw, _endian(layout))
    return dict(layout.names).get(number, number)


def _address_in(layout: Layout, value, where: str) -> bytes:
    example = {"ipv4": "10.0.0.1", "ipv6": "fd00::1", "mac": "02:00:00:00:00:01"}[layout.kind]
    try:
        if layout.kind == "mac":
            raw = bytes(int(part, 16) for part in str(value).replace("-", ":").split(":"))
            if len(raw) != 6:
                raise ValueError
            return raw
        if not isinstance(value, (str, ipaddress.IPv4Address, ipaddress.IPv6Address)):
            raise ValueError
        kind = ipaddress.IPv4Address if layout.kind == "ipv4" else ipaddress.IPv6Address
        return kind(str(value)).packed
    except ValueError:
        raise SpecError(f"{where}: {value!r} is no {layout.kind} address", hint=f'write it as "{example}"') from None


def _address_out(layout: Layout, raw: bytes) -> str:
    if layout.kind == "mac":
        return raw.hex(":")
    return str(ipaddress.IPv4Address(raw) if layout.kind == "ipv4" else ipaddress.IPv6Address(raw))


def _text_in(layout: Layout, value, where: str) -> bytes:
    if isinstance(value, str):
        value = value.encode()
    if not isinstance(value, (bytes, bytearray)):
        raise SpecError(f"{where} must be text ({describe(layout)}), not {value!r}")
    if len(value) > layout.size:
        raise SpecError(f"{where}: {value!r} has {len(value)} bytes, {describe(layout)} holds {layout.size}")
    return bytes(value).ljust(layout.size, b"\0")


def _text_out(layout: Layout, raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode(errors="backslashreplace")


def _bytes_in(layout: Layout, value, where: str) -> bytes:
    raise SpecError(f"{where} must be {layout.size} bytes, not {value!r}",
                    hint="give the map a type, as .map counts hash u32 u64, or pass bytes")


# ── arrays, structs, unions ───────────────────────────────────────────────────────────────────────────────


def _array_in(layout: Layout, value, where: str) -> bytes:
    if _is_text(layout):
        return _text_in(layout, value, where)
    if isinstance(value, (str, Mapping)) or not hasattr(value, "__len__") or len(value) != layout.count:
        raise SpecError(f"{where} must be {layout.count} elements ({describe(layout)}), not {value!r}")
    return b"".join(pack(layout.element, item, f"{where}[{index}]") for index, item in enumerate(value))


def _array_out(layout: Layout, raw: bytes):
    if _is_text(layout):
        return _text_out(layout, raw)
    size = layout.element.size
    return tuple(unpack(layout.element, raw[at:at + size]) for at in range(0, layout.size, size))


@lru_cache(maxsize=1024)
def record(layout: Layout):
    """The named tuple class of a struct or union; names that Python cannot have become ``_0``, ``_1`` …"""
    name = layout.name if layout.name.isidentifier() and not iskeyword(layout.name) else layout.kind
    return namedtuple(name, [f.name for f in layout.fields], rename=True)


def _struct_in(layout: Layout, value, where: str) -> bytes:
    fields = {field.name: field for field in layout.fields}
    if isinstance(value, Mapping):
        given = dict(value)
        if unknown := [name for name in given if name not in fields]:
            raise SpecError(f"{where} has no member {unknown[0]!r}", hint="members: " + ", ".join(fields))
        if missing := [name for name in fields if name not in given]:
            raise SpecError(f"{where} lacks member {missing[0]!r}", hint=describe(layout))
    elif isinstance(value, Sequence) and not isinstance(value, str) and len(value) == len(fields):
        given = dict(zip(fields, value, strict=True))
    else:
        raise SpecError(f"{where} must be a dict or {len(fields)} values, not {value!r}", hint=describe(layout))
    raw = bytearray(layout.size)        # padding is zero: the kernel compares keys with it
    for name, field in fields.items():
        _put(raw, field, given[name], f"{where}.{name}")
    return bytes(raw)


def _union_in(layout: Layout, value, where: str) -> bytes:
    if isinstance(value, tuple) and type(value) is record(layout):
        value = {max(layout.fields, key=lambda f: f.type.size).name: value[
            max(range(len(layout.fields)), key=lambda i: layout.fields[i].type.size)]}
    if not isinstance(value, Mapping) or len(value) != 1:
        raise SpecError(f"{where} must be a dict with one member, not {value!r}", hint=describe(layout))
    name, item = next(iter(value.items()))
    field = next((f for f in layout.fields if f.name == name), None)
    if field is None:
        raise SpecError(f"{where} has no member {name!r}", hint=describe(layout))
    raw = bytearray(layout.size)
    _put(raw, field, item, f"{where}.{name}")
    return bytes(raw)


def _put(raw: bytearray, field: Field, value, where: str) -> None:
    size, at = field.type.size, field.offset
    if not field.bits:
        raw[at:at + size] = pack(field.type, value, where)
        return
    low, high = _bounds(field.type, field.bits)
    value = _plain(value)
    if not isinstance(value, int) or not low <= value <= high:
        raise SpecError(f"{where}: {value!r} does not fit {field.bits} bits", hint=f"{low} … {high}")
    order, mask = _endian(field.type), (1 << field.bits) - 1
    unit = int.from_bytes(raw[at:at + size], order) & ~(mask << field.bit_offset)
    raw[at:at + size] = (unit | (value & mask) << field.bit_offset).to_bytes(size, order)


def _get(raw: bytes, field: Field):
    part = raw[field.offset:field.offset + field.type.size]
    if not field.bits:
        return unpack(field.type, part)
    number = int.from_bytes(part, _endian(field.type)) >> field.bit_offset & (1 << field.bits) - 1
    if field.type.kind == "int" and number >> (field.bits - 1):
        number -= 1 << field.bits
    return number


def _struct_out(layout: Layout, raw: bytes):
    return record(layout)(*(_get(raw, field) for field in layout.fields))


_PACK = {"ipv4": _address_in, "ipv6": _address_in, "mac": _address_in, "char": _text_in, "bytes": _bytes_in,
         "enum": _enum_in, "array": _array_in, "struct": _struct_in, "union": _union_in}
_UNPACK = {"ipv4": _address_out, "ipv6": _address_out, "mac": _address_out, "char": _text_out,
           "bytes": lambda layout, raw: raw, "enum": _enum_out, "array": _array_out,
           "struct": _struct_out, "union": _struct_out}
