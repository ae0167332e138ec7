"""The stepper as a widget: the verification walked with slider and arrow keys, in whatever shows anywidgets."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from zlib import compress

import anywidget
import traitlets

from ..explain import NoWitness, Witness
from ..explain.search import Search
from ..stream import cells
from ..trace import Trace
from .head import error_step
from .html import trace_page
from .payload import Payload
from .reason import witness_row
from .text import trace_text
from .web import module, style

if TYPE_CHECKING:
    from .pair import Pair

INLINE = 128 * 1024     # compressed bytes of states that go out at once; the page fetches the rest
WIDGET = "application/vnd.jupyter.widget-view+json"
STATIC_STEPS = 2_000    # longer traces leave text, not the page, where no widget can be shown
WITNESS_SECONDS = 5.0


def first_messages(payload: Payload, start: int) -> dict[str, Any]:
    """What goes out at once: head, columns, and ``inline``: messages by name, the states around ``start`` first."""
    inline: dict[str, bytes] = {}
    if len(payload.trace.steps) <= STATIC_STEPS:
        inline["reason"] = compress(payload.reason(), 1)
    room = INLINE
    for number in sorted(range(len(payload)), key=lambda k: abs(k - start // payload.size)):
        packed = compress(payload.chunk(number), 1)
        if len(packed) > room and room < INLINE:    # the first one goes in any case
            break
        room -= len(packed)
        inline[str(number)] = packed
    return {"head": payload.head(), "columns": compress(payload.columns(), 1), "inline": inline}


class Stepper(anywidget.AnyWidget):
    """Shows a trace. ``step`` is the step in sight, in both directions: set it to go there, observe it to follow.

    Short traces travel whole; of long ones (beyond ~10,000 steps) the page fetches the rest, what is looked at first,
    so that in the end every step can be walked while the kernel is busy. Why a program was refused comes with a short
    trace and is fetched for a long one; an input that breaks it is looked for when the reader asks.
    """

    _esm = module()
    _css = style()
    head = traitlets.Dict().tag(sync=True)
    columns = traitlets.Bytes().tag(sync=True)
    inline = traitlets.Dict().tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    witness = traitlets.Dict().tag(sync=True)   # of ``find_witness``; {"state": "searching"} meanwhile

    def __init__(self, trace: Trace, *, step: int | None = None, **traits: Any):
        self.trace = trace
        self._payload = Payload(trace)
        self._search: Search | None = None
        self._found: Witness | NoWitness | None = None
        start = (error_step(trace) or 0) if step is None else step
        super().__init__(**first_messages(self._payload, start), step=start, **traits)
        self.on_msg(self._answer)

    @classmethod
    def compare(cls, a: Trace, b: Trace) -> Pair:
        """Two verifications of the same program side by side, at the first step in which they differ."""
        from .pair import Pair

        return Pair(a, b)

    def find_witness(self, seconds: float = WITNESS_SECONDS) -> Witness | NoWitness:
        """Look for an input that breaks the rejected program, and show it. A reader's button does the same."""
        self._search = search = Search(self.trace.program, self.trace, seconds)
        self.witness = {"state": "searching"}
        try:
            found = search.go()
        except BaseException:
            self.witness = {}
            raise
        self.witness = witness_row(found)
        self._found = found
        return found

    def _answer(self, _widget: Any, message: dict, _buffers: list) -> None:
        if names := message.get("ask"):
            self.send({"give": names}, [compress(self._message(name), 1) for name in names])
        elif message.get("do") == "witness" and self.witness.get("state") != "searching":
            # In a thread: cells run meanwhile, and "stop" is heard.
            threading.Thread(target=self.find_witness, name="witness", daemon=True).start()
        elif message.get("do") == "stop" and self._search is not None:
            self._search.stop()

    def _message(self, name: str) -> bytes:
        return self._payload.message(name)

    @traitlets.validate("step")
    def _inside(self, proposal: dict) -> int:
        return max(0, min(proposal["value"], max(0, self._length() - 1)))

    def _length(self) -> int:
        return len(self.trace.steps)

    def _text(self) -> str:
        return trace_text(self.trace)

    def _repr_mimebundle_(self, **options: Any):
        """The widget, and for where none can be shown the static page or its text.

        A notebook run without a front end (nbclient, nbconvert) gets the page alone: exported, a widget would be empty
        without the Internet.
        """
        bundle = super()._repr_mimebundle_(**options)
        data, *metadata = bundle if isinstance(bundle, tuple) else (bundle,)
        if data is None:
            return bundle
        data["text/plain"] = self._text()
        if (page := self._static()) is not None:
            data["text/html"] = page
            if not cells.current():
                data.pop(WIDGET, None)
        return (data, *metadata) if metadata else data

    def _static(self) -> str | None:
        if len(self.trace.steps) <= STATIC_STEPS:
            return trace_page(self.trace, embed=True, witness=self._found)
        return None

    def __repr__(self) -> str:
        return f"<Stepper of {self.trace}>"
