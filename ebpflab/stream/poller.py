"""Streams: a thread that reads a map again and again into a bounded buffer, and counts what is lost.

Four counts, none of them silent:

``lost``     readings that left the buffer before anybody took them
``missed``   entries that a map changing under the reader made a reading miss
``late``     readings that were due while another was still being made
``error``    what ended the stream, if it did not end by ``stop()``
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace

from ..errors import EbpflabError, SpecError, TargetError
from ..targets.base import Snapshot
from . import cells, diff, frames

MEMORY = 256 << 20      # bytes of readings that one stream keeps at most


@dataclass(frozen=True)
class Batch:
    """One reading. ``number`` counts from 0; ``time_ns`` is wall-clock UTC; ``seconds`` the reader's monotonic clock.

    In delta and rate mode the tables are differences to the reading before.
    """

    number: int
    time_ns: int
    seconds: float
    reading: object                     # Snapshot, or a DataFrame from a function
    before: object = None
    before_seconds: float = 0.0
    mode: str = "absolute"
    epoch: int | None = None

    def grid(self) -> frames.Grid:
        """Decoded columns; made anew each time, so that a long history stays as small as its bytes."""
        now = frames.grid(self.reading, epoch=self.epoch)
        if self.mode == "absolute":
            return now
        step = self.seconds - self.before_seconds if self.mode == "rate" else None
        return diff.subtract(now, frames.grid(self.before, epoch=self.epoch), step)

    def table(self, per_cpu: str = "long") -> frames.Table:
        return frames.table(self.grid(), per_cpu)

    def frame(self, per_cpu: str = "long"):
        """The reading as a DataFrame with its ``time`` in front."""
        import pandas as pd

        return frames.data_frame(self.table(per_cpu), time=pd.Timestamp(self.time_ns, tz="UTC"))

    @property
    def size(self) -> int:
        reading = self.reading
        return len(reading.keys) + len(reading.values) if isinstance(reading, Snapshot) else 1 << 14


class Stream:
    """Readings of ``read()`` every ``every`` seconds, the last ``buffer`` of them kept.

    ``read`` gives a Snapshot or a DataFrame. ``mode``: ``absolute``, ``delta`` (change since the reading before) or
    ``rate`` (change per second). Iterate it, await it (``async for``), ask ``frame()`` for the history, or hand it to
    a chart; every consumer has its own place. Leaving the ``with`` block, ``stop()``, dropping the last reference or
    running the cell again ends it; an error of the reading ends it too and stays in ``error``.
    """

    def __init__(self, read: Callable[[], object], *, every: float = 0.2, mode: str = "absolute", buffer: int = 600,
                 per_cpu: str = "long", name: str = "stream", spec=None):
        for what, value, known in (("mode", mode, diff.MODES), ("per_cpu", per_cpu, frames.PER_CPU)):
            if value not in known:
                raise SpecError(f"{what}={value!r} is not known", hint="one of " + ", ".join(known))
        if not 0.001 <= every <= 86_400:
            raise SpecError(f"every={every!r}: seconds between readings", hint="0.001 … 86400")
        if not 1 <= buffer <= 1_000_000:
            raise SpecError(f"buffer={buffer!r}: how many readings are kept", hint="1 … 1000000")
        self.every, self.mode, self.per_cpu, self.name, self.spec = every, mode, per_cpu, name, spec
        self.lost = self.missed = self.late = self.count = 0
        self.error: BaseException | None = None
        self._read, self._limit = read, buffer
        self._buffer: deque[Batch] = deque()
        self._memory = 0
        self._taken = 0                 # batches below this number were taken by somebody
        self._before: tuple[object, float] | None = None
        self._epoch: int | None = None
        self._changed = threading.Condition()
        self._wakers: set[Callable[[], None]] = set()
        self._stop = threading.Event()
        # The thread knows the stream only weakly: a stream that nobody holds any more ends.
        self._thread = threading.Thread(target=_run, args=(weakref.ref(self), self._stop, every),
                                        name=f"ebpflab-{name}", daemon=True)
        weakref.finalize(self, self._stop.set)
        cells.own(self)
        self._thread.start()

    # ── the reading side ──

    def _tick(self) -> bool:
        """Read once; False when the stream is over."""
        try:
            reading = self._read()
        except BaseException as error:  # kept and shown to whoever looks
            return self._end(error)
        if self._stop.is_set():         # a reading that came after stop() is nobody's
            return False
        now, wall = time.monotonic(), time.time_ns()
        if isinstance(reading, Snapshot):
            self.missed += reading.lost
            if reading.seconds:
                now = reading.seconds
                if self._epoch is None:
                    self._epoch = wall - int(now * 1e9)
            before = self._before and self._before[0]
            if before is not None and before.keys == reading.keys:
                reading = replace(reading, keys=before.keys)    # one copy of keys that stay
        before, self._before = self._before, (reading, now)
        if self.mode == "absolute":
            self._add(Batch(self.count, wall, now, reading, epoch=self._epoch))
        elif before is not None and now > before[1]:
            self._add(Batch(self.count, wall, now, reading, before[0], before[1], self.mode, self._epoch))
        return True

    def _add(self, batch: Batch) -> None:
        with self._changed:
            self._buffer.append(batch)
            self._memory += batch.size
            self.count += 1
            while len(self._buffer) > self._limit or (self._memory > MEMORY and len(self._buffer) > 1):
                old = self._buffer.popleft()
                self._memory -= old.size
                self.lost += old.number >= self._taken
            self._changed.notify_all()
            wakers = tuple(self._wakers)
        for wake in wakers:
            wake()

    def _end(self, error: BaseException | None = None) -> bool:
        with self._changed:
            self.error = self.error or error
            self._stop.set()
            self._changed.notify_all()
            wakers = tuple(self._wakers)
        for wake in wakers:
            wake()
        return False

    # ── the taking side ──

    @property
    def running(self) -> bool:
        return not self._stop.is_set()

    @property
    def reason(self) -> str:
        """Why it ended: "" while it runs, "stopped", or the error in one line."""
        if self.running:
            return ""
        if self.error is None:
            return "stopped"
        text = str(self.error).splitlines()[0] if str(self.error) else type(self.error).__name__
        return text if isinstance(self.error, EbpflabError) else f"{type(self.error).__name__}: {text}"

    def stop(self) -> None:
        """End it; what was read stays. Waits for a reading that is under way, at most a second."""
        self._end()
        if threading.current_thread() is not self._thread:
            self._thread.join(1)

    close = stop

    def reader(self, *, history: bool = False) -> Reader:
        """A consumer of its own, from now on, or with ``history`` from the oldest reading kept."""
        return Reader(self, history)

    def latest(self) -> Batch | None:
        """The last reading, None before the first."""
        with self._changed:
            if self._buffer:
                self._taken = max(self._taken, self._buffer[-1].number + 1)
                return self._buffer[-1]
        return None

    def frame(self, *, per_cpu: str | None = None, last: int | None = None):
        """The history kept (or its ``last`` readings) as one DataFrame with a ``time`` column (UTC)."""
        import pandas as pd

        with self._changed:
            batches = list(self._buffer)[-last if last else 0:]
            self._taken = max(self._taken, self.count)
        if not batches:
            return pd.DataFrame({"time": pd.DatetimeIndex([], tz="UTC")})
        return pd.concat([batch.frame(per_cpu or self.per_cpu) for batch in batches], ignore_index=True)

    def __iter__(self) -> Iterator[Batch]:
        """Batches as they come, those kept first, until the stream ends; its error is raised at the end."""
        reader = self.reader(history=True)
        while True:
            got = reader.take()
            yield from got
            if not got and not self.running:
                self._raise()
                return

    async def __aiter__(self) -> AsyncIterator[Batch]:
        reader, loop, event = self.reader(history=True), asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(event.set)

        self._wakers.add(wake)
        try:
            while True:
                event.clear()
                got = reader.take(timeout=0)
                for batch in got:
                    yield batch
                if got:
                    continue
                if not self.running:
                    self._raise()
                    return
                await event.wait()
        finally:
            self._wakers.discard(wake)

    def _raise(self) -> None:
        if isinstance(self.error, EbpflabError):
            raise self.error
        if self.error is not None:
            raise TargetError(f"the stream {self.name!r} ended: {self.reason}") from self.error

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exc) -> None:
        self.stop()

    def __repr__(self) -> str:
        losses = {name: getattr(self, name) for name in ("lost", "missed", "late")}
        counts = "".join(f", {number} {name}" for name, number in losses.items() if number)
        state = f"every {self.every:g} s" if self.running else self.reason
        return f"<stream of {self.name}, {self.mode}: {self.count} readings{counts}, {state}>"


class Reader:
    """One consumer's place in a stream. ``lost`` counts the readings that left the buffer before it took them."""

    def __init__(self, stream: Stream, history: bool):
        self.stream, self.lost = stream, 0
        with stream._changed:
            kept = stream._buffer[0].number if history and stream._buffer else stream.count
        self._next = kept

    def take(self, timeout: float | None = None) -> list[Batch]:
        """Every batch since the last take; waits up to ``timeout`` seconds (None: until one comes or it ends)."""
        stream = self.stream
        with stream._changed:
            stream._changed.wait_for(lambda: stream.count > self._next or not stream.running, timeout)
            if stream.count == self._next:
                return []
            oldest = stream._buffer[0].number
            self.lost += max(0, oldest - self._next)
            start = max(0, self._next - oldest)
            got = [stream._buffer[at] for at in range(start, len(stream._buffer))]
            self._next = stream.count
            stream._taken = max(stream._taken, stream.count)
            return got


def _run(ref: weakref.ref, stop: threading.Event, every: float) -> None:
    due = time.monotonic()
    while True:
        stream = ref()
        if stream is None or stop.is_set() or not stream._tick():
            return
        due += every
        behind = time.monotonic() - due
        if behind > 0:
            skipped = int(behind // every) + 1 if behind >= every else 0
            stream.late += skipped
            due += skipped * every
        del stream
        if stop.wait(max(0.0, due - time.monotonic())):
            return
