"""An agent at the other end of ssh: started by the remote python3, spoken to over the connection, gone with it.

Nothing is installed there. The zygote's source is an argument of the remote command, and the agent's code follows
over the connection, as with a guest's serial port. Host keys are always checked; how, the caller's options say.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence

from ..errors import TargetError
from ..kernel import wire
from . import push
from .image import GUEST

#: never ask, never wait for ever; a peer that is silent for 45 s is gone
OPTIONS = ("BatchMode=yes", "ConnectTimeout=30", "ServerAliveInterval=15", "ServerAliveCountMax=3", "LogLevel=ERROR",
           "ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes", "ControlMaster=no", "ControlPath=none")
#: part of what ssh says -> what to do
HINTS = {
    "REMOTE HOST IDENTIFICATION HAS CHANGED": "this is another machine than before, or somebody between: if it was "
                                              "made anew, remove its old key from known_hosts",
    "Host key verification failed": "connect once by hand (ssh HOST), compare the key's fingerprint, and accept it",
    "Permission denied": "its key must be known to your ssh agent or configuration: try ssh HOST true",
    "a password is required": "the agent needs root: log in as root, or allow sudo without a password",
    "python3: not found": "install python3 there",
    "python3: command not found": "install python3 there",
    "Connection refused": "is it up?",
}
# root directly, else through sudo; a Python of the system, no site packages
REMOTE = "if [ $(id -u) = 0 ]; then exec python3 -I -S -c {code}; else exec sudo -n python3 -I -S -c {code}; fi"


class SshStream(wire.Stream):
    """A stream that is one ssh: closing it ends ssh, and with that the agent."""

    process: subprocess.Popen

    def close(self) -> None:
        super().close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def command(host: str, options: Sequence[str] = ()) -> list[str]:
    """ssh's command line up to the host; ``options`` go before ours and the user's configuration."""
    path = shutil.which("ssh")
    if not path:
        raise TargetError("ssh is not installed", hint="on Debian or Ubuntu: sudo apt-get install openssh-client")
    return [path, "-T", *options, *(part for option in OPTIONS for part in ("-o", option)), "--", host]


def agent(ssh: Sequence[str], *, name: str, timeout: float = 60.0) -> SshStream:
    """A stream on which an agent has just been started by ``ssh`` (see ``command``). TargetError with ssh's words."""
    code = shlex.quote((GUEST / "zygote.py").read_text())
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryFile() as words:
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            process = subprocess.Popen([*ssh, REMOTE.format(code=code)], stdin=theirs.fileno(), stdout=theirs.fileno(),
                                       stderr=words, start_new_session=True)
            undo.pop_all()

        def said() -> str:
            words.seek(0)
            return words.read().decode(errors="replace").strip()

        def check() -> None:
            if process.poll() is not None:
                text = said()
                hint = next((hint for part, hint in HINTS.items() if part in text), None)
                last = (text.splitlines() or [f"status {process.returncode}"])[-1]
                raise TargetError(f"ssh ended: {last}", where=name, hint=hint)

        try:
            made = push.start_agent(ours.detach(), timeout=timeout, check=check)
        except BaseException:
            process.kill()
            process.wait()
            raise
    stream = SshStream(os.dup(made.fileno()))
    made.close()
    stream.process = process
    return stream
