"""Traffic that flows while a notebook goes on: a bounded sender on a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from .errors import SpecError
from .targets.base import Net


class Traffic:
    """Sends ``frames`` over and over from one end of a private network, for ``seconds`` at ``pps`` frames a second.

    It is bounded: it ends by itself, and with ``stop()``, with the ``with`` block, or with the network. What stopped it
    early is in ``error``; ``sent`` counts frames.

    >>> with Traffic(net, [packets.udp()], pps=500, seconds=10):
    ...     ...
    """

    BATCH_SECONDS = 0.05  # frames are sent in small bursts: a thread wakes 20 times a second, not once a frame

    def __init__(self, net: Net, frames: Sequence[Any], *, end: str | None = None, pps: float = 200,
                 seconds: float = 10):
        if not frames:
            raise SpecError("no frames to send", hint="give a list of packets, as [packets.udp()]")
        if not (0 < pps <= 1_000_000 and 0 < seconds <= 3600):
            raise SpecError(f"{pps:g} frames/s for {seconds:g} s is not a bounded amount of traffic",
                            hint="pps up to 1,000,000 and seconds up to 3,600")
        self.sent = 0
        self.error: Exception | None = None
        self._net, self._frames, self._end = net, [bytes(frame) for frame in frames], end or net.ends[1]
        self._pps, self._seconds = pps, seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ebpflab-traffic", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        start = time.monotonic()
        try:
            while (elapsed := time.monotonic() - start) < self._seconds and not self._stop.is_set():
                due = int(self._pps * elapsed) + 1 - self.sent
                if due > 0:
                    size = len(self._frames)
                    burst = [self._frames[(self.sent + i) % size] for i in range(min(due, 4096))]
                    self.sent += self._net.send(burst, end=self._end)
                self._stop.wait(self.BATCH_SECONDS)
        except Exception as error:  # the network was closed under us, or the target died: told, not thrown in a thread
            self.error = error

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def wait(self, timeout: float | None = None) -> int:
        """Wait until all was sent; the number of frames. Raises what stopped it early."""
        self._thread.join(timeout)
        if self.error:
            raise self.error
        return self.sent

    def stop(self) -> int:
        """Stop now; the number of frames sent."""
        self._stop.set()
        self._thread.join()
        return self.sent

    def __enter__(self) -> Traffic:
        return self

    def __exit__(self, *exc) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "sending" if self.running else f"stopped: {self.error}" if self.error else "done"
        return f"<traffic from {self._end}: {self.sent} frames sent, {state}>"
