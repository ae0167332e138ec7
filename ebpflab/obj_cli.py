"""Commands on C, objects and types: compile, disasm, objdump, btf, and the bpf_conformance plugin."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from .errors import EbpflabError, Rejected

File = Annotated[str, Parameter(allow_leading_hyphen=True, help="a file's name, or - for stdin")]
Out = Annotated[str, Parameter(name=["--out", "-o"], allow_leading_hyphen=True, help="where to, - for stdout")]
Syntax = Literal["auto", "llvm", "kernel", "mnemonic"]
Json = Annotated[bool, Parameter(name="--json")]
VMLINUX = "/sys/kernel/btf/vmlinux"


def read(file: str) -> bytes:
    """A file's bytes, or stdin's."""
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise EbpflabError(error.strerror or str(error), where=file,
                           hint="name an existing file, or - for stdin") from None


def write(out: str, data: bytes) -> None:
    """To a file, or to stdout."""
    try:
        if out == "-":
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        else:
            Path(out).write_bytes(data)
    except OSError as error:
        raise EbpflabError(error.strerror or str(error), where=out) from None


def is_compiled(file: str, data: bytes) -> bool:
    """C, or an object that a compiler made?"""
    return file.endswith(".c") or data[:4] == b"\x7fELF"


def object_of(file: str, data: bytes, target: str):
    """The ObjectSpec of C source or of an object."""
    from . import lab
    from .obj.objects import read_object

    if data[:4] == b"\x7fELF":
        return read_object(data, file)
    try:
        source = data.decode()
    except UnicodeDecodeError as error:
        raise EbpflabError(f"not text: byte {error.start} is {data[error.start]:#04x}", where=file) from None
    spec, warnings = lab.compiled(source, file=file, target=target)
    for each in warnings:
        print(f"{each.file}:{each.line}:{each.column}: warning: {each.text}", file=sys.stderr)
    return spec


def program_of(file: str, type: str, syntax: str = "auto", program: str = "", target: str = "sim"):
    """A program from assembly text, raw instructions (``.bin``), C (``.c``) or a compiled object."""
    from .asm import assemble
    from .isa import decode
    from .spec import ProgramSpec

    data = read(file)
    if is_compiled(file, data):
        found = object_of(file, data, target).program(program)
        return replace(found, type=type) if type else found
    name = Path(file).stem if file != "-" else "stdin"
    if file.endswith(".bin"):
        return ProgramSpec(decode(data), type=type or "xdp", name=name)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise EbpflabError(f"not text: byte {error.start} is {data[error.start]:#04x}", where=file,
                           hint="raw instructions need a name that ends in .bin") from None
    return assemble(text, name=name, file=file, syntax=syntax, **({"type": type} if type else {}))


def compile_command(file: File, *, out: Out = "", mcpu: Literal["v1", "v2", "v3", "v4"] = "v3", cflags: str = "",
                    target: str = "sim"):
    """Compile C to a BPF object (default: FILE.o; vmlinux.h is that of TARGET's kernel)."""
    from . import lab

    data = read(file)
    try:
        source = data.decode()
    except UnicodeDecodeError as error:
        raise EbpflabError(f"not text: byte {error.start} is {data[error.start]:#04x}", where=file) from None
    done = lab.compiled_object(source, file=file, mcpu=mcpu, flags=shlex.split(cflags), target=target)
    for each in done.warnings:
        print(f"{each.file}:{each.line}:{each.column}: warning: {each.text}", file=sys.stderr)
    write(out or ("-" if file == "-" else str(Path(file).with_suffix(".o"))), done.data)


def disasm_command(file: File, *, syntax: Literal["llvm", "kernel", "mnemonic"] = "llvm", program: str = "",
                   source: bool = True, hex: bool = False, json_: Json = False):
    """Print FILE.o, or raw instructions, as text that `asm` reads back to the same bytes.

    Of an object: all programs one after the other, or the one named, with their source lines between. --hex: the
    instructions come as hex digits.
    """
    from .asm import disassemble
    from .isa import decode, encode
    from .spec import ProgramSpec

    data = read(file)
    if is_compiled(file, data):
        whole = object_of(file, data, "sim")
        what = whole.program(program) if program else together(whole)
    else:
        from .obj.conformance import from_hex

        what = decode(from_hex(data.decode("latin-1"), file) if hex else data)
    if not json_:
        print(disassemble(what, syntax=syntax, source=source), end="")
        return
    from .asm import line

    insns, maps = (what.insns, what.maps) if isinstance(what, ProgramSpec) else (what, ())
    lines = what.lines if isinstance(what, ProgramSpec) else {}
    upper = {pc + 1 for pc, insn in enumerate(insns) if insn.opcode == 0x18}
    print(json.dumps([{"pc": pc, "bytes": encode(insns[pc:pc + (2 if pc + 1 in upper else 1)]).hex(),
                       "text": line(insns, pc, syntax=syntax, maps=maps),
                       **({"line": lines[pc].line, "source": lines[pc].text} if pc in lines else {})}
                      for pc in range(len(insns)) if pc not in upper]))


def together(whole):
    """All programs of an object as one listing: the instructions one after the other, maps once."""
    programs = list(whole.programs.values())
    insns, functions, lines = [], {}, {}
    for each in programs:
        base = len(insns)
        functions.update({base + pc: name for pc, name in each.functions.items()})
        lines.update({base + pc: line for pc, line in each.lines.items()})
        if base in lines:
            lines[base] = replace(lines[base], text=f"{each.name} ({each.type}): {lines[base].text}")
        insns += each.insns
    return replace(programs[0], insns=tuple(insns), functions=functions, lines=lines,
                   type=programs[0].type or "xdp")


def objdump_command(file: File, *, json_: Json = False):
    """What is in an object: sections, programs, maps, relocations against the kernel."""
    from .obj import core, elf
    from .obj.objects import read_object

    data = read(file)
    parsed, whole = elf.read(data, file), read_object(data, file)
    found = {
        "license": whole.license,
        "sections": [{"index": s.index, "name": s.name, "size": s.size, "offset": s.offset,
                      "relocations": len(parsed.relocs.get(s.index, ()))} for s in parsed.sections[1:]],
        "programs": [{"name": p.name, "type": p.type, "attach_type": p.attach_type, "attach_to": p.attach_to,
                      "insns": len(p.insns), "functions": list(p.functions.values()),
                      "externs": sorted(set(p.externs.values())), "core": len(p.core)}
                     for p in whole.programs.values()],
        "maps": [{"name": m.name, "type": m.type, "key_size": m.key_size, "value_size": m.value_size,
                  "max_entries": m.max_entries, "flags": m.flags, "frozen": m.frozen, "pin": m.pin,
                  "slots": {str(index): name for index, name in m.slots}} for m in whole.maps.values()],
        "core": [{"program": p.name, "pc": r.pc, "kind": core.KINDS[r.kind] if r.kind < len(core.KINDS) else r.kind,
                  "of": _target(p, r)} for p in whole.programs.values() for r in p.core],
    }
    if json_:
        print(json.dumps(found))
        return
    print(f"license: {found.pop('license') or '(none)'}")
    for title, rows in found.items():
        if rows:
            print(f"\n{title}")
            _table(rows)


def _target(program, reloc) -> str:
    from .obj import core
    from .obj.btf import Btf

    return core.parse(Btf(program.btf), reloc).text()


def _table(rows: list[dict]) -> None:
    """Columns as wide as what is in them; columns without anything are left out."""
    keys = [key for key in rows[0] if any(row[key] not in ("", [], {}, False, None) for row in rows)]
    cells = [[_cell(row[key]) for key in keys] for row in rows]
    widths = [max(len(key), *(len(row[i]) for row in cells)) for i, key in enumerate(keys)]
    for row in ([keys] if keys else []) + cells:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(value) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, dict):
        return " ".join(f"{key}={each}" for key, each in value.items())
    return str(value)


