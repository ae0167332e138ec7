"""Live charts: a stream drawn in the notebook while the kernel stays free.

A thread of the chart's own takes readings from the stream, turns them into one block of numbers and sends it as one
binary message. The page draws all that came since its last frame and answers. With two updates unanswered nothing
more is sent: readings are gathered and go together later, so a slow browser gets fewer and larger updates instead of
a queue, and is never seconds behind. BokehJS travels once a page, from the installed bokeh package.

While a cell runs, a kernel without a subshell for us hears nothing from the page. A chart does not wait for that: its
figure, and BokehJS for the first chart, come with the widget, and updates then go out slowly without being asked for.
"""

from __future__ import annotations

import json
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import anywidget
import bokeh
import traitlets
from bokeh.embed import json_item

from ..errors import EbpflabError, SpecError
from ..stream import cells
from ..stream.maps import LabMap, lab_map
from ..stream.poller import Batch, Stream
from ..targets.base import TargetMap
from . import live_figures, live_models, live_still

UPDATES = 20            # messages a second at most
UNANSWERED = 2          # updates on their way at most
RATE_OVER = 3.0         # seconds over which the updates are counted that the chart tells of
BUSY_INTERVAL = 0.1     # seconds between updates while a cell runs and answers cannot come in
UNASKED_BYTES = 200_000 # a second at most, of whole histories sent before the page could ask
LINGER = 5.0            # a chart without a view ends after this many seconds
SILENT = 10.0           # a view not heard of for this long is forgotten when another comes
WAITING = 50            # readings kept aside for a slow page; beyond, it gets the whole history when it answers
_HERE = Path(__file__).parent


@lru_cache(maxsize=1)
def _library() -> bytes:
    """BokehJS of the installed bokeh, gzipped: 1.3 MB become 0.35."""
    import gzip

    return gzip.compress((Path(bokeh.__file__).parent / "server/static/js/bokeh.min.js").read_bytes(), 6)


