"""Guests of QEMU that outlive the command that started them: what ``ebpflab vm up`` starts and ``vm:6.1`` uses.

A process of its own, the keeper, owns the guest as a notebook owns one of ``qemu:6.1``: when it ends, even by
``kill -9``, the guest is gone. All else is found through the guest's directory: its sockets, and who its owner is.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from ..errors import TargetError
from . import machine, push
from .machine import Progress, quiet
from .qemu import RESTORE_SECONDS, QemuMachine

PATIENCE = 20.0


class KeptMachine(QemuMachine):
    """A guest that a keeper owns; a ``Machine``. One agent at a time: a second client is told who waits for whom."""

    def __init__(self, kernel: str = "", **options):
        super().__init__("", kernel=kernel, **options)
        self.name = f"vm-{self.recipe.kernel}"

    # where it is

    def _find(self) -> tuple[Path, dict] | None:
        for path, owner in machine.running():
            if owner["name"] == self.name:
                return path, owner
        return None

    def _attach(self) -> bool:
        """Look for it; is it there?"""
        found = self._find()
        self._directory = found[0] if found else None
        return found is not None and not (found[0] / "exit").exists()

    def _ended(self) -> bool:
        return not self._attach()

    def _check(self) -> None:
        if not self._attach():
            raise TargetError(f"the guest {self.name} is not running", hint=f"ebpflab vm up --kernel {self.kernel}")

    @property
    def kernel(self) -> str:
        return self.recipe.kernel

    @property
    def state(self) -> str:
        return "running" if self._attach() else "lost" if self._directory else "absent"

    # its life

    def up(self, progress: Progress = quiet, *, cold: bool = False) -> None:
        self._keep_up("", progress)

    def restore(self, name: str, progress: Progress = quiet) -> None:
        if not self._named(name).exists():
            raise TargetError(f"{self.name} has no snapshot {name!r}",
                              hint=f"it has: {', '.join(self.snapshots()) or 'none'}")
        self.halt()
        self._keep_up(name, progress)

    def _keep_up(self, snapshot: str, progress: Progress) -> None:
        with machine.locked(machine.cache() / f"{self.name}.lock",
                            lambda: progress("waiting for another command that starts it", None)):
            if self.state == "running":
                return
            self.halt()
            keeper = subprocess.Popen([sys.executable, "-m", __name__, self.kernel, snapshot],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                      start_new_session=True, cwd="/",
                                      env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})
            assert keeper.stdout
            try:
                with keeper.stdout:
                    self._listen(keeper.stdout, progress)
            except BaseException:
                keeper.terminate()
                keeper.wait()
                raise

    def _listen(self, lines, progress: Progress) -> None:
        for line in lines:
            told = json.loads(line)
            if "ready" in told:
                self.how, self.took = told["ready"], told["seconds"]
                self._attach()
                return
            if "error" in told:
                raise TargetError(told["error"], where=told.get("where"), hint=told.get("hint"))
            progress(told["text"], told["fraction"])
        raise TargetError(f"the keeper of {self.name} ended before the guest was ready")

    def halt(self) -> None:
        """Switch it off; when this returns, QEMU, its keeper and its directory are gone."""
        found = self._find()
        if not found:
            return
        path, owner = found
        with contextlib.suppress(ProcessLookupError):
            if is_keeper(owner["pid"]):
                os.kill(owner["pid"], signal.SIGTERM)
        end = time.monotonic() + PATIENCE
        while path.exists() or is_keeper(owner["pid"]):
            if time.monotonic() > end:
                raise TargetError(f"{self.name} does not stop", where=f"process {owner['pid']}")
            time.sleep(0.02)
        self._directory = None

    def destroy(self) -> None:
        self.halt()
        shutil.rmtree(self._snapshots("named"), ignore_errors=True)

    # its agent

    def stream(self, *, timeout: float = RESTORE_SECONDS):
        self._check()
        try:
            return push.start_agent(self._connect("agent.sock", timeout).detach(), timeout=timeout, check=self._check)
        except TargetError as error:
            if "answer in time" not in error.what:
                raise
            raise TargetError(f"{self.name} does not answer: it serves one client at a time", where=self.name,
                              hint="is another notebook or shell connected to it? "
                                   f"target qemu:{self.kernel} starts a guest of your own") from None

    def shell(self) -> int:
        """A shell in the guest, on this terminal; the number of its exit status is not told, so 0."""
        self._check()
        connection = self._connect("agent.sock", RESTORE_SECONDS)
        push.shell(connection.detach(), check=self._check)
        return 0

    def __exit__(self, *exc) -> None:
        pass                                   # it is kept


def is_keeper(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return __name__.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return False


def keep(kernel: str, snapshot: str) -> int:
    """The keeper: start the guest, say so, and hold it until told to stop or until it ends."""
    def tell(**fields) -> None:
        with contextlib.suppress(OSError):     # the command that asked may be gone
            print(json.dumps(fields), flush=True)

    def stop(*_) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    guest = QemuMachine(KeptMachine(kernel).name, kernel=kernel)
    try:
        if snapshot:
            guest.restore(snapshot)
        else:
            guest.up(lambda text, fraction=None: tell(text=text, fraction=fraction))
        guest.release()
        tell(ready=guest.how, seconds=guest.took)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        while guest.state == "running":
            select.select([], [], [], 1.0)
    except TargetError as error:
        tell(error=error.what, where=error.where, hint=error.hint)
        return 2
    finally:
        guest.halt()
    return 0


if __name__ == "__main__":
    raise SystemExit(keep(*sys.argv[1:3]))
