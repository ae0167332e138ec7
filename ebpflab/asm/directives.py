"""Directives: what a program says about itself besides its instructions.

::

    .type xdp            .name NAME        .license GPL       .attach_type xdp
    .kern_version N      .flags N          .ifindex N
    .map NAME TYPE [KEY] [VALUE] [MAX_ENTRIES] [flags=N] [map_extra=N] [inner=NAME] [pin=PATH]
    .data NAME TYPE VALUE, VALUE …          a variable in the map .data     (array, one entry)
    .rodata NAME TYPE VALUE, VALUE …        a constant in the map .rodata   (read-only for the program)
    .equ NAME VALUE                         a named number
    .8byte 0x…                              one slot as it is

KEY and VALUE are types of ``ebpflab.layout`` or sizes in bytes.  What compilers write around code (``.text``,
``.globl``, ``.p2align``, ``.size`` …) is read over.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from .. import layout
from ..abi import map_types, prog_types
from ..abi.constants import CONSTANTS
from ..errors import EbpflabError
from ..spec import MapSpec, map_spec
from .expressions import evaluate

#: directives of compilers and of GNU as that say nothing about the program's bytes
IGNORED = frozenset("text globl global weak hidden p2align align balign size ident addrsig addrsig_sym file loc "
                    "cfi_startproc cfi_endproc cfi_sections cfi_def_cfa_offset".split())
#: directives that emit slots, handled in the pass over the statements
EMITTING = frozenset(("8byte", "quad"))
_SCALARS = {"name": str, "license": str, "attach_type": str, "kern_version": int, "flags": int, "ifindex": int}
_OPTION = re.compile(r"(flags|map_extra|inner|pin|max_entries)=(\S+)\s*$")
_WORD = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|(?:struct|union)\b[^{]*\{.*\}(?:\[\d+\])*|[^\s,]+)""")
_NO_KEY = ("queue", "stack", "bloom_filter")
_RDONLY_PROG = 1 << 7      # BPF_F_RDONLY_PROG


class DirectiveError(EbpflabError):
    """A directive that cannot be; ``word`` is the offending text, for the caret."""

    def __init__(self, what: str, word: str = "", hint: str | None = None):
        super().__init__(what, hint=hint)
        self.word = word


@dataclass
class Declared:
    """What the directives of one source declared."""

    options: dict[str, object] = field(default_factory=dict)
    maps: list[MapSpec] = field(default_factory=list)
    constants: dict[str, int] = field(default_factory=dict)
    data: dict[str, tuple[str, int, layout.Layout, bytes]] = field(default_factory=dict)  # section, offset, type, bytes
    functions: set[str] = field(default_factory=set)

    def finish(self) -> None:
        """Turn the variables of each section into its map."""
        for section in dict.fromkeys(place[0] for place in self.data.values()):
            members = [layout.Field(name, type_, offset)
                       for name, (where, offset, type_, _) in self.data.items() if where == section]
            end = max(f.offset + f.type.size for f in members)
            contents = bytearray(end)
            for where, offset, _, raw in self.data.values():
                if where == section:
                    contents[offset:offset + len(raw)] = raw
            value = layout.Layout("struct", end, max(f.type.align for f in members), fields=tuple(members))
            spec = map_spec(section, "array", "u32", end, 1, contents=((bytes(4), bytes(contents)),),
                            flags=_RDONLY_PROG if section == ".rodata" else 0)
            self.maps.append(replace(spec, value=value))


def declare(name: str, rest: str, into: Declared) -> None:
    """Carry out one directive, ``.name rest``. Raises DirectiveError, or SpecError for an impossible map."""
    if name in IGNORED or (name == "type" and "@" in rest) or name == "section":
        _compiler(name, rest, into)
    elif name == "type":
        word = _single(name, rest)
        if word not in prog_types.BY_NAME:
            near = get_close_matches(word, prog_types.BY_NAME, 1)
            raise DirectiveError(f"unknown program type {word!r}", word,
                                 f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(prog_types.BY_NAME))
        into.options["type"] = word
    elif name in _SCALARS:
        word = _single(name, rest)
        into.options[name] = _constant(word, into) if _SCALARS[name] is int else word
    elif name in ("equ", "set"):
        words = _words(rest)
        if len(words) < 2:
            raise DirectiveError(f".{name} takes a name and a value", hint=f"as in .{name} ETH_HLEN 14")
        into.constants[_fresh(words[0], into)] = _constant(rest.split(words[0], 1)[1].lstrip(" \t,"), into)
    elif name == "map":
        into.maps.append(parse_map(rest, into))
    elif name in ("data", "rodata"):
        _variable(f".{name}", rest, into)
    else:
        known = [*_SCALARS, "type", "equ", "set", "map", "data", "rodata", *EMITTING, *sorted(IGNORED)]
        near = get_close_matches(name, known, 1)
        raise DirectiveError(f"unknown directive .{name}", f".{name}",
                             f"did you mean .{near[0]}?" if near else "known: " + " ".join("." + k for k in known))


