"""The parts of an ELF file that BPF objects use: sections, symbols, relocations.

Only 64-bit little-endian relocatable objects for the BPF machine are read; anything else is refused by name.  Three
tables are all there is to read, and every error says at which byte (docs/architecture.md says why not pyelftools;
the tests hold this reader against it).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ..errors import EbpflabError

EM_BPF = 247
ET_REL = 1
SHF_EXECINSTR, SHF_ALLOC, SHF_WRITE = 4, 2, 1
SHT_PROGBITS, SHT_SYMTAB, SHT_NOBITS, SHT_REL = 1, 2, 8, 9
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_SECTION = 0, 1, 2, 3
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
SHN_UNDEF, SHN_LORESERVE = 0, 0xFF00
R_64_64, R_64_ABS64, R_64_ABS32, R_64_NODYLD32, R_64_32 = 1, 2, 3, 4, 10
_SECTION = struct.Struct("<IIQQQQIIQQ")  # name type flags addr offset size link info addralign entsize
_SYMBOL = struct.Struct("<IBBHQQ")       # name info other shndx value size
_REL = struct.Struct("<QQ")              # offset info
_MAX_BSS = 1 << 26  # what a .bss may claim: its bytes are not in the file


class ObjectError(EbpflabError):
    """An object file that cannot be used; ``offset`` is a byte of the file."""

    def __init__(self, what: str, *, offset: int = 0, where: str = "object", hint: str | None = None):
        super().__init__(what, where=f"{where}, byte {offset:#x}", hint=hint)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Section:
    """``offset`` in the file; ``data`` is empty for .bss-like sections, whose ``size`` counts."""

    index: int
    name: str
    type: int
    flags: int
    offset: int
    size: int
    data: bytes
    link: int
    info: int

    @property
    def executable(self) -> bool:
        return bool(self.flags & SHF_EXECINSTR) and self.type == SHT_PROGBITS


@dataclass(frozen=True, slots=True)
class Symbol:
    """``value`` is a byte offset into ``section``; ``section`` 0 means undefined (extern)."""

    index: int
    name: str
    value: int
    size: int
    type: int
    bind: int
    section: int


@dataclass(frozen=True, slots=True)
class Reloc:
    """``offset`` in bytes into the section it applies to."""

    offset: int
    type: int
    symbol: Symbol


@dataclass(frozen=True, slots=True)
class Elf:
    """``relocs``: index of the patched section -> its relocations, by offset."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocs: dict[int, tuple[Reloc, ...]]

    def section(self, name: str) -> Section | None:
        return next((s for s in self.sections if s.name == name), None)


def read(data: bytes, where: str = "object") -> Elf:
    """Parse an object file. Raises ObjectError (with an offset) for anything that is not a sound BPF object."""
    sections = _sections(data, where)
    table = next((s for s in sections if s.type == SHT_SYMTAB), None)
    symbols = tuple(_symbols(table, sections, where)) if table else ()
    relocs = {}
    for section in sections:
        if section.type == SHT_REL and 0 < section.info < len(sections):
            found = _relocs(section, sections[section.info], symbols, where)
            relocs[section.info] = tuple(sorted(found, key=lambda reloc: reloc.offset))
    return Elf(sections, symbols, relocs)


def _sections(data: bytes, where: str) -> tuple[Section, ...]:
    table, count, names_at = _header(data, where)
    headers = [_SECTION.unpack_from(data, table + _SECTION.size * index) for index in range(count)]
    if names_at >= count:
        raise ObjectError(f"the section names are in section {names_at}, there are {count}", offset=62, where=where)
    raw = []
    for index, (_, kind, _, _, offset, size, *_) in enumerate(headers):
        behind = offset + size - len(data)
        if kind == SHT_NOBITS:
            if size > _MAX_BSS:
                raise ObjectError(f"section {index} claims {size} bytes of zeros", where=where,
                                  offset=table + _SECTION.size * index)
            raw.append(b"")
        elif index and behind > 0:
            raise ObjectError(f"section {index} ends {behind} bytes behind the file", where=where,
                              offset=table + _SECTION.size * index)
        else:
            raw.append(data[offset:offset + size] if index else b"")
    return tuple([
        Section(index, _string(raw[names_at], name, where, table + _SECTION.size * index), kind, flags, offset, size,
                raw[index], link, info)
        for index, (name, kind, flags, _, offset, size, link, info, _, _) in enumerate(headers)])


