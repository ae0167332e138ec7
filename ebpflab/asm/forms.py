"""From the templates of ``isa.table`` to functions: printers, and readers found by a statement's shape.

A statement is split at its numbers (``r2`` is the letter r and the number 2)::

    r1 = *(u32 *)(r2 - 4)     literals  "r", " = *(u", " *)(r", " - ", ")"      numbers  1  32  2  4

The literals without optional blanks are the statement's *shape*, signs before numbers apart.  Every template, filled
with sample numbers and split in the same way, gives a shape of the table: one dictionary look-up finds the row, and
what can be printed can be read.  Readers and printers are compiled when first used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..isa import OPS, Op
from ..isa.bits import U32, U64

DIALECTS = ("llvm", "kernel", "mnemonic")
SPLIT = re.compile(r"(\d\w*)").split
FIELD = re.compile(r"\{(\w+)\}")
_BLANKS = re.compile(r"\s+")
_SIGN = re.compile(r"\s*(\+\s*-|[+-])\s*\0")
_OPTIONAL = re.compile(r"(?<![\w\0]) | (?![\w\0])")


class OperandError(ValueError):
    """A number that does not fit its field; the assembler adds where it stands.

    ``at`` is its index in the split statement if known.
    """

    def __init__(self, what: str, hint: str | None = None, at: int | None = None):
        super().__init__(what)
        self.hint, self.at = hint, at


# -- numbers: dictionaries that fill themselves, the assembler's inner loop only looks up -------------------------

class _Memo(dict):
    """Digits -> value; ``make`` computes what is missing. Bounded, the digits come from outside."""

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
    """An integer as the assembler reads it: decimal or 0x…, with a sign or without."""
    digits = text.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits.isdigit():
        raise OperandError(f"{digits} is octal in C and decimal elsewhere", "leave the leading zero out, or write 0x…")
    try:
        return int(text, 16 if digits[:2] in ("0x", "0X") else 10)
    except ValueError:
        raise OperandError(f"{text!r} is not a number", "numbers are written 42, -42 or 0x2a") from None


def _ranged(what: str, bits: int, low: int, high: int, hint: str | None = None):
    """A maker of values low..high, folded to a signed field of ``bits`` bits."""
    sign_bit = 1 << (bits - 1)

    def make(text: str) -> int:
        value = number(text)
        if not low <= value <= high:
            raise OperandError(f"{what} {value} does not fit {bits} bits ({low} to {high})", hint)
        return ((value + sign_bit) & ((1 << bits) - 1)) - sign_bit
    return make


def _register(text: str) -> int:
    value = number(text)
    if value > 10:
        raise OperandError(f"register r{value} does not exist, there are r0 to r10")
    return value


def _wide(text: str) -> tuple[int, int]:
    value = number(text)
    if not -(1 << 63) <= value <= U64:
        raise OperandError(f"constant {value} does not fit 64 bits")
    return (((value & U32) ^ 0x8000_0000) - 0x8000_0000, (((value >> 32) & U32) ^ 0x8000_0000) - 0x8000_0000)


_MAKERS = {
    "REG": _register,
    "OFF": _ranged("offset", 16, -0x8000, 0x7FFF),
    "IMM": _ranged("constant", 32, -0x8000_0000, U32, "a wide load takes 64 bits: r1 = VALUE ll, or lddw %r1, VALUE"),
    "JUMP": _ranged("jump distance", 16, -0x8000, 0x7FFF, "gotol (ja32) reaches farther"),
    "JUMP32": _ranged("jump distance", 32, -0x8000_0000, 0x7FFF_FFFF),
    "KFUNC": _ranged("BTF file descriptor index", 16, -0x8000, 0x7FFF),
    "HALF": _ranged("address space", 17, 0, 0xFFFF),
    "WIDE": _wide,
}
#: (converter, sign) -> digits -> value
VALUES = {(name, sign): _Memo(make if sign != "-" else lambda text, make=make: make("-" + text))
          for name, make in _MAKERS.items() for sign in ("", "+", "-")}


class _Field(NamedTuple):
    """How a template field is written.

    slot      the instruction field it fills
    values    the converter (name of a maker above)
    prints    dialect -> Python expression of an f-string, "*" for all
    reads     sample texts, 9 stands for the number; the first is the usual one
    signs     signs that may stand before the number ("" for none)
    """

    slot: str
    values: str
    prints: dict[str, str]
    reads: tuple[str, ...] = ("9",)
    signs: tuple[str, ...] = ("", "+", "-")


_DISTANCE = {"kernel": "pc{%s:+d}", "*": "{env.jump(pc, %s)}"}
_UNSIGNED, _SIGNED = ("",), ("+", "-")
FIELDS = {
    "dst": _Field("dst", "REG", {"*": "{dst}"}, signs=_UNSIGNED),
    "src": _Field("src", "REG", {"*": "{src}"}, signs=_UNSIGNED),
    "off": _Field("off", "OFF", {"kernel": "{off:+d}", "llvm": "{'-' if off < 0 else '+'} {abs(off)}",
                                 "mnemonic": "{f'{off:+d}' if off else ''}"}, ("+9", ""), _SIGNED),
    "imm": _Field("imm", "IMM", {"*": "{imm}"}),
    "cmp": _Field("imm", "IMM", {"*": "{imm}", "kernel": "0x{imm & 0xffffffff:x}"}),
    "index": _Field("imm", "IMM", {"kernel": " + {imm}", "*": "{f' {imm:+d}' if imm else ''}"}, ("+9", ""), _SIGNED),
    "imm64": _Field("imm", "WIDE", {"llvm": "{env.signed(imm, next)}", "*": "0x{env.unsigned(imm, next):x}"}),
    "high": _Field("high", "HALF", {"*": "{imm >> 16 & 0xffff}"}, signs=_UNSIGNED),
    "low": _Field("low", "HALF", {"*": "{imm & 0xffff}"}, signs=_UNSIGNED),
    "next": _Field("next", "IMM", {"*": "{f'{next:+d}' if next else ''}"}, ("+9", ""), _SIGNED),
    "jump": _Field("off", "JUMP", {k: v % "off" for k, v in _DISTANCE.items()}, ("9", "pc+9")),
    "jump32": _Field("imm", "JUMP32", {k: v % "imm" for k, v in _DISTANCE.items()}, ("9", "pc+9")),
    "callee": _Field("imm", "JUMP32", {"kernel": "pc{imm:+d}", "*": "{env.callee(pc, imm)}"}, ("pc+9",), _SIGNED),
    "map": _Field("imm", "IMM", {"*": "{env.map(imm)}"}),
    # a helper's number has no plus: "call +4" would be a distance in other tools
    "helper": _Field("imm", "IMM", {"kernel": "{env.helper_id(imm)}", "*": "{env.helper(imm)}"}, signs=("", "-")),
    "kfunc": _Field("imm", "IMM", {"*": "{env.kfunc(imm, off)}"}, ("kfunc#9", "kfunc#9:9")),
}


# -- printers -----------------------------------------------------------------------------------------------------

class _Printers(dict):
    """Row -> function(pc, dst, src, off, imm, next, env) that prints it in one dialect."""

    def __init__(self, dialect: str):
        super().__init__()
        self.dialect = dialect

    def __missing__(self, op: Op) -> Callable:
        def expression(match: re.Match) -> str:
            prints = FIELDS[match[1]].prints
            return prints.get(self.dialect) or prints["*"]

        prefix = f"({op.opcode:02x}) " if self.dialect == "kernel" else ""
        body = FIELD.sub(expression, getattr(op, self.dialect))
        self[op] = eval(f'lambda pc, dst, src, off, imm, next, env: f"{prefix}{body}"')
        return self[op]


PRINTERS: dict[str, dict[Op, Callable]] = {dialect: _Printers(dialect) for dialect in DIALECTS}


# -- readers ------------------------------------------------------------------------------------------------------

class Form(NamedTuple):
    """One way to write one instruction.

    ``numbers`` has for each number of the split statement the field it fills, or the digits that must stand there.
    """

    op: Op
    template: str
    numbers: tuple[tuple[str, str], ...]     # (field name, "") or ("", digits)

    def fits(self, parts: list[str]) -> bool:
        return all(not digits or parts[2 * i + 1] == digits for i, (_, digits) in enumerate(self.numbers))


def shape(parts: list[str]) -> tuple[str, tuple[str, ...]]:
    """The literals of a split statement in one spelling, and the sign before each number."""
    text = _BLANKS.sub(" ", "\0".join(parts[::2]).strip()).replace("%r\0", "r\0")
    if "+" not in text and "-" not in text:
        return _OPTIONAL.sub("", text), ("",) * (len(parts) // 2)
    signs: dict[int, str] = {}

    def unsign(match: re.Match) -> str:
        signs[text.count("\0", 0, match.end()) - 1] = match[1][-1]
        return " \0"

    bare = _SIGN.sub(unsign, text)
    return _OPTIONAL.sub("", bare), tuple(signs.get(i, "") for i in range(len(parts) // 2))


def _samples(template: str):
    """Every sample text of a template, each with the spans of its fields: (start, end, field)."""
    found: list[tuple[str, tuple]] = [("", ())]
    at = 0
    for match in FIELD.finditer(template):
        literal = template[at:match.start()]
        at = match.end()
        found = [(text + literal + read, (*spans, (len(text + literal), len(text + literal + read), match[1])))
                 for text, spans in found for read in FIELDS[match[1]].reads]
    return [(text + template[at:], spans) for text, spans in found]


def _forms(op: Op, template: str) -> Iterator[tuple[str, Form]]:
    """(shape, Form) for every sample of a template."""
    for sample, spans in _samples(template):
        parts = SPLIT(sample)
        numbers, end = [], 0
        for index in range(1, len(parts), 2):
            end += len(parts[index - 1]) + len(parts[index])
            field = next((name for start, stop, name in spans if start < end <= stop), "")
            numbers.append((field, "" if field else parts[index]))
        yield shape(parts)[0], Form(op, template, tuple(numbers))


def _tables():
    """shape -> forms for each dialect and for ``auto``; (opcode, shape) -> forms for lines with the kernel's "(b7)"."""
    by_dialect: dict[str, dict[str, list[Form]]] = {name: {} for name in (*DIALECTS, "auto")}
    by_opcode: dict[tuple[int, str], list[Form]] = {}
    owner: dict[tuple, Op] = {}
    for op in OPS:
        forms = {text: tuple(_forms(op, text))
                 for text in {op.llvm, op.kernel, op.mnemonic, *(text for _, text in op.also)}}
        for dialect in DIALECTS:
            also = [text for name, text in op.also if (name == "mnemonic") == (dialect == "mnemonic")]
            for template in dict.fromkeys((getattr(op, dialect), *also)):
                for key, form in forms[template]:
                    if dialect != "mnemonic":
                        _add(by_opcode.setdefault((op.opcode, key), []), form)
                    if dialect == "kernel" and op.kind == "lddw":
                        continue       # without "(18)" the log's r1 = 0x5 cannot be told from a move
                    digits = tuple(d for _, d in form.numbers)
                    if owner.setdefault((key, digits), op) is not op:
                        raise AssertionError(f"{op.name} and {owner[key, digits].name} are both written {template!r}")
                    for name in (dialect, "auto"):
                        _add(by_dialect[name].setdefault(key, []), form)
    return by_dialect, by_opcode