def parse_map(rest: str, into: Declared) -> MapSpec:
    """``NAME TYPE [KEY] [VALUE] [MAX_ENTRIES] [option=value …]``."""
    options: dict[str, str] = {}
    while match := _OPTION.search(rest):
        options[match[1]] = match[2]
        rest = rest[:match.start()]
    words = _words(rest)
    if len(words) < 2:
        raise DirectiveError(".map takes at least a name and a type", hint="as in .map counts percpu_array u32 u64 256")
    name, kind, *sizes = words
    if any(m.name == name for m in into.maps):
        raise DirectiveError(f"map {name!r} is declared twice", name)
    if kind not in map_types.BY_NAME:
        near = get_close_matches(kind, map_types.BY_NAME, 1)
        raise DirectiveError(f"unknown map type {kind!r}", kind,
                             f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(map_types.BY_NAME))
    row = map_types.BY_NAME[kind]
    # a map type that fixes its key or value lets the programmer leave it out
    if row.key == 0 and row.value == 0:
        if len(sizes) == 1:
            sizes = ["0", "0", *sizes]
    elif row.key == 0:
        if len(sizes) == 2:
            sizes = ["0", *sizes]
    elif row.key is not None and row.value is not None and len(sizes) <= 1:
        sizes = [str(row.key), str(row.value), *sizes]
    key, value, entries = [*sizes, *["", "", "1"][len(sizes):]][:3]
    if len(sizes) > 3:
        raise DirectiveError(f"too many words for map {name!r}", sizes[3],
                             ".map NAME TYPE [KEY] [VALUE] [MAX_ENTRIES] [flags=N]")
    rest_: dict[str, object] = {k: _constant(options[k], into) for k in ("flags", "map_extra") if k in options}
    if "pin" in options:
        rest_["pin"] = options["pin"]
    if "inner" in options:
        inner = next((m for m in into.maps if m.name == options["inner"]), None)
        if inner is None:
            raise DirectiveError(f"inner map {options['inner']!r} is not declared before", options["inner"])
        rest_["inner"] = inner
    entries = options.get("max_entries", entries)
    return map_spec(name, kind, _type(key), _type(value), _constant(entries or "1", into), **rest_)


def print_map(map_: MapSpec, name: str) -> str:
    """The ``.map`` directive that declares ``map_`` as ``name``."""
    words = [".map", name, map_.type, _type_text(map_.key), _type_text(map_.value), str(map_.max_entries)]
    words += [f"{key}={getattr(map_, key):#x}" for key in ("flags", "map_extra") if getattr(map_, key)]
    words += [f"inner={map_.inner.name}"] if map_.inner else []
    words += [f"pin={map_.pin}"] if map_.pin else []
    return " ".join(words)


def _type_text(type_: layout.Layout | None) -> str:
    if type_ is None:
        return "0"
    if type_.kind == "bytes":
        return str(type_.size)
    return layout.text(type_)


def _type(word: str) -> str | int:
    word = word.strip('"')
    return int(word) if word.isdigit() else word


def _compiler(name: str, rest: str, into: Declared) -> None:
    words = [word.strip('",') for word in rest.replace(",", " ").split()]
    if name == "type" and "@function" in rest:
        into.functions.add(words[0])
    elif name == "section" and words and "ax" not in words[1:]:
        raise DirectiveError(f"section {words[0]!r} holds data, which assembly text gives with .data and .map",
                             words[0], "assemble objects with data by a compiler and open the .o file")


def _variable(section: str, rest: str, into: Declared) -> None:
    """``NAME "text"`` or ``NAME TYPE VALUE, VALUE …``"""
    words = _words(rest)
    if len(words) < 2:
        raise DirectiveError(f"{section} takes a name, a type and values",
                             hint=f'as in {section} limits u32 1, 2, 3  or  {section} text "hello"')
    name = _fresh(words[0], into)
    if words[1].startswith('"'):
        raw = words[1][1:-1].encode().decode("unicode_escape").encode("latin-1") + b"\0"
        type_ = layout.parse(f"char[{len(raw)}]")
    else:
        element = layout.parse(words[1])
        values = [_constant(word, into) for word in words[2:]]
        if not values:
            raw, type_ = bytes(element.size), element
        elif element.kind not in ("uint", "int", "bool", "char", "ipv4", "ktime"):
            raise DirectiveError(f"values can be given for integers only, not for {words[1]}", words[1])
        else:
            order = ">" if element.order == ">" else "<"
            letter = {1: "B", 2: "H", 4: "I", 8: "Q"}[element.size]
            mask = (1 << 8 * element.size) - 1
            wrong = next((v for v in values if not -(mask + 1) // 2 <= v <= mask), None)
            if wrong is not None:
                raise DirectiveError(f"{wrong} does not fit a {words[1]}", str(wrong))
            raw = struct.pack(f"{order}{len(values)}{letter}", *(v & mask for v in values))
            type_ = layout.array(element, len(values)) if len(values) > 1 else element
    end = max((o + t.size for s, o, t, _ in into.data.values() if s == section), default=0)
    into.data[name] = (section, -(-end // type_.align) * type_.align, type_, raw)


def _fresh(name: str, into: Declared) -> str:
    from .printer import usable

    if not usable(name):
        raise DirectiveError(f"{name!r} cannot be a name here", name, "letters, digits, '_', '.' and no keyword")
    if name in into.constants or name in into.data:
        raise DirectiveError(f"{name!r} is defined twice", name)
    return name


def _constant(text: str, into: Declared) -> int:
    return evaluate(text, {**CONSTANTS, **into.constants})


def _words(rest: str) -> list[str]:
    """Words of a directive; a C type with blanks is one, with or without quotes."""
    return _WORD.findall(rest.replace("\t", " "))


def _single(name: str, rest: str) -> str:
    words = _words(rest)
    if len(words) != 1:
        raise DirectiveError(f".{name} takes one word", hint=f"as in .{name} {'xdp' if name == 'type' else 'NAME'}")
    return words[0].strip('"')
