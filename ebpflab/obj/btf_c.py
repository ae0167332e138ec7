"""BTF as C: a ``vmlinux.h`` from a kernel's types, with the kernel's own sizes and offsets.

A type is written before it is used by value; what is only pointed at is declared forward.  Where C's rules alone would
place a member elsewhere than BTF says, unnamed bit fields fill the gap, or the struct is packed.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import contextmanager
from functools import lru_cache

from . import btf as b
from .btf import Btf, BtfError, Type

_TAGGED = {b.STRUCT: "struct", b.UNION: "union", b.ENUM: "enum", b.ENUM64: "enum", b.FWD: "struct"}
_QUALIFIERS = {b.CONST: "const", b.VOLATILE: "volatile", b.RESTRICT: "restrict"}
_PADS = ((64, "long"), (32, "int"), (16, "short"), (8, "char"))
_WIDE_GAP = 1 << 16  # bits
#: names that a C compiler has already, with another layout than the kernel's machine
_RENAMED = {"__builtin_va_list": "__kernel_va_list"}


class CPrinter:
    """Writes types of one BTF as C, each once, in an order that compiles; ``text()`` is what was written so far."""

    def __init__(self, types: Btf):
        self.types = types
        self._out: list[str] = []
        self._done: set[int] = set()
        self._declared: set[str] = set()
        self._names: dict[int, str] = {}
        self._taken: dict[tuple[str, str], int] = {}
        self._unnamed = 20 * len(types) + 1000  # bodies without a name that may be written: they can nest and repeat
        self._align = lru_cache(maxsize=None)(self._alignment)
        self._packed = lru_cache(maxsize=None)(self._is_packed)

    def text(self) -> str:
        return "\n".join(self._out) + "\n"

    # -- names ----------------------------------------------------------------------------------------------------

    def name(self, found: Type) -> str:
        """The C name of a type: two that share one get ``___2``, as libbpf does; anonymous ones have none."""
        if not found.name:
            return ""
        if found.id not in self._names:
            space = "tag" if found.kind in _TAGGED else "plain"
            count = self._taken[space, found.name] = self._taken.get((space, found.name), 0) + 1
            plain = _RENAMED.get(found.name, found.name)
            self._names[found.id] = plain if count == 1 else f"{plain}___{count}"
        return self._names[found.id]

    def _constant(self, name: str) -> str:
        count = self._taken["plain", name] = self._taken.get(("plain", name), 0) + 1
        return name if count == 1 else f"{name}___{count}"

    def tag(self, found: Type) -> str:
        word = "union" if found.kind == b.FWD and found.flags else _TAGGED[found.kind]
        return f"{word} {self.name(found)}"

    # -- order ----------------------------------------------------------------------------------------------------

    def define(self, id: int) -> None:
        """Write a named type, after all that it needs."""
        found = self.types[id]
        if found.id in self._done:
            return
        if found.kind in (b.STRUCT, b.UNION, b.ENUM, b.ENUM64, b.TYPEDEF) and found.name:
            self._done.add(found.id)
            if found.kind == b.TYPEDEF:
                self._need(found.type, False)
                self._out.append(f"typedef {self.declare(found.type, self.name(found))};\n")
            else:
                self._need_members(found)
                self._declared.add(self.tag(found))
                self._out.append(self.body(found) + ";\n")

    def _need_members(self, found: Type) -> None:
        for member in found.members:
            self._need(member.type, True)

    def _need(self, id: int, by_value: bool) -> None:
        """Write what must stand before a use of the type."""
        found = self.types[id]
        kind = found.kind
        if kind == b.PTR:
            self._need(found.type, False)
        elif kind == b.ARRAY:
            self._need(found.type, True)
        elif kind in _QUALIFIERS or kind == b.TYPE_TAG:
            self._need(found.type, by_value)
        elif kind == b.FUNC_PROTO:
            self._need(found.type, False)
            for _, parameter in found.values:
                self._need(parameter, False)
        elif kind == b.TYPEDEF:
            self.define(id)
            if by_value:  # the typedef may have been written when only a forward declaration was needed
                self._need(found.type, True)
        elif kind in (b.STRUCT, b.UNION) and not found.name:
            if found.id not in self._done:  # what it needs was written when it was met first
                self._need_members(found)
                self._done.add(found.id)
        elif kind in (b.ENUM, b.ENUM64) or (by_value and kind in (b.STRUCT, b.UNION)):
            self.define(id)
        elif kind in _TAGGED and self.tag(found) not in self._declared:
            self._declared.add(self.tag(found))
            self._out.append(f"{self.tag(found)};\n")

    # -- text -----------------------------------------------------------------------------------------------------

    def declare(self, id: int, inner: str, indent: str = "") -> str:
        """A C declaration of ``inner`` with that type: the declarator grows inside out."""
        found = self.types[id]
        kind = found.kind
        if kind == b.PTR:
            target = self.types[found.type]
            while target.kind in (b.TYPE_TAG,):
                target = self.types[target.type]
            wrap = target.kind in (b.ARRAY, b.FUNC_PROTO)
            return self.declare(target.id, f"(*{inner})" if wrap else f"*{inner}", indent)
        if kind == b.ARRAY:
            return self.declare(found.type, f"{inner}[{found.count}]", indent)
        if kind == b.FUNC_PROTO:
            return self.declare(found.type, f"{inner}({self._parameters(found)})", indent)
        if kind in _QUALIFIERS:
            target = self.types[found.type]
            if target.kind == b.PTR:
                return self.declare(found.type, f" {_QUALIFIERS[kind]} {inner}".rstrip(), indent)
            inside = self.declare(found.type, inner, indent)
            element = target
            while element.kind == b.ARRAY:  # an array is as constant as its elements, which may say so themselves
                element = self.types[element.type]
            return inside if kind == b.RESTRICT or element.kind == kind else f"{_QUALIFIERS[kind]} {inside}"
        if kind == b.TYPE_TAG:
            return self.declare(found.type, inner, indent)
        return f"{self._base(found, indent)} {inner}".rstrip()

    def _parameters(self, proto: Type) -> str:
        if not proto.values:
            return "void"
        return ", ".join("..." if id == 0 else self.declare(id, name) for name, id in proto.values)

    def _base(self, found: Type, indent: str) -> str:
        if found.kind == b.VOID:
            return "void"
        if found.kind in _TAGGED:
            return self.tag(found) if found.name else self.body(found, indent)
        return self.name(found) if found.kind == b.TYPEDEF else found.name

    def body(self, found: Type, indent: str = "") -> str:
        """The definition of a struct, union or enum, without its semicolon."""
        if not found.name:
            self._unnamed -= 1
            if self._unnamed < 0:
                raise BtfError("types without names contain each other too often", 0)
        head = self.tag(found).rstrip()
        if found.kind in (b.ENUM, b.ENUM64):
            if not found.values:
                return head
            suffix = ("LL" if found.signed else "ULL") if found.kind == b.ENUM64 else ""
            rows = [f"{indent}\t{self._constant(name)} = {value}{suffix},\n" for name, value in found.values]
            small = " __attribute__((mode(byte)))" if found.size == 1 else \
                " __attribute__((mode(HI)))" if found.size == 2 else ""
            return f"{head} {{\n{''.join(rows)}{indent}}}{small}"
        rows, at, packed = [], 0, self._packed(found.id)
        for member in found.members:
            if found.kind == b.STRUCT:
                rows += self._padding(at, member.offset, 8 if packed else self._align(member.type) * 8, member, indent)
            bits = f": {member.bits}" if member.bits else ""
            rows.append(f"{indent}\t{self.declare(member.type, member.name, indent + chr(9))}{bits};\n")
            at = member.offset + (member.bits or self.types.size(member.type) * 8)
        if found.kind == b.STRUCT:
            rows += self._padding(at, found.size * 8, 8 if packed else self._align(found.id) * 8, None, indent)
        return f"{head} {{\n{''.join(rows)}{indent}}}{' __attribute__((packed))' if packed else ''}"

    def _padding(self, at: int, wanted: int, align: int, member, indent: str) -> Iterable[str]:
        """Unnamed bit fields from bit ``at`` to ``wanted``, none where C's own alignment does it."""
        if member is not None and member.bits:
            unit = self.types.size(member.type) * 8
            if not unit:
                raise BtfError(f"bit field {member.name!r} has a type without size", 0)
            natural = at if at // unit == (at + member.bits - 1) // unit else -(-at // unit) * unit
        else:
            natural = -(-at // align) * align
        if natural == wanted or wanted <= at:
            return
        while at < wanted:
            if wanted - at >= _WIDE_GAP and at % 8 == 0:  # nothing real: lines by the million if it were written out
                yield f"{indent}\tchar __gap{at}[{(wanted - at) // 8}];\n"
                at += (wanted - at) // 8 * 8
                continue
            width, word = next(((w, t) for w, t in _PADS if at % w == 0 and w <= wanted - at), (0, ""))
            if not width:
                width, word = min(8 - at % 8, wanted - at), "char"
            yield f"{indent}\t{word}: {width};\n"
            at += width

    def _alignment(self, id: int) -> int:
        found = self.types.strip(id)
        if found.kind == b.PTR:
            return 8
        if found.kind == b.ARRAY:
            return self._align(found.type)
        if found.kind in (b.STRUCT, b.UNION):
            if self._packed(found.id):
                return 1
            return max((self._align(m.type) for m in found.members), default=1)
        return max(found.size, 1)

    def _is_packed(self, id: int) -> bool:
        found = self.types[id]
        if found.kind not in (b.STRUCT, b.UNION):
            return False
        widest = 1
        for member in found.members:
            align = self._align(member.type)
            widest = max(widest, align)
            if not member.bits and member.offset % (align * 8):
                return True
        return bool(found.size % widest)


_HEAD = """\
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

/* Types of one kernel, printed from its BTF. Offsets are relocated when a program is loaded (CO-RE). */
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

"""
_TAIL = """
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
"""


def c_type(types: Btf, name: str) -> str:
    """The definition of one type with all that it needs by value."""
    printer = CPrinter(types)
    with _ending():
        for id in types.names.get(name, ()):
            printer.define(id)
    return printer.text()


@contextmanager
def _ending():
    """Types that contain themselves, which only damage makes, end in an error and not in Python's stack."""
    try:
        yield
    except RecursionError:
        raise BtfError("types contain each other without end", 0) from None


def header(types: Btf) -> str:
    """``vmlinux.h``: every named type, in an order that compiles."""
    printer = CPrinter(types)
    with _ending():
        for found in types:
            if found.kind in (b.STRUCT, b.UNION, b.ENUM, b.ENUM64, b.TYPEDEF) and found.name:
                printer.define(found.id)
        loose = "\n".join(printer.body(found) + ";\n" for found in _loose_enums(types))
    return _HEAD + printer.text() + loose + _TAIL


def _loose_enums(types: Btf) -> list[Type]:
    """Anonymous enums that no member or typedef holds: in the kernel they are lists of constants."""
    used = set()
    for found in types:
        used.add(found.type)
        used.update(member.type for member in found.members)
    return [f for f in types if f.kind in (b.ENUM, b.ENUM64) and not f.name and f.values and f.id not in used]
