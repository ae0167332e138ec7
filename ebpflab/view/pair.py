"""Two verifications of one program side by side: ours and a kernel's, or two kernels'."""

from __future__ import annotations

import traitlets

from ..trace import Trace
from ..trace.compare import Difference, compare
from .html import pair_page
from .payload import Payload
from .stepper import STATIC_STEPS, Stepper, first_messages
from .text import pair_text


class Pair(Stepper):
    """Both traces at the same step; it opens where they first differ. ``difference`` is that, None if they agree.

    ``step`` counts in both. ``a`` is shown on the left and ``b`` on the right.
    """

    other = traitlets.Dict().tag(sync=True)     # head, columns and inline of b
    apart = traitlets.Dict().tag(sync=True)

    def __init__(self, a: Trace, b: Trace):
        self.a, self.b = a, b
        self.difference: Difference | None = compare(a, b)
        self._other = Payload(b)
        start = self.difference.step if self.difference else 0
        super().__init__(a, step=start, other=first_messages(self._other, start),
                         apart=self.difference.to_dict() if self.difference else {})

    def _message(self, name: str) -> bytes:
        side, _, rest = name.rpartition(":")
        return (self._other if side == "b" else self._payload).message(rest)

    def _length(self) -> int:
        return max(len(self.a.steps), len(self.b.steps))

    def _text(self) -> str:
        return pair_text(self.a, self.b, self.difference)

    def _static(self) -> str | None:
        if self._length() <= STATIC_STEPS:
            return pair_page(self.a, self.b, embed=True)
        return None

    def __repr__(self) -> str:
        return f"<Pair of {self.a} and {self.b}>"
