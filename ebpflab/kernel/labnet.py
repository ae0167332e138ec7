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
from pathlib import Path
from typing import Any

from . import explain, links, netns, progs, rtnetlink, syscall, traffic
from .hooks import xdp

ENDS = ("lab0", "lab1")
#: locally administered (bit 1 of the first byte), the same in every lab network so that frames can be written down
MACS = {"lab0": bytes.fromhex("020000000000"), "lab1": bytes.fromhex("020000000001")}
#: what the ends are called in a network with addresses: for everybody, and in one with IPv6 besides
ADDRESSES = {"lab0": ("10.77.0.1/24", "fd77::1/64"), "lab1": ("10.77.0.2/24", "fd77::2/64")}

_XDP = 6
_PASS = bytes.fromhex("b700000002000000" "9500000000000000")  # r0 = XDP_PASS; exit


def _quiet() -> None:
    """No IPv6 in this namespace: it would send frames of its own (DAD, MLD, router solicitations) and be counted."""
    for which in ("all", "default"):
        switch = Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6")
        if switch.exists():
            switch.write_text("1")


class LabNet:
    """Both ends are up when it is made. Closing it removes the namespaces, with all that is in them.

    ``ip``: 0 no addresses, so nobody but us sends; 4 those of ``ADDRESSES``; 6 the IPv6 ones as well.
    """

    def __init__(self, ip: int = 0) -> None:
        self.namespaces: dict[str, syscall.Fd] = {}
        self._senders: dict[str, traffic.Sender] = {}
        self._attached: dict[str, tuple[links.Link, bool]] = {}  # the user's XDP program on each end; native?
        self._fillers: dict[str, links.Link] = {}   # ours, see _fill
        self._lock = threading.RLock()
        try:
            for end in ENDS:
                self.namespaces[end] = netns.create()
                if ip != 6:
                    self.inside(end, _quiet)
            first, second = ENDS
            self.inside(first, rtnetlink.veth, first, MACS[first], second, MACS[second], self.namespaces[second].fd)
            for end in ENDS:
                # with GRO an end takes what XDP redirects to it even without a program of its own (since 5.13)
                self.inside(end, rtnetlink.gro, end, True)
                self.inside(end, rtnetlink.up, end)
                for address in ADDRESSES[end][:{0: 0, 4: 1, 6: 2}[ip]]:
                    self.inside(end, rtnetlink.address, end, address)
                if ip:
                    self.inside(end, rtnetlink.up, "lo")
            for end in ENDS:
                self.inside(end, rtnetlink.ready, end)
        except BaseException:
            self.close()
            raise

    def inside(self, end: str, function, *args):
        """Run ``function(*args)`` in the namespace of ``end``."""
        namespace = self.namespace(end)
        return netns.inside(namespace, lambda: function(*args))

    def namespace(self, end: str) -> syscall.Fd:
        """What holds the namespace of ``end``. KernelError for an unknown one."""
        if end not in self.namespaces:
            raise explain.error("netlink", E.ENODEV, where=repr(end), hint=f"the ends are {' and '.join(ENDS)}")
        return self.namespaces[end]

    def attach_xdp(self, program, where: dict) -> links.Link:
        """Attach in the namespace of ``where["dev"]``; see ``hooks.xdp``."""
        end = where.get("dev", "")
        with self._lock:
            self._unfill(end)
            try:
                link = self.inside(end, xdp.link, program, where)
                self._attached[end] = (link, where.get("mode", "") != "generic")
                link.undo.callback(self._detached, end, link)
            finally:
                self._fill()
            return link

    def _detached(self, end: str, link: links.Link) -> None:
        with self._lock:
            if self._attached.get(end, (None,))[0] is link:
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
            if self.namespaces and peer is not None and peer[1] and not {end} & {*self._attached, *self._fillers}:
                passing = progs.Program(progs.load(_XDP, _PASS, name="lab_pass")["fd"])
                where = {"kind": "xdp", "dev": end, "mode": "native"}
                self._fillers[end] = self.inside(end, xdp.link, passing, where)
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
