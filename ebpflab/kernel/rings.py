"""What programs send to user space, read in batches: the ring buffer, and the perf buffer of each CPU.

Both are memory that the kernel writes and we read.  A ringbuf map is two pages of counters and the data, mapped
twice in a row so that no record is cut::

    +----------+----------+=============+=============+      consumer: bytes read (ours), producer: bytes written
    | consumer | producer |    data     | data again  |      record: u32 length | busy 31 | discarded 30, u32, payload
    +----------+----------+=============+=============+      padded to 8

A perf buffer is a control page (data_head at 1024, data_tail at 1032) and the data, where a record may be cut; it
starts with ``u32 type; u16 misc; u16 size``.  A sample (9) of ours holds u64 time, u32 size, payload; a loss (2)
holds u64 id, u64 number.  A loss is written with the next sample that finds room, which may never come: from Linux 6.0
on the count is read from the event instead.

Both give the same: {"data", "offsets", "lens", "cpus", "times": bytes, "count", "lost", "discarded", "waiting",
"size"}.  Record ``i`` is ``data[offsets[i]:offsets[i] + lens[i]]``, offsets and lens being columns of u32; ``cpus``
(u16) and ``times`` (u64, CLOCK_MONOTONIC ns) are filled for perf buffers alone.  ``lost`` is what the kernel could not
write since the reading before; for a ringbuf it is None, as nobody counts that but a program that looks at the result
of bpf_ringbuf_reserve or _output.  ``waiting``: bytes not read yet.
"""

from __future__ import annotations

import errno as E
import mmap
import select
import struct
import threading
from array import array

from ..errors import KernelError
from . import perf, syscall

_BUSY, _DISCARDED, _LENGTH = 1 << 31, 1 << 30, (1 << 30) - 1
_HEAD, _TAIL = 1024, 1032
_SAMPLE, _LOST = 9, 2
_U64 = struct.Struct("<Q")


class Reader:
    """Where a reading goes on. One reader a map."""

    def __init__(self) -> None:
        self._poller = select.poll()
        self._fence = threading.Lock()

    def _ordered(self) -> None:
        """Counter first, then data: taking a lock is a barrier, which weakly ordered machines need."""
        with self._fence:
            pass

    def wait(self, seconds: float) -> bool:
        return bool(self._poller.poll(max(seconds, 0) * 1000))


class RingReader(Reader):
    """Of a ringbuf map."""

    def __init__(self, fd: int, size: int):
        super().__init__()
        page = mmap.PAGESIZE
        self.size, self._page = size, page
        self._ours = mmap.mmap(fd, page, flags=mmap.MAP_SHARED)
        self._theirs = mmap.mmap(fd, page + 2 * size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ, offset=page)
        self._poller.register(fd, select.POLLIN)

    def read(self, limit: int, seconds: float) -> dict:
        start, end = _U64.unpack_from(self._ours)[0], _U64.unpack_from(self._theirs)[0]
        if start == end and seconds and self.wait(seconds):
            end = _U64.unpack_from(self._theirs)[0]
        self._ordered()
        at = self._page + start % self.size
        # a record may be longer than the limit; one that is there is read
        region = memoryview(self._theirs)[at:at + end - start]
        try:
            taken, offsets, lens, discarded = _uniform(region[:max(limit, 16)]) or _each(region, limit)
            data = bytes(region[:taken])
        finally:
            region.release()
        self._ordered()
        _U64.pack_into(self._ours, 0, start + taken)
        return {"data": data, "offsets": offsets.tobytes(), "lens": lens.tobytes(), "cpus": b"", "times": b"",
                "count": len(lens), "lost": None, "discarded": discarded, "waiting": end - start - taken,
                "size": self.size}

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()


