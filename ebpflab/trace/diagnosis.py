"""A kernel's own diagnosis of a rejection, as Linux 7.3 and later log it (``kernel/bpf/diagnostics.c``)::

    Verification failed: Memory Safety: Access outside bounds

    Reason:
      The verifier cannot prove offset + access_size <= object_size. …

    At:
      prog @ prog.c:15:9                      with BTF; "insn 5" without
      Source context:
      >>> 15 |         x = data[20];
             |         ^-- error: access may be outside object bounds
      Instruction context:
      >>> 5 | (71) r0 = *(u8 *)(r2 +20)

    Active lock:        Causal path:          further places, each as the one above
      …
    Suggestion:
      Add or adjust a bounds check …
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..spec import SourceLine

_HEAD = re.compile(r"Verification failed: ([^:]+)(?:: (.*))?$")
_SECTION = re.compile(r"([A-Z][A-Za-z ]*):$")
_INSN_PLACE = re.compile(r"  insn (\d+)$")
_SOURCE_PLACE = re.compile(r"  (?:(\S+) @ )?(\S.*):(\d+):(\d+)$")
_SAID = re.compile(r" +\| +\^-- (\w[\w ]*): (.*)$")
_MORE = re.compile(r" +\|     +(\S.*)$")
_HERE = re.compile(r"  >>> *(\d+) \| (.*)$")


@dataclass(frozen=True, slots=True)
class Remark:
    """A place that the diagnosis speaks of, and what it says of it.

    pc      slot of the instruction, None for a note that belongs to none ("12 older events not retained")
    label   ``error``, ``update``, ``branch``, ``invalidated``, ``spilled``, ``acquired``, ``released``, ``context``;
            "" for such a note
    """

    pc: int | None
    label: str
    text: str
    source: SourceLine | None = None
    function: str = ""

    def __str__(self) -> str:
        where = f"{self.source.file}:{self.source.line}: " if self.source else ""
        place = "" if self.pc is None else f"insn {self.pc}: "
        return f"{where}{place}{self.label + ': ' if self.label else ''}{self.text}"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """``category`` and ``problem`` of the headline, and the sections below it.

    ``path`` are the events that led there, oldest first; ``others`` the remarks of sections that only some
    diagnoses have, with the section's name ("Active lock").
    """

    category: str
    problem: str
    reason: str = ""
    at: Remark | None = None
    path: tuple[Remark, ...] = ()
    others: tuple[tuple[str, Remark], ...] = ()
    suggestion: str = ""

    @property
    def headline(self) -> str:
        return f"{self.category}: {self.problem}" if self.problem else self.category

    def __str__(self) -> str:
        lines = [self.headline, f"  reason      {self.reason}"]
        lines += [f"  at          {self.at}"] if self.at else []
        lines += [f"  {name.lower():11} {each}" for name, each in self.others]
        lines += [f"  path        {each}" for each in self.path]
        lines += [f"  suggestion  {self.suggestion}"] if self.suggestion else []
        return "\n".join(lines)


def separate(lines: Sequence[str]) -> tuple[tuple[str, ...], tuple[Diagnosis, ...]]:
    """The lines of a verdict parted into the verifier's messages and its diagnoses.

    A diagnosis goes from its headline to the first line that is neither indented nor the head of a section.
    """
    messages: list[str] = []
    blocks: list[list[str]] = []
    inside = False
    for line in lines:
        if _HEAD.match(line):
            blocks.append([line])
            inside = True
        elif inside and (line[:2] == "  " or _SECTION.match(line)):
            blocks[-1].append(line)
        else:
            inside = False
            messages.append(line)
    return tuple(messages), tuple(map(_read, blocks))


def _read(block: list[str]) -> Diagnosis:
    found = Diagnosis(*_HEAD.match(block[0]).groups(default=""))
    for name, body in _sections(block[1:]):
        if name in ("Reason", "Suggestion"):
            found = replace(found, **{name.lower(): " ".join(line.strip() for line in body)})
            continue
        remarks = _remarks(body)
        if name == "Causal path":
            found = replace(found, path=remarks)
        elif name == "At":
            found = replace(found, at=remarks[0] if remarks else None)
        else:
            found = replace(found, others=(*found.others, *((name, each) for each in remarks)))
    return found


def _sections(lines: list[str]) -> list[tuple[str, list[str]]]:
    sections: list[tuple[str, list[str]]] = []
    for line in lines:
        if match := _SECTION.match(line):
            sections.append((match[1], []))
        elif sections:
            sections[-1][1].append(line)
    return sections


def _remarks(body: list[str]) -> tuple[Remark, ...]:
    """Each starts with its place, a line indented by two that is no context."""
    remarks: list[Remark] = []
    in_source = False
    for line in body:
        if match := _INSN_PLACE.match(line):
            remarks.append(Remark(int(match[1]), "", ""))
        elif line in ("  Source context:", "  Instruction context:"):
            in_source = line == "  Source context:"
        elif remarks and (match := _SAID.match(line)):
            remarks[-1] = replace(remarks[-1], label=match[1], text=match[2])
        elif remarks and (match := _HERE.match(line)):
            last = remarks[-1]
            remarks[-1] = replace(last, source=replace(last.source, text=match[2].strip())) \
                if in_source and last.source else replace(last, pc=int(match[1]))
        elif line[2:3] != " " and (match := _SOURCE_PLACE.match(line)):
            function, file, number, column = match.groups(default="")
            remarks.append(Remark(None, "", "", SourceLine(file, int(number), int(column)), function))
        elif line[2:3] != " ":
            remarks.append(Remark(None, "", line.strip()))
        elif remarks and remarks[-1].label and (match := _MORE.match(line)) and not line.lstrip()[0].isdigit():
            remarks[-1] = replace(remarks[-1], text=f"{remarks[-1].text} {match[1]}")
    return tuple(remarks)
