"""Start an agent at the other end of a byte stream where ``guest/zygote.py`` listens."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import select
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from ..errors import TargetError
from ..kernel import wire

MAGIC = b"EBPFLAB1 "
END = b"\0ebpflab: bye\n"         # what a shell's end looks like
GREET_AGAIN = 0.2            # seconds
PACKAGE = Path(__file__).parents[1]
#: what an agent consists of; ``ebpflab/__init__.py`` is replaced by an empty one
PARTS = ("errors.py", "layout.py", "spec.py", "isa", "abi", "kernel")


@functools.cache
def agent_code() -> tuple[bytes, str]:
    """The agent as a zip, and its SHA-256; the same source gives the same bytes."""
    files = [PACKAGE / part for part in PARTS]
    sources = sorted(file for part in files for file in (part.rglob("*.py") if part.is_dir() else [part]))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("ebpflab/__init__.py"), "")
        for source in sources:
            info = zipfile.ZipInfo("ebpflab/" + source.relative_to(PACKAGE).as_posix())
            archive.writestr(info, source.read_bytes(), zipfile.ZIP_DEFLATED)
    code = out.getvalue()
    return code, hashlib.sha256(code).hexdigest()


def start_agent(reading: int, writing: int | None = None, *, timeout: float = 30.0,
                check: Callable[[], None] = lambda: None) -> wire.Stream:
    """Greet the zygote, send the agent's code if it lacks it, and hand back the stream on which the agent speaks.

    Takes the descriptors over. ``check`` is called while waiting and raises when waiting is in vain.
    Raises TargetError after ``timeout`` seconds of no answer, or if the agent does not start.
    """
    talk = _Talk(reading, reading if writing is None else writing, time.monotonic() + timeout, check)
    try:
        code, sha = agent_code()
        nonce = os.urandom(8).hex()
        greeting = message(nonce=nonce, sha=sha, size=len(code), time=time.time(), seed=os.urandom(32).hex())
        talk.write(greeting)
        answer = talk.answer(nonce, again=greeting)
        talk.write(message(nonce=nonce, go=True) + (b"" if answer["have"] else code))
        while not {"ok", "error"} & set(answer):
            answer = talk.answer(nonce)
        if "error" in answer:
            error = TargetError(f"the agent does not start in the guest: {answer['error'].strip().splitlines()[-1]}")
            error.add_note(answer["error"])
            raise error
    except BaseException:
        for fd in {talk.reading, talk.writing}:
            os.close(fd)
        raise
    return wire.Stream(talk.reading, talk.writing)


def shell(fd: int, *, timeout: float = 30.0, check: Callable[[], None] = lambda: None) -> None:
    """A shell in the guest on this process's terminal, or fed from its standard input. Takes ``fd`` over."""
    import termios
    import tty

    terminal = os.isatty(0)
    size = os.get_terminal_size() if terminal else os.terminal_size((80, 24))
    talk = _Talk(fd, fd, time.monotonic() + timeout, check)
    before = None
    try:
        nonce = os.urandom(8).hex()
        greeting = message(nonce=nonce, sha="", shell=[size.lines, size.columns], time=time.time(), echo=terminal,
                           seed=os.urandom(32).hex(), term=os.environ.get("TERM", "dumb") if terminal else "dumb")
        talk.write(greeting)
        talk.answer(nonce, again=greeting)
        if terminal:
            before = termios.tcgetattr(0)
            tty.setraw(0)
        sources = [0, fd]
        while True:
            ready, _, _ = select.select(sources, [], [])
            if fd in ready:
                data = os.read(fd, 65536)
                if not data or data.endswith(END):
                    os.write(1, data.removesuffix(END))
                    return
                os.write(1, data)
            if 0 in ready:
                data = os.read(0, 65536)
                if data:
                    talk.write(data)
                else:
                    talk.write(b"\x04")       # end of file, as a terminal says it
                    sources.remove(0)
    finally:
        if before is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, before)
        os.close(fd)


def message(**fields) -> bytes:
    return b"\n" + MAGIC + json.dumps(fields).encode() + b"\n"


class _Talk:
    """Lines of JSON with a deadline."""

    def __init__(self, reading: int, writing: int, deadline: float, check: Callable[[], None]):
        self.reading, self.writing, self.deadline, self.check = reading, writing, deadline, check

    def _wait(self, read: list, write: list, again: bytes = b"") -> None:
        patience = time.monotonic() + GREET_AGAIN
        while not any(select.select(read, write, [], 0.1)):
            self.check()
            if time.monotonic() > self.deadline:
                raise TargetError("the guest does not answer in time")
            if again and time.monotonic() > patience:
                self.write(again)
                patience += GREET_AGAIN

    def write(self, data: bytes) -> None:
        while data:
            self._wait([], [self.writing])
            try:
                data = data[os.write(self.writing, data[:8192]):]
            except OSError:
                self._gone()

    def _gone(self) -> NoReturn:
        for _ in range(20):                      # the reason may come a moment later
            self.check()
            time.sleep(0.05)
        raise TargetError("the guest hung up")

    def answer(self, nonce: str, again: bytes = b"") -> dict:
        """The next line that answers us; what a client before us left unread is skipped. ``again`` is repeated."""
        while True:
            line = b""
            while not line.endswith(b"\n"):
                self._wait([self.reading], [], again)
                try:
                    byte = os.read(self.reading, 1)  # not one byte more: frames follow
                except OSError:
                    byte = b""
                line += byte or self._gone()
            at = line.rfind(MAGIC)
            if at >= 0:
                try:
                    answer = json.loads(line[at + len(MAGIC):])
                except ValueError:
                    continue
                if answer.get("nonce") == nonce:
                    return answer
