"""Plain words for what a verifier says: verdicts, and what source lines add to instructions.

The words for registers and stack slots are those of ``ebpflab.trace.words``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..spec import SourceLine
from ..trace import Trace
from ..trace.words import cell_words, number, scalar_words, slot_words, value_words
from .messages import MESSAGES

__all__ = ["cell_words", "error_words", "news", "number", "scalar_words", "slot_words", "value_words", "verdict_words"]

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


def error_words(lines: Sequence[str]) -> str:
    """One plain sentence for a rejection, "" if the table has none. The first line that has one decides."""
    for line in lines:
        for pattern, words in MESSAGES:
            if found := pattern.search(line):
                return words.format(**{k: v or "" for k, v in found.groupdict().items()}).replace("(s)", "s")
    return ""


def verdict_words(trace: Trace) -> str:
    """The verdict as one plain sentence."""
    v = trace.verdict
    if v.result == "accept":
        pruned = sum(step.kind == "pruned" for step in trace.steps)
        tail = f"; {pruned} ended early, where an equal or weaker state was already proved safe" if pruned else ""
        paths = 1 + sum(1 for s in trace.steps if s.parent is not None and s.parent != s.index - 1)
        return f"Every path was followed to its end and is safe: {paths} path{'s'[:paths > 1]}{tail}."
    if v.result == "unsupported":
        return "This verifier does not model what the program uses, so it says neither yes nor no."
    return error_words(v.error_lines or (v.error,))
