"""A kernel that an agent serves: in a guest, or on a machine that one logs in to."""

from __future__ import annotations

from collections.abc import Callable

from ..kernel import wire
from ..vm.machine import Machine, Progress, quiet
from ..vm.progress import shown
from .base import Closing
from .kernel import KernelTarget
from .remote import RemoteSession


class GuestTarget(KernelTarget):
    """A KernelTarget with the ``machine`` that its kernel runs on, None if that is not ours to switch on or off."""

    session: RemoteSession

    def __init__(self, name: str, stream: Callable[[], wire.Stream], *, machine: Machine | None = None,
                 kept: bool = True):
        """``stream`` starts an agent; a machine that is not ``kept`` is switched off when the target is closed."""
        self._stream, self.machine, self._kept = stream, machine, kept
        super().__init__(self._connect(name), name)

    def _connect(self, name: str) -> RemoteSession:
        return RemoteSession(self._stream(), name=name, explain=self.machine.explain if self.machine else lambda: "")

    @property
    def alive(self) -> bool:
        """Is the connection to the agent there?"""
        return self.session.alive

    def reconnect(self, progress: Progress = quiet) -> None:
        """Have an agent again after the connection was lost; the machine is brought up if it does not run.

        Programs, maps and links went with the agent before: they are to be loaded again.
        """
        Closing.close(self)
        self.session.disconnect()
        if self.machine and self.machine.state != "running":
            self.machine.up(progress)
        self.session = self._connect(self.name)
        for known in ("facts", "kernel", "btf_kinds"):
            self.__dict__.pop(known, None)

    def close(self) -> None:
        """Close all that came from here; switch the machine off unless it is kept."""
        try:
            super().close()
        finally:
            if self.machine and not self._kept:
                self.machine.halt()

    def __repr__(self) -> str:
        state = "connected" if self.alive else "connection lost: reconnect()"
        return f"<target {self.name}: {self.by}, {state}>" if self.alive else f"<target {self.name}: {state}>"


def start(name: str, machine: Machine, *, kept: bool) -> GuestTarget:
    """Bring a machine up and start an agent in it, with progress. One that is not kept is gone after a failure."""
    try:
        with shown(name) as progress:
            if machine.state != "running":
                machine.up(progress)
            progress("starting the agent", None)
            return GuestTarget(name, machine.stream, machine=machine, kept=kept)
    except BaseException:
        if not kept:
            machine.halt()
        raise
