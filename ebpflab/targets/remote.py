"""RemoteSession: a kernel's Session on the other end of a byte stream."""

from __future__ import annotations

import functools
import inspect
import itertools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future

from .. import errors
from ..kernel import wire
from ..kernel.session import Session

_IN_FLIGHT = 256          # requests without an answer before ``submit`` waits


class RemoteSession:
    """The calls of ``ebpflab.kernel.session.Session``, carried out by an agent. Safe to use from several threads.

    Calls of one thread are carried out in order, calls of different threads side by side, as with a Session of
    one's own.  An error of the agent is raised here with its class, errno, call and log.  When the stream breaks,
    every call raises TargetError with what ``explain()`` says about it (a guest's last words, for instance).
    """

    CALLS = Session.CALLS

    def __init__(self, stream: wire.Stream, *, name: str = "agent", timeout: float = 30.0,
                 explain: Callable[[], str] = lambda: "", on_close: Callable[[], None] = lambda: None):
        """Takes the stream over and waits at most ``timeout`` seconds for the agent's first word."""
        self.name, self._stream, self._explain, self._on_close = name, stream, explain, on_close
        self._ids = itertools.count(1)
        self._waiting: dict[int, Future] = {}
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(_IN_FLIGHT)
        self._lost: str | None = None
        self._hint = ""
        self._closed = False
        self._hello: Future = Future()
        self._lanes = threading.local()
        self._next_lane = itertools.cycle(range(wire.LANES))
        # A thread of its own writes: an interrupt (Ctrl-C, a cell's stop button) then never cuts a frame in two.
        self._outgoing: queue.SimpleQueue = queue.SimpleQueue()
        self._threads = [threading.Thread(target=work, name=f"ebpflab {name} {work.__name__[1:]}", daemon=True)
                         for work in (self._write, self._read)]
        for thread in self._threads:
            thread.start()
        try:
            version, self.agent = self._hello.result(timeout)
        except TimeoutError:
            self.disconnect()
            raise errors.TargetError(f"{name}: the agent does not answer", hint=explain() or None) from None
        except BaseException:
            self.disconnect()
            raise
        if version != wire.VERSION:
            self.disconnect()
            raise errors.TargetError(f"{name}: the agent speaks version {version} of the wire, this is {wire.VERSION}",
                                     hint="take the VM down and up again")

    # calls

    def submit(self, name: str, /, *args, **keywords) -> Future:
        """Send a request without waiting: ``.result()`` gives the answer or raises. Waits only for room in the pipe."""
        pieces = wire.frame(wire.CALL, id := next(self._ids), lane := self._lane(), [name, list(args), keywords])
        self._room.acquire()
        future: Future = Future()
        future.where = (id, lane)  # type: ignore[attr-defined]
        with self._lock:
            if self._lost is None:
                self._waiting[id] = future
                self._outgoing.put(pieces)
                return future
        self._room.release()
        raise self._gone()

    def call(self, name: str, /, *args, **keywords):
        """Send a request and wait for its answer; an interrupt stops it on the other side as well."""
        future = self.submit(name, *args, **keywords)
        try:
            return future.result()
        except KeyboardInterrupt:
            id, lane = future.where  # type: ignore[attr-defined]
            self._outgoing.put(wire.frame(wire.CANCEL, id, lane, None))
            raise

    def _lane(self) -> int:
        try:
            return self._lanes.number
        except AttributeError:
            self._lanes.number = next(self._next_lane)
            return self._lanes.number

    # the two threads

    def _write(self) -> None:
        while (pieces := self._outgoing.get()) is not None:
            try:
                self._stream.write(pieces)
            except (OSError, ValueError) as error:
                return self._lose(str(error))

    def _read(self) -> None:
        try:
            while True:
                kind, id, _, value = self._stream.receive()
                if kind == wire.HELLO:
                    self._hello.set_result((id, value))
                    continue
                with self._lock:
                    future = self._waiting.pop(id, None)
                if future is None or kind not in (wire.RESULT, wire.ERROR):
                    raise wire.WireError("an answer that nobody asked for")
                self._room.release()
                if kind == wire.RESULT:
                    future.set_result(value)
                else:
                    future.set_exception(raised(value, self.name))
        except Exception as error:      # whatever it was: nothing more can be read, and all who wait must know
            self._lose(str(error))

    def _lose(self, why: str) -> None:
        hint = "" if self._closed else self._explain()
        with self._lock:
            if self._lost is None:
                self._lost, self._hint = why, hint
            waiting, self._waiting = list(self._waiting.values()), {}
        self._outgoing.put(None)
        for future in waiting:
            self._room.release()
            future.set_exception(self._gone())
        if not self._hello.done():
            self._hello.set_exception(self._gone())

    def _gone(self) -> errors.TargetError:
        if self._closed:
            return errors.TargetError(f"{self.name} is closed")
        return errors.TargetError(f"{self.name}: the connection was lost ({self._lost})", hint=self._hint or None)

    # lifetime

    @property
    def alive(self) -> bool:
        return self._lost is None

    def disconnect(self) -> None:
        """End the connection; the agent then closes all that it holds. Calling it again does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._lose("closed")
        self._stream.hang_up()
        self._on_close()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(5)
        self._stream.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc) -> None:
        self.disconnect()


def raised(described: dict, name: str) -> Exception:
    """The exception that an agent's description (``ebpflab.kernel.agent.described``) stands for."""
    fields = dict(described)
    kind, what, trace = fields.pop("class", ""), fields.pop("what", "an error without words"), fields.pop("trace", "")
    if kind == "TypeError":
        return TypeError(what)
    if kind == "KernelError":
        return errors.KernelError(what, **fields)
    known = {key: fields.get(key) for key in ("where", "hint")}
    if kind in ("Unsupported", "SpecError"):
        return getattr(errors, kind)(what, **known)
    error = errors.TargetError(what, where=known["where"] or name, hint=known["hint"])
    if trace:
        error.add_note(f"in the agent of {name}:\n{trace}")
    return error


def _proxy(method):
    signature = inspect.signature(method)

    @functools.wraps(method)
    def call(self, *args, **keywords):
        signature.bind(self, *args, **keywords)      # a wrong call is an error here, without a round trip
        return RemoteSession.call(self, method.__name__, *args, **keywords)

    return call


for _name in Session.CALLS:
    setattr(RemoteSession, _name, _proxy(getattr(Session, _name)))
