"""The socket that a context belongs to, and the members that repeat what the socket knows.

A context's ``sk`` may be given: the address of a socket of the machine. Without one a program that always has a
socket gets one for the run, made of the context's other members; so does a packet of a test run
(``bpf_prog_test_run_skb``).
"""

from __future__ import annotations

from ..abi import Struct
from .sockets import AF_INET, AF_INET6, STATES, Socket, Sockets

#: contexts whose ``sk`` is never NULL
ALWAYS = ("bpf_sock_addr", "bpf_sockopt", "sk_msg_md", "sk_reuseport_md")
NAMES = {6: "tcp", 17: "udp"}
_STATES = {number: name for name, number in STATES.items()}
NOWHERE = {AF_INET: bytes(4), AF_INET6: bytes(16)}


class Members:
    """A context's bytes by the names of its members; a name that it does not have reads 0 and is not written."""

    def __init__(self, shape: Struct, buffer: bytearray):
        self._buffer = buffer
        self._members = {member.name: member for member in shape.members}

    def raw(self, name: str) -> bytes:
        member = self._members.get(name)
        return bytes(self._buffer[member.offset:member.end]) if member else b""

    def get(self, name: str) -> int:
        return int.from_bytes(self.raw(name), "little")

    def default(self, name: str, value: bytes) -> None:
        """What the member holds if it was not given."""
        member = self._members.get(name)
        if member and not any(self._buffer[member.offset:member.end]):
            self._buffer[member.offset:member.end] = value[:member.size].ljust(member.size, b"\0")

    def number(self, name: str, value: int) -> None:
        self.default(name, value.to_bytes(8, "little"))


def of_packet(data: bytes) -> tuple[int, bytes, bytes]:
    """Family, source and destination of an Ethernet frame's IP packet: the ends of a test run's socket."""
    kind = data[12:14]
    if kind == b"\x08\x00":
        return (AF_INET, data[26:30], data[30:34]) if len(data) >= 34 else (AF_INET, bytes(4), bytes(4))
    if kind == b"\x86\xdd":
        return (AF_INET6, data[22:38], data[38:54]) if len(data) >= 54 else (AF_INET6, bytes(16), bytes(16))
    return 0, bytes(4), bytes(4)


def attach(sockets: Sockets, shape: Struct, buffer: bytearray) -> Socket | None:
    """The socket of a context without packet, given or made; the context then says what the socket knows.

    None if it has none. Raises Fault for an ``sk`` that is no socket.
    """
    members = Members(shape, buffer)
    if given := members.get("sk"):
        found = sockets.at(given)
        if shape.name != "bpf_sk_lookup":     # there it is the socket that was selected
            describe(found, members)
        return found
    if shape.name in ALWAYS or shape.name == "bpf_sock" or members.get("is_fullsock"):
        found = _made(sockets, members)
        members.number("sk", found.address)
        return found
    return None


def _made(sockets: Sockets, members: Members) -> Socket:
    family = members.get("family") or members.get("user_family")
    six = family == AF_INET6
    end = "ip6" if six else "ip4"

    def address(*names: str) -> bytes:
        return next((found for name in names if any(found := members.raw(name))), NOWHERE[AF_INET6 if six else AF_INET])

    remote_port = members.raw("dst_port") or members.raw("remote_port")[-2:]
    return sockets.begin(address(f"src_{end}", f"local_{end}"), address(f"dst_{end}", f"remote_{end}"),
                         NAMES.get(members.get("protocol") or 6, ""),
                         (members.get("src_port") or members.get("local_port"), int.from_bytes(remote_port, "big")),
                         _STATES.get(members.get("state"), "CLOSE"), family or AF_INET)


def describe(socket: Socket, members: Members) -> None:
    """Fill in what a given socket knows and the context was not told."""
    known = socket.members()
    end = "ip6" if socket.family == AF_INET6 else "ip4"
    for name in ("family", "type", "protocol", "state"):
        members.number(name, known[name])
    members.number("user_family", socket.family)
    members.default(f"local_{end}", known[f"src_{end}"])
    members.default(f"remote_{end}", known[f"dst_{end}"])
    members.number("local_port", socket.local[1])
    members.default("remote_port", b"\0\0" + known["dst_port"])      # the upper half of the word, in network order
    members.number("is_fullsock", int(socket.full))
    members.number("bpf_sock_ops_cb_flags", socket.callbacks)
    if socket.protocol == "tcp":
        for name, value in socket.tcp.items():
            members.number(name, value)
