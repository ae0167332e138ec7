"""What the assembler says when it cannot read a statement: the spot, the reason, and what was probably meant."""

from __future__ import annotations

import re
from difflib import get_close_matches

from ..errors import AsmError
from . import forms
from .forms import FIELD, FIELDS, FORMS, KEYWORDS, SPLIT, VALUES, Form, OperandError, shape

_WORD = re.compile(r"[A-Za-z_.$][\w.$]*")
_REGISTER = re.compile(r"[rw]\d+$")


def wrong_number(assembly, parts: list[str], signs: tuple[str, ...], at: int, error: OperandError,
                 forms: list[Form], original: str) -> AsmError:
    """The number of ``parts`` that made ``error``, with a caret below it."""
    digits = str(error).split()
    index = next((i for i in range(len(signs)) if _refused(forms, i, parts, signs)),
                 next((i for i in range(len(signs)) if parts[2 * i + 1] in digits), 0))
    text = parts[2 * index + 1] if len(parts) > 1 else ""
    letter = re.search(r"[rw]$", parts[2 * index])
    column = at + sum(map(len, parts[:2 * index + 1]))
    if letter:
        column, text = column - 1, letter[0] + text
    elif signs and signs[index]:
        column, text = column - len(parts[2 * index]) + parts[2 * index].rfind(signs[index]), (
            parts[2 * index][parts[2 * index].rfind(signs[index]):] + text)
    if original != "".join(parts):      # names were replaced: show the statement
        spot = original.find(text)
        if spot < 0:
            spot, text = len(original) - len(original.lstrip()), original.strip()
        column = at + spot
    return assembly._error(str(error), column, error.hint, length=len(text))


def _refused(forms: list[Form], index: int, parts: list[str], signs: tuple[str, ...]) -> bool:
    form = next((form for form in forms if form.fits(parts)), forms[0])
    field, digits = form.numbers[index]
    if digits:
        return parts[2 * index + 1] not in {form.numbers[index][1] for form in forms}
    _, values, _, _, allowed = FIELDS[field]
    if signs[index] not in allowed:
        return True
    try:
        VALUES[values, signs[index]][parts[2 * index + 1]]
    except OperandError:
        return True
    return False


def unreadable(assembly, statement: str, rewritten: str, at: int, opcode: int | None) -> AsmError:
    """No row of the table is written like this."""
    if opcode is not None:
        if not any(key[0] == opcode for key in forms.KERNEL_FORMS):
            return assembly._error(f"unknown opcode {opcode:#04x}", f"({opcode:02x})")
        other = FORMS["kernel"].get(shape(SPLIT(rewritten))[0])
        if other is not None:
            return assembly._error(f"({opcode:02x}) is not the opcode of this instruction", f"({opcode:02x})",
                                   f"it is ({other[0].op.opcode:02x})")
    known = assembly.names
    for match in _WORD.finditer(rewritten):
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
        hint = next((text for pattern, text in _HABITS if pattern.match(rewritten)), hint)
        return assembly._error(f"{what} {word!r}", column, hint or _example(assembly, rewritten), length=len(word))
    column = at + len(statement) - len(statement.lstrip())
    return assembly._error("this is not an instruction", column, _example(assembly, rewritten),
                           length=len(statement.strip()))


def _example(assembly, statement: str) -> str | None:
    """The nearest way to write something."""
    for pattern, hint in _HABITS:
        if pattern.match(statement):
            return hint
    near = get_close_matches(shape(SPLIT(statement))[0], assembly.forms, 1, 0.5)
    if not near:
        return None
    shown = {"dst": "1", "src": "2", "off": "+8", "imm": "7", "cmp": "7", "jump": "label", "jump32": "label",
             "callee": "name", "imm64": "7", "map": "name", "next": "", "index": "", "helper": "bpf_ktime_get_ns"}
    example = FIELD.sub(lambda m: shown.get(m[1], "1"), assembly.forms[near[0]][0].template)
    return f"did you mean something like {example!r}?"


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
