"""Buffers that carry events to user space: ringbuf and perf_event_array. Both count what they lose."""

from __future__ import annotations

import errno
from collections import deque
from typing import NamedTuple

from .arrays import References
from .base import SimMap, round_up

PAGE_SIZE = 4096
HEADER = 8                    # BPF_RINGBUF_HDR_SZ
MAX_RECORD = 0xFFFF_FFFF // 4   # RINGBUF_MAX_RECORD_SZ
F_INDEX_MASK = 0xFFFF_FFFF
F_CURRENT_CPU = 0xFFFF_FFFF
# bpf_ringbuf_query
AVAIL_DATA, RING_SIZE, CONS_POS, PROD_POS, OVERWRITE_POS = range(5)


class Event(NamedTuple):
    """One record: ``time`` is the simulated clock in ns."""

    cpu: int
    time: int
    data: bytes


class _Record:
    __slots__ = ("address", "buffer", "cpu", "size", "state", "time")

    def __init__(self, buffer: bytearray, address: int, size: int, cpu: int, time: int):
        self.buffer, self.address, self.size, self.cpu, self.time = buffer, address, size, cpu, time
        self.state = "busy"


class RingBuffer(SimMap):
    """ringbuf (``kernel/bpf/ringbuf.c``): one buffer for all CPUs, records in the order they were reserved.

    ``consume`` gives what was submitted up to the first record still reserved, and frees its room.
    """

    def __init__(self, spec, memory, cpus):
        super().__init__(spec, memory, cpus)
        self.records: deque[_Record] = deque()
        self.reserved: dict[int, _Record] = {}
        self.produced = self.consumed = 0

    def reserve(self, size: int, cpu: int, time: int) -> int:
        """Address of ``size`` bytes, 0 if there is no room (counted as lost)."""
        length = round_up(size + HEADER)
        if size > MAX_RECORD or length > self.spec.max_entries:
            return 0
        if self.produced + length - self.consumed > self.spec.max_entries - 1:
            self.lost += 1
            return 0
        buffer = bytearray(size)
        address = self.memory.map(buffer, f"the reserved record of {self.spec.name}")
        record = _Record(buffer, address, size, cpu, time)
        self.records.append(record)
        self.reserved[address] = record
        self.produced += length
        return address

    def finish(self, address: int, state: str) -> bool:
        """Submit or discard; False if nothing is reserved at ``address``."""
        record = self.reserved.pop(address, None)
        if record is None:
            return False
        record.state = state
        self.memory.unmap(address, f"a record of {self.spec.name} that was already submitted or discarded")
        self.memory.retire(address)
        return True

    def output(self, data: bytes, cpu: int, time: int) -> int:
        address = self.reserve(len(data), cpu, time)
        if not address:
            return -errno.EAGAIN
        self.reserved[address].buffer[:] = data
        self.finish(address, "submitted")
        return 0

    def query(self, what: int) -> int:
        if what == AVAIL_DATA:
            return self.produced - self.consumed
        return {RING_SIZE: self.spec.max_entries, CONS_POS: self.consumed, PROD_POS: self.produced}.get(what, 0)

    def consume(self) -> list[Event]:
        """All finished records, oldest first; discarded ones are skipped."""
        found = []
        while self.records and self.records[0].state != "busy":
            record = self.records.popleft()
            self.consumed += round_up(record.size + HEADER)
            if record.state == "submitted":
                found.append(Event(record.cpu, record.time, bytes(record.buffer)))
        return found


class UserRingBuffer(SimMap):
    """user_ringbuf: user space ``submit``s, a program takes by bpf_user_ringbuf_drain."""

    def __init__(self, spec, memory, cpus):
        super().__init__(spec, memory, cpus)
        self.records: deque[bytes] = deque()
        self.used = 0
        self.busy = False      # a program drains it

    def submit(self, data: bytes) -> None:
        """Add a record (``user_ring_buffer__reserve`` and ``__submit``). Raises KernelError ENOSPC."""
        length = round_up(len(data) + HEADER)
        if self.used + length > self.spec.max_entries:
            raise self.error(errno.ENOSPC, "user_ring_buffer__reserve")
        self.records.append(bytes(data))
        self.used += length

    def take(self) -> bytes | None:
        """The oldest record, None if there is none."""
        if not self.records:
            return None
        data = self.records.popleft()
        self.used -= round_up(len(data) + HEADER)
        return data


class PerfEventArray(References):
    """perf_event_array as the target of bpf_perf_event_output: a buffer a CPU, all open from the start."""

    CAPACITY = 64 * PAGE_SIZE

    def __init__(self, spec, memory, cpus):
        super().__init__(spec, memory, cpus)
        self.buffers: list[deque[Event]] = [deque() for _ in range(cpus)]
        self.used = [0] * cpus

    def output(self, data: bytes, flags: int, cpu: int, time: int) -> int:
        index = flags & F_INDEX_MASK
        if index == F_CURRENT_CPU:
            index = cpu
        if index >= self.spec.max_entries:
            return -errno.E2BIG
        if index >= self.cpus:
            return -errno.ENOENT
        if index != cpu:
            return -errno.EOPNOTSUPP
        size = round_up(len(data) + 12)   # perf_event_header and the length of the raw sample
        if self.used[cpu] + size > self.CAPACITY:
            self.lost += 1
            return -errno.ENOSPC
        self.used[cpu] += size
        self.buffers[cpu].append(Event(cpu, time, bytes(data)))
        return 0

    def consume(self) -> list[Event]:
        """All records, by time."""
        found = sorted((event for buffer in self.buffers for event in buffer), key=lambda event: event.time)
        for cpu, buffer in enumerate(self.buffers):
            buffer.clear()
            self.used[cpu] = 0
        return found
