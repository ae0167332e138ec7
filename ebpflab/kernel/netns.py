"""Network namespaces that nobody can forget: without a name, held only by file descriptors.

A namespace lives as long as a process is in it or someone holds an fd of it.  Ours are made by a short-lived
thread and held by an fd alone, so that closing it, or the death of the process, removes the namespace with all
devices, routes and attachments in it.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from . import rtnetlink, syscall, traffic

_CLONE_NEWNET = 0x4000_0000

ENDS = ("lab0", "lab1")
#: locally administered (bit 1 of the first byte), the same in every lab network so that frames can be written down
MACS = {"lab0": bytes.fromhex("020000000000"), "lab1": bytes.fromhex("020000000001")}


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


def _quiet() -> None:
    """No IPv6 in this namespace: it would send frames of its own (DAD, MLD, router solicitations) and be counted."""
    for which in ("all", "default"):
        switch = Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6")
        if switch.exists():
            switch.write_text("1")


class LabNet:
    """Two namespaces joined by a veth pair, lab0 in one, lab1 in the other; nothing else is on the wire."""

    def __init__(self) -> None:
        self.namespaces: dict[str, syscall.Fd] = {}
        self._senders: dict[str, traffic.Sender] = {}
        try:
            for end in ENDS:
                self.namespaces[end] = create()
                inside(self.namespaces[end], _quiet)
            first, second = ENDS
            self.inside(first, rtnetlink.veth, first, MACS[first], second, MACS[second], self.namespaces[second].fd)
            for end in ENDS:
                self.inside(end, self._bring_up, end)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _bring_up(end: str) -> None:
        rtnetlink.gro(end, True)  # so that frames which XDP sends back or redirects arrive (see rtnetlink.gro)
        rtnetlink.up(end)

    def inside(self, end: str, function, *args):
        """Run ``function(*args)`` in the namespace of ``end``."""
        if end not in self.namespaces:
            raise syscall.explain.error("netlink", 19, where=f"{end!r}", hint=f"the ends are {' and '.join(ENDS)}")
        return inside(self.namespaces[end], lambda: function(*args))

    def send(self, end: str, frames: list[bytes], count: int, pps: float) -> dict:
        """Frames out of ``end``: {"sent", "dropped", "seconds"}; dropped ones the device itself threw away."""
        if end not in self._senders:
            self._senders[end] = self.inside(end, traffic.Sender, end)
        before = self.stats(end)["tx_dropped"]
        result = self._senders[end].send(frames, count, pps)
        return {**result, "dropped": self.stats(end)["tx_dropped"] - before}

    def stats(self, end: str) -> dict:
        return self.inside(end, rtnetlink.stats, end)

    def close(self) -> None:
        for sender in self._senders.values():
            sender.close()
        for namespace in self.namespaces.values():
            namespace.close()
        self._senders, self.namespaces = {}, {}
