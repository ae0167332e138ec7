"""Network namespaces that nobody can forget: without a name, held only by file descriptors.

A namespace lives as long as a process is in it or someone holds an fd of it.  Ours are made by a short-lived
thread and held by an fd alone, so that closing it, or the death of the process, removes the namespace with all
devices, routes and attachments in it.
"""

from __future__ import annotations

import os
import threading

from . import syscall

_CLONE_NEWNET = 0x4000_0000


def in_thread(function):
    """Run ``function`` in a thread of its own, so that what it does to its namespaces dies with it."""
    done: list = []

    def body():
        try:
            done.append((function(), None))
        except BaseException as error:
            done.append((None, error))

    thread = threading.Thread(target=body, name="netns", daemon=True)
    thread.start()
    thread.join()
    result, error = done[0]
    if error is not None:
        raise error
    return result


def create() -> syscall.Fd:
    """A new network namespace, held by this descriptor alone."""
    def make() -> syscall.Fd:
        syscall.libc("unshare", _CLONE_NEWNET)
        return syscall.Fd(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))

    return in_thread(make)


def inside(namespace: syscall.Fd, function):
    """The result of ``function()`` run inside the namespace. Sockets it opens stay in that namespace."""
    def enter():
        syscall.libc("setns", namespace.fd, _CLONE_NEWNET)
        return function()

    return in_thread(enter)
