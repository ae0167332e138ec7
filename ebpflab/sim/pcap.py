"""Captures: pcap (libpcap's savefile) and pcapng (draft-ietf-opsawg-pcapng), read and written without a dependency.

    for packet in read("trace.pcap"): packet.data, packet.ns, packet.length
    write("out.pcapng", [packets.udp()])

A packet record of pcap, in the byte order that the file's magic tells::

    +-------------+------------------+----------------+-----------------+------ … ------+
    | seconds u32 | us or ns     u32 | captured   u32 | on the wire u32 | captured bytes |
    +-------------+------------------+----------------+-----------------+------ … ------+

A block of pcapng; the length stands at both ends and counts everything::

    +----------+------------+---- … ----+------- … -------+------------+
    | type u32 | length u32 | body      | options         | length u32 |
    +----------+------------+---- … ----+------- … -------+------------+
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import SpecError

#: magic number as the file has it -> (byte order, units of a second)
MAGIC = {b"\xd4\xc3\xb2\xa1": ("<", 10**6), b"\xa1\xb2\xc3\xd4": (">", 10**6),
         b"\x4d\x3c\xb2\xa1": ("<", 10**9), b"\xa1\xb2\x3c\x4d": (">", 10**9)}
SECTION, INTERFACE, PACKET, SIMPLE, ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6
BYTE_ORDER = 0x1A2B3C4D
ETHERNET = 1                 # LINKTYPE_ETHERNET
TSRESOL, TSOFFSET = 9, 14    # options of an interface block
SNAPLEN = 262_144            # what tcpdump takes: no packet is longer
GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Packet:
    """One captured packet: ``ns`` since 1970 (0: unknown), ``length`` on the wire, ``linktype`` (1: Ethernet)."""

    data: bytes
    ns: int = 0
    length: int = 0
    linktype: int = ETHERNET

    def __bytes__(self) -> bytes:
        return self.data

    def __len__(self) -> int:
        return len(self.data)


class _Reader:
    """Takes a file apart; every complaint names the packet and the offset."""

    def __init__(self, name: str, raw: bytes):
        self.name, self.raw, self.at, self.count, self.order = name, raw, 0, 0, "<"

    def bad(self, why: str, at: int | None = None) -> SpecError:
        place = self.at if at is None else at
        return SpecError(f"packet {self.count} at offset {place}: {why}", where=self.name,
                         hint=f"the {self.count} packets before it are whole: read(path, partial=True) gives them"
                         if self.count else "is this a capture file?")

    def take(self, size: int, what: str) -> bytes:
        found = self.raw[self.at:self.at + size]
        if len(found) < size:
            raise self.bad(f"the file ends inside {what}: {size} bytes wanted, {len(found)} left")
        self.at += size
        return found

    def numbers(self, shape: str, what: str) -> tuple[int, ...]:
        return struct.unpack(self.order + shape, self.take(struct.calcsize("<" + shape), what))

    def pcap(self) -> Iterator[Packet]:
        self.order, units = MAGIC[self.take(4, "the magic number")]
        major, minor, _, _, _, link = self.numbers("HHIIII", "the file header")
        if major != 2:
            raise self.bad(f"pcap version {major}.{minor}, only 2.x is known", 4)
        while self.at < len(self.raw):
            start = self.at
            seconds, part, captured, length = self.numbers("IIII", "a packet's header")
            if captured > SNAPLEN:
                raise self.bad(f"{captured} captured bytes, more than any capture has ({SNAPLEN})", start + 8)
            if part >= units:
                raise self.bad(f"{part} as fraction of a second, which has {units} parts", start + 4)
            data = self.take(captured, "a packet's bytes")
            yield Packet(data, seconds * 10**9 + part * (10**9 // units), length, link & 0x0FFF_FFFF)
            self.count += 1

    def pcapng(self) -> Iterator[Packet]:
        interfaces: list[tuple[int, int, int, int]] = []    # link type, units of a second, offset s, snap length
        while self.at < len(self.raw):
            start = self.at
            if self.raw[start:start + 4] == SECTION.to_bytes(4, "big"):
                interfaces = []
                self._section()
            kind, total = self.numbers("II", "a block's header")
            if total < 12 or total % 4:
                raise self.bad(f"a block of {total} bytes: it has at least 12, a multiple of 4", start + 4)
            body = self.take(total - 12, "a block")
            again, = self.numbers("I", "a block's second length")
            if again != total:
                raise self.bad(f"a block's lengths differ: {total} before it, {again} after it", self.at - 4)
            try:
                if kind == INTERFACE:
                    interfaces.append(self._interface(body))
                    continue
                found = self._packet(kind, body, interfaces, start)
            except struct.error:
                raise self.bad(f"a block of type {kind} is too short for its fields", start) from None
            if found is not None:
                yield found
                self.count += 1

    def _section(self) -> None:
        """Sets the byte order; the block itself is read as any other."""
        magic = self.raw[self.at + 8:self.at + 12]
        orders = {BYTE_ORDER.to_bytes(4, "little"): "<", BYTE_ORDER.to_bytes(4, "big"): ">"}
        if magic not in orders:
            raise self.bad(f"{magic.hex() or 'nothing'} where a section's byte-order magic belongs", self.at + 8)
        self.order = orders[magic]

    def _interface(self, body: bytes) -> tuple[int, int, int, int]:
        link, _, snap = struct.unpack_from(self.order + "HHI", body)
        units, offset, at = 10**6, 0, 8
        while at + 4 <= len(body):
            option, size = struct.unpack_from(self.order + "HH", body, at)
            value = body[at + 4:at + 4 + size]
            if option == 0:
                break
            if option == TSRESOL and size == 1:
                units = 1 << (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
            elif option == TSOFFSET and size == 8:
                offset, = struct.unpack(self.order + "q", value)
            at += 4 + size + -size % 4
        return link, units, offset, snap

    def _packet(self, kind: int, body: bytes, interfaces: list, start: int) -> Packet | None:
        if kind == ENHANCED:
            number, high, low, captured, length = struct.unpack_from(self.order + "IIIII", body)
            at = 20
        elif kind == PACKET:
            number, _, high, low, captured, length = struct.unpack_from(self.order + "HHIIII", body)
            at = 20
        elif kind == SIMPLE:
            length, = struct.unpack_from(self.order + "I", body)
            number, high, low, at = 0, 0, 0, 4
            captured = min(length, interfaces[0][3] or length) if interfaces else length
        else:
            return None      # names, statistics, keys, and what others invented
        if number >= len(interfaces):
            raise self.bad(f"it came in on interface {number}, the section has {len(interfaces)}", start)
        if captured > len(body) - at:
            raise self.bad(f"{captured} captured bytes, the block has room for {len(body) - at}", start)
        link, units, offset, _ = interfaces[number]
        ticks = high << 32 | low
        ns = 0 if kind == SIMPLE else ticks * 10**9 // units + offset * 10**9
        return Packet(body[at:at + captured], ns, length, link)


def read(path: str | os.PathLike, *, partial: bool = False) -> list[Packet]:
    """All packets of a pcap or pcapng file.

    Raises SpecError for a corrupt file, naming packet (from 0) and byte offset; with ``partial`` the whole packets
    before that place are given instead.
    """
    name = os.fspath(path)
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise SpecError(f"cannot read the capture: {error.strerror}", where=str(name)) from None
    return parse(raw, str(name), partial=partial)


def parse(raw: bytes, name: str = "<bytes>", *, partial: bool = False) -> list[Packet]:
    """``read`` for bytes that are at hand."""
    reader = _Reader(name, raw)
    if raw[:4] in MAGIC:
        records = reader.pcap()
    elif raw[:4] == SECTION.to_bytes(4, "big"):
        records = reader.pcapng()
    else:
        hint = "it is compressed: gunzip it first" if raw[:2] == GZIP else "pcap and pcapng are read"
        raise SpecError(f"packet 0 at offset 0: {raw[:4].hex() or 'an empty file'} begins no capture file", where=name,
                        hint=hint)
    found: list[Packet] = []
    try:
        for one in records:
            found.append(one)
    except SpecError:
        if not partial or not found:
            raise
    return found


def write(path: str | os.PathLike, packets: Iterable, *, format: str = "", linktype: int = ETHERNET) -> int:
    """Write packets (``Packet``, bytes, or anything with ``bytes(packet)``); how many.

    ``format``: ``pcap`` (times in ns) or ``pcapng``; by default what the name ends in, else pcap.
    """
    format = format or ("pcapng" if os.fspath(path).endswith(".pcapng") else "pcap")
    if format not in ("pcap", "pcapng"):
        raise SpecError(f"capture format {format!r}", hint="pcap or pcapng")
    whole = [one if isinstance(one, Packet) else Packet(bytes(one), 0, 0, linktype) for one in packets]
    try:
        Path(path).write_bytes(render(whole, format))
    except OSError as error:
        raise SpecError(f"cannot write the capture: {error.strerror}", where=os.fspath(path)) from None
    return len(whole)


def render(packets: list[Packet], format: str = "pcap") -> bytes:
    """The file's bytes. pcap holds one link type; several raise SpecError."""
    links = sorted({one.linktype for one in packets}) or [ETHERNET]
    for at, one in enumerate(packets):
        if len(one.data) > SNAPLEN:
            raise SpecError(f"packet {at} has {len(one.data)} bytes, a capture holds {SNAPLEN}")
    if format == "pcap":
        if len(links) > 1:
            raise SpecError(f"pcap holds one link type, these packets have {links}", hint="write pcapng")
        head = struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, SNAPLEN, links[0])
        return head + b"".join([struct.pack("<IIII", *divmod(one.ns, 10**9), len(one.data), one.length or len(one.data))
                                + one.data for one in packets])
    head = _block(SECTION, struct.pack("<IHHq", BYTE_ORDER, 1, 0, -1))
    resolution = struct.pack("<HHB3xHH", TSRESOL, 1, 9, 0, 0)
    head += b"".join([_block(INTERFACE, struct.pack("<HHI", link, 0, SNAPLEN) + resolution) for link in links])
    return head + b"".join([
        _block(ENHANCED, struct.pack("<IIIII", links.index(one.linktype), one.ns >> 32, one.ns & 0xFFFF_FFFF,
                                     len(one.data), one.length or len(one.data)) + one.data + bytes(-len(one.data) % 4))
        for one in packets])


def _block(kind: int, body: bytes) -> bytes:
    total = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + total + body + total