class Chart(anywidget.AnyWidget):
    """A live chart of a ``Stream``; ``watch`` is the short way to one.

    kind     ``line`` (history), ``bar`` (largest entries now), ``hist`` (distribution now)
    y, by    the value column, and the key column whose groups are the series (``cpu`` for per-CPU maps)
    window   readings of history that a line chart keeps
    bins     for ``hist``: auto, slots, log2, linear
    owns     stop the stream when the chart ends

    ``pause()``, ``resume()``, ``stop()`` are also buttons. It ends by itself when the stream ends, when its last view
    is closed, and when its cell runs again. ``delays`` holds seconds from sending to painting (one clock: same host).
    """

    _esm = _HERE / "live.js"
    _css = _HERE / "live.css"
    title = traitlets.Unicode().tag(sync=True)
    kind = traitlets.Unicode().tag(sync=True)
    window = traitlets.Int().tag(sync=True)
    figure = traitlets.Unicode().tag(sync=True)                         # bokeh's JSON of the empty figure
    bokeh = traitlets.Unicode(bokeh.__version__).tag(sync=True)
    library = traitlets.Bytes().tag(sync=True)                          # BokehJS until the page has it, then empty
    _page_has_library = False                                           # as far as this kernel knows

    def __init__(self, stream: Stream, kind: str = "line", *, y: str | None = None, by: str | None = None,
                 window: int = 300, bins: str = "auto", title: str = "", unit: str = "", height: int = 300,
                 owns: bool = False):
        if kind not in live_models.KINDS:
            raise SpecError(f"there is no chart of kind {kind!r}", hint="one of " + ", ".join(live_models.KINDS))
        if not 2 <= window <= 100_000:
            raise SpecError(f"window={window!r}: readings of history", hint="2 … 100000")
        if bins != "auto" and kind != "hist":
            raise SpecError(f"bins={bins!r} is for histograms", hint='kind="hist"')
        self.stream, self.owns, self.unit, self.height = stream, owns, unit, height
        self._picker = live_models.Picker(y, by)
        if stream.spec is not None:
            self._picker.check(stream.spec)
        extra = {"bins": bins, "spec": stream.spec} if kind == "hist" else {}
        self._model = live_models.KINDS[kind](self._picker, window, **extra)
        self._reader = stream.reader(history=True)
        self.delays: deque[float] = deque(maxlen=2000)
        self.state = "live"
        self.sent = self.drawn = 0              # numbers of the last update sent and answered
        self.error: BaseException | None = None
        self._views: dict[str, float] = {}      # id -> when it was last heard of
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._wake = threading.Event()
        self._alone = 0.0                       # since when there is no view; 0 while there is one or never was
        self._answered = 0.0
        self._behind = False                    # the page misses readings that the model has
        self._times: dict[int, float] = {}
        self._rate: deque[float] = deque(maxlen=int(2 * UPDATES * RATE_OVER))
        self._opened = time.monotonic()         # when a page asked for all that there is, last
        self._display = None
        self._front_end = _front_end_known()
        self._drawable = threading.Event()
        x, y_label = self._labels(kind)
        drawn = live_figures.figure(kind, columns=self._model.columns, x_label=x, y_label=y_label, height=height,
                                    ticks=kind == "hist" and self._model.bins != "linear")
        super().__init__(title=title or f"{stream.name}{' per second' if stream.mode == 'rate' else ''}",
                         kind=kind, window=window, figure=json.dumps(json_item(drawn)),
                         library=_library() if self._front_end and not Chart._page_has_library else b"")
        self.on_msg(self._receive)
        cells.own(self)
        self._thread = threading.Thread(target=_send, args=(weakref.ref(self), self._over), daemon=True,
                                        name=f"ebpflab-chart-{stream.name}")
        self._thread.start()

    # ── what the page says ──

    def _receive(self, _widget, message: dict, _buffers) -> None:
        op, view = message.get("op"), message.get("view")
        if op == "ack":
            with self._lock:
                self.drawn = max(self.drawn, message["seq"])
                self._answered = self._views[view] = time.monotonic()
                if (sent := self._times.pop(message["seq"], None)) is not None:
                    self.delays.append(message["painted"] - sent)
                Chart._page_has_library = True
                if self.library:
                    self.library = b""
            self._wake.set()
        elif op == "ready":
            with self._lock:
                self._opened = now = time.monotonic()
                self._alone = 0.0
                # A page that was reloaded did not say good-bye for its views.
                self._views = {old: heard for old, heard in self._views.items() if now - heard < SILENT}
                self._views[view] = now
                if not message.get("bokeh"):
                    Chart._page_has_library = False
                    self.send({"op": "bokeh", "view": view}, [_library()])
                self._push(self._model.everything(), "reset", view)
                self._report()
        elif op == "gone":
            with self._lock:
                self._views.pop(view, None)
                if not self._views:
                    self._alone = time.monotonic()
        elif op == "hello":
            self._greet()
        elif op in ("pause", "resume", "stop"):
            getattr(self, op)()

    # ── what the user does ──

    def pause(self) -> None:
        """Hold the picture; readings go on and are there on ``resume()``."""
        if self.state == "live":
            self.state = "paused"
            self._report()

    def resume(self) -> None:
        if self.state == "paused":
            with self._lock:
                self.state = "live"
                self._push(self._model.everything(), "reset")
            self._wake.set()

    def stop(self) -> None:
        """End the chart, and the stream if it is the chart's own. The picture stays."""
        if self._over.is_set():
            return
        self._over.set()
        self._wake.set()
        if self.owns:
            self.stream.stop()
        failed = self.error or self.stream.error
        self.state = "failed" if failed else "stopped"
        self._report()
        self._refresh_still()

    def close(self) -> None:
        """Stop, and take the widget away from the page."""
        if hasattr(self, "_thread"):
            self.stop()
        super().close()

    # ── the sending side ──

    def _absorb(self, batches: list[Batch]) -> live_models.Message:
        message = self._model.absorb(batches)
        self._drawable.set()
        return message

    def _may_send(self) -> bool:
        if self.sent - self.drawn < UNANSWERED:
            return True
        # A running cell keeps answers from coming in on a kernel without subshells: go on slowly without them.
        now = time.monotonic()
        last = self._rate[-1] if self._rate else 0.0
        return cells.busy() and now - self._answered > 0.5 and now - last > BUSY_INTERVAL

    @property
    def _unasked(self) -> bool:
        """Is there a page, most likely, that cannot say so because a cell runs?"""
        return not self._views and not self._alone and self._display is not None and self._front_end and cells.busy()

    def _push(self, message: live_models.Message, mode: str, view: str | None = None) -> None:
        if not message.block.shape[1] or not (self._views or self._unasked):
            return
        self.sent += 1
        self._times[self.sent] = time.time()
        self._rate.append(time.monotonic())
        if len(self._times) > 1000:
            self._times.clear()
        head = {"op": "data", "seq": self.sent, "mode": mode, "columns": message.columns,
                "rows": message.block.shape[1], "span": self.window * self.stream.every, "every": self.stream.every,
                "zero": self.stream.mode != "absolute", **message.header}
        if view:
            head["view"] = view
        self.send(head, [message.block.astype("<f8").tobytes()])

    def _labels(self, kind: str) -> tuple[str, str]:
        """What stands at the axes: (x, y), with units."""
        name = self._picker.y or "value"
        unit = self.unit or ("bytes" if "bytes" in name else "")
        per = {"rate": " per second", "delta": f" per {self.stream.every:g} s", "absolute": ""}[self.stream.mode]
        value = f"{name}{f' ({unit})' if unit and unit != name else ''}{per}"
        spec = self.stream.spec
        key = self._picker.by or ("key" if spec is None or spec.key is None or spec.key.kind != "struct" else "entry")
        bins = getattr(self._model, "bins", "")
        return {"line": ("time since the start (s)", value), "bar": (value, key),
                "hist": (key if bins == "slots" else value, value if bins == "slots" else "entries")}[kind]

    @property
    def losses(self) -> str:
        """What was lost so far in words, "" if nothing."""
        counts = {"readings lost": self.stream.lost + self._reader.lost, "entries missed": self.stream.missed,
                  "readings late": self.stream.late}
        return ", ".join(f"{number} {what}" for what, number in counts.items() if number)

    def _report(self) -> None:
        now = time.monotonic()
        times = [sent for sent in self._rate if now - sent < RATE_OVER]
        # What the page asked for as it opened is over soon: nothing is said of the rate until then.
        steady = now - self._opened > RATE_OVER and len(times) > 2
        rate = (len(times) - 1) / (times[-1] - times[0]) if steady and times[-1] > times[0] else 0.0
        live = f"{rate:.1f} updates/s" if rate else f"every {self.stream.every:g} s"
        head = {"live": live, "paused": "paused", "stopped": "stopped", "failed": "ended"}[self.state]
        entries = f"{self._picker.entries:,} {'entry' if self._picker.entries == 1 else 'entries'}"
        reason = self.stream.reason if self.stream.error else ""
        if self.error:
            reason = str(self.error)
        if self._views or self._unasked:
            self.send({"op": "status", "state": self.state, "text": f"{head} · {entries}", "losses": self.losses,
                       "reason": reason})

    # ── display: the widget where a page answers, a still picture where none does ──

    def _mimebundle(self) -> dict:
        bundle = {"text/plain": repr(self), "text/html": self.still()}
        if self._front_end:
            bundle["application/vnd.jupyter.widget-view+json"] = {
                "version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return bundle

    def _repr_mimebundle_(self, **_kwargs) -> dict:
        self._drawable.wait(0.5)
        return self._mimebundle()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        # The still picture is worth more with something in it.
        self._drawable.wait(0.3 if self._front_end else min(1.0, 2 * self.stream.every))
        self._display = display(self._mimebundle(), raw=True, display_id=True)

    def _greet(self) -> None:
        """A page runs our code: put the widget where the still picture stood."""
        if not self._front_end:
            self._front_end = True
            self._refresh_still()

    def _refresh_still(self) -> None:
        if self._display is not None:
            self._display.update(self._mimebundle(), raw=True)

    def still(self) -> str:
        """The picture now, as HTML with inline SVG: no script, nothing from elsewhere."""
        with self._lock:
            return live_still.page(self.kind, self._model, title=self.title, labels=self._labels(self.kind),
                                   note=f"{self.stream.count} readings · {self.losses or 'lost 0'}", height=self.height)

    def __repr__(self) -> str:
        return f"<{self.kind} chart of {self.stream!r}: {self.state}, {self.drawn} updates drawn>"


def _front_end_known() -> bool:
    """Is the cell from JupyterLab or Notebook? They name the cell; VS Code's name is a URI, nbclient sends none."""
    cell = cells.current()
    return bool(cell) and ":" not in cell


def _send(ref: weakref.ref, over: threading.Event) -> None:
    """The chart's thread: take readings, send when the page keeps up, end when there is nothing to do any more."""
    pending: list[Batch] = []
    due = reported = 0.0
    while not over.is_set():
        chart = ref()
        if chart is None:
            return
        try:
            batches = chart._reader.take(timeout=0 if pending else 0.1)
            with chart._lock:
                pending += batches
                if pending and chart.state == "paused":
                    chart._absorb(pending)
                    pending = []
                elif pending and time.monotonic() >= due and (chart._may_send() or not chart._views):
                    message, mode, pause = chart._absorb(pending), chart._model.mode, 1 / UPDATES
                    if chart._behind or chart._unasked:
                        message, mode = chart._model.everything(), "reset"
                        if chart._unasked:
                            pause = max(2 * BUSY_INTERVAL, message.block.nbytes / UNASKED_BYTES)
                    chart._push(message, mode)
                    pending, due = [], time.monotonic() + pause
                    chart._behind = False
                elif len(pending) > WAITING:
                    chart._absorb(pending)
                    pending, chart._behind = [], True
                if time.monotonic() - reported > 0.5 and chart.state == "live":
                    chart._report()
                    reported = time.monotonic()
            ended = not chart.stream.running and not pending and not batches
            if ended or (chart._alone and time.monotonic() - chart._alone > LINGER):
                chart.stop()
        except Exception as error:      # a wrong column, a front end that went away: shown in the chart, kept
            chart.error = error
            chart.stop()
            return
        if pending:
            chart._wake.wait(max(0.005, due - time.monotonic()) if chart._may_send() else 0.05)
            chart._wake.clear()
        del chart


def watch(found, *, chart: str = "line", every: float = 0.2, rate: bool = False, by: str | None = None,
          y: str | None = None, window: int = 300, bins: str = "auto", title: str = "", unit: str = "",
          height: int = 300) -> Chart:
    """A live chart of a map, a stream, or a function that gives a DataFrame.

    A map is read ``every`` so many seconds by a stream that ends with the chart; ``rate`` shows change per second.
    Wrong columns and kinds are said at once. The rest is as in ``Chart``.
    """
    mode = "rate" if rate else "absolute"
    owns = not isinstance(found, Stream)
    if isinstance(found, Stream):
        if rate and found.mode != "rate":
            raise SpecError("rate is chosen where a stream is made", hint='counts.watch(mode="rate")')
        stream = found
    elif isinstance(found, (LabMap, TargetMap)):
        stream = lab_map(found).watch(every, mode=mode, buffer=max(600, window))
    elif isinstance(found, Callable):
        stream = Stream(_framed(found), every=every, mode=mode, buffer=max(600, window),
                        name=getattr(found, "__name__", "function"))
    else:
        raise SpecError(f"a {type(found).__name__} cannot be watched",
                        hint="a chart needs a map, a stream, or a function that gives a DataFrame")
    try:
        return Chart(stream, chart, y=y, by=by, window=window, bins=bins, title=title, unit=unit, height=height,
                     owns=owns)
    except BaseException:
        if owns:
            stream.stop()
        raise


def _framed(function: Callable):
    """``function``, checked: what it gives must be a DataFrame with a column of numbers."""

    def read():
        frame = function()
        if not hasattr(frame, "columns"):
            raise EbpflabError(f"{getattr(function, '__name__', 'the function')} gave {type(frame).__name__}, "
                               "not a DataFrame")
        return frame

    return read
