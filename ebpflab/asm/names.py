"""Names in statements: each becomes the number that stands for it, so that the table of shapes can be asked.

Jumps and calls to labels get a distance of 0 and a fixup that the assembler patches in the end.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

from ..abi import HELPER_IDS, HELPER_NAMES
from .expressions import evaluate
from .forms import KEYWORDS

NAME = r"[A-Za-z_.$][\w.$]*"
WORD = re.compile(NAME)
BRANCH = re.compile(rf"(.*\b(?:goto|gotol|may_goto)\s+)({NAME}|\d+[fb])(\s*)$")
_MNEMONIC_BRANCH = re.compile(rf"(\s*(?:ja|ja32|j[a-z]+(?:32)?\s.*,)\s*)({NAME}|\d+[fb])(\s*)$")
_CALL = re.compile(
    rf"(\s*call\s+)(local\s+|helper\s+|kfunc\s+)?({NAME}|kernel-function)(?:#(-?\d+)(?::(-?\d+))?)?\s*$")
_FUNC = re.compile(rf"(?<=func\[)\s*({NAME})\s*(?=\])")
_MAP = re.compile(rf"(?<=map\[)\s*({NAME})\s*(?=\])")
_REFERENCE = re.compile(rf"(\s*r\d+\s*=\s*|\s*lddw\s+%?r\d+\s*,\s*)&?({NAME})(\s*[+-]\s*\d+)?(\s+ll)?\s*$")
_REGISTER = re.compile(r"[rw]\d+$")
_INT = r"(?:0[xX][0-9a-fA-F]+|\d+)"
_SUM = re.compile(rf"[+-]?\s*(?<![\w.]){_INT}(?:\s*(?:<<|>>|[-+*/%&|^])\s*~?{_INT})+")
_SIGNS = re.compile(r"([+-])\s*([+-])(?=\s*[\d])")


def resolve(assembly, statement: str, at: int) -> str:
    """The statement with every name turned into a number (jumps to labels get a distance of 0 and a fixup)."""
    branch = BRANCH.match(statement) or _MNEMONIC_BRANCH.match(statement)
    if branch and branch[2] != "pc" and not _REGISTER.match(branch[2]) and branch[2] not in assembly.declared.constants:
        assembly.fix(branch[2], at + branch.start(2))
        statement = f"{branch[1]}+0"
    call = _CALL.match(statement)
    if call:
        return _call(assembly, call, at)
    statement = _MAP.sub(lambda m: str(_map(assembly, m[1], at + m.start(1))), statement)
    func = _FUNC.search(statement)
    if func and func[1] != "pc":
        assembly.fix(func[1], at + func.start(1))
        return statement[:func.start()] + "pc+0" + statement[func.end():]
    reference = _REFERENCE.match(statement)
    if reference and not _REGISTER.match(reference[2]):
        found = _reference(assembly, reference, at)
        if found is not None:
            return found
    if WORD.search(statement):
        statement = WORD.sub(lambda m: _value(assembly, m), statement)
    statement = _SIGNS.sub(lambda m: "-" if m[1] != m[2] else "+", statement)
    return _SUM.sub(_sum, statement)


def _value(assembly, match: re.Match) -> str:
    word = match[0]
    if word == "fp":
        return "r10"
    if word in KEYWORDS or word not in assembly.names or _REGISTER.match(word):
        return word
    return str(assembly.names[word])


def _sum(match: re.Match) -> str:
    value = evaluate(match[0], {})
    return f"{value:+d}" if match[0][0] in "+-" else str(value)


def _call(assembly, call: re.Match, at: int) -> str:
    head, how, name, id_, off = call.groups()
    column = at + call.start(3)
    how = (how or "").strip()
    if id_ is not None:
        plain = name.removeprefix("bpf_")
        if name == "unknown" or (how != "kfunc" and HELPER_NAMES.get(int(id_)) == plain):
            return f"{head}{id_}"
        return f"{head}kfunc#{id_}" + (f":{off}" if off else "")
    if how == "local" or (not how and name in assembly.known_labels):
        assembly.fix(name, column)
        return f"{head}local +0" if how == "local" or assembly.syntax == "mnemonic" else f"{head}pc+0"
    plain = name.removeprefix("bpf_")
    if plain in HELPER_IDS:
        return f"{head}{HELPER_IDS[plain]}"
    if name in assembly.names:
        return f"{head}{assembly.names[name]}"
    near = get_close_matches(plain, HELPER_IDS, 1) or get_close_matches(name, assembly.known_labels, 1)
    shown = f"bpf_{near[0]}" if near and near[0] in HELPER_IDS else near[0] if near else ""
    raise assembly.error(f"unknown helper or function {name!r}", column, f"did you mean {shown!r}?" if near else
                      "call a helper by name or number, a label of this program, or a kernel function as NAME#ID",
                      length=len(name))


def _reference(assembly, reference: re.Match, at: int) -> str | None:
    """``r1 = NAME ll``: the address of a map, a variable or a function; None for a plain constant."""
    head, name, off, ll = reference.groups()
    tail = "" if "lddw" in head else " ll"
    if name in assembly.map_index:
        index = assembly.map_index[name]
        return f"{head}map[{index}]" + (f"[0]{off.replace(' ', '')}" if off else "") + tail
    if name in assembly.declared.data:
        section, start, _, _ = assembly.declared.data[name]
        extra = evaluate(off, {}) if off else 0
        return f"{head}map[{assembly.map_index[section]}][0]{start + extra:+d}{tail}"
    if name in assembly.names:
        return None
    if name in assembly.known_labels and not off:
        assembly.fix(name, at + reference.start(2))
        return f"{head}func[pc+0]{tail}"
    if ll or tail == "" or "&" in reference[0]:
        known = [*assembly.map_index, *assembly.declared.data, *assembly.names, *assembly.known_labels]
        near = get_close_matches(name, known, 1)
        raise assembly.error(f"unknown map, variable or constant {name!r}", at + reference.start(2),
                          f"did you mean {near[0]!r}?" if near else "declare a map with .map NAME TYPE KEY VALUE N",
                          length=len(name))
    return None


def _map(assembly, name: str, column: int) -> int:
    if name in assembly.map_index:
        return assembly.map_index[name]
    near = get_close_matches(name, assembly.map_index, 1)
    raise assembly.error(f"unknown map {name!r}", column, f"did you mean {near[0]!r}?" if near else
                      "declare it with .map NAME TYPE KEY VALUE MAX_ENTRIES", length=len(name))
