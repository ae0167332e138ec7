"""The time-travel debugger as a widget: the stepper on a run, each value inside what the verifier claims, the memory
below, and a line to run to a condition.

Besides the messages of ``view.payload`` for the run and (names with ``b:``) for the verifier's claims there is one::

    run   JSON   regions  [{name, address, born, died, bytes (hex)}]        (``sim.regions``)
                 stores   [[step, region, at, bytes (hex)]]                 in the order of steps
                 claims   for every step the verification's step, -1: none  (``debugger.claims``)
                 unsure   the first step that came through a path cut short, null: none
                 outside  {step: {cell: why}}
                 left     regions that were too many to be sent
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from zlib import compress

import traitlets

from ..debugger import Debugger
from ..debugger.conditions import condition
from ..debugger.debugger import Breakpoint
from ..errors import EbpflabError
from ..sim.regions import FOREVER
from ..trace import Frame, State, Step, Trace, Verdict
from .html import page_of, static_data
from .payload import Payload, as_json
from .stepper import STATIC_STEPS, Stepper, first_messages
from .text import trace_text

MOST_REGIONS = 256
NOTHING = State((Frame(),))


def claims_trace(debugger: Debugger) -> Trace:
    """What the verifier knew, step by step of the run."""
    states = [NOTHING if claim is None else claim.state for claim in debugger.claims]
    run = debugger.trace
    steps = tuple(Step(step.index, step.pc, step.text, state, after, step.parent)
                  for step, state, after in zip(run.steps, states, [*states[1:], NOTHING], strict=True))
    return Trace(run.program, Verdict("accept", "the verifier"), steps)


def run_message(debugger: Debugger) -> bytes:
    history, claims = debugger.history, debugger.claims
    shown = [region for region in history.regions if not str(region).startswith(("stack of frame", "map "))]
    shown.sort(key=lambda region: (not str(region).startswith(("packet", "context")), not region.stores))
    left, shown = shown[MOST_REGIONS:], shown[:MOST_REGIONS]
    stores = sorted([stored.step, number, stored.at, stored.new.hex()]
                    for number, region in enumerate(shown) for stored in region.stores)
    return as_json({
        "regions": [{"name": str(region), "address": hex(region.address), "born": region.born,
                     "died": None if region.died == FOREVER else region.died, "bytes": region.first.hex()}
                    for region in shown],
        "stores": stores, "left": len(left),
        "claims": [-1 if claim is None else claim.step.index for claim in claims],
        "unsure": next((at for at, claim in enumerate(claims) if claim is not None and not claim.sure), None),
        "outside": {at: dict(claim.outside) for at, claim in enumerate(claims) if claim is not None and claim.outside},
    })


class DebugStepper(Stepper):
    """Shows a run (``debugger.Debugger``). ``step`` is the step in sight; ``debugger.at`` follows it.

    A condition that the reader types is decided here; ``told`` says why it could not be, or that it never holds.
    """

    other = traitlets.Dict().tag(sync=True)     # head, columns, inline of the claims
    run = traitlets.Bytes().tag(sync=True)
    told = traitlets.Unicode().tag(sync=True)

    def __init__(self, debugger: Debugger, *, step: int | None = None):
        self.debugger = debugger
        claims = claims_trace(debugger)
        self._other = Payload(claims)
        start = min(debugger.at, max(0, len(debugger) - 1)) if step is None else step
        super().__init__(debugger.trace, step=start, other=first_messages(self._other, start),
                         run=compress(run_message(debugger)))
        self.observe(lambda change: debugger.go(change["new"]), "step")

    def find(self, when: str, direction: int) -> None:
        """Go to the next (or last) step before which a condition holds; without one to the next breakpoint."""
        self.told = ""
        debugger = self.debugger.go(self.step)
        try:
            points = [Breakpoint(when, condition(when))] if when.strip() else debugger.breakpoints
            found = debugger.find(direction, points)
            met = found < len(debugger) and any(point.stops(debugger.history, found) for point in points)
        except EbpflabError as error:
            self.told = str(error)
            return
        if met:
            self.step = found
        else:
            self.told = f"not met {'after' if direction > 0 else 'before'} step {self.step}"

    def _answer(self, widget: Any, message: dict, buffers: list) -> None:
        if message.get("do") == "find":
            self.find(str(message.get("when", "")), 1 if message.get("direction", 1) > 0 else -1)
        else:
            super()._answer(widget, message, buffers)

    def _message(self, name: str) -> bytes:
        side, _, rest = name.rpartition(":")
        return (self._other if side == "b" else self._payload).message(rest)

    def _text(self) -> str:
        return f"{self.debugger}\n"

    def _static(self) -> str | None:
        return debug_page(self.debugger, embed=True) if len(self.debugger) <= STATIC_STEPS else None

    def __repr__(self) -> str:
        return f"<DebugStepper of {self.debugger!r}>"


def debug_page(debugger: Debugger, *, embed: bool = False) -> str:
    """The debugger as self-contained HTML, as ``trace_page``; conditions need Python, all else is there."""
    start = min(debugger.at, max(0, len(debugger) - 1))
    data = {**static_data(debugger.trace, start), "other": static_data(claims_trace(debugger), start),
            "run": b64encode(compress(run_message(debugger), 6)).decode()}
    return page_of(f"A run of {debugger.trace.program.name}", data, trace_text(debugger.trace), embed)
