"""The stepper as a widget: the verification walked with slider and arrow keys, in whatever shows anywidgets."""

from __future__ import annotations

from typing import Any
from zlib import compress

import anywidget
import traitlets

from ..stream import cells
from ..trace import Trace
from .html import trace_page
from .payload import Payload, error_step
from .text import trace_text
from .web import module, style

INLINE = 256 * 1024     # compressed bytes of states that go out at once; the page fetches the rest
WIDGET = "application/vnd.jupyter.widget-view+json"
STATIC_STEPS = 2_000    # longer traces leave text, not the page, where no widget can be shown


class Stepper(anywidget.AnyWidget):
    """Shows a trace. ``step`` is the step in sight, in both directions: set it to go there, observe it to follow.

    Short traces travel whole; of long ones (beyond ~20,000 steps) the page fetches the rest, what is looked at first,
    so that in the end every step can be walked while the kernel is busy.
    """

    _esm = module()
    _css = style()
    head = traitlets.Dict().tag(sync=True)
    columns = traitlets.Bytes().tag(sync=True)
    inline = traitlets.Dict().tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)

    def __init__(self, trace: Trace, *, step: int | None = None):
        self.trace = trace
        self._payload = payload = Payload(trace)
        start = (error_step(trace) or 0) if step is None else step
        wanted = start // payload.size
        inline: dict[str, bytes] = {}
        room = INLINE
        for number in sorted(range(len(payload)), key=lambda k: abs(k - wanted)):
            packed = compress(payload.chunk(number), 1)
            room -= len(packed)
            if inline and room < 0:
                break
            inline[str(number)] = packed
        super().__init__(head=payload.head(), columns=compress(payload.columns(), 1), inline=inline, step=start)
        self.on_msg(self._answer)

    def _answer(self, _widget: Any, message: dict, _buffers: list) -> None:
        names = message["ask"]
        parts = [self._payload.touched() if name == "touched" else self._payload.chunk(int(name)) for name in names]
        self.send({"give": names}, [compress(part, 1) for part in parts])

    @traitlets.validate("step")
    def _inside(self, proposal: dict) -> int:
        return max(0, min(proposal["value"], max(0, len(self.trace.steps) - 1)))

    def _repr_mimebundle_(self, **options: Any):
        """The widget, and for where none can be shown the static page or its text.

        A notebook run without a front end (nbclient, nbconvert) gets the page alone: exported, a widget would be empty
        without the Internet.
        """
        bundle = super()._repr_mimebundle_(**options)
        data, *metadata = bundle if isinstance(bundle, tuple) else (bundle,)
        if data is None:
            return bundle
        data["text/plain"] = trace_text(self.trace)
        if len(self.trace.steps) <= STATIC_STEPS:
            data["text/html"] = trace_page(self.trace, embed=True)
            if not cells.current():
                data.pop(WIDGET, None)
        return (data, *metadata) if metadata else data

    def __repr__(self) -> str:
        return f"<Stepper of {self.trace}>"
