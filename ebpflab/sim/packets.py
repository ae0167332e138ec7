"""Frames with right lengths and checksums, for runs, tests and notebooks.

    udp(), tcp(dport=80, flags="S"), icmp(), udp(src="fd00::1", dst="fd00::2"), vlan(udp(), 5), arp()

All give bytes. Whatever has ``bytes(packet)`` (scapy's packets, for instance) does as well everywhere.
"""

from __future__ import annotations

import ipaddress
import struct

from ..errors import SpecError

SRC_MAC, DST_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
SRC, DST = "10.0.0.1", "10.0.0.2"
ETH_IPV4, ETH_ARP, ETH_VLAN, ETH_IPV6 = 0x0800, 0x0806, 0x8100, 0x86DD
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
TCP_FLAGS = "FSRPAUEC"     # bit 0 is FIN, as tcpdump writes them

_Address = str | int | ipaddress.IPv4Address | ipaddress.IPv6Address


def mac(text: str | bytes) -> bytes:
    """Six bytes of ``02:00:00:00:00:01``."""
    if isinstance(text, bytes) and len(text) == 6:
        return text
    try:
        found = bytes.fromhex(str(text).replace(":", "").replace("-", ""))
    except ValueError:
        found = b""
    if len(found) != 6:
        raise SpecError(f"{text!r} is no MAC address", hint="as 02:00:00:00:00:01")
    return found


def _ip(address: _Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        raise SpecError(f"{address!r} is no IP address", hint="as 10.0.0.1 or fd00::1") from None


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) as a number in network order."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ethernet(payload: bytes, ethertype: int, *, src: str | bytes = SRC_MAC, dst: str | bytes = DST_MAC) -> bytes:
    return mac(dst) + mac(src) + struct.pack(">H", ethertype) + bytes(payload)


def vlan(frame: bytes, number: int, *, priority: int = 0, ethertype: int = ETH_VLAN) -> bytes:
    """The frame with an 802.1Q tag; once more for QinQ."""
    if not 0 <= number < 4096 or not 0 <= priority < 8:
        raise SpecError(f"VLAN {number}, priority {priority}: a VLAN is 0 to 4095, a priority 0 to 7")
    return frame[:12] + struct.pack(">HH", ethertype, priority << 13 | number) + frame[12:]


def ipv4(payload: bytes, protocol: int, *, src: _Address = SRC, dst: _Address = DST, ttl: int = 64, tos: int = 0,
         ident: int = 0, flags: int = 2, fragment: int = 0, options: bytes = b"") -> bytes:
    """An IPv4 packet without link header. ``flags`` 2 is don't-fragment, ``fragment`` the offset in 8 bytes."""
    options += b"\0" * (-len(options) % 4)
    words = 5 + len(options) // 4
    if words > 15:
        raise SpecError(f"{len(options)} bytes of IPv4 options, at most 40 fit")
    head = struct.pack(">BBHHHBBH4s4s", 0x40 | words, tos, words * 4 + len(payload), ident, flags << 13 | fragment, ttl,
                       protocol, 0, _ip(src).packed, _ip(dst).packed) + options
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def ipv6(payload: bytes, protocol: int, *, src: _Address, dst: _Address, ttl: int = 64, tos: int = 0,
         flow: int = 0) -> bytes:
    """An IPv6 packet without link header; ``ttl`` is the hop limit."""
    return struct.pack(">IHBB16s16s", 6 << 28 | tos << 20 | flow, len(payload), protocol, ttl, _ip(src).packed,
                       _ip(dst).packed) + payload