def _header(data: bytes, where: str) -> tuple[int, int, int]:
    """Offset of the section table, number of sections, which of them holds the names."""
    if data[:4] != b"\x7fELF":
        raise ObjectError("not an ELF file", where=where, hint="compile with clang -target bpf -c")
    if len(data) < 64:
        raise ObjectError(f"{len(data)} bytes are too few for an ELF header", offset=len(data), where=where)
    if data[4] != 2:
        raise ObjectError("a 32-bit object; BPF objects have 64 bits", offset=4, where=where)
    if data[5] != 1:
        raise ObjectError("a big-endian object; this lab runs little-endian programs", offset=5, where=where,
                          hint="compile with -target bpfel")
    kind, machine = struct.unpack_from("<HH", data, 16)
    if machine != EM_BPF:
        raise ObjectError(f"an object for machine {machine}, not for BPF ({EM_BPF})", offset=18, where=where,
                          hint="compile with clang -target bpf")
    if kind != ET_REL:
        raise ObjectError(f"ELF type {kind} is not a relocatable object ({ET_REL})", offset=16, where=where)
    (table,) = struct.unpack_from("<Q", data, 40)
    size, count, names_at = struct.unpack_from("<HHH", data, 58)
    if size != _SECTION.size or table + size * count > len(data):
        raise ObjectError(f"the section table ({count} × {size} bytes at {table:#x}) lies outside of the file",
                          offset=40, where=where)
    return table, count, names_at


def _string(table: bytes, at: int, where: str, offset: int) -> str:
    end = table.find(b"\0", at)
    if end < 0:
        raise ObjectError(f"name {at:#x} is outside of its string table", offset=offset, where=where)
    return table[at:end].decode("utf-8", "replace")


def _entries(section: Section, layout: struct.Struct, what: str, where: str):
    """(offset in the file, fields) of each entry of a table."""
    if section.size % layout.size:
        raise ObjectError(f"the {what} table has {section.size} bytes, not a multiple of {layout.size}",
                          offset=section.offset, where=where)
    for number, fields in enumerate(layout.iter_unpack(section.data)):
        yield section.offset + layout.size * number, fields


def _symbols(table: Section, sections: tuple[Section, ...], where: str):
    if table.link >= len(sections):
        raise ObjectError(f"symbol names are in section {table.link}, there are {len(sections)}", offset=table.offset,
                          where=where)
    names = sections[table.link].data
    for index, (at, (name, info, _, section, value, size)) in enumerate(_entries(table, _SYMBOL, "symbol", where)):
        if len(sections) <= section < SHN_LORESERVE:
            raise ObjectError(f"symbol {index} is in section {section}, there are {len(sections)}", offset=at,
                              where=where)
        yield Symbol(index, _string(names, name, where, at), value, size, info & 15, info >> 4, section)


def _relocs(section: Section, target: Section, symbols: tuple[Symbol, ...], where: str):
    for at, (offset, info) in _entries(section, _REL, "relocation", where):
        symbol, kind = info >> 32, info & 0xFFFF_FFFF
        if symbol >= len(symbols):
            raise ObjectError(f"a relocation names symbol {symbol}, there are {len(symbols)}", offset=at, where=where)
        if offset >= target.size:
            raise ObjectError(f"a relocation patches byte {offset} of {target.name}, which has {target.size}",
                              offset=at, where=where)
        yield Reloc(offset, kind, symbols[symbol])
