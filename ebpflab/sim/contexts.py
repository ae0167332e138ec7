"""What r1 points at, by program type.

A context is plain memory. Packet pointers in it are 32 bits wide and hold simulated addresses as they are,
so programs read contexts with ordinary loads and nothing is rewritten.
"""

from __future__ import annotations

import errno
from typing import NamedTuple

from ..abi import STRUCTS, Struct
from ..abi.prog_types import BY_NAME
from ..errors import KernelError, Unsupported
from . import endpoints
from .frame import XDP_HEADROOM, XDP_TAILROOM, Frame, Headers
from .memory import Memory
from .sockets import Socket, Sockets

ETH_HLEN = 14
LOOPBACK = 1            # ifindex that BPF_PROG_TEST_RUN uses
PAGE_SIZE = 4096
#: program types whose packet starts at the link-layer header; for the others a test run strips it
L2 = frozenset({"xdp", "sched_cls", "sched_act"})
#: bytes of contexts that have no struct in abi
SIZES = {"tracepoint": 256, "syscall": 0}
PACKET_FIELDS = ("data", "data_end", "data_meta")
#: contexts of other kinds that point to bytes: start and end
BYTES_FIELDS = {"bpf_sock_ops": ("skb_data", "skb_data_end"), "sk_msg_md": ("data", "data_end"),
                "sk_reuseport_md": ("data", "data_end"), "bpf_sockopt": ("optval", "optval_end")}
LENGTH_FIELDS = {"bpf_sock_ops": "skb_len", "sk_msg_md": "size", "sk_reuseport_md": "len"}
# what convert___skb_to_skb takes over; everything else must be zero there
SKB_INPUTS = ("mark", "priority", "ingress_ifindex", "ifindex", "cb", "tstamp", "wire_len", "gso_segs", "gso_size",
              "hwtstamp")
SKB_OUTPUTS = tuple(name for name in SKB_INPUTS if name != "gso_size")   # what convert_skb_to___skb gives back


class Arrival(NamedTuple):
    """What a packet at a hook has that one of a test run has not: metadata that XDP left in front of it, whether it
    comes in, and the device's address."""

    meta: bytes = b""
    ingress: bool = False
    mac: bytes = bytes(6)


TEST_RUN = Arrival()


def get(shape: Struct, data, name: str) -> int:
    """A member's value out of a context's bytes."""
    member = shape.member(name)
    return int.from_bytes(data[member.offset:member.end], "little")


def put(shape: Struct, buffer: bytearray, name: str, value: int) -> None:
    member = shape.member(name)
    buffer[member.offset:member.end] = value.to_bytes(member.size, "little")


