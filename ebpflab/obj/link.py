"""From the functions of an object to whole programs: subprograms appended, calls and maps resolved.

The order is libbpf's (``bpf_object__reloc_code``): an entry program first, then each subprogram when a call to it is
first met, depth first, so that instruction numbers agree with those of other loaders.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass

from ..isa import SLOT_BYTES, Insn, bits, slots
from ..spec import CoreReloc, SourceLine
from .btf import Btf
from .btf_ext import BtfExt
from .elf import R_64_32, R_64_64, STT_FUNC, Elf, ObjectError, Reloc, Section
from .maps import Maps

_CALL = bits.JMP | bits.CALL
_WIDE = bits.LD | bits.IMM | bits.DW
TEXT = ".text"
MAX_FUNCTIONS = 256  # BPF_MAX_SUBPROGS


@dataclass(frozen=True, slots=True)
class Function:
    """A function symbol: slots ``start`` to ``end`` of its section."""

    name: str
    section: Section
    start: int
    end: int

    @property
    def entry(self) -> bool:
        """Is it a program (and not a subprogram)?"""
        return self.section.name != TEXT


@dataclass(frozen=True, slots=True)
class Linked:
    """A whole program; ``placed`` maps the slot where a function begins to that function."""

    insns: tuple[Insn, ...]
    placed: dict[int, Function]
    externs: dict[int, str]


class Linker:
    """The functions of one object, and programs linked from them."""

    def __init__(self, elf: Elf, maps: Maps, where: str):
        self.elf, self.maps, self.where = elf, maps, where
        self.functions = tuple(self._functions())
        self._starts: dict[int, list[Function]] = {}
        for function in sorted(self.functions, key=lambda f: f.start):
            self._starts.setdefault(function.section.index, []).append(function)
        self._relocs: dict[int, dict[int, Reloc]] = {
            index: {r.offset: r for r in found} for index, found in elf.relocs.items()}
        self._code = {s.index: slots(s.data[: s.size // SLOT_BYTES * SLOT_BYTES]) for s in elf.sections if s.executable}

    def _functions(self):
        for symbol in self.elf.symbols:
            if symbol.type != STT_FUNC or not 0 < symbol.section < len(self.elf.sections):
                continue
            section = self.elf.sections[symbol.section]
            if not section.executable:
                continue
            if symbol.value % SLOT_BYTES or symbol.size % SLOT_BYTES or symbol.value + symbol.size > section.size \
                    or not symbol.size:
                raise ObjectError(f"function {symbol.name!r} is not whole instructions inside {section.name}",
                                  offset=section.offset + symbol.value, where=self.where)
            yield Function(symbol.name, section, symbol.value // SLOT_BYTES, (symbol.value + symbol.size) // SLOT_BYTES)

    def _function_at(self, section: Section, slot: int, at: int) -> Function:
        found = self._starts.get(section.index, [])
        number = bisect_right([f.start for f in found], slot) - 1
        if number < 0 or found[number].start != slot:
            raise ObjectError(f"a call to instruction {slot} of {section.name}, where no function begins", offset=at,
                              where=self.where)
        return found[number]

    def link(self, entry: Function) -> Linked:
        """The program that begins with ``entry``. Raises ObjectError for what cannot be resolved."""
        insns: list[Insn] = []
        placed: dict[int, Function] = {}
        bases: dict[tuple[int, int], int] = {}
        externs: dict[int, str] = {}

        def base_of(function: Function) -> int:
            key = function.section.index, function.start
            if key not in bases:
                if len(placed) == MAX_FUNCTIONS:
                    raise ObjectError(f"{entry.name} needs more than {MAX_FUNCTIONS} functions", where=self.where,
                                      offset=entry.section.offset + entry.start * SLOT_BYTES)
                base = bases[key] = len(insns)
                placed[base] = function
                insns.extend(self._code[function.section.index][function.start:function.end])
                resolve(function, base)
            return bases[key]

        def resolve(function: Function, base: int) -> None:
            relocs = self._relocs.get(function.section.index, {})
            pc, end = base, base + function.end - function.start
            while pc < end:
                insn = insns[pc]
                slot = function.start + pc - base
                at = function.section.offset + slot * SLOT_BYTES
                reloc = relocs.get(slot * SLOT_BYTES)
                if insn.opcode == _CALL and (insn.src == bits.CALL_LOCAL or reloc):
                    self._call(insns, pc, slot, function, reloc, at, base_of, externs)
                elif insn.opcode == _WIDE:
                    if reloc:
                        self._wide(insns, pc, reloc, at, base_of, externs)
                    pc += 1
                elif reloc:
                    raise ObjectError(f"relocation against {reloc.symbol.name!r} on an instruction that takes none",
                                      offset=at, where=self.where)
                pc += 1

        base_of(entry)
        return Linked(tuple(insns), placed, externs)

    def _call(self, insns, pc, slot, function, reloc, at, base_of, externs) -> None:
        insn = insns[pc]
        if reloc is None:
            target = self._function_at(function.section, slot + insn.imm + 1, at)
        elif reloc.type != R_64_32:
            raise ObjectError(f"relocation type {reloc.type} on a call", offset=at, where=self.where)
        elif reloc.symbol.section == 0:
            externs[pc] = reloc.symbol.name
            insns[pc] = insn._replace(src=bits.CALL_KFUNC, imm=0, off=0)
            return
        else:
            section = self.elf.sections[reloc.symbol.section]
            target = self._function_at(section, reloc.symbol.value // SLOT_BYTES + insn.imm + 1, at)
        insns[pc] = insn._replace(src=bits.CALL_LOCAL, imm=base_of(target) - pc - 1)

    def _wide(self, insns, pc, reloc, at, base_of, externs) -> None:
        insn, symbol = insns[pc], reloc.symbol
        if reloc.type != R_64_64:
            raise ObjectError(f"relocation type {reloc.type} on a wide load", offset=at, where=self.where)
        if pc + 1 >= len(insns):
            raise ObjectError("a wide load without its second slot", offset=at, where=self.where)
        place = self.maps.place(symbol) if symbol.section else None
        second = insns[pc + 1]
        if place is not None and place.direct:
            insns[pc] = insn._replace(src=bits.PSEUDO_MAP_VALUE, imm=place.map)
            insns[pc + 1] = second._replace(imm=insn.imm + symbol.value)
        elif place is not None:
            insns[pc] = insn._replace(src=bits.PSEUDO_MAP_FD, imm=place.map)
        elif symbol.section == 0:
            externs[pc] = symbol.name
        elif symbol.section < len(self.elf.sections) and self.elf.sections[symbol.section].executable:
            slot = (symbol.value + insn.imm) // SLOT_BYTES
            target = self._function_at(self.elf.sections[symbol.section], slot, at)
            insns[pc] = insn._replace(src=bits.PSEUDO_FUNC, imm=base_of(target) - pc - 1)
        else:
            raise ObjectError(f"{symbol.name!r} is neither a map, a variable nor a function", offset=at,
                              where=self.where, hint="maps belong in .maps, variables in .data, .rodata or .bss")


def debug_info(linked: Linked, ext: BtfExt, types: Btf):
    """(func_info bytes, line_info bytes, source lines by slot, CO-RE relocations) of a linked program."""
    funcs, lines, sources, core = [], [], {}, []
    for base, function in linked.placed.items():
        name, low, high = function.section.name, function.start * SLOT_BYTES, function.end * SLOT_BYTES

        def slot(offset: int, base: int = base, low: int = low) -> int:
            return base + (offset - low) // SLOT_BYTES

        funcs += [(slot(r.offset), r.type) for r in ext.funcs.get(name, ()) if low <= r.offset < high]
        for r in ext.lines.get(name, ()):
            if low <= r.offset < high:
                lines.append((slot(r.offset), r.file, r.text, r.line << 10 | r.column))
                if r.line == 0:
                    continue  # the compiler's own instructions
                sources[slot(r.offset)] = SourceLine(types.string(r.file), r.line, max(r.column, 1),
                                                     types.string(r.text).strip())
        core += [CoreReloc(slot(r.offset), r.kind, r.type, r.path)
                 for r in ext.core.get(name, ()) if low <= r.offset < high]
    funcs.sort()
    lines.sort()
    return (b"".join(struct.pack("<II", *f) for f in funcs), b"".join(struct.pack("<IIII", *row) for row in lines),
            dict(sorted(sources.items())), tuple(sorted(core, key=lambda r: r.pc)))
