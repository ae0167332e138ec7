"""A trace as a page of its own: the stepper with its data inside, no network, no kernel; also from a file."""

from __future__ import annotations

import json
from base64 import b64encode
from html import escape
from zlib import compress

from ..explain import NoWitness, Witness
from ..trace import Trace
from ..trace.compare import compare
from .head import error_step
from .payload import Payload
from .reason import witness_row
from .text import pair_text, trace_text
from .web import module, style

ROOM = 16 << 20     # bytes of states in a page, as they stand there

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body {{ margin: 0; padding: 20px; background: #fff; }}
body.dark {{ background: #0e1114; }}
.ebpflab-page .ebpflab {{ max-width: 1400px; margin: 0 auto; }}
.ebpflab-page .panes {{ height: min(max(420px, calc(100vh - 200px)), var(--need, 100vh)) !important; }}
</style>
<body class="ebpflab-page">
<script>
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.body.classList.toggle("dark", dark.matches);
dark.addEventListener("change", follow);
follow();
</script>
{fragment}
</body>
</html>
"""
# Without scripts (GitHub, a mail, a sanitized notebook) the text stays.
FRAGMENT = """<div data-ebpflab="{id}"><pre>{text}</pre></div>
<style>{style}</style>
<script type="module">
{module}
const data = {data};
for (const root of document.querySelectorAll('[data-ebpflab="{id}"]:not(.ebpflab)')) mount(root, data);
</script>"""


def trace_page(trace: Trace, *, embed: bool = False, witness: Witness | NoWitness | None = None) -> str:
    """The stepper as self-contained HTML.

    A whole page, or with ``embed`` a fragment to put into another one (a cell's output, an exported notebook).
    It asks for nothing over the network; where scripts do not run it shows ``trace_text``. ``witness`` is what
    ``ebpflab.explain.witness`` found, to be shown with a rejection.
    """
    data = static_data(trace, error_step(trace) or 0)
    data["witness"] = witness_row(witness) if witness is not None else {}
    return page_of(str(trace), data, trace_text(trace), embed)


def pair_page(a: Trace, b: Trace, *, embed: bool = False) -> str:
    """Two verifications of one program side by side, as ``trace_page``."""
    found = compare(a, b)
    start = found.step if found else 0
    data = {**static_data(a, start), "other": static_data(b, start), "apart": found.to_dict() if found else {}}
    return page_of(f"{a.program.name}: {a.verdict.by} and {b.verdict.by}", data, pair_text(a, b, found), embed)


def page_of(title: str, data: dict, text: str, embed: bool) -> str:
    fragment = FRAGMENT.format(
        id=_digest(data), text=escape(text), style=style(),
        module=module().replace("export { mount };", "").replace("export default { render };", ""),
        data=json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c"),
    )
    return fragment if embed else PAGE.format(title=escape(title.split("\n")[0]), fragment=fragment)


def static_data(trace: Trace, start: int, room: int = ROOM) -> dict:
    """Everything the view asks for, as JSON; binary parts are compressed and in base64.

    Of a trace whose states need more than ``room`` bytes, those farthest from step ``start`` are left out (None).
    """
    payload = Payload(trace)
    packed = lambda data: b64encode(compress(data, 6)).decode()
    chunks: list[str | None] = [None] * len(payload)
    for number in sorted(range(len(payload)), key=lambda k: abs(k - start // payload.size)):
        chunk = packed(payload.chunk(number))
        room -= len(chunk)
        if room < 0:
            break
        chunks[number] = chunk
    return {
        "head": payload.head(), "step": start, "chunks": chunks,
        **{name: packed(data) for name, data in (
            ("columns", payload.columns()), ("touched", payload.touched()), ("reason", payload.reason()))},
    }


def _digest(data: dict) -> str:
    from hashlib import sha256

    return sha256(json.dumps(data).encode()).hexdigest()[:16]
