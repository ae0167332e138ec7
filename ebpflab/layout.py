"""The layout of map keys and values: a small C type language, sizes and offsets, no numpy.

::

    u8 u16 u32 u64  s8 s16 s32 s64      integers, little endian
    be16 be32 be64                      integers in network order
    f32 f64  bool  char                 as in C
    ipv4 ipv6 mac                       addresses, shown as text
    ktime                               nanoseconds of the monotonic clock, shown as time
    u32[4]  char[16]                    arrays; char arrays are text
    bytes[12]                           opaque bytes
    struct { u64 packets; u64 bytes; }  structs with C alignment, nested too
    union { u32 v4; u8 raw[16]; }       unions

The BTF reader makes the same ``Layout`` objects; ``ebpflab.stream.schema`` turns them into numpy dtypes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from .errors import SpecError


@dataclass(frozen=True, slots=True)
class Field:
    """A member of a struct or union: ``offset`` in bytes; ``bits``/``bit_offset`` for bit fields."""

    name: str
    type: Layout
    offset: int
    bit_offset: int = 0
    bits: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """A type with its size. ``kind``: uint int float bool char ipv4 ipv6 mac ktime bytes array struct union enum.

    ``order`` is ``<`` or ``>``; ``element``/``count`` describe arrays; ``fields`` structs and unions;
    ``names`` (pairs of value and name) enums.
    """

    kind: str
    size: int
    align: int = 1
    order: str = "<"
    element: Layout | None = None
    count: int = 0
    fields: tuple[Field, ...] = ()
    names: tuple[tuple[int, str], ...] = ()
    name: str = ""


def _scalars() -> dict[str, Layout]:
    table = {}
    for size in (1, 2, 4, 8):
        table[f"u{size * 8}"] = table[f"__u{size * 8}"] = Layout("uint", size, size, name=f"u{size * 8}")
        table[f"s{size * 8}"] = table[f"__s{size * 8}"] = Layout("int", size, size, name=f"s{size * 8}")
        if size > 1:
            table[f"be{size * 8}"] = table[f"__be{size * 8}"] = Layout("uint", size, size, ">", name=f"be{size * 8}")
    table["f32"] = table["float"] = Layout("float", 4, 4, name="f32")
    table["f64"] = table["double"] = Layout("float", 8, 8, name="f64")
    table["bool"] = Layout("bool", 1, 1, name="bool")
    table["char"] = Layout("char", 1, 1, name="char")
    table["ipv4"] = Layout("ipv4", 4, 4, ">", name="ipv4")
    table["ipv6"] = Layout("ipv6", 16, 4, ">", name="ipv6")
    table["mac"] = Layout("mac", 6, 1, ">", name="mac")
    table["ktime"] = Layout("ktime", 8, 8, name="ktime")
    return table


SCALARS = _scalars()
_TOKEN = re.compile(r"\s*(struct|union|[A-Za-z_]\w*|\d+|[\[\]{};])")


def array(element: Layout, count: int) -> Layout:
    return Layout("array", element.size * count, element.align, element=element, count=count)


def opaque(size: int) -> Layout:
    return Layout("bytes", size, 1, name=f"bytes[{size}]")


def compose(kind: str, members: list[tuple[str, Layout]], name: str = "") -> Layout:
    """A struct or union with C's alignment rules."""
    offset = widest = 0
    align = 1
    fields = []
    for member, type_ in members:
        align = max(align, type_.align)
        if kind == "struct":
            offset = -(-offset // type_.align) * type_.align
        fields.append(Field(member, type_, offset))
        if kind == "struct":
            offset += type_.size
        widest = max(widest, offset if kind == "struct" else type_.size)
    return Layout(kind, -(-widest // align) * align, align, fields=tuple(fields), name=name)


@lru_cache(maxsize=1024)
def parse(text: str) -> Layout:
    """The layout that ``text`` describes. Raises SpecError with the offending word."""
    tokens, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise SpecError(f"unexpected {text[at:].strip()[:1]!r} in type {text!r}",
                            hint="types look like u32, be16, ipv4, char[16], bytes[12], struct { u64 packets; }")
        tokens.append(match[1])
        at = match.end()
    layout, rest = _type(tokens, text)
    if rest:
        raise SpecError(f"unexpected {rest[0]!r} after the type in {text!r}")
    return layout


def _type(tokens: list[str], text: str) -> tuple[Layout, list[str]]:
    if not tokens:
        raise SpecError(f"a type is missing in {text!r}")
    head, *rest = tokens
    if head in ("struct", "union"):
        name = ""
        if rest and rest[0] != "{":
            name, *rest = rest
        if not rest or rest[0] != "{":
            raise SpecError(f"{head} needs its members in braces in {text!r}")
        rest, members = rest[1:], []
        while rest and rest[0] != "}":
            inner, rest = _type(rest, text)
            if not rest or not re.match(r"[A-Za-z_]", rest[0]):
                raise SpecError(f"a member of the {head} has no name in {text!r}")
            member, *rest = rest
            inner, rest = _dimensions(inner, rest, text)
            if not rest or rest[0] != ";":
                raise SpecError(f"';' expected after member {member!r} in {text!r}")
            members.append((member, inner))
            rest = rest[1:]
        if not rest:
            raise SpecError(f"'}}' expected in {text!r}")
        return _dimensions(compose(head, members, name), rest[1:], text)
    if head == "bytes":
        if len(rest) < 3 or rest[0] != "[" or not rest[1].isdigit() or rest[2] != "]":
            raise SpecError(f"bytes needs a size, as bytes[12], in {text!r}")
        return opaque(int(rest[1])), rest[3:]
    if head not in SCALARS:
        from difflib import get_close_matches

        near = get_close_matches(head, [*SCALARS, "struct", "union", "bytes"], 1)
        raise SpecError(f"unknown type {head!r} in {text!r}",
                        hint=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(SCALARS))}")
    return _dimensions(SCALARS[head], rest, text)


def _dimensions(element: Layout, rest: list[str], text: str) -> tuple[Layout, list[str]]:
    sizes = []
    while rest and rest[0] == "[":
        if len(rest) < 3 or not rest[1].isdigit() or rest[2] != "]":
            raise SpecError(f"an array size is missing in {text!r}")
        sizes.append(int(rest[1]))
        rest = rest[3:]
    for size in reversed(sizes):
        element = array(element, size)
    return element, rest


def text(layout: Layout) -> str:
    """The type language for ``layout``: ``parse(text(x))`` has the same size and members."""
    if layout.kind in ("struct", "union"):
        members = []
        for field in layout.fields:
            inner, dimensions = field.type, ""
            while inner.kind == "array":
                dimensions += f"[{inner.count}]"
                inner = inner.element
            if inner.kind == "bytes":
                inner, dimensions = SCALARS["u8"], f"{dimensions}[{inner.size}]"
            members.append(f"{text(inner)} {field.name}{dimensions};")
        plain = compose(layout.kind, [(f.name, f.type) for f in layout.fields])
        if plain.size == layout.size and [f.offset for f in plain.fields] == [f.offset for f in layout.fields]:
            return f"{layout.kind} {{ {' '.join(members)} }}"
        return f"bytes[{layout.size}]"
    if layout.kind == "array":
        inner, dimensions = layout, ""
        while inner.kind == "array":
            dimensions += f"[{inner.count}]"
            inner = inner.element
        return text(inner) + dimensions
    return layout.name if layout.name in SCALARS else f"bytes[{layout.size}]"
