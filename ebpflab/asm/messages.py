"""What the assembler says when it cannot read a statement: the spot, the reason, and what was probably meant."""

from __future__ import annotations

import re
from difflib import get_close_matches

from ..errors import AsmError
from . import forms
from .forms import FIELD, FIELDS, FORMS, KEYWORDS, SPLIT, VALUES, Form, OperandError, shape
from .names import WORD

_REGISTER = re.compile(r"[rw]\d+$")


def wrong_number(assembly, parts: list[str], signs: tuple[str, ...], at: int, error: OperandError,
                 forms: list[Form], original: str) -> AsmError:
    """The number of ``parts`` that made ``error``, with a caret below it."""
    form = next((form for form in forms if form.fits(parts)), forms[0])
    found = error.at if error.at is not None else next(
        (2 * i + 1 for i in range(len(signs)) if _refused(form, i, parts[2 * i + 1], signs[i])), len(parts) - 2)
    what, hint, before = str(error), error.hint, parts[found - 1]
    word = re.search(r"[A-Za-z_]+$", before)
    sign = signs[found // 2] if not word else ""
    start = word.start() if word else before.rfind(sign) if sign else len(before)
    text = before[start:] + parts[found]
    known = sorted({f.numbers[found // 2][1] for f in forms} - {""}, key=lambda d: (len(d), d))
    if word and known and parts[found] not in known and not _REGISTER.match(text):
        what, hint = f"there is no {text} here", "known: " + ", ".join(word[0] + digits for digits in known)
    hint = _habit(original) or hint
    column = at + sum(map(len, parts[:found - 1])) + start
    if original != "".join(parts):      # names were replaced: show the statement
        spot = original.find(text)
        if spot < 0:
            spot, text = len(original) - len(original.lstrip()), original.strip()
        column = at + spot
    return assembly.error(what, column, hint, length=len(text))


def _refused(form: Form, index: int, digits: str, sign: str) -> bool:
    field, fixed = form.numbers[index]
    if fixed:
        return digits != fixed
    try:
        VALUES[FIELDS[field].values, sign][digits]
    except OperandError:
        return True
    return sign not in FIELDS[field].signs


def unreadable(assembly, statement: str, rewritten: str, at: int, opcode: int | None) -> AsmError:
    """No row of the table is written like this."""
    if opcode is not None:
        if not any(key[0] == opcode for key in forms.KERNEL_FORMS):
            return assembly.error(f"unknown opcode {opcode:#04x}", f"({opcode:02x})")
        parts = SPLIT(rewritten)
        other = [form for form in FORMS["kernel"].get(shape(parts)[0], ()) if form.fits(parts)]
        if other:
            return assembly.error(f"({opcode:02x}) is not the opcode of this instruction", f"({opcode:02x})",
                                   f"it is ({other[0].op.opcode:02x})")
    known = assembly.names
    for match in WORD.finditer(rewritten):
        word = match[0]
        if word in KEYWORDS or _REGISTER.match(word):
            continue
        column = at + max(statement.find(word), 0)
        near = get_close_matches(word, [*KEYWORDS, *known, *assembly.map_index, *assembly.declared.data], 1, 0.7)
        first = not statement[:statement.find(word)].strip()
        what = "unknown instruction" if first else "unknown name"
        hint = f"did you mean {near[0]!r}?" if near else None
        if assembly.line and ";" in assembly.lines[assembly.line - 1][:column]:
            hint = "';' separates statements, a comment starts with '#' or '//'"
        hint = _habit(rewritten) or hint
        return assembly.error(f"{what} {word!r}", column, hint or _example(assembly, rewritten), length=len(word))
    column = at + len(statement) - len(statement.lstrip())
    return assembly.error("this is not an instruction", column, _example(assembly, rewritten),
                           length=len(statement.strip()))


def _example(assembly, statement: str) -> str | None:
    """The nearest way to write something."""
    habit = _habit(statement)
    if habit:
        return habit
    near = get_close_matches(shape(SPLIT(statement))[0], assembly.forms, 1, 0.5)
    if not near:
        return None
    shown = {"dst": "1", "src": "2", "off": "+8", "imm": "7", "cmp": "7", "jump": "label", "jump32": "label",
             "callee": "name", "imm64": "7", "map": "name", "next": "", "index": "", "helper": "bpf_ktime_get_ns"}
    example = FIELD.sub(lambda m: shown.get(m[1], "1"), assembly.forms[near[0]][0].template)
    return f"did you mean something like {example!r}?"


def _habit(statement: str) -> str | None:
    return next((hint for pattern, hint in _HABITS if pattern.match(statement)), None)


#: what people write who think in C: pattern -> what to write here
_HABITS = tuple((re.compile(pattern), hint) for pattern, hint in (
    (r"\s*return\b", "put the value in r0, then exit: r0 = XDP_PASS, and on the next line exit"),
    (r"\s*(int|long|unsigned|char|void|struct|u8|u16|u32|u64|__u\d+|static|#)\b.*",
     "this looks like C: C cells are compiled with %%bpf --c"),
    (r"\s*[rw]\d+\s*=\s*[rw]\d+\s*([-+*/&|^%]|<<|>>)", "one operation an instruction: r1 = r2, then r1 += 4"),
    (r"\s*if\s+[rw]\d+\s*=[^=]", "compare with == != > >= < <= s> s>= s< s<= or & (any bit set)"),
    (r"\s*if\b.*\bthen\b", "a branch is written: if r1 == 0 goto label"),
    (r"\s*lock\s*\*\((u8|u16) ", "atomic operations are 32 or 64 bits wide"),
    (r"\s*w\d+\s*=\s*\*\([us]64 ", "a w register has 32 bits: load 64 bits into the r register"),
    (r"\s*[rw]\d+\s*(\+\+|--)", "write r1 += 1 or r1 -= 1"),
))
