"""What the assembler says when it cannot read a statement: the spot, the reason, and what was probably meant."""

from __future__ import annotations

import re
from difflib import get_close_matches

from ..errors import AsmError
from . import forms
from .forms import FIELD, FORMS, KEYWORDS, OPERAND, Form, OperandError, shape

_WORD = re.compile(r"[A-Za-z_.$][\w.$]*")
_REGISTER = re.compile(r"[rw]\d+$")


def wrong_operand(assembly, parts: list[str], at: int, error: OperandError, form: Form | None,
                  original: str) -> AsmError:
    """The operand of ``parts`` that made ``error``, with a caret below it."""
    for index, memo in form.operands if form else ():
        try:
            getattr(forms, memo)[parts[index]]
        except OperandError:
            break
    else:
        index = next((i for i in range(1, len(parts), 2) if parts[i].strip() in str(error).split()[:1]), 1)
    text = parts[index].strip()
    if original:
        spot = original.find(text)
        column, length = (at + spot, len(text)) if spot >= 0 else (at, len(original))
    else:
        blanks = len(parts[index]) - len(parts[index].lstrip())
        column, length = at + sum(map(len, parts[:index])) + blanks, len(text)
    return assembly._error(str(error), column, length=length)


def unreadable(assembly, statement: str, rewritten: str, at: int, opcode: int | None) -> AsmError:
    """No row of the table is written like this."""
    if opcode is not None:
        if not any(key[0] == opcode for key in forms.KERNEL_FORMS):
            return assembly._error(f"unknown opcode {opcode:#04x}", f"({opcode:02x})")
        other = FORMS["kernel"].get(shape(OPERAND.split(rewritten)))
        if other is not None:
            return assembly._error(f"({opcode:02x}) is not the opcode of this instruction", f"({opcode:02x})",
                                   f"it is ({other.op.opcode:02x})")
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
        return assembly._error(f"{what} {word!r}", column, hint or _example(assembly, rewritten), length=len(word))
    column = at + len(statement) - len(statement.lstrip())
    return assembly._error("this is not an instruction", column, _example(assembly, rewritten),
                           length=len(statement.strip()))


def _example(assembly, statement: str) -> str | None:
    """The nearest way to write something."""
    table = assembly.forms
    near = get_close_matches(shape(OPERAND.split(statement)), table, 1, 0.5)
    if not near:
        return None
    shown = {"dst": "1", "src": "2", "off": "+ 8", "imm": "7", "cmp": "7", "jump": "label", "jump32": "label",
             "callee": "name", "imm64": "7", "map": "name", "next": "", "index": "", "helper": "bpf_ktime_get_ns"}
    example = FIELD.sub(lambda m: shown.get(m[1], "1"), table[near[0]].template)
    return f"did you mean something like {example!r}?"
