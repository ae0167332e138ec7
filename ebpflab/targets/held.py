"""Something in a kernel that is known by its handle in a session."""

from __future__ import annotations

import errno as E

from ..errors import KernelError, TargetError
from .base import Closing


class Held(Closing):
    """Owned by a target or by another Held. Closing it again, or after its session, does nothing."""

    handle = 0

    def __init__(self, owner):
        super().__init__()
        self.target = getattr(owner, "target", owner)
        self.session = self.target.session
        self._owner = owner

    def _hold(self, handle: int) -> None:
        self.handle = handle
        self._owner.own(self)

    def live(self) -> int:
        """The handle. TargetError once it is closed: 0 would mean none was asked for."""
        if not self.handle:
            raise TargetError(f"{self!r} was closed")
        return self.handle

    def close(self) -> None:
        handle, self.handle = self.handle, 0
        self._owner.disown(self)
        try:
            super().close()
        finally:
            if handle:
                self._release(handle)

    def _release(self, handle: int) -> None:
        try:
            self.session.close(handle)
        except KernelError as error:
            if error.errno != E.EBADF:  # the session was closed before us, and this with it
                raise
        except TargetError:
            pass  # the connection is lost, and with it the process that held this

    def pin(self, path: str) -> None:
        """Give it a name in a bpf file system (``/sys/fs/bpf/…``): it then stays in the kernel, whatever becomes of
        us, until ``target.unpin(path)``. ``target.get(path)`` finds it again. Maps, programs and links can be pinned.
        """
        self.session.pin(self.handle, path)
