"""The lab network: two anonymous namespaces joined by a veth pair, with nothing else on the wire.

::

     namespace A                        namespace B
    +------------------+               +------------------+
    |  lab0  02:…:00   |<---- veth --->|  lab1  02:…:01   |
    +------------------+               +------------------+

What one end sends, the other receives: that is where an XDP program on it runs.
"""

from __future__ import annotations

import errno as E
import threading
from functools import partial
from pathlib import Path
from typing import Any

from . import explain, links, netns, progs, rtnetlink, syscall, traffic

ENDS = ("lab0", "lab1")
#: locally administered (bit 1 of the first byte), the same in every lab network so that frames can be written down
MACS = {"lab0": bytes.fromhex("020000000000"), "lab1": bytes.fromhex("020000000001")}

_XDP = 6
_PASS = bytes.fromhex("b700000002000000" "9500000000000000")  # r0 = XDP_PASS; exit


def _quiet() -> None:
    """No IPv6 in this namespace: it would send frames of its own (DAD, MLD, router solicitations) and be counted."""
    for which in ("all", "default"):
        switch = Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6")
        if switch.exists():
            switch.write_text("1")


class LabNet:
    """Both ends are up when it is made. Closing it removes the namespaces, with all that is in them."""

    def __init__(self) -> None:
        self.namespaces: dict[str, syscall.Fd] = {}
        self._senders: dict[str, traffic.Sender] = {}
        self._attached: dict[str, links.Link] = {}  # the user's XDP program on each end
        self._fillers: dict[str, links.Link] = {}   # ours, see _fill
        self._lock = threading.RLock()
        try:
            for end in ENDS:
                self.namespaces[end] = netns.create()
                self.inside(end, _quiet)
            first, second = ENDS
            self.inside(first, rtnetlink.veth, first, MACS[first], second, MACS[second], self.namespaces[second].fd)
            for end in ENDS:
                # with GRO an end takes what XDP redirects to it even without a program of its own (since 5.13)
                self.inside(end, rtnetlink.gro, end, True)
                self.inside(end, rtnetlink.up, end)
        except BaseException:
            self.close()
            raise

    def inside(self, end: str, function, *args):
        """Run ``function(*args)`` in the namespace of ``end``."""
        if end not in self.namespaces:
            raise explain.error("netlink", E.ENODEV, where=repr(end), hint=f"the ends are {' and '.join(ENDS)}")
        return netns.inside(self.namespaces[end], lambda: function(*args))

    def attach(self, prog_fd: int, where: dict) -> links.Link:
        """Attach in the namespace of ``where["dev"]``; see ``links.attach``."""
        links.hook_of(where)
        end = where.get("dev", "")
        with self._lock:
            if where["kind"] != "xdp":
                return self.inside(end, links.attach, prog_fd, where)
            self._unfill(end)
            try:
                link = self.inside(end, links.attach, prog_fd, where)
                link.native = where.get("mode", "") != "generic"
                link.on_close = partial(self._detached, end, link.id)
                self._attached[end] = link
            finally:
                self._fill()
            return link

    def _detached(self, end: str, id: int) -> None:
        with self._lock:
            if end in self._attached and self._attached[end].id == id:
                del self._attached[end]
            for other in ENDS:
                self._unfill(other)
            self._fill()

    def _unfill(self, end: str) -> None:
        filler = self._fillers.pop(end, None)
        if filler is not None:
            filler.close()

    def _fill(self) -> None:
        """Give an end without a program one that passes everything, while the other end's runs in the driver.

        What such a program sends back (XDP_TX) stays in the queue of the receiving end unless a program is attached
        there too: veth_xdp_flush (drivers/net/veth.c) wakes the receiver only then.
        """
        for end, other in (ENDS, ENDS[::-1]):
            peer = self._attached.get(other)
            if self.namespaces and peer is not None and peer.native and not {end} & {*self._attached, *self._fillers}:
                passing = progs.Program(progs.load(_XDP, _PASS, name="lab_pass")["fd"])
                where = {"kind": "xdp", "dev": end, "mode": "native"}
                self._fillers[end] = self.inside(end, links.attach, passing.fd, where)
                passing.close()  # the link holds it

    def send(self, end: str, frames: list[bytes], count: int, pps: float) -> dict:
        """Frames out of ``end``: {"sent", "dropped", "seconds"}; ``dropped`` never reached the other end's queue.

        Some kernels tell the sender that the queue is full, some drop and only count it, so both counts are taken.
        """
        if end not in self._senders:
            self._senders[end] = self.inside(end, traffic.Sender, end)
        before = self.stats(end)["tx_dropped"]
        result = self._senders[end].send(frames, count, pps)
        unseen = self.stats(end)["tx_dropped"] - before - result["refused"]
        return {"sent": result["sent"], "dropped": result["dropped"] + max(unseen, 0), "seconds": result["seconds"]}

    def stats(self, end: str) -> dict:
        return self.inside(end, rtnetlink.stats, end)

    def index(self, end: str) -> int:
        """The interface index of ``end`` in its namespace."""
        return self.inside(end, rtnetlink.index, end)

    def close(self) -> None:
        with self._lock:
            held: tuple[dict[str, Any], ...] = (self._fillers, self._senders, self.namespaces)
            for things in held:
                for thing in things.values():
                    thing.close()
                things.clear()
            self._attached.clear()
