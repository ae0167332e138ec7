"""As much of rtnetlink(7) as a lab network needs: veth pairs, addresses, routes, counters.

A message is a header, a fixed part, and attributes, each padded to four bytes (include/uapi/linux/netlink.h)::

     0         4     6     8         12        16
    +---------+-----+-----+---------+---------+----------------+  +-----+-----+---------+
    | length  |type |flags| sequence|  port   | struct ifinfomsg|  | len |type | payload | …
    +---------+-----+-----+---------+---------+----------------+  +-----+-----+---------+
              nlmsghdr                                                  rtattr
"""

from __future__ import annotations

import ctypes
import errno as E
import fcntl
import ipaddress
import socket
import struct
import time

from ..errors import KernelError
from . import explain

_NEWLINK, _GETLINK, _NLMSG_ERROR = 16, 18, 2
_REQUEST, ACK, EXCL, CREATE = 0x001, 0x004, 0x200, 0x400
_IFNAME, _STATS64, _LINKINFO, _NET_NS_FD, _ADDRESS = 3, 23, 18, 28, 1
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_UP, _QDISC = 1, 6
_NEWADDR, _IFA_ADDRESS, _IFA_LOCAL, _NODAD = 20, 1, 2, 2
_NEWROUTE, _DELROUTE, _DST, _OIF, _GATEWAY, _ENCAP_TYPE, _ENCAP, NESTED = 24, 25, 1, 4, 5, 21, 22, 0x8000
_TABLE_MAIN, _PROTO_STATIC, _SCOPE_LINK, _UNICAST = 254, 4, 253, 1

#: first fields of struct rtnl_link_stats64, in order
STATS = ("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_errors", "tx_errors", "rx_dropped", "tx_dropped")

_SIOCETHTOOL, _ETHTOOL_SGRO = 0x8946, 0x2C


def attr(type_: int, payload: bytes) -> bytes:
    return struct.pack("<HH", 4 + len(payload), type_) + payload + bytes(-len(payload) % 4)


def text(type_: int, value: str) -> bytes:
    return attr(type_, value.encode() + b"\0")


