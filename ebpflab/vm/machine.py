"""What a machine is, whoever runs it, and where machines keep their files."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import platformdirs

from ..kernel import wire


class Progress(Protocol):
    """Told what is being done now, and how far it is: 0 … 1, or None for what is soon over."""

    def __call__(self, text: str, fraction: float | None = None, /) -> None: ...


PREFIX = "ebpflab-vm-"


@runtime_checkable
class Machine(Protocol):
    """A guest: QEMU started by us, or a box that Vagrant runs.

    ``state`` is "absent", "running", "lost", or of a box that is switched off, "off".
    """

    name: str

    @property
    def state(self) -> str: ...
    def up(self, progress: Progress = ...) -> None: ...
    def stream(self, *, timeout: float = ...) -> wire.Stream:
        """A stream on which an agent has just been started; one at a time."""
    def snapshot(self, name: str) -> None: ...
    def restore(self, name: str) -> None: ...
    def snapshots(self) -> list[str]: ...
    def halt(self) -> None:
        """Switch it off; named snapshots stay."""
    def destroy(self) -> None:
        """Switch it off and remove all that belongs to it."""
    def console(self) -> str:
        """The last of what the guest's kernel said."""
    def explain(self) -> str:
        """Why it was lost, in a sentence or two; "" if it was not."""


def quiet(text: str, fraction: float | None = None) -> None:
    """A Progress that says nothing."""


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file ``path``; ``waiting`` is called if another process holds it."""
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def cache() -> Path:
    """Images and snapshots: they may be deleted whenever no guest runs, and are then made again."""
    path = platformdirs.user_cache_path("ebpflab") / "vm"
    path.mkdir(parents=True, exist_ok=True)
    return path


def runtime_dir(name: str) -> Path:
    """A new directory for one running machine's sockets and console, for its owner only."""
    # not below the home directory: the path of a Unix socket has about 100 characters to offer
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if not os.access(base, os.W_OK) or len(base) > 60:
        base = tempfile.gettempdir()
    path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getuid()}-", dir=base))
    (path / "owner.json").write_text(json.dumps({"pid": os.getpid(), "name": name, "since": time.time()}))
    return path


def _directories() -> Iterator[Path]:
    for base in {os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir(), tempfile.gettempdir()}:
        for path in Path(base).glob(f"{PREFIX}{os.getuid()}-*"):
            with contextlib.suppress(OSError):
                if path.stat().st_uid == os.getuid():
                    yield path


def running() -> Iterator[tuple[Path, dict]]:
    """The directories of this user's machines that run now, each with its owner: pid, name, since."""
    for path in _directories():
        with contextlib.suppress(OSError, ValueError):
            if not _abandoned(path):
                yield path, json.loads((path / "owner.json").read_text())


def sweep() -> list[Path]:
    """Remove what machines left behind whose warden was killed; what was removed.

    A warden holds a lock on its directory's ``lock`` file for as long as it lives.
    """
    gone = []
    for path in _directories():
        with contextlib.suppress(OSError):
            if _abandoned(path):
                _end(path)
                shutil.rmtree(path, ignore_errors=True)
                gone.append(path)
    return gone


def _abandoned(path: Path) -> bool:
    try:
        with open(path / "lock", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except BlockingIOError:
        return False
    except FileNotFoundError:                    # its owner has not come to start the warden, or never did
        return time.time() - path.stat().st_mtime > 60


def _end(path: Path) -> None:
    """End a QEMU that outlived its warden: only if it really is the one that works in this directory."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((path / "pid").read_text())
        if Path(f"/proc/{pid}/cwd").resolve() == path.resolve():
            os.kill(pid, signal.SIGKILL)
