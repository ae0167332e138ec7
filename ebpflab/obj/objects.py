"""A compiled object as specs: programs by name, maps by name."""

from __future__ import annotations

import struct

from ..abi.sections import kind_of
from ..spec import ObjectSpec, ProgramSpec
from . import btf as b
from . import btf_ext, elf
from .btf import Btf
from .elf import Elf, ObjectError
from .link import Linker, debug_info
from .maps import Maps

SLEEPABLE, XDP_HAS_FRAGS = 1 << 4, 1 << 5  # BPF_F_SLEEPABLE, BPF_F_XDP_HAS_FRAGS


def read_object(data: bytes, where: str = "object") -> ObjectSpec:
    """Read an ELF object by any compiler. Raises ObjectError or BtfError, with the byte where it is wrong."""
    parsed = elf.read(data, where)
    section = parsed.section(".BTF")
    types = Btf(_with_sizes(section.data, parsed)) if section else None
    extended = parsed.section(".BTF.ext")
    ext = btf_ext.read(extended.data, types) if extended and types else None
    maps = Maps(parsed, types, where)
    linker = Linker(parsed, maps, where)
    license_ = _text(parsed, "license")
    version = _version(parsed, where)
    weak = frozenset(s.name for s in parsed.symbols if s.section == 0 and s.bind == elf.STB_WEAK)
    programs = {}
    for function in sorted(linker.functions, key=lambda f: (f.section.index, f.start)):
        if not function.entry:
            continue
        row = kind_of(function.section.name)
        linked = linker.link(function)
        func_info = line_info = b""
        lines, core = {}, ()
        if ext is not None:
            func_info, line_info, lines, core = debug_info(linked, ext, types)
        kind, attach_to = row or (None, "")
        programs[function.name] = ProgramSpec(
            linked.insns, type=kind.type if kind else "", name=function.name, maps=tuple(maps.specs),
            license=license_, kern_version=version,
            flags=(SLEEPABLE if kind and kind.sleepable else 0)
            | (XDP_HAS_FRAGS if function.section.name.startswith("xdp.frags") else 0),
            attach_type=kind.attach_type if kind else "", attach_to=attach_to,
            functions={base: f.name for base, f in linked.placed.items()},
            lines=lines, btf=types.data if types else b"", func_info=func_info, line_info=line_info, core=core,
            externs=linked.externs, weak=weak)
    if not programs:
        raise ObjectError("the object has no program", where=where,
                          hint='put a function into a section such as SEC("xdp")')
    return ObjectSpec(_as_written(programs), {spec.name: spec for spec in maps.specs}, license_, version,
                      types.data if types else b"")


def _as_written(programs: dict[str, ProgramSpec]) -> dict[str, ProgramSpec]:
    """In the order of the source, where lines tell it: compilers may emit functions in another."""
    if not all(0 in each.lines for each in programs.values()):
        return programs
    return dict(sorted(programs.items(), key=lambda item: item[1].lines[0].line))


def _text(parsed: Elf, name: str) -> str:
    section = parsed.section(name)
    return section.data.split(b"\0")[0].decode("utf-8", "replace") if section else ""


def _version(parsed: Elf, where: str) -> int:
    section = parsed.section("version")
    if section is None:
        return 0
    if len(section.data) != 4:
        raise ObjectError(f"section version has {len(section.data)} bytes, not 4", offset=section.offset, where=where)
    return struct.unpack("<I", section.data)[0]


def _with_sizes(data: bytes, parsed: Elf) -> bytes:
    """BTF with the sizes and offsets of its DATASECs filled in, which compilers leave to the loader.

    (libbpf's ``btf_fixup_datasec``; the kernel refuses sections of size 0.)
    """
    types = Btf(data)
    patched = bytearray(data)
    sizes = {s.name: s for s in parsed.sections}
    offsets = {(s.section, s.name): s.value for s in parsed.symbols}
    for found in types.of_kind(b.DATASEC):
        if found.name not in sizes:
            continue
        section = sizes[found.name]
        at = types.offset_of(found.id)
        struct.pack_into("<I", patched, at + 8, section.size)
        rows = []
        for id, offset, size in found.values:
            rows.append((offsets.get((section.index, types[id].name), offset), id, size))
        for number, (offset, id, size) in enumerate(sorted(rows)):
            struct.pack_into("<III", patched, at + 12 + 12 * number, id, offset, size)
    return bytes(patched)


def is_object(data: bytes) -> bool:
    """Does it begin like an ELF file?"""
    return data[:4] == b"\x7fELF"
