"""The packet that a program works on: headroom, metadata, data, tailroom.

::

    hard start        data_meta      data              data_end     frame end
    +-----------------+--------------+-----------------+------------+
    | headroom        | metadata     | packet          | tailroom   |
    +-----------------+--------------+-----------------+------------+
                      |<--- mapped for programs ------>|

Only data_meta … data_end is mapped. Whatever moves an end maps the frame anew at another page, so pointers
from before fault: the verifier, too, forgets all packet pointers then.
"""

from __future__ import annotations

from dataclasses import dataclass

from .memory import PACKET_PAGES, PAGE_BITS, Memory

XDP_HEADROOM = 256        # XDP_PACKET_HEADROOM
XDP_FRAME = 40            # sizeof(struct xdp_frame), kept free at the hard start
XDP_TAILROOM = 320        # SKB_DATA_ALIGN(sizeof(struct skb_shared_info)) on x86_64


@dataclass(slots=True)
class Headers:
    """What a ``struct sk_buff`` knows of its packet beside the bytes. ``mac``, ``network`` and ``transport`` are the
    headers' offsets from the packet's start (None: not set), ``mac_len`` the length that was last noted,
    ``csum_level`` how many checksums are known to be right less one (None: CHECKSUM_NONE), ``tunnel`` the metadata
    of ``bpf_skb_set_tunnel_key``, ``ingress`` whether it is at a tc ingress hook (a test run is not)."""

    mac: int = 0
    network: int = 14
    transport: int | None = None
    mac_len: int = 0
    encapsulated: bool = False
    csum_level: int | None = None
    tunnel: object = None
    ingress: bool = False

    def shift(self, count: int) -> None:
        """The packet now starts ``count`` bytes earlier."""
        self.mac += count
        self.network += count
        self.shift_transport(count)

    def shift_transport(self, count: int) -> None:
        if self.transport is not None:
            self.transport += count


class Frame:
    """``head`` and ``tail`` are the bytes outside the window, ``window`` the mapped ones, ``meta`` the length of
    the metadata at the window's start, ``headers`` what a socket buffer knows besides. ``on_move`` is called when
    addresses changed."""

    def __init__(self, memory: Memory, data: bytes, *, meta: int = 0, headroom: int = XDP_HEADROOM,
                 tailroom: int = XDP_TAILROOM, on_move=None, headers: Headers | None = None):
        self.memory, self.meta, self.headers = memory, meta, headers
        self.head = bytearray(headroom)
        self.window = bytearray(data)
        self.tail = bytearray(tailroom)
        self._generation = 0
        self.on_move = on_move
        self.address = memory.map(self.window, "packet", PACKET_PAGES[0])

    @property
    def data_meta(self) -> int:
        return self.address

    @property
    def data(self) -> int:
        return self.address + self.meta

    @property
    def data_end(self) -> int:
        return self.address + len(self.window)

    @property
    def length(self) -> int:
        """Bytes of packet, without metadata."""
        return len(self.window) - self.meta

    def view(self) -> bytearray | memoryview:
        """The packet's bytes in place, without metadata."""
        return memoryview(self.window)[self.meta:] if self.meta else self.window

    def packet(self) -> bytes:
        return bytes(self.window[self.meta:])

    def reshape(self, start: int, end: int, meta: int, why: str) -> None:
        """Make the window start ``start`` bytes later and end ``end`` bytes later than now (either may be
        negative), with ``meta`` bytes of metadata, and map it anew. The caller has checked that there is room."""
        whole = self.head + self.window + self.tail
        first, last = len(self.head) + start, len(self.head) + len(self.window) + end
        if self.headers is not None:
            self.headers.shift(-start)
        self._settle(whole[:first], whole[first:last], whole[last:], meta, why)

    def grow(self, room: int) -> None:
        """Make at least ``room`` bytes of headroom (``skb_cow``)."""
        if room <= len(self.head):
            return
        if self.headers is not None and self.headers.transport is None:
            # skb_headers_offset_update adds to the mark of a header that is not set, and so makes it an offset
            self.headers.transport = -1 - len(self.head)
        self.head[:0] = bytes(room - len(self.head))
        self.tail[:] = bytes(len(self.tail))      # pskb_expand_head copies up to the packet's end, no further

    def insert(self, at: int, count: int, why: str) -> None:
        """``count`` zeros at offset ``at``: what is before moves towards the start (``bpf_skb_net_hdr_push``).
        The headers before it keep their offsets."""
        self.grow(count)
        body, length = self.window + self.tail, len(self.window) + count
        body[at:at] = bytes(count)
        if self.headers is not None:
            self.headers.shift_transport(count)
        self._settle(self.head[:len(self.head) - count], body[:length], body[length:], self.meta, why)

    def remove(self, at: int, count: int, why: str) -> None:
        """Take ``count`` bytes at offset ``at`` out (``bpf_skb_net_hdr_pop``)."""
        if self.headers is not None:
            self.headers.shift_transport(-count)
        self._settle(self.head + self.window[:count], self.window[:at] + self.window[at + count:], self.tail, self.meta,
                     why)

    def _settle(self, head: bytearray, window: bytearray, tail: bytearray, meta: int, why: str) -> None:
        self.head, self.window, self.tail, self.meta = head, window, tail, meta
        self.memory.unmap(self.address, f"a packet pointer from before bpf_{why}: read data and data_end again")
        self._generation += 1
        page = PACKET_PAGES[self._generation % len(PACKET_PAGES)]
        self.address = self.memory.map(self.window, "packet", page)
        if self.on_move:
            self.on_move(self)

    def close(self) -> None:
        for page in PACKET_PAGES[:self._generation + 1]:
            self.memory.unmap(page << PAGE_BITS)