def btf_command(file: File = VMLINUX, *, type: str = "", format: Literal["c", "json", "raw"] = "raw", base: str = ""):
    """Print the types (BTF) in FILE: an object, a module's or a kernel's BTF; --type NAME only that type.

    A module's types need --base, which is the running kernel's for files in /sys/kernel/btf.
    """
    from .obj import btf_c, btf_text, elf
    from .obj.btf import Btf

    data = read(file)
    if data[:4] == b"\x7fELF":
        section = elf.read(data, file).section(".BTF")
        if section is None:
            raise EbpflabError("the object has no BTF", where=file, hint="compile with -g")
        data = section.data
    path = Path(file)
    if not base and path.parent == Path(VMLINUX).parent and path.name != "vmlinux":
        base = VMLINUX
    types = Btf(data, Btf(read(base)) if base else None)
    if type and not list(btf_text.chosen(types, type)):
        from difflib import get_close_matches

        near = get_close_matches(type, types.names, 3)
        raise EbpflabError(f"no type is called {type!r}", where=file,
                           hint="did you mean " + ", ".join(near) + "?" if near else None)
    if format == "c":
        print(btf_c.c_type(types, next(btf_text.chosen(types, type)).name) if type else btf_c.header(types), end="")
        return
    if format == "json":
        print(json.dumps({"types": [btf_text.record(each) for each in btf_text.chosen(types, type)]}))
        return
    for each in btf_text.chosen(types, type):
        print(btf_text.raw(each))


def plugin_command(memory: str = "", *, program: str = "",
                   target: str = "sim", elf: bool = False, debug: bool = False):
    """bpf_conformance plugin: a program as hex on stdin (or --program), memory as hex, prints r0 in hex.

    --elf: the hex is an object, whose first program runs on the memory as its packet. A program that faults or is
    rejected gives exit status 1; --debug prints why.
    """
    from . import lab
    from .errors import Fault
    from .obj import conformance
    from .obj.objects import read_object

    code = conformance.from_hex(program or sys.stdin.read(), "program")
    content = conformance.from_hex(memory, "memory")
    options: dict = {"unsafe": True} if target.split(":")[0] == "sim" else {}
    opened = lab.target(target)
    try:
        if elf:
            spec = next(iter(read_object(code, "program").programs.values()))
            with opened.load(spec, log_level=1, **options) as loaded:
                found = loaded.run(content).retval
        else:
            with opened.load(conformance.wrapped(code, content), log_level=1, **options) as loaded:
                loaded.run(bytes(64))
                found = conformance.result(loaded.maps)
    except Rejected as error:
        print(error.trace.log if debug and error.trace else error, file=sys.stderr)
        return 1
    except Fault as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{found:x}")
    return 0

