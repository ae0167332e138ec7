"""Sockets of the simulated machine: what look-ups find, maps hold, and programs read as ``struct bpf_sock``.

    server = machine.sockets.open("tcp", bind="10.0.0.1:80", listen=True)
    client = machine.sockets.open("tcp", bind="10.0.0.2:4000", connect="10.0.0.1:80", mark=7)

They carry no traffic. ``options`` and ``tcp`` hold what programs set and read; the image that a program's pointer
leads to is read-only, as the verifier has it.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Mapping
from typing import Any

from ..abi import STRUCTS
from ..abi.records import fill
from ..errors import Fault, SpecError
from .memory import Memory, Write

AF_INET, AF_INET6 = 2, 10
STATES = dict(zip("ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING"
                  " NEW_SYN_RECV".split(), range(1, 13), strict=True))      # TCP_*, include/net/tcp_states.h
PARTIAL = ("TIME_WAIT", "NEW_SYN_RECV")      # not a full socket (sk_fullsock)
PROTOCOLS = {"tcp": (6, 1), "udp": (17, 2), "": (0, 0)}     # IPPROTO_*, SOCK_*
NO_QUEUE = 0xFFFF_FFFF      # rx_queue_mapping of a socket without one
#: struct bpf_tcp_sock of a socket that has not sent anything (tcp_init_sock)
FRESH = {"snd_cwnd": 10, "snd_ssthresh": 0x7FFF_FFFF, "mss_cache": 536, "rtt_min": 0xFFFF_FFFF}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Place = tuple[Address, int]


class Socket:
    """A socket. ``number`` is its cookie; ``local`` and ``remote`` are (address, port), ``remote`` None if it is not
    connected; ``device`` the ifindex that it is bound to, 0 for any."""

    def __init__(self, sockets: Sockets, protocol: str, local: Place, remote: Place | None, state: str, *,
                 device: int = 0, mark: int = 0, priority: int = 0, uid: int = 0, cgroup_id: int = 1,
                 tcp: Mapping[str, int] | None = None):
        self._sockets, self.protocol, self.local, self.remote, self.state = sockets, protocol, local, remote, state
        self.device, self.mark, self.priority, self.uid, self.cgroup_id = device, mark, priority, uid, cgroup_id
        self.family = AF_INET6 if local[0].version == 6 else AF_INET
        self.number = next(sockets.numbers)
        self.options: dict[tuple[int, int], bytes] = {}
        self.tcp = {**FRESH, **(tcp or {})}
        self.callbacks = 0       # bpf_sock_ops_cb_flags
        self.storage: set[Any] = set()      # the sk_storage maps that have a value for it
        self._image, self._tcp_image = bytearray(STRUCTS["bpf_sock"].size), bytearray(STRUCTS["bpf_tcp_sock"].size)
        self.address = sockets.place(self, self._image)
        self._tcp_address = 0
        self.refresh()

    @property
    def full(self) -> bool:
        """Not one of the small structs of a half-open or a closing connection."""
        return self.state not in PARTIAL

    def members(self) -> dict[str, Any]:
        """struct bpf_sock: its own port in host order, the other end's in network order. The addresses of the other
        family are zero; what a kernel has there is of no meaning."""
        number, type_ = PROTOCOLS[self.protocol]
        end = "ip6" if self.local[0].version == 6 else "ip4"
        there, port = self.remote or (type(self.local[0])(0), 0)
        return {"bound_dev_if": self.device, "family": self.family, "type": type_, "protocol": number,
                "mark": self.mark, "priority": self.priority, f"src_{end}": self.local[0].packed,
                "src_port": self.local[1], f"dst_{end}": there.packed, "dst_port": port.to_bytes(2, "big"),
                "state": STATES[self.state], "rx_queue_mapping": NO_QUEUE}

    def refresh(self) -> None:
        """Something of it changed: so does what programs read."""
        self._sockets.changed(self)
        self._sockets.rewrite(self.address, self._image, fill(STRUCTS["bpf_sock"], self.members()))
        if self._tcp_address:
            self._sockets.rewrite(self._tcp_address, self._tcp_image, fill(STRUCTS["bpf_tcp_sock"], self.tcp))

    def tcp_address(self) -> int:
        """Where its struct bpf_tcp_sock is, 0 if it is no full TCP socket (``bpf_tcp_sock``)."""
        if self.protocol != "tcp" or not self.full:
            return 0
        if not self._tcp_address:
            self._tcp_address = self._sockets.place(f"the TCP numbers of {self}", self._tcp_image)
            self.refresh()
        return self._tcp_address

    def close(self) -> None:
        self._sockets.close(self)

    def __index__(self) -> int:
        """Its address: a context's ``sk`` may be given as the socket."""
        return self.address

    def __str__(self) -> str:
        there = f" to {_text(self.remote)}" if self.remote else ""
        return f"struct bpf_sock ({self.protocol or 'of the run'} {_text(self.local)}{there}, {self.state})"

    __repr__ = __str__