def _network(segment: bytes, at: int, protocol: int, src: _Address, dst: _Address, eth: dict, options: dict) -> bytes:
    """Put ``segment`` into IP and Ethernet, its checksum at ``at`` made over the pseudo header."""
    one, other = _ip(src), _ip(dst)
    if one.version != other.version:
        raise SpecError(f"source {one} and destination {other} are not of one IP version")
    length = struct.pack(">IHBB" if one.version == 6 else ">HBB", *((len(segment), 0, 0, protocol)
                         if one.version == 6 else (len(segment), 0, protocol)))
    pseudo = one.packed + other.packed + length
    if protocol == ICMP:
        pseudo = b""
    total = checksum(pseudo + segment)
    if protocol == UDP and total == 0:
        total = 0xFFFF
    segment = segment[:at] + struct.pack(">H", total) + segment[at + 2:]
    if one.version == 6:
        return ethernet(ipv6(segment, protocol, src=one, dst=other, **options), ETH_IPV6, **eth)
    return ethernet(ipv4(segment, protocol, src=one, dst=other, **options), ETH_IPV4, **eth)


def _eth(src_mac, dst_mac) -> dict:
    return {"src": src_mac, "dst": dst_mac}


def udp(payload: bytes = b"", *, src: _Address = SRC, dst: _Address = DST, sport: int = 1234, dport: int = 5678,
        src_mac: str | bytes = SRC_MAC, dst_mac: str | bytes = DST_MAC, **ip) -> bytes:
    """An Ethernet frame with UDP over IPv4 or IPv6 (by the addresses). ``ip``: ttl, tos, and the rest of ipv4()."""
    segment = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + bytes(payload)
    return _network(segment, 6, UDP, src, dst, _eth(src_mac, dst_mac), ip)


def tcp(payload: bytes = b"", *, src: _Address = SRC, dst: _Address = DST, sport: int = 1234, dport: int = 80,
        flags: str = "S", seq: int = 0, ack: int = 0, window: int = 65535, options: bytes = b"",
        src_mac: str | bytes = SRC_MAC, dst_mac: str | bytes = DST_MAC, **ip) -> bytes:
    """An Ethernet frame with TCP; ``flags`` out of F S R P A U E C."""
    wrong = set(flags) - set(TCP_FLAGS)
    if wrong:
        raise SpecError(f"TCP flag {sorted(wrong)[0]!r}", hint=f"flags are {' '.join(TCP_FLAGS)}, as flags='SA'")
    options += b"\0" * (-len(options) % 4)
    bits = sum(1 << TCP_FLAGS.index(flag) for flag in set(flags))
    segment = struct.pack(">HHIIBBHHH", sport, dport, seq, ack, (5 + len(options) // 4) << 4, bits, window, 0,
                          0) + options + bytes(payload)
    return _network(segment, 16, TCP, src, dst, _eth(src_mac, dst_mac), ip)


def icmp(payload: bytes = b"", *, type: int | None = None, code: int = 0, ident: int = 1, seq: int = 1,
         src: _Address = SRC, dst: _Address = DST, src_mac: str | bytes = SRC_MAC, dst_mac: str | bytes = DST_MAC,
         **ip) -> bytes:
    """An Ethernet frame with an ICMP echo request, ICMPv6 for IPv6 addresses; ``type`` for other messages."""
    version = _ip(src).version
    kind = type if type is not None else (128 if version == 6 else 8)
    segment = struct.pack(">BBHHH", kind, code, 0, ident, seq) + bytes(payload)
    return _network(segment, 2, ICMPV6 if version == 6 else ICMP, src, dst, _eth(src_mac, dst_mac), ip)


def arp(*, src: _Address = SRC, dst: _Address = DST, src_mac: str | bytes = SRC_MAC, reply: bool = False,
        dst_mac: str | bytes = "ff:ff:ff:ff:ff:ff") -> bytes:
    """An Ethernet frame with an ARP request (or reply) for IPv4."""
    asked = mac(dst_mac) if reply else bytes(6)
    body = struct.pack(">HHBBH6s4s6s4s", 1, ETH_IPV4, 6, 4, 2 if reply else 1, mac(src_mac), _ip(src).packed, asked,
                       _ip(dst).packed)
    return ethernet(body, ETH_ARP, src=src_mac, dst=dst_mac)
