"""Dynamic pointers (``kernel/bpf/helpers.c``, ``ringbuf.c``): the 16 bytes on the stack are all that there is.

::

    struct bpf_dynptr_kern { void *data; u32 size; u32 offset; }     # size: bit 31 read-only, bits 28-30 the type

A dynptr whose ``data`` is 0 is none; every helper takes it and says so.
"""

from __future__ import annotations

import errno
from typing import NamedTuple

from ..maps import RingBuffer, UserRingBuffer
from .maps import a_map, finish_record
from .registry import helper

SIZE = 16
MAX_SIZE = (1 << 24) - 1           # DYNPTR_MAX_SIZE
TYPE_SHIFT, READ_ONLY = 28, 1 << 31
LOCAL, RINGBUF = 1, 2              # enum bpf_dynptr_type
U32 = 0xFFFF_FFFF
MOST_SAMPLES = 128 * 1024          # BPF_MAX_USER_RINGBUF_SAMPLES


class Dynptr(NamedTuple):
    """What a dynptr in memory says."""

    data: int
    size: int
    offset: int
    readonly: bool

    def reaches(self, offset: int, length: int) -> bool:
        """Are ``length`` bytes at ``offset`` inside?"""
        return length <= self.size and offset <= self.size - length


def load(run, address: int) -> Dynptr:
    size = run.memory.load(address + 8, 4)
    return Dynptr(run.memory.load(address, 8), size & MAX_SIZE, run.memory.load(address + 12, 4),
                  bool(size & READ_ONLY))


def store(run, address: int, data: int = 0, size: int = 0, kind: int = 0) -> None:
    """Make a dynptr at ``address``; without ``data`` a null one."""
    run.memory.write(address, data.to_bytes(8, "little") + (size | kind << TYPE_SHIFT).to_bytes(4, "little") + bytes(4))


@helper()
def dynptr_from_mem(run, data, size, flags, pointer):
    size &= U32
    store(run, pointer)
    if size > MAX_SIZE:
        return -errno.E2BIG
    if flags:
        return -errno.EINVAL
    store(run, pointer, data, size, LOCAL)
    return 0


@helper()
def dynptr_read(run, target, length, source, offset, flags):
    found, length, offset = load(run, source), length & U32, offset & U32
    if not found.data or flags:
        return -errno.EINVAL
    if not found.reaches(offset, length):
        return -errno.E2BIG
    run.memory.write(target, run.memory.read(found.data + found.offset + offset, length))
    return 0


@helper()
def dynptr_write(run, target, offset, source, length, flags):
    found, length, offset = load(run, target), length & U32, offset & U32
    if not found.data or found.readonly:
        return -errno.EINVAL
    if not found.reaches(offset, length):
        return -errno.E2BIG
    if flags:
        return -errno.EINVAL
    run.memory.write(found.data + found.offset + offset, run.memory.read(source, length))
    return 0


@helper()
def dynptr_data(run, pointer, offset, length):
    found, length, offset = load(run, pointer), length & U32, offset & U32
    if not found.data or found.readonly or not found.reaches(offset, length):
        return 0
    return found.data + found.offset + offset


@helper()
def ringbuf_reserve_dynptr(run, map_, size, flags, pointer):
    size &= U32
    store(run, pointer)
    if flags:
        return -errno.EINVAL
    if size > MAX_SIZE:
        return -errno.E2BIG
    sample = a_map(run, map_, RingBuffer, "ringbuf_reserve_dynptr").reserve(size, run.cpu, run.machine.clock.read())
    if not sample:
        return -errno.EINVAL
    store(run, pointer, sample, size, RINGBUF)
    return 0


def _finish(run, pointer: int, state: str) -> int:
    found = load(run, pointer)
    if found.data:
        finish_record(run, found.data, state)
        store(run, pointer)
    return 0


@helper()
def ringbuf_submit_dynptr(run, pointer, flags):
    return _finish(run, pointer, "submitted")


@helper()
def ringbuf_discard_dynptr(run, pointer, flags):
    return _finish(run, pointer, "discarded")


@helper(calls_back=True)
def user_ringbuf_drain(run, map_, callback, ctx, flags):
    """Calls ``callback(dynptr, ctx)`` for every record until it gives 1; how many."""
    ring = a_map(run, map_, UserRingBuffer, "user_ringbuf_drain")
    if flags & ~3:   # BPF_RB_NO_WAKEUP, BPF_RB_FORCE_WAKEUP
        return -errno.EINVAL
    if ring.busy:
        return -errno.EBUSY
    pointer = run.memory.map(bytearray(SIZE), f"the dynptr of a record of {ring.spec.name}")
    ring.busy, count = True, 0
    try:
        while count < MOST_SAMPLES and (data := ring.take()) is not None:
            count += 1
            sample = run.memory.map(bytearray(data), f"a record of {ring.spec.name}")
            store(run, pointer, sample, len(data), LOCAL)
            stop = run.call(callback, pointer, ctx)
            run.memory.retire(sample)
            if stop:
                break
    finally:
        ring.busy = False
        run.memory.retire(pointer)
    return count
