"""Control groups of our own, and commands that run in them or in a lab network.

A cgroup v2 directory is no file descriptor: it would outlive us.  So each has a guard, a shell that waits for the
end of a pipe we hold and then ends what is in the group and removes it, whether we closed it or were killed.
"""

from __future__ import annotations

import ctypes
import errno as E
import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence

from ..errors import KernelError
from . import explain, netns, syscall

PREFIX = "ebpflab-"
MOST_SECONDS = 60.0
_numbers = itertools.count(1)
_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl

_GUARD = """
read _
for i in 0 1 2 3 4 5 6 7 8 9; do
    [ -d "$0" ] || exit 0
    echo 1 > "$0/cgroup.kill" 2>/dev/null || for p in $(cat "$0/cgroup.procs"); do kill -9 "$p"; done
    rmdir "$0" 2>/dev/null && exit 0
    sleep 0.$i
done
exit 1
"""


def mounted() -> str:
    """Where cgroup v2 is mounted. KernelError if it is not."""
    for line in explain.read("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        if after.split(" ")[0] == "cgroup2":
            return before.split(" ")[4]
    raise KernelError("there is no cgroup v2 file system here", errno=E.ENOENT, call="cgroup",
                      hint="mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified (or boot with a unified hierarchy)")


class Cgroup(syscall.Fd):
    """An empty cgroup below the root of the hierarchy. ``id`` is what bpf_get_current_cgroup_id gives."""

    def __init__(self) -> None:
        self.path = f"{mounted()}/{PREFIX}{os.getpid()}-{next(_numbers)}"
        self._guard: subprocess.Popen | None = None
        try:
            os.mkdir(self.path)
        except OSError as error:
            raise explain.error("mkdir", error.errno or 0, where=self.path) from error
        try:
            super().__init__(os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            # a session of its own: Ctrl-C in a notebook must not end it
            self._guard = subprocess.Popen(["/bin/sh", "-c", _GUARD, self.path], stdin=subprocess.PIPE,
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                           start_new_session=True)
        except BaseException:
            os.rmdir(self.path)
            raise
        self.id = os.stat(self.path).st_ino

    def entrance(self) -> syscall.Fd:
        """Its cgroup.procs, open for writing: who writes 0 there is in it."""
        return syscall.Fd(os.open(f"{self.path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))

    def processes(self) -> list[int]:
        return [int(pid) for pid in explain.read(f"{self.path}/cgroup.procs").split()]

    def close(self) -> None:
        """End what runs in it, and remove it."""
        super().close()
        guard, self._guard = getattr(self, "_guard", None), None
        if guard is not None:
            guard.stdin.close()
            guard.wait()

    __del__ = close


def command(argv: Sequence[str], *, procs: int = -1, namespace: syscall.Fd | None = None, data: bytes = b"",
            seconds: float = 10.0) -> dict:
    """Run a command to its end, at most ``seconds``; it dies with us. ``procs``: a cgroup's file of that name, open
    for writing; ``namespace``: a network namespace.

    -> {"status" (exit status, -signal), "out", "err", "seconds"}; KernelError ETIMEDOUT if it had to be ended.
    """
    if not 0 < seconds <= MOST_SECONDS:
        raise KernelError(f"a command may take up to {MOST_SECONDS:g} seconds, not {seconds:g}", errno=E.EINVAL,
                          call="command")
    if not argv or not shutil.which(argv[0]):
        raise KernelError(f"there is no command {argv[0] if argv else ''!r} here", errno=E.ENOENT, call="command")

    def enter() -> None:                         # in the child, between fork and exec
        _prctl(_PDEATHSIG, signal.SIGKILL)       # its parent is the thread below, which waits for it
        if procs >= 0:
            os.write(procs, b"0")

    def run() -> dict:
        start = time.monotonic()
        with subprocess.Popen(list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              preexec_fn=enter, start_new_session=True) as process:
            try:
                out, err = process.communicate(data, timeout=seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                raise KernelError(f"{argv[0]} was ended after {seconds:g} seconds", errno=E.ETIMEDOUT,
                                  call="command") from None
        return {"status": process.returncode, "out": out, "err": err, "seconds": time.monotonic() - start}

    return netns.inside(namespace, run) if namespace else netns.in_thread(run)
