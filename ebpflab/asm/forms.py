"""From the templates of ``isa.table`` to functions: printers, and readers found by a statement's shape.

A statement is split into *literals* and *operands* (register numbers and numbers)::

    r1 = *(u32 *)(r2 + 4)     literals  "r", " = *(u32 *)(r", " ", ")"      operands  1  2  "+ 4"

The literals without their optional blanks are the statement's *shape*.  Every template, filled with sample
operands and split in the same way, gives a shape of the table, so that one dictionary look-up finds the row, and
what can be printed can be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from ..isa import OPS, Op
from ..isa.bits import U32, U64

DIALECTS = ("llvm", "kernel", "mnemonic")

_NUMBER = r"(?<![\w.])(?:0[xX][0-9a-fA-F]+|\d+)(?![\w.])"
OPERAND = re.compile(rf"((?<=\b[rw])\d+\b|[+-]?[ \t]*{_NUMBER})")
FIELD = re.compile(r"\{(\w+)\}")
_BLANKS = re.compile(r"\s+")
_OPTIONAL = re.compile(r"(?<!\w) | (?!\w)")


class OperandError(ValueError):
    """An operand that does not fit its field; the assembler adds where it stands."""


# -- operand values: dictionaries that fill themselves, the assembler's inner loop only looks up -----------------

class _Memo(dict):
    """Operand text -> value; ``make`` computes what is missing. Bounded, numbers come from outside."""

    def __init__(self, make: Callable[[str], object]):
        super().__init__()
        self.make = make

    def __missing__(self, text: str):
        value = self.make(text)
        if len(self) > 100_000:
            self.clear()
        self[text] = value
        return value


def number(text: str) -> int:
    """An integer as the assembler reads it: decimal or 0x…, a sign may stand apart."""
    plain = text.replace(" ", "").replace("\t", "")
    digits = plain.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits[1] not in "xX":
        raise OperandError(f"{digits} is octal in C and decimal elsewhere: write it without the leading zero or as 0x…")
    return int(plain, 16 if digits[:2] in ("0x", "0X") else 10)


def _ranged(what: str, bits: int, low: int, high: int):
    """Values low..high, folded to a signed field of ``bits`` bits."""
    sign = 1 << (bits - 1)

    def make(text: str) -> int:
        value = number(text)
        if not low <= value <= high:
            raise OperandError(f"{what} {value} does not fit {bits} bits ({low} to {high})")
        return ((value + sign) & ((1 << bits) - 1)) - sign
    return make


def _register(text: str) -> int:
    value = int(text)
    if value > 10:
        raise OperandError(f"register r{value} does not exist, there are r0 to r10")
    return value


def _offset(text: str) -> int:
    if "+" not in text and "-" not in text:
        raise OperandError(f"a sign is missing before the offset {text.strip()}")
    return _ranged("offset", 16, -0x8000, 0x7FFF)(text)


def _jump(text: str) -> int:
    try:
        return _ranged("jump distance", 16, -0x8000, 0x7FFF)(text)
    except OperandError as error:
        raise OperandError(f"{error}; gotol (ja32) reaches farther") from None


def _wide(text: str) -> tuple[int, int]:
    value = number(text)
    if not -(1 << 63) <= value <= U64:
        raise OperandError(f"constant {value} does not fit 64 bits")
    return (((value & U32) ^ 0x8000_0000) - 0x8000_0000, (((value >> 32) & U32) ^ 0x8000_0000) - 0x8000_0000)


def _imm(text: str) -> int:
    try:
        return _ranged("constant", 32, -0x8000_0000, U32)(text)
    except OperandError as error:
        raise OperandError(f"{error}; a wide load takes 64 bits: rN = VALUE ll, or lddw") from None


REG, OFF, IMM, JUMP = _Memo(_register), _Memo(_offset), _Memo(_imm), _Memo(_jump)
JUMP32 = _Memo(_ranged("jump distance", 32, -0x8000_0000, 0x7FFF_FFFF))
KFUNC_OFF = _Memo(_ranged("BTF file descriptor index", 16, -0x8000, 0x7FFF))
HALF = _Memo(lambda text: _ranged("address space", 16, 0, 0xFFFF)(text) & 0xFFFF)
WIDE = _Memo(_wide)


class _Field(NamedTuple):
    """How a template field is written.

    slot      the instruction field it fills
    values    the converter (name of a memo above)
    prints    dialect -> Python expression of an f-string, "*" for all
    reads     sample texts, 9 stands for the number; the first is the usual one
    """

    slot: str
    values: str
    prints: dict[str, str]
    reads: tuple[str, ...]


_DISTANCE = {"kernel": "pc{%s:+d}", "*": "{env.jump(pc, %s)}"}
FIELDS = {
    "dst": _Field("dst", "REG", {"*": "{dst}"}, ("9",)),
    "src": _Field("src", "REG", {"*": "{src}"}, ("9",)),
    "off": _Field("off", "OFF", {"kernel": "{off:+d}", "mnemonic": "{off:+d}",
                                 "llvm": "{'-' if off < 0 else '+'} {abs(off)}"}, ("+9", "")),
    "imm": _Field("imm", "IMM", {"*": "{imm}"}, ("9",)),
    "cmp": _Field("imm", "IMM", {"*": "{imm}", "kernel": "0x{imm & 0xffffffff:x}"}, ("9",)),
    "index": _Field("imm", "IMM", {"kernel": " + {imm}", "*": "{f' {imm:+d}' if imm else ''}"}, ("+9", "+ -9", "")),
    "imm64": _Field("imm", "WIDE", {"llvm": "{env.signed(imm, next)}", "*": "0x{env.unsigned(imm, next):x}"}, ("9",)),
    "high": _Field("high", "HALF", {"*": "{imm >> 16 & 0xffff}"}, ("9",)),
    "low": _Field("low", "HALF", {"*": "{imm & 0xffff}"}, ("9",)),
    "next": _Field("next", "IMM", {"*": "{f'{next:+d}' if next else ''}"}, ("+9", "")),
    "jump": _Field("off", "JUMP", {k: v % "off" for k, v in _DISTANCE.items()}, ("+9", "pc+9")),
    "jump32": _Field("imm", "JUMP32", {k: v % "imm" for k, v in _DISTANCE.items()}, ("+9", "pc+9")),
    "callee": _Field("imm", "JUMP32", {"kernel": "pc{imm:+d}", "*": "{env.callee(pc, imm)}"}, ("pc+9",)),
    "map": _Field("imm", "IMM", {"*": "{env.map(imm)}"}, ("9",)),
    "helper": _Field("imm", "IMM", {"kernel": "{env.helper_id(imm)}", "*": "{env.helper(imm)}"}, ("9",)),
    "kfunc": _Field("imm", "IMM", {"*": "{env.kfunc(imm, off)}"}, ("kfunc#9", "kfunc#9:9")),
}


# -- printers -------------------------------------------------------------------------------------------------

def _printer(op: Op, dialect: str) -> Callable:
    def expression(match: re.Match) -> str:
        prints = FIELDS[match[1]].prints
        return prints.get(dialect, prints.get("*"))

    template = getattr(op, dialect)
    if dialect == "mnemonic":      # [%r1+0] is written [%r1]
        template = template.replace("{off}]", "{zoff}]")
    body = FIELD.sub(lambda m: "{f'{off:+d}' if off else ''}" if m[1] == "zoff" else expression(m), template)
    prefix = f"({op.opcode:02x}) " if dialect == "kernel" else ""
    return eval(f'lambda pc, dst, src, off, imm, next, env: f"{prefix}{body}"')


PRINTERS: dict[str, dict[Op, Callable]] = {d: {op: _printer(op, d) for op in OPS} for d in DIALECTS}


# -- readers --------------------------------------------------------------------------------------------------

class Form(NamedTuple):
    """One way to write one instruction. ``read(parts, emit)`` makes its slots out of the split statement."""

    op: Op
    template: str
    read: Callable
    operands: tuple[tuple[int, str], ...]     # index into the split statement, name of the converter
    sample: str


def shape(parts: list[str]) -> str:
    """The literals of a split statement in one spelling."""
    return _OPTIONAL.sub("", _BLANKS.sub(" ", "\0".join(parts[::2]).strip().replace("%r\0", "r\0")))


def _samples(template: str):
    """Every sample text of a template, each with the spans of its fields: [(start, end, field)]."""
    found = [("", ())]
    at = 0
    for match in FIELD.finditer(template):
        literal = template[at:match.start()]
        at = match.end()
        found = [(text + literal + read, (*spans, (len(text + literal), len(text + literal + read), match[1])))
                 for text, spans in found for read in FIELDS[match[1]].reads]
    return [(text + template[at:], spans) for text, spans in found]


def _unequal(text: str, required: str) -> None:
    raise OperandError(f"{text.strip()} stands where the instruction has only {required}")


def _reader(op: Op, template: str, sample: str, spans) -> Form:
    """Compile the function that turns the split statement into slots."""
    values = {"dst": str(op.fixed.get("dst", 0)), "src": str(op.fixed.get("src", 0)),
              "off": str(op.fixed.get("off", 0)), "imm": str(op.fixed.get("imm", 0)), "next": "0"}
    checks, operands, index_of = [], [], {}
    for number_, match in enumerate(OPERAND.finditer(sample)):
        index = 2 * number_ + 1
        field = next((name for start, end, name in spans if start < match.end() <= end), None)
        if field is None:              # a register that the instruction does not choose: r0 of cmpxchg
            checks.append(f"if p[{index}] != {match[0]!r}: unequal(p[{index}], {match[0]!r})")
            continue
        slot, memo = FIELDS[field].slot, FIELDS[field].values
        if field == "kfunc" and slot in index_of:
            slot, memo = "off", "KFUNC_OFF"
        if slot in index_of:           # r1 = -r1, the same register twice
            checks.append(f"if p[{index}] != p[{index_of[slot]}]: unequal(p[{index}], p[{index_of[slot]}])")
            continue
        index_of[slot] = index
        operands.append((index, memo))
        values[slot] = f"{memo}[p[{index}]]"
    if "high" in values:
        values["imm"] = f"(({values['high']} << 16 | {values['low']}) ^ 0x80000000) - 0x80000000"
    body = [*checks]
    if op.kind == "lddw" and values["imm"].startswith("WIDE"):
        body.append(f"low, high = {values['imm']}")
        values |= {"imm": "low", "next": "high"}
    fields = ", ".join(values[name] for name in ("dst", "src", "off", "imm"))
    if op.kind == "lddw":
        body += [f"first, second = ({op.opcode}, {fields}), (0, 0, 0, 0, {values['next']})", "out(first); out(second)"]
    else:
        body.append(f"out(({op.opcode}, {fields}))")
    scope = {"REG": REG, "OFF": OFF, "IMM": IMM, "JUMP": JUMP, "JUMP32": JUMP32, "WIDE": WIDE, "HALF": HALF,
             "KFUNC_OFF": KFUNC_OFF, "unequal": _unequal}
    exec("def read(p, out):\n    " + "\n    ".join(body), scope)
    return Form(op, template, scope["read"], tuple(operands), sample)


def _tables():
    """shape -> Form for each dialect and for ``auto``; (opcode, shape) -> Form for lines with the kernel's "(b7)"."""
    by_dialect: dict[str, dict[str, Form]] = {name: {} for name in (*DIALECTS, "auto")}
    by_opcode: dict[tuple[int, str], Form] = {}
    for op in OPS:
        for dialect in DIALECTS:
            templates = [getattr(op, dialect), *(t for d, t in op.also if (d == "mnemonic") == (dialect == "mnemonic"))]
            for template in templates:
                for sample, spans in _samples(template):
                    form = _reader(op, template, sample, spans)
                    key = shape(OPERAND.split(sample))
                    if dialect != "mnemonic":
                        by_opcode.setdefault((op.opcode, key), form)
                    if dialect == "kernel" and op.kind == "lddw":
                        continue       # without "(18)" the log's r1 = 0x5 cannot be told from a move
                    for name in (dialect, "auto"):
                        old = by_dialect[name].setdefault(key, form)
                        if old.op is not op:
                            raise AssertionError(f"{op.name} and {old.op.name} are both written {sample!r}")
    return by_dialect, by_opcode


FORMS, KERNEL_FORMS = _tables()
#: words that belong to the language, in any dialect
KEYWORDS = frozenset(re.findall(r"[A-Za-z_]\w*", re.sub(r"\b[rw]\0", " ", " ".join(FORMS["auto"]))))
