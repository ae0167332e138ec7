"""Whatever our verifier says of a program leads to an entry of the catalogue: its messages are read from its source."""

import ast
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from ebpflab import verify
from ebpflab.explain.catalogue import matches

SOURCES = sorted(Path(verify.__file__).parent.glob("*.py"))
RAISERS = {"reject", "reject_without_newline", "Refused"}
#: said of the verifier itself, not of a program
NOT_OF_A_PROGRAM = re.compile("verifier bug")
#: what stands for an expression of a message, by the expression's beginning; a number otherwise
STANDS_FOR = {
    "type_name(": ["scalar", "map_value", "map_value_or_null", "ctx", "sock"], "tnum.text(": ["(0x0; 0xff)"],
    "range_text(": ["smin=0 smax=7 should have been in [0, 1]", "unknown scalar value should have been in [0, 1]"],
    "SIGNS[": ["+="], "names[": ["name"], "names": ["fp, map_value"], "name": ["name"], "call.proto.name": ["name"],
    "bpf_map.name": ["name"], "insn.opcode": ["0f"], "insn.imm & ": ["0f"], "kind": ["local"],
    "field.kind": ["bpf_timer"], "where": ["At program exit", "BPF_EXIT instruction in main prog", "tail_call"],
    "word": ["map_value", "BPF_MOV", " read from", "ctx", "value ", "sock", "bpf_timer", "rdonly", "struct bpf_map",
             "loads from", "stores into", "BPF_ALU", ""],
}
#: messages that never come alone: the last words, and what is said before
BEFORE = {"of the allowed memory range": "invalid access to map value, value_size=7 off=7 size=7\n",
          "use static function instead": "global function calls are not allowed while holding a lock,\n",
          "a non-sleepable BPF program context": "global functions that may sleep are not allowed in non-sleepable "
                                                 "context,\ni.e., in a RCU/IRQ/preempt-disabled section, or in\n"}


def raised() -> Iterator[tuple[str, list[list[str]]]]:
    """(where, the message's pieces: each the texts that may stand there)."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in RAISERS:
                for text in node.args[:1] if name != "Refused" else node.args:
                    if isinstance(text, ast.Constant):
                        yield f"{path.name}:{node.lineno}", [[text.value]]
                    elif isinstance(text, ast.JoinedStr):
                        yield f"{path.name}:{node.lineno}", [pieces(part) for part in text.values]


def pieces(part: ast.expr) -> list[str]:
    if isinstance(part, ast.Constant):
        return [part.value]
    text = ast.unparse(part.value)
    return next((texts for start, texts in STANDS_FOR.items() if text.startswith(start)), ["7"])


MESSAGES = {where: message for where, message in raised() if not NOT_OF_A_PROGRAM.search("".join(message[0]))}


def test_the_messages_are_found():
    assert len(MESSAGES) > 120


@pytest.mark.parametrize("where", MESSAGES)
def test_every_message_has_an_entry(where):
    texts = ["".join(text) for text in product(*MESSAGES[where])]
    before = next((said for end, said in BEFORE.items() if texts[0].endswith(end)), "")
    found = [ids for text in texts if (ids := {match.entry.id for match in matches((before + text).split("\n"))})]
    assert found and all(len(ids) == 1 for ids in found), (texts[0], found)
