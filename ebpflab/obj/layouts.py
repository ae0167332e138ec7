"""From a BTF type to a ``Layout``, so that a map's keys and values need no declaration by hand."""

from __future__ import annotations

from .. import layout as lay
from ..errors import SpecError
from . import btf as b
from .btf import Btf, Type

#: typedef names that say more than their integer does
_MEANING = {"__be16": "be16", "__be32": "be32", "__be64": "be64", "in_addr_t": "ipv4"}
_DEEPEST = 32


def layout_of(types: Btf, id: int) -> lay.Layout:
    """The layout of a type: structs, unions, arrays, bit fields, enums by name, byte order from ``__be…`` typedefs.

    Pointers are ``u64``. Raises SpecError for what has no size (functions, forward declarations, void).
    """
    return _Layouts(types).of(id, _DEEPEST)


class _Layouts:
    """Layouts of one question, each type made once: types that contain two of each other would double every level."""

    def __init__(self, types: Btf):
        self.types = types
        self._made: dict[int, lay.Layout] = {}

    def of(self, id: int, deeper: int) -> lay.Layout:
        if id not in self._made:
            self._made[id] = _layout(self, self.types, id, deeper)
        return self._made[id]


def _layout(made: _Layouts, types: Btf, id: int, deeper: int) -> lay.Layout:
    if deeper == 0:
        raise SpecError(f"type {id} is nested deeper than {_DEEPEST} levels")
    found = types[id]
    while found.kind in b.MODIFIERS:
        if found.kind == b.TYPEDEF and found.name in _MEANING:
            return lay.SCALARS[_MEANING[found.name]]
        found = types[found.type]
        deeper -= 1
        if deeper == 0:
            raise SpecError(f"type {id} is a chain without end")
    make = _MAKERS.get(found.kind)
    if make is None:
        raise SpecError(f"type {id} ({found.kind_name} {found.name}) has no size",
                        hint="keys and values are made of integers, enums, arrays, structs and unions")
    return make(made, found, deeper)


def _integer(made: _Layouts, found: Type, deeper: int) -> lay.Layout:
    if found.flags & b.INT_BOOL:
        return lay.SCALARS["bool"]
    if found.size == 1 and (found.flags & b.INT_CHAR or found.name == "char"):
        return lay.SCALARS["char"]
    if found.size not in (1, 2, 4, 8):
        return lay.opaque(found.size)
    return lay.SCALARS[f"{'s' if found.signed else 'u'}{found.size * 8}"]


def _pointer(made: _Layouts, found: Type, deeper: int) -> lay.Layout:
    return lay.SCALARS["u64"]


def _float(made: _Layouts, found: Type, deeper: int) -> lay.Layout:
    return lay.SCALARS[f"f{found.size * 8}"] if found.size in (4, 8) else lay.opaque(found.size)


def _enum(made: _Layouts, found: Type, deeper: int) -> lay.Layout:
    names = tuple([(value, name) for name, value in found.values])
    return lay.Layout("enum", found.size, found.size, names=names, name=found.name)


def _array(made: _Layouts, found: Type, deeper: int) -> lay.Layout:
    return lay.array(made.of(found.type, deeper - 1), found.count)


def _composite(made: _Layouts, found: Type, deeper: int) -> lay.Layout:
    fields, align = [], 1
    for number, member in enumerate(found.members):
        inner = made.of(member.type, deeper - 1)
        align = max(align, inner.align)
        byte, bit = divmod(member.offset, 8)
        if member.bits:
            if not inner.size:
                raise SpecError(f"bit field {member.name!r} of {found.name!r} has a type without size")
            # the storage unit of a bit field is its type, at that type's alignment
            byte = member.offset // (inner.size * 8) * inner.size
            bit = member.offset - byte * 8
        fields.append(lay.Field(member.name or f"_{number}", inner, byte, bit, member.bits))
    return lay.Layout(found.kind_name, found.size, align, fields=tuple(fields), name=found.name)


_MAKERS = {b.INT: _integer, b.PTR: _pointer, b.FLOAT: _float, b.ENUM: _enum, b.ENUM64: _enum, b.ARRAY: _array,
           b.STRUCT: _composite, b.UNION: _composite}
