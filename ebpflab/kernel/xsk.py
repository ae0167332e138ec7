"""AF_XDP: frames straight between a device's queue and this process (since 4.18), in copy mode on any device.

The memory shared with the kernel (UMEM) is cut into chunks of one frame; four rings of descriptors pass them on::

                    fill ──► kernel ──► rx          we give empty chunks, get full ones
              completion ◄── kernel ◄── tx          we give full ones, get them back

A ring is two counters, that of the producer and that of the consumer, and a table of a power of two entries.
"""

from __future__ import annotations

import ctypes
import errno as E
import mmap
import select
import socket
import struct

from ..errors import KernelError
from . import explain, rtnetlink, syscall

AF_XDP, _SOL_XDP = 44, 283
_OFFSETS, _RX, _TX, _REG, _FILL, _COMPLETION, _STATISTICS = 1, 2, 3, 4, 5, 6, 7
#: where each ring is mapped (XDP_PGOFF_*, XDP_UMEM_PGOFF_*)
_PAGE = {"rx": 0, "tx": 0x8000_0000, "fill": 0x1_0000_0000, "completion": 0x1_8000_0000}
_COPY, _NEED_WAKEUP = 1 << 1, 1 << 3
_CHUNK = 4096                                    # with 256 bytes of headroom: enough for any frame of a veth


class _Ring:
    """One ring; ``fields`` are the offsets that XDP_MMAP_OFFSETS gives: producer, consumer, descriptors, flags."""

    def __init__(self, fd: int, page: int, fields: tuple, size: int, entry: str):
        producer, consumer, table, _ = fields
        self.size, self._entry = size, struct.Struct(entry)
        self._memory = mmap.mmap(fd, table + size * self._entry.size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE,
                                 offset=page)
        self._table = table
        self._producer, self._consumer = (ctypes.c_uint32.from_buffer(self._memory, at) for at in (producer, consumer))

    def put(self, entries: list[tuple]) -> int:
        """As many as there is room for; the number."""
        at = self._producer.value
        room = self.size - (at - self._consumer.value & 0xFFFF_FFFF)
        for number, entry in enumerate(entries[:room]):
            self._entry.pack_into(self._memory, self._table + (at + number & self.size - 1) * self._entry.size, *entry)
        self._producer.value = at + min(room, len(entries)) & 0xFFFF_FFFF
        return min(room, len(entries))

    def take(self, limit: int) -> list[tuple]:
        at = self._consumer.value
        count = min(self._producer.value - at & 0xFFFF_FFFF, limit)
        return [self._entry.unpack_from(self._memory, self._table + (at + n & self.size - 1) * self._entry.size)
                for n in range(count)]

    def release(self, count: int) -> None:
        self._consumer.value = self._consumer.value + count & 0xFFFF_FFFF

    def close(self) -> None:
        self._producer = self._consumer = None
        self._memory.close()


class Xsk(syscall.Fd):
    """An AF_XDP socket bound to ``queue`` of ``device`` in this thread's namespace, half of its chunks for each way."""

    id = 0

    def __init__(self, device: str, queue: int = 0, frames: int = 256):
        if frames < 2 or frames & frames - 1 or frames > 1 << 16:
            raise KernelError(f"frames is a power of two up to 65536, not {frames}", errno=E.EINVAL, call="AF_XDP")
        try:
            self._socket = socket.socket(AF_XDP, socket.SOCK_RAW, 0)
        except OSError as error:
            raise explain.error("AF_XDP", error.errno or 0, hint="a kernel with CONFIG_XDP_SOCKETS (4.18 or later)"
                                if error.errno == E.EAFNOSUPPORT else "") from error
        super().__init__(-1)
        self.fd = self._socket.fileno()
        self._rings: dict[str, _Ring] = {}
        try:
            self._set_up(rtnetlink.index(device), queue, frames)
        except OSError as error:
            self.close()
            raise explain.error("AF_XDP", error.errno or 0, where=f"{device} queue {queue}") from error
        except BaseException:
            self.close()
            raise

    def _set_up(self, index: int, queue: int, frames: int) -> None:
        self._umem = mmap.mmap(-1, frames * _CHUNK)
        half = frames // 2
        place = ctypes.addressof(ctypes.c_char.from_buffer(self._umem))
        # struct xdp_umem_reg { u64 addr, len; u32 chunk_size, headroom, flags, … }
        self._socket.setsockopt(_SOL_XDP, _REG, struct.pack("<QQIIII", place, frames * _CHUNK, _CHUNK, 0, 0, 0))
        for option in (_RX, _TX, _FILL, _COMPLETION):
            self._socket.setsockopt(_SOL_XDP, option, struct.pack("<I", half))
        told = self._socket.getsockopt(_SOL_XDP, _OFFSETS, 128)
        offsets = dict(zip(("rx", "tx", "fill", "completion"),   # noqa: B905 (3.9)
                           (struct.unpack_from("<4Q", told, at) for at in range(0, 128, 32))))
        for name, page in _PAGE.items():
            self._rings[name] = _Ring(self.fd, page, offsets[name], half, "<Q" if name in ("fill", "completion")
                                      else "<QII")
        self._rings["fill"].put([(chunk * _CHUNK,) for chunk in range(half)])
        self._free = [chunk * _CHUNK for chunk in range(half, frames)]
        # struct sockaddr_xdp { u16 family, flags; u32 ifindex, queue_id, shared_umem_fd }
        address = struct.pack("<HHIII", AF_XDP, _COPY | _NEED_WAKEUP, index, queue, 0)
        syscall.libc("bind", self.fd, ctypes.create_string_buffer(address, len(address)), len(address))

    def receive(self, limit: int, seconds: float) -> dict:
        rx, fill = self._rings["rx"], self._rings["fill"]
        poller = select.poll()
        poller.register(self.fd, select.POLLIN)
        poller.poll(seconds * 1000)              # also wakes a kernel that waits for the fill ring
        entries = rx.take(limit)
        frames = [self._umem[address:address + length] for address, length, _ in entries]
        rx.release(len(entries))
        fill.put([(address & ~(_CHUNK - 1),) for address, _, _ in entries])
        # struct xdp_statistics { u64 rx_dropped, rx_invalid_descs, tx_invalid_descs, rx_ring_full, … }
        told = self._socket.getsockopt(_SOL_XDP, _STATISTICS, 48)
        counts = struct.unpack(f"<{len(told) // 8}Q", told)
        return {"frames": frames, "dropped": counts[0] + sum(counts[3:5]), "invalid": counts[1] + counts[2]}

    def send(self, frames: list[bytes]) -> int:
        """Offer frames and have the kernel send them; those it has no chunk for are not taken."""
        done = self._rings["completion"].take(1 << 16)
        self._rings["completion"].release(len(done))
        self._free += [address for (address,) in done]
        entries = []
        for frame in frames[:len(self._free)]:
            if len(frame) > _CHUNK:
                raise KernelError(f"a frame has {len(frame)} bytes, a chunk {_CHUNK}", errno=E.EMSGSIZE, call="AF_XDP")
            address = self._free.pop()
            self._umem[address:address + len(frame)] = frame
            entries.append((address, len(frame), 0))
        put = self._rings["tx"].put(entries)
        self._free += [address for address, _, _ in entries[put:]]
        if put:
            syscall.libc("sendto", self.fd, None, 0, socket.MSG_DONTWAIT, None, 0)   # an address here is refused
        return put

    def close(self) -> None:
        for ring in getattr(self, "_rings", {}).values():
            ring.close()
        self._rings = {}
        self.fd = -1
        self._socket.close()

    __del__ = close
