"""Watches over one QEMU: it must not outlive the process that started it, even one killed with -9.

Run as ``python -I -S warden.py DIRECTORY COMMAND…`` in a session of its own; standard input is a pipe of which only
the owner holds the other end. When that ends (or the owner is gone), the command is ended and the directory is
removed. What the command prints (the guest's serial console) goes to ``console.log``, of which at most two times
256 KiB are kept. Standard library alone, and no module of ebpflab: it starts in a few milliseconds.
"""

import contextlib
import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys

RING = 256 * 1024
GRACE = 2.0


def main(directory, command):
    os.chdir(directory)
    owner = os.getppid()
    lock = open("lock", "w")                                     # noqa: SIM115 (held as long as we live)
    fcntl.flock(lock, fcntl.LOCK_EX)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             preexec_fn=die_with_parent)
    write("pid", str(child.pid))
    try:
        watch(owner, child)
    finally:
        end(child)
        shutil.rmtree(directory, ignore_errors=True)


def watch(owner, child):
    """Copy the console until the owner is gone; if the command ends first, say so and go on waiting."""
    console = Ring("console.log")
    sources = [0, child.stdout.fileno()]
    while True:
        ready, _, _ = select.select(sources, [], [], 1.0)
        if 0 in ready and not os.read(0, 4096):
            return
        if child.stdout.fileno() in ready:
            text = os.read(child.stdout.fileno(), 65536)
            if text:
                console.write(text)
            else:
                sources.remove(child.stdout.fileno())
                write("exit", str(child.wait()))
        if os.getppid() != owner:                                # a fork of the owner may hold the pipe open
            return


class Ring:
    """A log of two files, each at most RING bytes and some."""

    def __init__(self, path):
        self.path, self.file = path, open(path, "wb", buffering=0)   # noqa: SIM115

    def write(self, text):
        with contextlib.suppress(OSError):                       # a full disk must not end the guest
            if self.file.tell() + len(text) > RING:
                os.replace(self.path, self.path + ".old")
                self.file.close()
                self.file = open(self.path, "wb", buffering=0)   # noqa: SIM115
            self.file.write(text)


def end(child):
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def write(name, text):
    with open(name + ".new", "w") as file:
        file.write(text)
    os.replace(name + ".new", name)


def die_with_parent():
    """Linux: should the warden itself be killed with -9, the kernel ends the command."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        import ctypes
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)      # PR_SET_PDEATHSIG


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
