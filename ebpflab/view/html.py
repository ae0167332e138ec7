"""A trace as a page of its own: the stepper with its data inside, no network, no kernel; also from a file."""

from __future__ import annotations

import json
from base64 import b64encode
from html import escape
from zlib import compress

from ..trace import Trace
from .payload import Payload, error_step
from .text import trace_text
from .web import module, style

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


def trace_page(trace: Trace, *, embed: bool = False) -> str:
    """The stepper as self-contained HTML.

    A whole page, or with ``embed`` a fragment to put into another one (a cell's output, an exported notebook).
    It asks for nothing over the network; where scripts do not run it shows ``trace_text``.
    """
    data = static_data(trace)
    fragment = FRAGMENT.format(
        id=_digest(data), text=escape(trace_text(trace)), style=style(),
        module=module().replace("export { mount };", "").replace("export default { render };", ""),
        data=json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c"),
    )
    if embed:
        return fragment
    return PAGE.format(title=escape(str(trace).split("\n")[0]), fragment=fragment)


def static_data(trace: Trace) -> dict:
    """Everything the view asks for, as JSON; binary parts are compressed and in base64."""
    payload = Payload(trace)
    packed = lambda data: b64encode(compress(data, 6)).decode()
    return {
        "head": payload.head(),
        "step": error_step(trace) or 0,
        "columns": packed(payload.columns()),
        "touched": packed(payload.touched()),
        "chunks": [packed(payload.chunk(k)) for k in range(len(payload))],
    }


def _digest(data: dict) -> str:
    from hashlib import sha256

    return sha256(json.dumps(data).encode()).hexdigest()[:16]
