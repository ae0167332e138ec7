"""The maps of an object: BTF-defined (``.maps``), legacy (``maps``), and the data sections, which are maps too.

As libbpf does (``bpf_object__init_user_btf_maps``, ``bpf_object__init_global_data_maps``).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace

from .. import layout as lay
from ..abi import map_types
from ..errors import SpecError
from ..spec import MapSpec
from . import btf as b
from .btf import Btf, Type
from .elf import R_64_64, R_64_ABS64, STT_OBJECT, Elf, ObjectError, Section, Symbol
from .layouts import layout_of

RDONLY_PROG, MMAPABLE = 0x80, 0x400
PIN_BY_NAME = 1
#: attributes of a BTF-defined map that are written ``__uint(NAME, N)``, that is ``int (*NAME)[N]``
_NUMBERS = ("type", "max_entries", "map_flags", "numa_node", "key_size", "value_size", "pinning", "map_extra")
#: ELF sections that become array maps of one value
DATA = re.compile(r"\.(rodata|data|bss|kconfig)(\..*)?$")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a symbol points: which map (index), and for a data section at which byte."""

    map: int
    direct: bool


class Maps:
    """Maps of one object in order, and how to find them from a symbol."""

    def __init__(self, elf: Elf, types: Btf | None, where: str):
        self.elf, self.types, self.where = elf, types, where
        self.specs: list[MapSpec] = []
        self._by_symbol: dict[tuple[int, int], int] = {}
        self._by_section: dict[int, int] = {}
        for section in elf.sections:
            if section.name == ".maps":
                self._btf_maps(section)
            elif section.name == "maps" or section.name.startswith("maps/"):
                self._legacy_maps(section)
            elif DATA.match(section.name) and section.size:
                self._by_section[section.index] = len(self.specs)
                self.specs.append(self._data_map(section))

    def place(self, symbol: Symbol) -> Place | None:
        """The map a relocation against ``symbol`` means, None if it is none."""
        if symbol.section in self._by_section:
            return Place(self._by_section[symbol.section], True)
        found = self._by_symbol.get((symbol.section, symbol.value))
        return None if found is None else Place(found, False)

    def _fail(self, what: str, section: Section, hint: str | None = None) -> ObjectError:
        return ObjectError(what, offset=section.offset, where=self.where, hint=hint)

    # -- BTF-defined ----------------------------------------------------------------------------------------------

    def _btf_maps(self, section: Section) -> None:
        if self.types is None:
            raise self._fail("maps are defined with BTF, and the object has none", section, "compile with -g")
        variables = self.types.find(".maps", b.DATASEC)
        if variables is None:
            raise self._fail("the BTF has no list of the maps in .maps", section, "compile with -g")
        symbols = {s.name: s for s in self.elf.symbols if s.section == section.index and s.type == STT_OBJECT}
        for id, _, _ in variables.values:
            variable = self.types[id]
            if variable.name not in symbols:
                raise self._fail(f"map {variable.name!r} of the BTF has no symbol", section)
            symbol = symbols[variable.name]
            self._by_symbol[section.index, symbol.value] = len(self.specs)
            definition = self.types.strip(variable.type)
            if definition.kind != b.STRUCT:
                raise self._fail(f"map {variable.name!r} is defined by a {definition.kind_name}, not a struct", section)
            self.specs.append(self._btf_map(variable.name, definition, section, symbol))

    def _btf_map(self, name: str, definition: Type, section: Section, symbol: Symbol | None) -> MapSpec:
        numbers: dict[str, int] = {}
        shapes: dict[str, lay.Layout] = {}
        ids: dict[str, int] = {}
        inner, slots = None, ()
        for member in definition.members:
            found = self.types.strip(member.type)
            if member.name in _NUMBERS:
                numbers[member.name] = self._number(name, member.name, found, section)
            elif member.name in ("key", "value"):
                if found.kind != b.PTR:
                    raise self._fail(f"map {name!r}: {member.name} is not a pointer to its type", section)
                shapes[member.name] = layout_of(self.types, found.type)
                ids[member.name] = found.type
            elif member.name == "values":
                inner = self._inner(name, found, section)
                if symbol is not None:
                    slots = self._slots(section, symbol.value + member.offset // 8, symbol.value + symbol.size)
            else:
                raise self._fail(f"map {name!r} has an unknown attribute {member.name!r}", section,
                                 "known: key, value, values, " + ", ".join(_NUMBERS))
        row = map_types.BY_NUMBER.get(numbers.get("type", 0))
        if row is None:
            raise self._fail(f"map {name!r} has the unknown type {numbers.get('type', 0)}", section)
        for which in ("key", "value"):
            size = numbers.get(f"{which}_size")
            if size is not None and which in shapes and shapes[which].size != size:
                raise self._fail(f"map {name!r}: {which} has {shapes[which].size} bytes, {which}_size says {size}",
                                 section)
            if size and which not in shapes:
                shapes[which] = lay.SCALARS.get({4: "u32", 8: "u64"}.get(size, "")) or lay.opaque(size)
        if row.name in ("array_of_maps", "hash_of_maps", "prog_array", "perf_event_array", "cgroup_array", "xskmap"):
            shapes.setdefault("key", lay.SCALARS["u32"])
            shapes.setdefault("value", lay.SCALARS["u32"])
        return MapSpec(name, row.name, shapes.get("key"), shapes.get("value"), numbers.get("max_entries", 0),
                       flags=numbers.get("map_flags", 0), map_extra=numbers.get("map_extra", 0), inner=inner,
                       slots=slots, pin=name if numbers.get("pinning") == PIN_BY_NAME else "",
                       btf_key=ids.get("key", 0), btf_value=ids.get("value", 0))

    def _number(self, name: str, attribute: str, found: Type, section: Section) -> int:
        target = self.types.strip(found.type) if found.kind == b.PTR else found
        if target.kind == b.ARRAY:
            return target.count
        if target.kind == b.ENUM64 and target.values:  # __ulong(NAME, N)
            return target.values[0][1]
        raise self._fail(f"map {name!r}: {attribute} is not written as __uint({attribute}, N)", section)

    def _inner(self, name: str, found: Type, section: Section) -> MapSpec | None:
        """``values`` is an array of pointers: to a map definition for a map of maps, to functions for a prog array."""
        element = self.types.strip(found.type) if found.kind == b.ARRAY else found
        target = self.types.strip(element.type) if element.kind == b.PTR else element
        if target.kind == b.STRUCT:
            return self._btf_map(f"{name}.inner", target, section, None)
        if target.kind == b.FUNC_PROTO:
            return None
        raise self._fail(f"map {name!r}: values are neither maps nor programs", section)

    def _slots(self, section: Section, start: int, end: int) -> tuple[tuple[int, str], ...]:
        """Initial values: relocations inside the array of pointers, eight bytes an element."""
        return tuple([((r.offset - start) // 8, r.symbol.name) for r in self.elf.relocs.get(section.index, ())
                      if start <= r.offset < end and r.type in (R_64_64, R_64_ABS64)])

    # -- legacy and data ------------------------------------------------------------------------------------------

    def _legacy_maps(self, section: Section) -> None:
        """``struct bpf_map_def``: type, key_size, value_size, max_entries, map_flags, all u32; more must be zero."""
        symbols = sorted((s for s in self.elf.symbols if s.section == section.index and s.name and s.type in (0, 1)),
                         key=lambda s: s.value)
        if not symbols:
            return
        size = section.size // len(symbols)
        if size < 20 or section.size % len(symbols):
            raise self._fail(f"{len(symbols)} maps in {section.size} bytes; struct bpf_map_def has at least 20",
                             section)
        for symbol in symbols:
            raw = section.data[symbol.value:symbol.value + size]
            if len(raw) < 20 or any(raw[20:]):
                raise self._fail(f"map {symbol.name!r} uses fields beyond struct bpf_map_def", section)
            number, key, value, entries, flags = struct.unpack_from("<IIIII", raw)
            row = map_types.BY_NUMBER.get(number)
            if row is None:
                raise self._fail(f"map {symbol.name!r} has the unknown type {number}", section)
            self._by_symbol[section.index, symbol.value] = len(self.specs)
            self.specs.append(MapSpec(symbol.name, row.name, _plain(key), _plain(value), entries, flags=flags))

    def _data_map(self, section: Section) -> MapSpec:
        """One array element that holds the section's bytes; constants are frozen."""
        constant = section.name.startswith((".rodata", ".kconfig"))
        shape = lay.opaque(section.size)
        variables = self.types.find(section.name, b.DATASEC) if self.types else None
        if variables is not None:
            try:
                shape = self._variables(section, variables)
            except SpecError:
                shape = lay.opaque(section.size)  # a variable of a type without layout: its bytes are still a value
        content = section.data or bytes(section.size)
        return MapSpec(section.name, "array", lay.SCALARS["u32"], shape, 1,
                       flags=MMAPABLE | (RDONLY_PROG if constant else 0), contents=((bytes(4), content),),
                       frozen=constant, btf_value=variables.id if variables else 0)

    def _variables(self, section: Section, variables: Type) -> lay.Layout:
        """The section as a struct of its variables, at the offsets of their symbols."""
        offsets = {s.name: s.value for s in self.elf.symbols if s.section == section.index}
        fields = []
        for id, offset, _ in variables.values:
            variable = self.types[id]
            inner = layout_of(self.types, variable.type)
            at = offsets.get(variable.name, offset)
            if at + inner.size > section.size:
                raise self._fail(f"variable {variable.name!r} lies outside of {section.name}", section)
            fields.append(lay.Field(variable.name, inner, at))
        return lay.Layout("struct", section.size, 8, fields=tuple(sorted(fields, key=lambda f: f.offset)),
                          name=section.name.lstrip(".").replace(".", "_"))


def _plain(size: int) -> lay.Layout | None:
    return lay.SCALARS.get({4: "u32", 8: "u64"}.get(size, "")) or (lay.opaque(size) if size else None)


def with_contents(spec: MapSpec, content: bytes) -> MapSpec:
    """A data map with other bytes, for instance constants that are set before loading. Raises SpecError."""
    if len(content) != spec.value_size:
        raise SpecError(f"{spec.name} has {spec.value_size} bytes, not {len(content)}")
    return replace(spec, contents=((bytes(4), content),))
