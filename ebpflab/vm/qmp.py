"""QEMU's machine protocol: one JSON object a line, over a Unix socket (QEMU docs, interop/qmp-spec)."""

from __future__ import annotations

import json
import shlex
import socket
import time
from pathlib import Path

from ..errors import TargetError


class Qmp:
    """A connection to one QEMU."""

    def __init__(self, connected: socket.socket, timeout: float = 30.0):
        """Takes the socket over."""
        self._socket = connected
        self._socket.settimeout(timeout)
        try:
            self._lines = self._socket.makefile("rb")
            self.execute("qmp_capabilities")
        except BaseException:
            self._socket.close()
            raise

    def execute(self, command: str, **arguments):
        """The command's result; TargetError with QEMU's words if it failed or QEMU is gone."""
        try:
            self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
            return self._answer("return")
        except OSError as error:
            raise TargetError(f"QEMU has ended ({error.strerror or error})") from None

    def _answer(self, key: str):
        for line in self._lines:
            message = json.loads(line)           # also its greeting and events, which are skipped
            if key in message:
                return message[key]
            if "error" in message:  # {"class", "desc"}
                raise TargetError(f"QEMU: {message['error'].get('desc', message['error'])}")
        raise TargetError("QEMU has ended")

    def save(self, path: Path, timeout: float = 120.0) -> None:
        """Write the whole state of the machine to ``path`` while it stands still, then let it go on."""
        # "exec" and not "file", which is known since QEMU 8.2 only. QEMU does not look at the command's exit status:
        # the new name tells that all was written.
        new = path.with_name(path.name + ".new")
        command = f"cat > {shlex.quote(str(new))} && mv {shlex.quote(str(new))} {shlex.quote(str(path))}"
        end = time.monotonic() + timeout
        self.execute("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        self.execute("stop")
        try:
            self.execute("migrate", uri=f"exec:{command}")
            while (status := self.execute("query-migrate").get("status")) not in ("completed", "failed", "cancelled"):
                if time.monotonic() > end:
                    self.execute("migrate_cancel")
                    raise TargetError("saving the guest took too long")
                time.sleep(0.01)
            patience = time.monotonic() + 5
            while status == "completed" and not path.exists() and time.monotonic() < patience:
                time.sleep(0.01)
            if not path.exists():
                raise TargetError("the guest could not be saved", where=str(path.parent), hint="is the disk full?")
        finally:
            self.execute("cont")
            new.unlink(missing_ok=True)

    def resume(self, timeout: float) -> None:
        """Let a machine go on that was started with ``-incoming``, as soon as its state has been read."""
        end = time.monotonic() + timeout
        while self.execute("query-status")["status"] == "inmigrate":
            if time.monotonic() > end:
                raise TargetError("reading the saved guest took too long")
            time.sleep(0.005)
        self.execute("cont")

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc) -> None:
        self.close()
