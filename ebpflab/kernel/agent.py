"""The agent: serves a Session over a byte stream, in a guest or in another process of this machine.

It ends when its client does: an end of file (or a hang-up of the port) closes everything that the session holds.
Started by hand for tests: ``python -m ebpflab.kernel.agent`` speaks on standard input and output.
"""

from __future__ import annotations

import ctypes
import os
import queue
import select
import sys
import threading
import traceback

from .. import errors
from . import wire

#: errors that keep their class across the wire; everything else a call raises is told as TargetError
PLAIN = ("KernelError", "Unsupported", "SpecError", "TargetError")
_QUEUED = 64             # requests that wait in one lane before the stream is no longer read
_GRACE = 5.0             # seconds for close_all after the client is gone


class Cancelled(BaseException):
    """Raised inside a call whose client no longer waits for it."""


def serve(session, stream: wire.Stream) -> None:
    """Answer calls until the stream ends; then close all that the session holds."""
    stream.send(wire.HELLO, wire.VERSION, 0, {"calls": list(session.CALLS), "pid": os.getpid(),
                                              "python": sys.version.split()[0]})
    lanes: dict[int, _Lane] = {}
    lock = threading.Lock()
    try:
        while True:
            kind, id, lane, value = stream.receive()
            if kind == wire.CANCEL:
                if lane in lanes:
                    lanes[lane].cancel(id)
                continue
            if kind != wire.CALL:
                raise wire.WireError("the client sent an answer")
            if lane not in lanes:
                lanes[lane] = _Lane(session, stream, lane, lock)
            lanes[lane].put(id, value)
    except (EOFError, OSError):
        pass
    finally:
        for lane in lanes.values():
            lane.cancel()                    # a long call must not keep what it uses open
        session.close_all()


class _Lane:
    """One thread that carries out the requests of one thread of the client, in order."""

    def __init__(self, session, stream: wire.Stream, number: int, lock: threading.Lock):
        self._session, self._stream, self._number, self._lock = session, stream, number, lock
        self._requests: queue.Queue = queue.Queue(_QUEUED)
        self._busy = threading.Lock()
        self._current = 0
        self._dropped: set[int] = set()
        self._thread = threading.Thread(target=self._run, name=f"lane {number}", daemon=True)
        self._thread.start()

    def put(self, id: int, value) -> None:
        while True:
            try:
                return self._requests.put((id, value), timeout=0.5)
            except queue.Full:
                if hung_up(self._stream.fileno()):
                    raise EOFError("the client is gone") from None

    def cancel(self, id: int = 0) -> None:
        """Stop request ``id`` (0: any) if it runs, drop it if it waits."""
        with self._busy:
            self._dropped.add(id)
            if self._current and id in (0, self._current):
                self._raise(ctypes.py_object(Cancelled))

    def _raise(self, exception) -> None:
        """Have the lane's thread raise ``exception`` as soon as it runs Python again; None takes it back."""
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread.ident or 0), exception)

    def _run(self) -> None:
        while True:
            id, value = self._requests.get()
            try:
                self._one(id, value)
            except OSError:                  # nobody listens: the reader sees the end of file
                return

    def _one(self, id: int, value) -> None:
        kind, answer = wire.ERROR, {"class": "TargetError", "what": "cancelled"}
        try:
            with self._busy:
                self._current = id
                dropped = id in self._dropped
            if not dropped:
                kind, answer = wire.RESULT, call(self._session, value)
        except Cancelled:
            pass
        except Exception as error:
            answer = described(error)
        self._settle(id)
        try:
            pieces = wire.frame(kind, id, self._number, answer)
        except wire.WireError as error:
            pieces = wire.frame(wire.ERROR, id, self._number, described(error))
        with self._lock:
            self._stream.write(pieces)

    def _settle(self, id: int) -> None:
        """From here on the request cannot be cancelled: an answer is written whole."""
        while True:
            try:
                with self._busy:
                    self._current = 0
                    self._dropped.discard(id)
                return self._raise(None)
            except Cancelled:                # came just now
                continue


def call(session, request):
    """Carry out one request, [name, arguments, keywords]; only what the session offers can be called."""
    try:
        name, args, keywords = request
        offered = name in session.CALLS
    except (TypeError, ValueError):
        raise wire.WireError("a request is a name, a list and a dict") from None
    if not offered:
        raise errors.Unsupported(f"the agent has no call {name!r}", hint="client and agent differ in version")
    return getattr(session, name)(*args, **keywords)


def described(error: Exception) -> dict:
    """An exception as plain data: class, sentence and hint, and for a failed system call errno, call and log."""
    name = type(error).__name__
    if isinstance(error, errors.EbpflabError):
        fields = {key: getattr(error, key) for key in ("what", "where", "hint", "errno", "call", "log")
                  if hasattr(error, key)}
        return {"class": name if name in PLAIN else "TargetError", **fields}
    if isinstance(error, OSError) and error.errno:
        return {"class": "KernelError", "what": str(error), "errno": error.errno}
    return {"class": "TypeError" if isinstance(error, TypeError) else "TargetError",
            "what": f"{name}: {error}", "trace": "".join(traceback.format_exception(type(error), error,
                                                                                   error.__traceback__))}


def hung_up(fd: int) -> bool:
    poller = select.poll()
    poller.register(fd, 0)
    return bool(poller.poll(0))


def main(reading: int = 0, writing: int = 1) -> None:
    """Serve this kernel on two descriptors and leave the process, whatever a stuck call may do."""
    from .session import Session

    stream = wire.Stream(os.dup(reading), os.dup(writing))
    if writing == 1:
        os.dup2(2, 1)                        # what anything prints must not end up among the frames
    session = Session()
    try:
        serve(_Bounded(session), stream)
    finally:
        os._exit(0)


class _Bounded:
    """A session whose close_all cannot hold the process up for longer than the grace time."""

    def __init__(self, session):
        self._session = session

    def __getattr__(self, name):
        return getattr(self._session, name)

    def close_all(self) -> None:
        timer = threading.Timer(_GRACE, os._exit, (1,))
        timer.daemon = True
        timer.start()
        self._session.close_all()
        timer.cancel()


if __name__ == "__main__":
    main()