def _uniform(region: memoryview):
    """The fast way: every record has the same length. -> taken, offsets, lens, discarded; None if they differ."""
    if len(region) < 8:
        return 0, array("I"), array("I"), 0
    length = struct.unpack_from("<I", region)[0]
    step = (length + 15) // 8 * 8
    count = len(region) // step
    if length & (_BUSY | _DISCARDED) or not count:
        return None
    with region[:count * step].cast("I") as words, words[::step // 4] as headers:
        if headers.tobytes() != struct.pack("<I", length) * count:
            return None
    return count * step, array("I", range(8, count * step, step)), array("I", [length]) * count, 0


def _each(region: memoryview, limit: int):
    """Record by record, up to the first that is still being written."""
    at, discarded, offsets, lens = 0, 0, array("I"), array("I")
    while at + 8 <= len(region):
        header = struct.unpack_from("<I", region, at)[0]
        step = (header & _LENGTH) + 15 >> 3 << 3
        if header & _BUSY or (at and at + step > limit):
            break
        if header & _DISCARDED:
            discarded += 1
        else:
            offsets.append(at + 8)
            lens.append(header & _LENGTH)
        at += step
    return at, offsets, lens, discarded


class PerfReader(Reader):
    """Of a perf_event_array: one buffer of ``pages`` (a power of two) for each CPU that is on, put into the map."""

    def __init__(self, map, pages: int):
        super().__init__()
        if pages < 1 or pages & pages - 1:
            raise KernelError(f"a perf buffer has a power of two of pages, not {pages}", errno=E.EINVAL,
                              call="perf_event_open")
        cpus = perf.online()
        if cpus[-1] >= map.max_entries:
            raise KernelError(f"the map has {map.max_entries} entries, but CPU {cpus[-1]} is on", errno=E.EINVAL,
                              where=f"map {map.name!r}", hint=f"max_entries {cpus[-1] + 1} or more: one for each CPU")
        self._map, self.size = map, pages * mmap.PAGESIZE
        self._buffers: dict[int, tuple[syscall.Fd, mmap.mmap]] = {}
        self._lost: dict[int, int] = {}             # by CPU, what was told; empty: by the records
        try:
            for cpu in cpus:
                event, counts = perf.open_output(cpu)
                if counts:
                    self._lost[cpu] = 0
                memory = mmap.mmap(event.fd, mmap.PAGESIZE + self.size, flags=mmap.MAP_SHARED)
                self._buffers[cpu] = event, memory
                map.update(cpu.to_bytes(4, "little"), event.fd.to_bytes(4, "little"))
                self._poller.register(event.fd, select.POLLIN)
        except BaseException:
            self.close()
            raise

    def read(self, limit: int, seconds: float) -> dict:
        found = {"data": [], "at": 0, "offsets": array("I"), "lens": array("I"), "cpus": array("H"),
                 "times": array("Q"), "lost": 0, "waiting": 0}
        self._sweep(found, limit)
        if not found["lens"] and not found["lost"] and seconds and self.wait(seconds):
            self._sweep(found, limit)
        return {"data": b"".join(found["data"]), "offsets": found["offsets"].tobytes(), "lens": found["lens"].tobytes(),
                "cpus": found["cpus"].tobytes(), "times": found["times"].tobytes(), "count": len(found["lens"]),
                "lost": found["lost"], "discarded": 0, "waiting": found["waiting"],
                "size": self.size * len(self._buffers)}

    def _sweep(self, found: dict, limit: int) -> None:
        share = max(limit // len(self._buffers), 1)
        found["waiting"] = 0
        for cpu, (event, memory) in self._buffers.items():
            head, tail = (_U64.unpack_from(memory, at)[0] for at in (_HEAD, _TAIL))
            self._ordered()
            at, end = mmap.PAGESIZE + tail % self.size, mmap.PAGESIZE + self.size
            raw = memory[at:min(at + head - tail, end)]
            if len(raw) < head - tail:
                raw += memory[mmap.PAGESIZE:mmap.PAGESIZE + head - tail - len(raw)]
            taken, lost = _samples(raw, share, cpu, found)
            if cpu in self._lost:
                before, self._lost[cpu] = self._lost[cpu], perf.lost(event)
                lost = self._lost[cpu] - before
            found["lost"] += lost
            self._ordered()
            _U64.pack_into(memory, _TAIL, tail + taken)
            found["waiting"] += head - tail - taken

    def close(self) -> None:
        for cpu, (event, memory) in self._buffers.items():
            if self._map.fd >= 0:
                self._map.delete(cpu.to_bytes(4, "little"))
            memory.close()
            event.close()
        self._buffers = {}


def _samples(raw: bytes, limit: int, cpu: int, found: dict) -> tuple[int, int]:
    """Add the records of one CPU's ``raw`` bytes to ``found``, at least one, then up to ``limit``.

    -> bytes consumed, samples that the records say were lost.
    """
    at = lost = 0
    while at + 8 <= len(raw):
        kind, _, size = struct.unpack_from("<IHH", raw, at)
        if at and at + size > limit:
            break
        if kind == _SAMPLE:
            time, length = struct.unpack_from("<QI", raw, at + 8)
            found["offsets"].append(found["at"] + at + 20)
            found["lens"].append(length)
            found["cpus"].append(cpu)
            found["times"].append(time)
        elif kind == _LOST:
            lost += struct.unpack_from("<Q", raw, at + 16)[0]
        at += size
    found["data"].append(raw[:at])
    found["at"] += at
    return at, lost


def open_reader(map, pages: int = 8):
    """The reader that fits a map. KernelError for one that carries no records."""
    if map.type == 27:
        return RingReader(map.fd, map.max_entries)
    if map.type == 4:
        return PerfReader(map, pages)
    raise KernelError("this map carries no records", errno=E.EINVAL, where=f"map {map.name!r}",
                      hint="a ringbuf and a perf_event_array do")
