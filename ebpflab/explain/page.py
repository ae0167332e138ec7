"""The catalogue as a page: ``python -m ebpflab.explain.page > docs/rejections.md``."""

from __future__ import annotations

import re
from itertools import groupby

from ..asm import assemble
from ..verify import verify
from .catalogue import Entry, Message, entries, fill
from .explanation import Explanation, explain
from .lessons import section

_HEAD = """# Rejections

What a verifier says, why it insists, and how to mend it. This page is made from the catalogue in
`ebpflab/explain/catalogue` (`python -m ebpflab.explain.page > docs/rejections.md`); `ebpflab.explain(trace)` fills in
the numbers of your program.

A message is shown as the kernel prints it: `<name>` stands for what differs from program to program, a line break for
the next line of the log. The program in each section causes that rejection, in ebpflab's verifier and in Linux 6.18;
the fixes are filled in for it.
"""
_HARMS = {
    "fault": "A run shows it: the access leaves its memory, or the machine stops.",
    "uninit": "A run shows it: something is read that was never written.",
    "return": "A run shows it: the result is out of its range.",
    "loop": "A run shows it: the program does not end.",
    "leak": "A run would show it as a kernel address in a number.",
    "leak-ref": "A run shows it: the program ends and still holds what it acquired.",
    "": "No run can show it: the rule is about the program's text or the verifier's own limits.",
}


def page() -> str:
    """The whole page, the same every time."""
    out = [_HEAD]
    for theme, group in groupby(entries(), key=lambda entry: entry.theme):
        found = list(group)
        out.append(f"## {theme.capitalize()}\n")
        out.append("\n".join(f"- [{entry.title}](#{entry.id})" for entry in found) + "\n")
        for entry in found:
            out.append(_section(entry))
    return "\n".join(out)


def _section(entry: Entry) -> str:
    said = _example(entry)
    asm, c = (said.asm, said.c) if said else (fill(entry.asm, {}), fill(entry.c, {}))
    parts = [f'### <a id="{entry.id}"></a>{entry.title}\n', f"`{entry.id}`\n"]
    parts += [_block("text", _message(message), _releases(message)) for message in entry.messages]
    parts.append(entry.why + "\n")
    if said:
        parts.append(f"*In the program below:* {said.sentence}" + (
            f" Needed: {said.need.needs}. Known: {said.need.has}." if said.need else "") + "\n")
    parts.append(_HARMS.get(entry.harm) or f"No run in the simulator shows it: {entry.harm}.")
    parts.append("")
    if asm:
        parts.append(_block("asm", asm, "Fix in assembly:"))
    if c:
        parts.append(_block("c", c, "Fix in C:"))
    if entry.trigger:
        parts.append(_block("asm", entry.trigger, "A program that causes it:"))
    if entry.source:
        parts.append(_block("c", entry.source, "A program that causes it:"))
    if not entry.trigger and not entry.source:
        parts.append("No program causes it by itself: the mistake is the loader's.\n")
    notebook, anchor = section(entry.lesson)
    parts.append(f"Lesson: [{entry.lesson}](../notebooks/{notebook.name}#{anchor})\n")
    return "\n".join(parts)


def _example(entry: Entry) -> Explanation | None:
    """The trigger's explanation; None without one, where the verifier has no verdict, and for its own limits, which
    take long to reach."""
    if not entry.trigger or not entry.flow:
        return None
    found = explain(verify(assemble(entry.program), log_level=0))
    return found if found.id == entry.id else None


def _message(message: Message) -> str:
    return re.sub(r"<(\w+):\w+>", r"<\1>", message.text)


def _releases(message: Message) -> str:
    return f"up to Linux {message.until}:" if message.until else f"from Linux {message.since}:" if message.since else ""


def _block(language: str, text: str, before: str = "") -> str:
    return (f"{before}\n\n" if before else "") + f"```{language}\n{text}\n```\n"


if __name__ == "__main__":
    print(page(), end="")