class Sockets:
    """All sockets of a machine. ``tested`` is the one that a test run gives to its packet or context."""

    def __init__(self, memory: Memory):
        self._memory = memory
        self.numbers = itertools.count(1)
        self.by_number: dict[int, Socket] = {}
        self._at: dict[int, Socket] = {}
        self.tested: Socket | None = None
        self._key: tuple | None = None      # what ``tested`` was made of, if nothing changed it

    def open(self, protocol: str, *, bind: str, connect: str = "", listen: bool = False, state: str = "",
             device: int = 0, mark: int = 0, priority: int = 0, uid: int = 0, cgroup_id: int = 1,
             tcp: Mapping[str, int] | None = None) -> Socket:
        """A new socket; addresses are ``10.0.0.1:80`` or ``[fd00::1]:80``. ``state`` is one of STATES, else what
        follows from ``listen`` and ``connect``; ``tcp`` are members of struct bpf_tcp_sock.

        Raises SpecError for what no socket can be.
        """
        if protocol not in ("tcp", "udp"):
            raise SpecError(f"there is no socket {protocol!r}", hint="tcp, udp")
        state = state or ("LISTEN" if listen else "ESTABLISHED" if connect else "CLOSE")
        if state not in STATES:
            raise SpecError(f"there is no state {state!r} of a socket", hint=", ".join(STATES))
        if listen and (connect or protocol == "udp"):
            raise SpecError("a TCP socket that is not connected can listen", where=f"{protocol} {bind}")
        local, remote = _place(bind), _place(connect) if connect else None
        if remote and remote[0].version != local[0].version:
            raise SpecError(f"{bind} and {connect} are of different families")
        made = Socket(self, protocol, local, remote, state, device=device, mark=mark, priority=priority, uid=uid,
                      cgroup_id=cgroup_id, tcp=tcp)
        self.by_number[made.number] = made
        return made

    def close(self, socket: Socket) -> None:
        """It is gone, and with it what maps keep for it."""
        self._forget(socket)
        if self.by_number.pop(socket.number, None) is not None:
            for address in (socket.address, socket._tcp_address):
                if address:
                    self._at.pop(address, None)
                    self._memory.unmap(address, "a socket that was closed")

    def changed(self, socket: Socket) -> None:
        """The next run needs a fresh one."""
        if socket is self.tested:
            self._key = None

    @staticmethod
    def _forget(socket: Socket) -> None:
        if socket.storage:
            for held in socket.storage:
                held.forget(socket.number)
            socket.storage.clear()

    # -- the socket of a run ---------------------------------------------------------------------

    def begin(self, local: bytes, remote: bytes, protocol: str = "", ports: tuple[int, int] = (0, 0),
              state: str = "CLOSE", family: int = AF_INET) -> Socket:
        """The socket that a run starts with: new each time, with nothing stored for it. Addresses of 4 or 16 bytes."""
        found, key = self.tested, (local, remote, protocol, ports, state, family)
        if found is not None and key == self._key:
            self._forget(found)
            found.number = next(self.numbers)
            return found
        here, there = ipaddress.ip_address(local), ipaddress.ip_address(remote)
        ends = (here, ports[0]), (there, ports[1]) if int(there) or ports[1] else None
        if found is None:
            found = self.tested = Socket(self, protocol, *ends, state)
        self._forget(found)
        found.number, found.callbacks, found.mark, found.priority = next(self.numbers), 0, 0, 0
        found.options.clear()
        found.protocol, found.local, found.remote, found.state, found.family = protocol, *ends, state, family
        found.refresh()
        self._key = key
        return found

    # -- finding -----------------------------------------------------------------------------------

    def at(self, address: int) -> Socket:
        """The socket that a pointer names. Raises Fault."""
        found = self._at.get(address)
        if found is None:
            raise Fault(f"{address:#x} ({self._memory.describe(address)}) is not a socket")
        return found

    def get(self, address: int) -> Socket | None:
        return self._at.get(address)

    def find(self, protocol: str, local: Place, remote: Place, device: int = 0) -> Socket | None:
        """The socket that a packet from ``remote`` to ``local`` that came in by ``device`` is for: a connection, then
        the best of those that wait (``__inet_lookup``, ``__udp4_lib_lookup``)."""
        best, most = None, -1
        for each in self.by_number.values():
            score = _score(each, protocol, local, remote, device)
            if score > most:
                best, most = each, score
        return best

    # -- memory ------------------------------------------------------------------------------------

    def place(self, owner: Socket | str, image: bytearray) -> int:
        address = self._memory.map(memoryview(image).toreadonly(), owner)
        if isinstance(owner, Socket):
            self._at[address] = owner
        return address

    def rewrite(self, address: int, image: bytearray, new: bytes) -> None:
        if self._memory.journal is not None and image != new:
            self._memory.journal.append(Write(address, bytes(image), new))
        image[:] = new


def _score(socket: Socket, protocol: str, local: Place, remote: Place, device: int) -> int:
    """How well a socket fits, -1: not at all (``compute_score``)."""
    if socket.protocol != protocol or socket.local[1] != local[1] or (socket.state == "CLOSE" and protocol == "tcp"):
        return -1
    if socket.device not in (0, device):
        return -1
    any_ = not int(socket.local[0])
    if any_:
        if socket.local[0].version == 4 and local[0].version == 6:
            return -1
    elif socket.local[0] != local[0]:
        return -1
    if socket.remote is not None and socket.remote != remote:
        return -1
    if protocol == "tcp" and socket.state != "LISTEN" and socket.remote is None:
        return -1
    return (8 * (socket.remote is not None) + 4 * (not any_) + 2 * (socket.device != 0)
            + (socket.local[0].version == local[0].version))


def _place(text: str) -> Place:
    host, _, port = text.rpartition(":")
    try:
        found = ipaddress.ip_address(host.strip("[]")), int(port)
        if not 0 <= found[1] <= 0xFFFF or ("[" in host) != (found[0].version == 6):
            raise ValueError
    except ValueError:
        raise SpecError(f"{text!r} is no address and port", hint="10.0.0.1:80, [fd00::1]:80") from None
    return found


def _text(place: Place) -> str:
    return f"[{place[0]}]:{place[1]}" if place[0].version == 6 else f"{place[0]}:{place[1]}"
