"""Ring buffers and perf buffers: every record arrives once, in order, and what is lost is counted."""

import os
import struct
import threading
import time
from array import array

import pytest

from ebpflab.errors import KernelError
from ebpflab.spec import map_spec

from .sources import frame, load

pytestmark = pytest.mark.kernel

#: u32 number (from a counter) and 4 more bytes; records whose number is odd may be discarded
RING = """
.map ring ringbuf 0 0 {size}
.map count array u32 u64 2
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = count ll
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    r6 = r0
    r7 = *(u64 *)(r6 + 0)
    r1 = r7
    r1 += 1
    *(u64 *)(r6 + 0) = r1
    r1 = ring ll
    r2 = {length}
    r3 = 0
    call bpf_ringbuf_reserve
    if r0 == 0 goto full
    *(u32 *)(r0 + 0) = r7
    r1 = r0
    r2 = 0
    r7 &= {odd}
    if r7 != 0 goto discard
    call bpf_ringbuf_submit
    r0 = 0
    exit
discard:
    call bpf_ringbuf_discard
    r0 = 0
    exit
full:
    r0 = 1
    exit
out:
    r0 = 2
    exit
"""


def ring(kernel, size=4096, length=12, odd=0):
    return load(kernel, RING.format(size=size, length=length, odd=odd), "xdp")


def numbers(records) -> list:
    return [struct.unpack_from("<I", record)[0] for record in records]


def test_ringbuf(kernel):
    with ring(kernel) as prog:
        records = prog["ring"].target_map
        assert records.records() == []
        prog.run(frame(), repeat=100)
        got = records.records()
        assert numbers(got) == list(range(100)) and {len(each) for each in got} == {12}
        assert records.records() == []


def test_ringbuf_wraps_and_says_when_it_is_full(kernel):
    """4,096 bytes hold 170 records of 8 + 12 bytes padded to 24; the program sees that no more fit."""
    with ring(kernel) as prog:
        records, start = prog["ring"].target_map, 0
        for _ in range(20):
            prog.run(frame(), repeat=100)
            got = numbers(records.records())
            assert got == list(range(start, start + 100))
            start += 100
        assert prog.run(frame(), repeat=200).retval == 1
        found = records.ring_read()
        assert found["count"] == 170 and found["lost"] is None and found["size"] == 4096


def test_ringbuf_skips_and_counts_what_was_discarded(kernel):
    with ring(kernel, odd=1) as prog:
        prog.run(frame(), repeat=50)
        found = prog["ring"].target_map.ring_read()
        assert found["discarded"] == 25 and found["count"] == 25
        offsets, lens = array("I", found["offsets"]), array("I", found["lens"])
        got = [found["data"][at:at + size] for at, size in zip(offsets, lens, strict=True)]
        assert numbers(got) == list(range(0, 50, 2))


@pytest.mark.parametrize("length", [4, 8, 12, 40])
def test_ringbuf_in_pieces(kernel, length):
    """A small limit gives part of them, and the rest the next time."""
    with ring(kernel, 16384, length) as prog:
        prog.run(frame(), repeat=100)
        target, got, rounds = prog["ring"].target_map, [], 0
        while more := target.records(limit=300):
            got += more
            rounds += 1
        assert numbers(got) == list(range(100)) and rounds >= 100 * (length + 8) // 300


def test_ringbuf_wakes_the_reader(kernel):
    with ring(kernel) as prog:
        target, got = prog["ring"].target_map, []
        waiting = threading.Thread(target=lambda: got.extend(target.records(seconds=1.0)))
        waiting.start()
        time.sleep(0.2)
        prog.run(frame())
        waiting.join()
        assert numbers(got) == [0]


PERF = """
.map events perf_event_array u32 u32 {cpus}
    r6 = r1
    *(u64 *)(r10 - 8) = 0x11223344
    r1 = r6
    r2 = events ll
    r3 = 0xffffffff ll
    r4 = r10
    r4 += -8
    r5 = 8
    call bpf_perf_event_output
    exit
"""


