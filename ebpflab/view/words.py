"""Plain words for what a verifier says: verdicts, and what source lines add to instructions.

The words for registers and stack slots are those of ``ebpflab.trace.words``.
"""

from __future__ import annotations

import re

from ..explain import explain
from ..spec import SourceLine
from ..trace import Trace
from ..trace.words import cell_words, number, scalar_words, slot_words, value_words

__all__ = ["cell_words", "news", "number", "scalar_words", "slot_words", "value_words", "verdict_words"]

# What assembly spells differently from the kernel's log: numbers, labels, map and helper names, blanks.
_SPELLING = [(re.compile(pattern), to) for pattern, to in (
    (r"^\([0-9a-f]{2}\) ", ""), (r"\b(0x[0-9a-f]+|\d+)\b", "N"), (r"[\s;]", ""), (r"(goto|call).*", r"\1"),
    (r"=(N|.*ll|map\[.*)$", "="),
)]
_COMMENT = re.compile(r"(.*?)\s*((?://|#\s).*)?$")


def _bare(text: str) -> str:
    for pattern, to in _SPELLING:
        text = pattern.sub(to, text)
    return text


def news(line: SourceLine, insn: str) -> str:
    """What a source line says beyond the instruction: all of it for C, of assembly the comment, or nothing."""
    text = line.text.strip()
    code, comment = _COMMENT.match(text).groups()
    return (comment or "") if _bare(code) == _bare(insn) else text


def verdict_words(trace: Trace) -> str:
    """The verdict as one plain sentence."""
    v = trace.verdict
    if v.result in ("ended", "fault"):
        took = f"{len(trace.steps)} instruction{'s' * (len(trace.steps) != 1)}"
        return f"The program ran {took} and {v.error}." if v.result == "ended" else f"The run stopped after {took}."
    if v.result == "accept":
        steps = list(trace.outline())
        pruned = sum(kind == "pruned" for _, _, kind, _ in steps)
        tail = f"; {pruned} ended early, where an equal or weaker state was already proved safe" if pruned else ""
        paths = 1 + sum(parent is not None and parent != index - 1 for index, (_, parent, _, _) in enumerate(steps))
        return f"Every path was followed to its end and is safe: {paths} path{'s'[:paths > 1]}{tail}."
    found = explain(trace, links=False)
    return found.sentence if found.entry or v.result == "unsupported" else ""
