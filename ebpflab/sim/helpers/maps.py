"""Helpers on maps, ring buffers and perf buffers."""

from __future__ import annotations

import errno

from ...errors import Fault
from ..maps import Array, Bloom, Hash, PerfEventArray, Queue, RingBuffer
from .registry import helper


def a_map(run, address: int, kind: type, what: str):
    """The map that a pointer names, which has to be of a kind. Raises Fault."""
    found = run.map(address)
    if not isinstance(found, kind):
        raise Fault(f"{what} does not work on {found.spec.name}, a {found.spec.type} map")
    return found


@helper()
def map_lookup_elem(run, map_, key):
    found = run.map(map_)
    return found.pointer(run.memory.read(key, found.spec.key_size), run.cpu)


@helper()
def map_update_elem(run, map_, key, value, flags):
    found = run.map(map_)
    return found.store(run.memory.read(key, found.spec.key_size), found.incoming(value), flags, run.cpu)


@helper()
def map_delete_elem(run, map_, key):
    found = run.map(map_)
    return found.erase(run.memory.read(key, found.spec.key_size))


@helper()
def map_lookup_percpu_elem(run, map_, key, cpu):
    found = run.map(map_)
    if not found.per_cpu:
        raise Fault(f"map_lookup_percpu_elem does not work on {found.spec.name}, a {found.spec.type} map")
    cpu &= 0xFFFF_FFFF
    return found.pointer(run.memory.read(key, found.spec.key_size), cpu) if cpu < run.machine.cpus else 0


@helper()
def map_push_elem(run, map_, value, flags):
    found = run.map(map_)
    return found.push(run.memory.read(value, found.spec.value_size), flags)


def _take(run, map_, value, take) -> int:
    found = run.map(map_)
    got = take(found)
    if isinstance(got, int):
        if isinstance(found, Queue):
            run.memory.write(value, bytes(found.spec.value_size))   # as the kernel: no old bytes remain
        return got
    run.memory.write(value, got)
    return 0


@helper()
def map_pop_elem(run, map_, value):
    return _take(run, map_, value, lambda found: found.pop())


@helper()
def map_peek_elem(run, map_, value):
    found = run.map(map_)
    if isinstance(found, Bloom):
        return 0 if found.contains(run.memory.read(value, found.spec.value_size)) else -errno.ENOENT
    return _take(run, map_, value, lambda found: found.peek())


@helper(calls_back=True)
def for_each_map_elem(run, map_, callback, ctx, flags):
    """Calls ``callback(map, key, value, ctx)`` for every entry until it gives 1; how many calls."""
    found = run.map(map_)
    if flags:
        return -errno.EINVAL
    if not isinstance(found, (Array, Hash)):
        raise Fault(f"for_each_map_elem does not work on {found.spec.name}, a {found.spec.type} map")
    count = 0
    for key in list(found.keys()):
        value = found.pointer(key, run.cpu)
        if not value:   # deleted by the callback meanwhile
            continue
        count += 1
        place = run.memory.map(bytearray(key), f"a key of {found.spec.name}")
        stop = run.call(callback, map_, place, value, ctx)
        run.memory.retire(place)
        if stop:
            break
    return count


@helper(calls_back=True)
def loop(run, count, callback, ctx, flags):
    """Calls ``callback(index, ctx)`` ``count`` times or until it gives 1; how many calls."""
    if flags:
        return -errno.EINVAL
    count &= 0xFFFF_FFFF
    if count > 8_388_608:   # BPF_MAX_LOOPS; the verifier puts the loop in the call's place, and this number as 32 bits
        return -errno.E2BIG & 0xFFFF_FFFF
    for index in range(count):
        if run.call(callback, index, ctx):
            return index + 1
    return count


@helper()
def perf_event_output(run, ctx, map_, flags, data, size):
    found = a_map(run, map_, PerfEventArray, "perf_event_output")
    if flags & ~0xFFFF_FFFF_FFFF:   # BPF_F_INDEX_MASK and BPF_F_CTXLEN_MASK
        return -errno.EINVAL
    payload = run.memory.read(data, size)
    extra = (flags >> 32) & 0xFFFFF
    if extra and run.frame is not None:   # so much of the packet follows
        packet = run.frame.packet()
        if extra > len(packet):
            return -errno.EFAULT
        payload += packet[:extra]
    return found.output(payload, flags, run.cpu, run.machine.clock.read())


helper("skb_output", "xdp_output")(perf_event_output)


@helper()
def ringbuf_output(run, map_, data, size, flags):
    if flags & ~3:   # BPF_RB_NO_WAKEUP, BPF_RB_FORCE_WAKEUP
        return -errno.EINVAL
    ring = a_map(run, map_, RingBuffer, "ringbuf_output")
    return ring.output(run.memory.read(data, size), run.cpu, run.machine.clock.read())


@helper()
def ringbuf_reserve(run, map_, size, flags):
    if flags:
        return 0
    return a_map(run, map_, RingBuffer, "ringbuf_reserve").reserve(size, run.cpu, run.machine.clock.read())


def finish_record(run, sample: int, state: str) -> int:
    for found in run.machine.map_at.values():
        if isinstance(found, RingBuffer) and found.finish(sample, state):
            return 0
    raise Fault(f"{sample:#x} ({run.memory.describe(sample)}) is not a record that bpf_ringbuf_reserve gave")


@helper()
def ringbuf_submit(run, sample, flags):
    return finish_record(run, sample, "submitted")


@helper()
def ringbuf_discard(run, sample, flags):
    return finish_record(run, sample, "discarded")


@helper()
def ringbuf_query(run, map_, flags):
    return a_map(run, map_, RingBuffer, "ringbuf_query").query(flags)
