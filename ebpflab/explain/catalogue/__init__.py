"""Every rejection as data: what the kernel prints, why it insists, how to mend it, and a program that causes it.

The ``.toml`` files beside this one hold the entries, by theme. A message is written as the kernel prints it, with
``<name>`` for a number and ``<name:kind>`` for other text (``KINDS``); a name that comes twice must be the same twice.

    find(("R2 !read_ok",))      -> Match(entry, {"reg": 2}, ...)
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from string import Template

from ...errors import SpecError
from ...spec import ProgramSpec

#: what ``<name:kind>`` stands for; ``<name>`` alone is a number
KINDS = {
    "number": r"-?(?:0x[0-9a-f]+|\d+)", "hex": r"(?:0x)?[0-9a-f]+", "word": r"\w+", "sign": r"\S+", "insn": r"[\w/|]+",
    "paren": r"\(.*?\)", "text": r".+", "line": r".*",
    "ornull": r"\w*_or_null\w*", "nonnull": r"(?!scalar\b|inv\b|\w*_or_null)\w+",
    "sock": r"(?:sock|sock_common|tcp_sock|xdp_sock)",
}
#: how a run goes wrong when the rejection was right: see ``explain.witness``
HARMS = ("fault", "uninit", "return", "loop", "leak", "leak-ref", "")
_TOKEN = re.compile(r"<(\w+)(?::(\w+))?>")
_STATISTICS = re.compile(r"processed \d+ insns \(limit .*$")
_PRELUDE = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
"""
THEMES = ("registers", "stack", "packet", "values", "arithmetic", "context", "control", "encoding", "helpers", "locks")


@dataclass(frozen=True, slots=True)
class Message:
    """One spelling. ``until``: the last release known to print it, ``since``: the first one; both "" for what Linux
    6.18 prints."""

    text: str
    until: str = ""
    since: str = ""
    pattern: re.Pattern = field(default=None, compare=False, repr=False)  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of rejection.

    ``says``, ``needs``, ``known``, ``asm`` and ``c`` are templates (``string.Template``) over the message's parts and
    what the trace knows (``explain.facts``). ``reg`` is the register in question where the message does not name it.
    ``harm``: how a run shows that the rejection is right (one of ``HARMS``), or a sentence on why no run can.
    ``flow``: is it about a value whose history can be followed? ``trigger`` is assembly that causes it (see
    ``program``), ``source`` the same in C where it takes types that assembly cannot declare.
    """

    id: str
    title: str
    theme: str
    messages: tuple[Message, ...]
    says: str
    why: str
    needs: str
    known: str
    asm: str
    c: str
    lesson: str
    trigger: str = ""
    source: str = ""
    harm: str = "fault"
    reg: int | None = None
    repeat: int = 0
    flow: bool = True

    @property
    def spec(self) -> ProgramSpec | None:
        """The program that causes it, None if there is none: what is wrong then lies with the loader.

        C is compiled (extra ``c``, or clang): raises Unsupported without a compiler.
        """
        from ...asm import assemble
        from ...obj.compile import compile_c
        from ...obj.objects import read_object

        if self.trigger:
            return assemble(self.program)
        if not self.source:
            return None
        return read_object(compile_c(_PRELUDE + self.source, file=f"{self.id}.c").data).program("prog")

    @property
    def program(self) -> str:
        """The trigger's text; a line with ``{n}`` stands for ``repeat`` lines, n = 1, 2 …"""
        return "\n".join("\n".join(line.replace("{n}", str(n)) for n in range(1, self.repeat + 1)) if "{n}" in line
                         else line for line in self.trigger.splitlines())


@dataclass(frozen=True, slots=True)
class Match:
    """An entry found for a message; ``parts`` are the message's numbers (int) and words (str)."""

    entry: Entry
    parts: Mapping[str, int | str]
    lines: tuple[str, ...]
    message: Message


def compiled(text: str) -> re.Pattern:
    """The regular expression of a message template."""
    out, at, seen = [], 0, set()
    for token in _TOKEN.finditer(text):
        name, kind = token[1], token[2] or "number"
        out.append(re.escape(text[at:token.start()]))
        out.append(f"(?P={name})" if name in seen else f"(?P<{name}>{KINDS[kind]})")
        seen.add(name)
        at = token.end()
    return re.compile("".join([*out, re.escape(text[at:])]))


def _entry(theme: str, row: dict, lesson: str) -> Entry:
    row = dict(row)
    now = [Message(text, pattern=compiled(text)) for text in row.pop("messages")]
    others = [Message(each["message"], each.get("until", ""), each.get("since", ""), compiled(each["message"]))
              for each in (*row.pop("older", ()), *row.pop("newer", ()))]
    row.setdefault("lesson", lesson)
    for name in ("why", "asm", "c", "trigger", "source"):
        row[name] = row.get(name, "").strip("\n")
    row["why"] = " ".join(row["why"].split())
    return Entry(theme=theme, messages=(*now, *others), **row)


@cache
def entries() -> tuple[Entry, ...]:
    """The whole catalogue, in the order of the files."""
    found: dict[str, Entry] = {}
    for theme in THEMES:
        data = tomllib.loads(files(__package__).joinpath(f"{theme}.toml").read_text("utf-8"))
        for row in data["entry"]:
            entry = _entry(theme, row, data["lesson"])
            if entry.id in found:
                raise SpecError(f"the catalogue has two entries {entry.id!r}")
            found[entry.id] = entry
    return tuple(found.values())


def entry(id: str) -> Entry:
    """The entry of that id. Raises SpecError."""
    for each in entries():
        if each.id == id:
            return each
    raise SpecError(f"no rejection {id!r} in the catalogue", hint="known: " + ", ".join(e.id for e in entries()))


def matches(lines: Sequence[str]) -> list[Match]:
    """All entries that describe these lines of a verdict, the best first; more than one is a fault of the catalogue.

    The longest run of last lines that a message describes decides: lines before it are no part of the message.
    """
    cleaned = [_STATISTICS.sub("", line).strip() for line in lines]
    for start in range(len(cleaned)):
        text = "\n".join(cleaned[start:])
        found: dict[str, Match] = {}
        for each in entries():
            for message in each.messages:
                if each.id not in found and (hit := message.pattern.fullmatch(text)):
                    found[each.id] = Match(each, _parts(hit), tuple(cleaned[start:]), message)
        if found:
            return list(found.values())
    return []


def find(lines: Sequence[str]) -> Match | None:
    """The entry that describes a verdict's error lines, None if the catalogue has none."""
    return next(iter(matches(lines)), None)


def _parts(hit: re.Match) -> dict[str, int | str]:
    parts: dict[str, int | str] = {}
    for name, text in hit.groupdict().items():
        if text is not None:
            number = re.fullmatch(KINDS["number"], text)
            parts[name] = int(text, 0) if number and not re.fullmatch(r"0\d+", text) else text
    return parts


def fill(template: str, facts: Mapping[str, object]) -> str:
    """A template with what is known filled in; what is not known stays visible as ``…``."""
    text = re.sub(r"\$\w+", "…", Template(template).safe_substitute(facts))
    text = re.sub(r"(?<![\w-])1 byte\(s\)", "1 byte", text)
    return text.replace("byte(s)", "bytes")
