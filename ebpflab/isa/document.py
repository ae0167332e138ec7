"""``docs/isa.md``: the instruction table as a page. ``python -m ebpflab.isa.document docs/isa.md`` writes it."""

from __future__ import annotations

from itertools import groupby

from .table import OPS, Op

_TITLES = {
    "alu": "Arithmetic", "end": "Byte order", "cast": "Address spaces", "jmp": "Conditional jumps", "ja": "Jumps",
    "call": "Calls", "exit": "Return", "jcond": "Bounded loops", "lddw": "Wide loads (two slots)",
    "ldx": "Loads", "st": "Stores of a constant", "stx": "Stores of a register", "ld": "Packet loads (legacy)",
    "atomic": "Atomic operations",
}
_HEAD = """# The instruction set

This page is generated from the one table that the assembler, disassembler, verifier and simulator read
(`ebpflab/isa/table.py`); `python -m ebpflab.isa.document docs/isa.md` writes it again.

An instruction is one slot of eight bytes, a wide load two:

     0        1        2        3        4        5        6        7
    +--------+--------+--------+--------+--------+--------+--------+--------+
    | opcode |src:dst | offset (s16)    | imm (s32)                         |
    +--------+--------+--------+--------+--------+--------+--------+--------+

*Selectors* are fields that choose the instruction among those of one opcode byte; a field that is neither a selector
nor named in the spelling must be zero. *Group* is the conformance group and *RFC* the section of RFC 9669; instructions
without them are Linux's own. *ISA* is what compilers call the version (`-mcpu=v3`), *Linux* the first release whose
verifier takes the instruction. In spellings, `N` stands for a number, `LABEL` for a label or a distance in slots.
"""
_COLUMNS = ("opcode", "name", "LLVM", "kernel log (where it differs)", "mnemonic", "selectors", "group", "ISA",
            "Linux", "RFC")
_SHOWN = {"dst": "1", "src": "2", "off": "+N", "imm": "N", "cmp": "N", "index": "+N", "imm64": "N", "high": "N",
          "low": "N", "next": "+N", "jump": "LABEL", "jump32": "LABEL", "callee": "LABEL", "map": "NAME",
          "helper": "NAME", "kfunc": "NAME#N"}


def _spelling(template: str) -> str:
    text = template.replace(" {off}", " + N")
    for field, shown in _SHOWN.items():
        text = text.replace(f"{{{field}}}", shown)
    return "`" + text.replace("|", "\\|") + "`"


def _row(op: Op) -> str:
    selectors = ", ".join(f"{name}={value:#x}" if name == "imm" else f"{name}={value}"
                          for name, value in op.fixed.items() if value) or ""
    kernel = "" if op.kernel == op.llvm else _spelling(op.kernel)
    cells = (f"`{op.opcode:02x}`", op.name, _spelling(op.llvm), kernel, _spelling(op.mnemonic), selectors, op.group,
             op.isa, op.since, op.rfc)
    return "| " + " | ".join(cells) + " |"


def page() -> str:
    """The whole page as Markdown."""
    parts = [_HEAD]
    groups = len({op.group for op in OPS if op.group})
    parts.append(f"{len(OPS)} instructions, {len({op.opcode for op in OPS})} opcode bytes, {groups} conformance "
                 "groups.\n")
    order = list(_TITLES)
    for kind, rows in groupby(sorted(OPS, key=lambda op: order.index(op.kind)), key=lambda op: op.kind):
        parts.append(f"## {_TITLES[kind]}\n")
        parts.append(f"| {' | '.join(_COLUMNS)} |")
        parts.append("|" + "---|" * len(_COLUMNS))
        parts.extend(_row(op) for op in rows)
        parts.append("")
    return "\n".join(parts)


if __name__ == "__main__":
    import sys
    from pathlib import Path

    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