def _add(forms: list[Form], form: Form) -> None:
    if all(old.numbers != form.numbers or old.op is not form.op for old in forms):
        forms.append(form)


_compiled: dict[tuple[int, tuple[str, ...]], Callable] = {}


def reader(forms: list[Form], signs: tuple[str, ...]) -> Callable:
    """A function (parts, emit) for one shape of the tables below, compiled once."""
    key = id(forms), signs
    if key not in _compiled:
        _compiled[key] = _choice(forms, signs)
    return _compiled[key]


def _choice(forms: list[Form], signs: tuple[str, ...]) -> Callable:
    """Rows that differ in digits only (u8, u16 …) are told apart by them."""
    first, *others = forms
    if not others:
        return _compile(*_source(first, signs), str(first.op.opcode))
    at = next(2 * i + 1 for i, (_, digits) in enumerate(first.numbers)
              if digits and any(form.numbers[i] != first.numbers[i] for form in others))
    digits_of = [form.numbers[at // 2][1] for form in forms]

    def unknown(digits: str):
        raise OperandError(f"{digits} is not one of {', '.join(digits_of)}", at=at)

    sources = [_source(form, signs, skip=at) for form in forms]
    if all(body == sources[0][0] for body, _ in sources) and len(set(digits_of)) == len(forms):
        opcodes = _Memo(unknown)
        opcodes.update(zip(digits_of, (form.op.opcode for form in forms), strict=True))
        return _compile(sources[0][0], {**sources[0][1], "opcodes": opcodes}, f"opcodes[p[{at}]]")
    chosen = _Memo(unknown)
    for digits in set(digits_of):
        chosen[digits] = _choice([form for form, d in zip(forms, digits_of, strict=True) if d == digits], signs)

    def read(parts, emit):
        chosen[parts[at]](parts, emit)
    return read


def _same(want: str, p: list[str], at: int) -> None:
    if p[at] != want:
        raise OperandError(f"r{p[at]} must be r{want} here", "the instruction leaves no choice", at)


def _source(form: Form, signs: tuple[str, ...], skip: int = 0) -> tuple[list[str], dict[str, object]]:
    """Python statements that turn the numbers of one form into slots, and the names they use."""
    op = form.op
    values = {name: str(op.fixed.get(name, 0)) for name in ("dst", "src", "off", "imm")} | {"next": "0"}
    scope: dict[str, object] = {"same": _same}
    body, index_of = [], {}
    for i, (field, digits) in enumerate(form.numbers):
        at = 2 * i + 1
        if not field:
            body += [f"same({digits!r}, p, {at})"] if at != skip else []
            continue
        slot, memo, _, _, allowed = FIELDS[field]
        if field == "kfunc" and slot in index_of:
            slot, memo = "off", "KFUNC"
        if signs[i] not in allowed:
            if not signs[i]:
                raise OperandError("a sign is missing before the number", "offsets are written + 4 or - 4", at)
            hint = "a function is called by its label or as call pc+4" if field == "helper" else None
            raise OperandError(f"{signs[i]} cannot stand here", hint, at)
        if slot in index_of:           # r1 = -r1, the same register twice
            body.append(f"same(p[{index_of[slot]}], p, {at})")
            continue
        index_of[slot] = at
        name = memo + {"+": "_plus", "-": "_minus", "": ""}[signs[i]]
        scope[name] = VALUES[memo, signs[i]]
        values[slot] = f"{name}[p[{at}]]"
    if "high" in values:
        values["imm"] = f"((({values['high']} << 16 | {values['low']}) ^ 0x80000000) - 0x80000000)"
    if "WIDE" in values["imm"]:
        body.append(f"low, high = {values['imm']}")
        values |= {"imm": "low", "next": "high"}
    fields = ", ".join(values[name] for name in ("dst", "src", "off", "imm"))
    if op.kind == "lddw":
        return [*body, f"first, second = (OPCODE, {fields}), (0, 0, 0, 0, {values['next']})",
                "out(first)", "out(second)"], scope
    return [*body, f"out((OPCODE, {fields}))"], scope


def _compile(body: list[str], scope: dict[str, object], opcode: str) -> Callable:
    exec("def read(p, out):\n    " + "\n    ".join(body).replace("OPCODE", opcode), scope)
    return scope["read"]


FORMS, KERNEL_FORMS = _tables()


def _words():
    for op in OPS:
        for template in (op.llvm, op.kernel, op.mnemonic, *(text for _, text in op.also)):
            yield from re.findall(r"[A-Za-z_]\w*", re.sub(r"[rw]\d|[rw]?\{\w+\}", " ", template))
    yield from ("pc", "kfunc")


#: words that belong to the language, in any dialect
KEYWORDS = frozenset(_words())