def _ifinfo(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("<BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


def request(type_: int, flags: int, body: bytes, what: str) -> bytes:
    """One message to this thread's network namespace; the body of the answer. Raises KernelError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.bind((0, 0))
        netlink.send(struct.pack("<IHHII", 16 + len(body), type_, flags | _REQUEST, 1, 0) + body)
        answer = netlink.recv(1 << 16)
    length, kind = struct.unpack_from("<IH", answer)
    if kind == _NLMSG_ERROR:
        errno = -struct.unpack_from("<i", answer, 16)[0]
        if errno:
            raise explain.error("netlink", errno, where=what)
    return answer[16:length]


def _attrs(data: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at + 4 <= len(data):
        size, type_ = struct.unpack_from("<HH", data, at)
        if size < 4:
            break
        found[type_ & 0x3FFF] = data[at + 4:at + size]
        at += (size + 3) // 4 * 4
    return found


def veth(name: str, mac: bytes, peer: str, peer_mac: bytes, peer_ns: int) -> None:
    """A veth pair: ``name`` here, ``peer`` in the namespace of the fd ``peer_ns``. Both are still down."""
    other = _ifinfo() + text(_IFNAME, peer) + attr(_ADDRESS, peer_mac) + \
        attr(_NET_NS_FD, struct.pack("<i", peer_ns))
    info = text(_INFO_KIND, "veth") + attr(_INFO_DATA, attr(_VETH_PEER, other))
    request(_NEWLINK, ACK | CREATE | EXCL,
            _ifinfo() + text(_IFNAME, name) + attr(_ADDRESS, mac) + attr(_LINKINFO, info), f"veth {name}")


def up(name: str) -> None:
    request(_NEWLINK, ACK, _ifinfo(index(name), _UP, _UP), name)


def ready(name: str, seconds: float = 5.0) -> None:
    """Wait until the device takes packets.

    When a link comes up its queueing discipline is put in place by a work item (net/core/link_watch.c); until then it
    is "noop", which throws away what is sent.
    """
    until = time.monotonic() + seconds
    while _attrs(request(_GETLINK, 0, _ifinfo() + text(_IFNAME, name), name)[16:]).get(_QDISC) == b"noop\0":
        if time.monotonic() > until:
            raise KernelError(f"the device did not come up in {seconds:g} seconds", errno=E.ETIMEDOUT, call="netlink",
                              where=name)
        time.sleep(0.001)


def address(name: str, address: str) -> None:
    """Give a device an address, as ``10.77.0.1/24`` or ``fd77::1/64`` (usable at once: no duplicate detection)."""
    interface = _interface(address)
    raw = interface.ip.packed
    body = struct.pack("<BBBBI", _family(interface.ip), interface.network.prefixlen, _NODAD, 0, index(name))
    request(_NEWADDR, ACK | CREATE | EXCL, body + attr(_IFA_LOCAL, raw) + attr(_IFA_ADDRESS, raw), f"{name} {address}")


def route(to: str, name: str, via: str = "", encap: tuple[int, bytes] | None = None, add: bool = True) -> None:
    """Add (or remove) the route to a network out of a device; ``encap``: a lightweight tunnel's type and attributes."""
    network = _network(to)
    body = struct.pack("<BBBBBBBBI", _family(network.network_address), network.prefixlen, 0, 0, _TABLE_MAIN,
                       _PROTO_STATIC, 0 if via else _SCOPE_LINK, _UNICAST, 0)
    body += attr(_DST, network.network_address.packed) + attr(_OIF, struct.pack("<I", index(name)))
    if via:
        body += attr(_GATEWAY, _address(via).packed)
    if encap:
        body += attr(_ENCAP_TYPE, struct.pack("<H", encap[0])) + attr(_ENCAP | NESTED, encap[1])
    request(_NEWROUTE if add else _DELROUTE, ACK | (CREATE | EXCL if add else 0), body, f"route to {to}")


def _family(address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def _parsed(parse, value: str, what: str):
    try:
        return parse(value)
    except ValueError as error:
        raise KernelError(f"{value!r} is no {what}: {error}", errno=E.EINVAL, call="netlink") from None


def _address(value: str):
    return _parsed(ipaddress.ip_address, value, "address")


def _interface(value: str):
    return _parsed(ipaddress.ip_interface, value, "address with a prefix length, as 10.77.0.1/24")


def _network(value: str):
    return _parsed(ipaddress.ip_network, value, "network, as 10.99.0.0/24")


def stats(name: str) -> dict:
    """The device's counters (struct rtnl_link_stats64)."""
    body = request(_GETLINK, 0, _ifinfo() + text(_IFNAME, name), name)
    return dict(zip(STATS, struct.unpack_from(f"<{len(STATS)}Q", _attrs(body[16:])[_STATS64])))  # noqa: B905 (3.9)


def index(name: str) -> int:
    """The interface index. KernelError ENODEV for an unknown device."""
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        raise KernelError(f"there is no network device {name!r} here", errno=E.ENODEV, call="netlink",
                          hint="the ends of a lab network are called lab0 and lab1") from error


def gro(name: str, on: bool) -> None:
    """Generic receive offload (ETHTOOL_SGRO).

    A veth end with GRO has a NAPI poll and thereby takes frames that XDP sends or redirects to it, even when it
    runs no XDP program itself (drivers/net/veth.c, since 5.13).
    """
    # struct ifreq with a pointer to struct ethtool_value {u32 cmd; u32 data}
    value = bytearray(struct.pack("<II", _ETHTOOL_SGRO, on))
    place = (ctypes.c_char * len(value)).from_buffer(value)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            fcntl.ioctl(any_socket, _SIOCETHTOOL, struct.pack("16sQ16x", name.encode(), ctypes.addressof(place)))
        except OSError as error:
            raise explain.error("ethtool", error.errno or E.EIO, where=name) from error