def perf(kernel):
    return load(kernel, PERF.format(cpus=kernel.facts.cpus), "xdp")


def test_perf_buffer(kernel):
    """Samples with CPU and time; the payload is padded by the kernel to 8 bytes less 4."""
    with perf(kernel) as prog:
        events = prog["events"].target_map
        assert prog.run(frame()).retval == (1 << 32) - 2          # ENOENT: nobody listens yet
        events.ring_open(pages=8)
        before = time.monotonic_ns()
        assert prog.run(frame(), repeat=10).retval == 0
        found = events.ring_read()
        assert found["count"] == 10 and found["lost"] == 0
        times, cpus = array("Q", found["times"]), array("H", found["cpus"])
        assert list(times) == sorted(times) and len(set(cpus)) == 1
        if kernel.name == "local":
            assert before <= times[0] <= time.monotonic_ns()
        at = array("I", found["offsets"])[3]
        assert found["data"][at:at + 8] == struct.pack("<Q", 0x11223344)
        assert events.ring_read()["count"] == 0


def test_perf_buffer_counts_what_is_lost(kernel):
    """One page holds some 100 samples of 40 bytes: the others are counted, none is silent."""
    with perf(kernel) as prog:
        events = prog["events"].target_map
        events.ring_open(pages=1)
        prog.run(frame(), repeat=500)
        first = events.ring_read()               # a long run may move to another CPU, whose buffer has room
        assert 50 < first["count"] < 120 * kernel.facts.cpus and first["count"] + first["lost"] == 500
        prog.run(frame())
        second = events.ring_read()
        assert (second["count"], second["lost"]) == (1, 0)


def test_perf_buffer_wraps(kernel):
    with perf(kernel) as prog:
        events = prog["events"].target_map
        events.ring_open(pages=1)
        for _ in range(30):
            prog.run(frame(), repeat=60)
            got = events.records()
            assert len(got) == 60 and {each[:8] for each in got} == {struct.pack("<Q", 0x11223344)}


def test_every_cpu_is_read(kernel):
    """Runs on one CPU after the other: each record says where it was made."""
    online = kernel.facts.detail["online"]
    with perf(kernel) as prog:
        events = prog["events"].target_map
        events.ring_open()
        if kernel.name == "local":
            mine = os.sched_getaffinity(0)
            try:
                for cpu in mine:
                    os.sched_setaffinity(0, {cpu})
                    prog.run(frame(), repeat=3)
            finally:
                os.sched_setaffinity(0, mine)
            assert sorted(array("H", events.ring_read()["cpus"])) == sorted([*mine] * 3)
        else:
            with kernel.net() as net, prog.attach(net, "lab1", mode="generic"):
                net.send([frame()], end="lab0", count=64)
            cpus = array("H", events.ring_read()["cpus"])
            assert len(cpus) == 64 and max(cpus) < online


def test_mistakes_of_readers_are_explained(kernel):
    with kernel.map(map_spec("table", "hash", "u32", "u32", 4)) as table, \
            pytest.raises(KernelError, match="carries no records"):
        table.records()
    with kernel.map(map_spec("events", "perf_event_array", "u32", "u32", kernel.facts.cpus)) as events, \
            pytest.raises(KernelError, match="power of two of pages"):
        events.ring_open(pages=3)
    if kernel.facts.detail["online"] > 1:
        with kernel.map(map_spec("events", "perf_event_array", "u32", "u32", 1)) as events, \
                pytest.raises(KernelError, match="one for each CPU"):
            events.ring_open()


def test_closing_the_map_closes_its_buffers(kernel):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with perf(kernel) as prog, ring(kernel) as other:
            prog["events"].target_map.ring_open()
            other["ring"].target_map.ring_open()
    assert len(os.listdir("/proc/self/fd")) == before
