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

from .memory import PACKET_PAGES, PAGE_BITS, Memory

XDP_HEADROOM = 256        # XDP_PACKET_HEADROOM
XDP_FRAME = 40            # sizeof(struct xdp_frame), kept free at the hard start
XDP_TAILROOM = 320        # SKB_DATA_ALIGN(sizeof(struct skb_shared_info)) on x86_64


class Frame:
    """``head`` and ``tail`` are the bytes outside the window, ``window`` the mapped ones, ``meta`` the length of
    the metadata at the window's start. ``on_move`` is called when addresses changed."""

    def __init__(self, memory: Memory, data: bytes, *, meta: int = 0, headroom: int = XDP_HEADROOM,
                 tailroom: int = XDP_TAILROOM, on_move=None):
        self.memory, self.meta = memory, meta
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
        self.head, self.window, self.tail = whole[:first], whole[first:last], whole[last:]
        self.meta = meta
        self.memory.unmap(self.address, f"a packet pointer from before bpf_{why}: read data and data_end again")
        self._generation += 1
        page = PACKET_PAGES[self._generation % len(PACKET_PAGES)]
        self.address = self.memory.map(self.window, "packet", page)
        if self.on_move:
            self.on_move(self)

    def close(self) -> None:
        for page in PACKET_PAGES[:self._generation + 1]:
            self.memory.unmap(page << PAGE_BITS)