class Input:
    """One program run's context, packet and socket in memory.

    Raises KernelError as BPF_PROG_TEST_RUN does: EINVAL for a packet shorter than an Ethernet header or a
    context with fields set that a test run does not take. Without ``sockets`` nothing has a socket.
    """

    def __init__(self, type_: str, memory: Memory, data: bytes, ctx: bytes, ifindex: int = LOOPBACK,
                 sockets: Sockets | None = None, arrival: Arrival = TEST_RUN):
        name = BY_NAME[type_].context
        self.shape = shape = STRUCTS.get(name)
        self.memory, self.type, self.given, self._ifindex = memory, type_, bool(ctx), ifindex
        self.xdp, self.skb, self.l2 = name == "xdp_md", name == "__sk_buff", type_ in L2
        self.frame: Frame | None = None
        self.socket: Socket | None = None
        self._sockets, self._arrival = sockets, arrival
        if name in ("xdp_md", "__sk_buff"):
            self.buffer = bytearray(shape.size)
            self._check(data, ctx)
            self._packet(data, ctx)
        else:
            if data and name not in BYTES_FIELDS:
                raise KernelError(f"BPF_PROG_TEST_RUN: EINVAL: a {type_} program has no packet",
                                  errno=errno.EINVAL, call="BPF_PROG_TEST_RUN", hint="give its context as ctx=")
            self.buffer = bytearray(ctx) or bytearray(shape.size if shape else SIZES.get(type_, 64))
            self._md = bytes(self.buffer)
            if shape is not None and len(self.buffer) >= shape.size:
                self._others(data)
        # no program writes to an xdp_md; the code generator counts on it
        buffer = memoryview(self.buffer).toreadonly() if self.xdp else self.buffer
        self.address = memory.map(buffer, f"context ({name or type_})")

    def _refuse(self, why: str, hint: str | None = None, number: int = errno.EINVAL):
        raise KernelError(f"BPF_PROG_TEST_RUN: {errno.errorcode[number]}: {why}", errno=number,
                          call="BPF_PROG_TEST_RUN", hint=hint)

    def _check(self, data: bytes, ctx: bytes) -> None:
        if len(data) < ETH_HLEN:
            self._refuse(f"the packet has {len(data)} bytes, an Ethernet header needs {ETH_HLEN}",
                         "build one with ebpflab.packets, for instance packets.udp()")
        if ctx[self.shape.size:].strip(b"\0"):
            self._refuse(f"{self.shape.name} has {self.shape.size} bytes; those after must be zero", number=errno.E2BIG)
        if ctx and not self.xdp:
            given = ctx.ljust(self.shape.size, b"\0")
            for member in self.shape.members:
                if member.name not in SKB_INPUTS and any(given[member.offset:member.end]) \
                        and not self._known_socket(member.name, given):
                    self._refuse(f"__sk_buff.{member.name} must be zero in a given context")

    def _known_socket(self, name: str, given: bytes) -> bool:
        """More than a test run takes: the packet of a socket of this machine."""
        sockets = self._sockets
        return name == "sk" and sockets is not None and sockets.get(get(self.shape, given, name)) is not None

    def _packet(self, data: bytes, ctx: bytes) -> None:
        given = ctx[:self.shape.size].ljust(self.shape.size, b"\0")
        self._md = given
        if self.xdp:
            meta = self._xdp_meta(data, given) if ctx else 0
            self._put("ingress_ifindex", get(self.shape, given, "ingress_ifindex") or self._ifindex)
            self._put("rx_queue_index", get(self.shape, given, "rx_queue_index"))
            room = PAGE_SIZE - XDP_HEADROOM - XDP_TAILROOM - len(data) + meta
            if room < 0 or (ctx and get(self.shape, given, "data_end") < len(data)):
                raise Unsupported("XDP frames of several buffers are not simulated",
                                  hint=f"a frame has at most {room + len(data)} bytes, all before data_end")
            self.frame = Frame(self.memory, data, meta=meta, headroom=XDP_HEADROOM - meta, tailroom=room,
                               on_move=self.moved)
        else:
            for name in SKB_INPUTS if ctx else ():
                self._put(name, get(self.shape, given, name))
            self._put("protocol", int.from_bytes(data[12:14], "little") if data[12] >= 6 else 0x0400)  # ETH_P_802_2
            self._put("pkt_type", self._packet_type(data))
            self._put("ifindex", get(self.shape, given, "ifindex") or self._ifindex)
            body = data if self.l2 else data[ETH_HLEN:]
            self._wire_length(given, len(body), bool(ctx))
            stripped = len(data) - len(body)
            meta = self._arrival.meta
            self.frame = Frame(self.memory, meta + body, meta=len(meta), headroom=64 + stripped, tailroom=XDP_TAILROOM,
                               on_move=self.moved, headers=Headers(-stripped, ETH_HLEN - stripped,
                                                                   ingress=self._arrival.ingress))
            if not self.l2:
                self.frame.head[-ETH_HLEN:] = data[:ETH_HLEN]
            self._socket(data, given)
        self.moved(self.frame)

    def _socket(self, data: bytes, given: bytes) -> None:
        """The socket that a test run makes up from the packet, whose source is local; or the one that is given."""
        family, source, target = endpoints.of_packet(data)
        if family:
            end = "ip6" if family == endpoints.AF_INET6 else "ip4"
            self._put("family", family)
            self._address(f"local_{end}", source)
            self._address(f"remote_{end}", target)
        if self._sockets is None:
            return
        if pointer := get(self.shape, given, "sk"):
            self.socket = self._sockets.at(pointer)
            for name in ("family", "local_ip4", "remote_ip4", "local_ip6", "remote_ip6"):
                self._address(name, bytes(self.shape.member(name).size))
            endpoints.describe(self.socket, endpoints.Members(self.shape, self.buffer))
        else:
            self.socket = self._sockets.begin(source, target, family=family)
        self._put("sk", self.socket.address)

    def _others(self, data: bytes) -> None:
        """A context without packet: its socket, and the bytes that it points to."""
        shape = self.shape
        has = shape.name == "bpf_sock" or any(member.name == "sk" for member in shape.members)
        if has and self._sockets is not None:
            self.socket = endpoints.attach(self._sockets, shape, self.buffer)
        if shape.name in BYTES_FIELDS:
            self.frame = Frame(self.memory, data, headroom=64, tailroom=XDP_TAILROOM, on_move=self.moved)
            self.moved(self.frame)

    def _address(self, name: str, value: bytes) -> None:
        member = self.shape.member(name)
        self.buffer[member.offset:member.end] = value

    def _wire_length(self, given: bytes, length: int, known: bool) -> None:
        """wire_len and gso_segs as convert___skb_to_skb takes them; without a context they read 0."""
        wire = get(self.shape, given, "wire_len")
        if wire and not length <= wire <= 65536:
            self._refuse(f"wire_len of a given __sk_buff must be 0 or {length} to 65536, not {wire}")
        if get(self.shape, given, "gso_segs") > 65535:
            self._refuse("gso_segs of a given __sk_buff is at most 65535")
        self._put("wire_len", (wire or length) if known else 0)

    def _put(self, name: str, value: int) -> None:
        put(self.shape, self.buffer, name, value)

    def _xdp_meta(self, data: bytes, given: bytes) -> int:
        """Length of the metadata that a given xdp_md says the data starts with (``xdp_convert_md_to_buff``)."""
        field = {member.name: get(self.shape, given, member.name) for member in self.shape.members}
        if field["data_meta"] or field["egress_ifindex"]:
            self._refuse("data_meta and egress_ifindex of a given xdp_md must be zero")
        if field["data_end"] > len(data):
            self._refuse(f"data_end of a given xdp_md is at most the data's length, {len(data)}")
        if field["data"] > field["data_end"] or field["data"] % 4 or field["data"] > 255 \
                or len(data) - field["data"] < ETH_HLEN:
            self._refuse(f"data of a given xdp_md is the length of the metadata, a multiple of 4 up to 252, not"
                         f" {field['data']}")
        if field["rx_queue_index"] and not field["ingress_ifindex"]:
            self._refuse("rx_queue_index of a given xdp_md needs an ingress_ifindex")
        return field["data"]

    def _packet_type(self, data: bytes) -> int:
        """PACKET_HOST 0, BROADCAST 1, MULTICAST 2 or OTHERHOST 3 (``eth_type_trans``), seen from the device; that of a
        test run has address zero and no broadcast address."""
        if data[0] & 1:
            return 1 if any(self._arrival.mac) and data[:6] == b"\xff" * 6 else 2
        return 0 if data[:6] == self._arrival.mac else 3

    def moved(self, frame: Frame) -> None:
        """The packet has new addresses: tell the context."""
        if self.shape.name in BYTES_FIELDS:
            for name, value in zip(BYTES_FIELDS[self.shape.name], (frame.data, frame.data_end), strict=True):
                self._put(name, value)
            if length := LENGTH_FIELDS.get(self.shape.name):
                self._put(length, frame.length)
            return
        for name, value in zip(PACKET_FIELDS, (frame.data, frame.data_end, frame.data_meta), strict=True):
            self._put(name, value)
        if not self.xdp:
            self._put("len", frame.length)

    def results(self) -> tuple[bytes, bytes]:
        """Packet and context as BPF_PROG_TEST_RUN gives them back."""
        frame, shape = self.frame, self.shape
        if not self.xdp and not self.skb:
            return frame.packet() if frame else b"", self._others_out()
        out = bytearray(self._md)
        if self.xdp:
            data = bytes(frame.window)
            for name, value in zip(PACKET_FIELDS, (frame.meta, len(data), 0), strict=True):
                put(shape, out, name, value)
        else:
            data = frame.packet() if self.l2 else bytes(ETH_HLEN) + frame.packet()
            for name in SKB_OUTPUTS:
                put(shape, out, name, get(shape, self.buffer, name))
        return data, bytes(out) if self.given else b""

    def _others_out(self) -> bytes:
        """The context without the addresses of this run."""
        out = bytearray(self.buffer)
        for name in ("sk", *BYTES_FIELDS.get(self.shape.name, ())) if self.shape else ():
            member = next((each for each in self.shape.members if each.name == name), None)
            if member:
                out[member.offset:member.end] = self._md[member.offset:member.end]
        return bytes(out)

    def close(self) -> None:
        self.memory.unmap(self.address)
        if self.frame:
            self.frame.close()
