"""Each map type doing what it is for, in the kernel: filled by programs, seen by its effect."""

import ipaddress
import struct
import time

import pytest

from ebpflab.errors import KernelError, Rejected, SpecError, TargetError
from ebpflab.spec import map_spec

from .sources import frame, load

pytestmark = pytest.mark.kernel
XDP_DROP, XDP_PASS = 1, 2


def u32(number: int) -> bytes:
    return number.to_bytes(4, "little")


def update(name: str, key: str, value: str) -> str:
    """Assembly: map[key] = value, both on the stack at fp-8 and fp-16, and return 2."""
    return f"""
    {key}
    {value}
    r1 = {name} ll
    r2 = r10
    r2 += -8
    r3 = r10
    r3 += -16
    r4 = 0
    call bpf_map_update_elem
    """


@pytest.mark.parametrize(("type", "entries"), [("hash", 64), ("lru_hash", 64), ("percpu_hash", 64),
                                               ("lru_percpu_hash", 64), ("array", 8), ("percpu_array", 8)])
def test_tables(kernel, type, entries):
    """A program counts frames by their EtherType's low bits; user space reads and writes the same entries."""
    text = f"""
    .map table {type} u32 u64 {entries}
        r6 = *(u32 *)(r1 + 0)
        r7 = *(u32 *)(r1 + 4)
        r2 = r6
        r2 += 14
        if r2 > r7 goto out
        r3 = *(u8 *)(r6 + 13)
        r3 &= 7
        *(u32 *)(r10 - 8) = r3
        r1 = table ll
        r2 = r10
        r2 += -8
        call bpf_map_lookup_elem
        if r0 != 0 goto there
        *(u64 *)(r10 - 16) = 1
        r1 = table ll
        r2 = r10
        r2 += -8
        r3 = r10
        r3 += -16
        r4 = 0
        call bpf_map_update_elem
        goto out
    there:
        r1 = 1
        lock *(u64 *)(r0 + 0) += r1
    out:
        r0 = 2
        exit
    """
    with kernel.net() as net, load(kernel, text, "xdp") as prog, prog.attach(net, "lab1"):
        net.send([frame(kind=0x8800 + n) for n in (1, 2, 2, 3)], end="lab0", count=5)
        table = prog["table"]
        total = {key: sum(value) if isinstance(value, list) else value for key, value in table.items()}
        assert {key: value for key, value in total.items() if value} == {1: 5, 2: 10, 3: 5}
        table[2] = 0
        net.send([frame(kind=0x8802)], end="lab0")
        again = table[2]
        assert (sum(again) if isinstance(again, list) else again) == 1
        if "array" not in type:
            del table[1]
            assert 1 not in table


def test_lru_forgets_the_oldest(kernel):
    """A hash is full and says so; an LRU hash makes room."""
    full = kernel.map(map_spec("full", "hash", "u32", "u64", 16))
    lru = kernel.map(map_spec("lru", "lru_hash", "u32", "u64", 16))
    with full, lru:
        for number in range(16):
            full.update(u32(number), bytes(8))
        with pytest.raises(KernelError, match="the map is full"):
            full.update(u32(99), bytes(8))
        lru.write(b"".join(map(u32, range(2000))), bytes(8 * 2000))
        kept = set(memoryview(lru.read().keys).cast("I"))
        assert 0 < len(kept) <= 16 and 1999 in kept and not kept & set(range(100))


def test_lpm_trie(kernel):
    """The longest prefix decides whether a packet is dropped."""
    text = """
    .map blocked lpm_trie opaque8 u32 16 flags=1
        r6 = *(u32 *)(r1 + 0)
        r7 = *(u32 *)(r1 + 4)
        r2 = r6
        r2 += 34
        if r2 > r7 goto pass
        r3 = *(u32 *)(r6 + 30)
        *(u32 *)(r10 - 8) = 32
        *(u32 *)(r10 - 4) = r3
        r1 = blocked ll
        r2 = r10
        r2 += -8
        call bpf_map_lookup_elem
        if r0 == 0 goto pass
        r0 = *(u32 *)(r0 + 0)
        exit
    pass:
        r0 = 2
        exit
    """.replace("opaque8", "8")

    def packet(to: str) -> bytes:
        return frame(struct.pack("!BBHHHBBH", 0x45, 0, 20, 0, 0, 64, 17, 0) + bytes(4)
                     + ipaddress.ip_address(to).packed, kind=0x0800)

    def rule(prefix: str) -> bytes:
        network = ipaddress.ip_network(prefix)
        return u32(network.prefixlen) + network.network_address.packed

    with load(kernel, text, "xdp") as prog:
        table = prog["blocked"].target_map
        table.update(rule("10.0.0.0/8"), u32(XDP_DROP))
        table.update(rule("10.1.0.0/16"), u32(XDP_PASS))
        table.update(rule("10.1.2.0/24"), u32(XDP_DROP))
        verdicts = {to: prog.run(packet(to)).retval for to in ("9.9.9.9", "10.9.9.9", "10.1.9.9", "10.1.2.9")}
        assert verdicts == {"9.9.9.9": 2, "10.9.9.9": 1, "10.1.9.9": 2, "10.1.2.9": 1}
        table.delete(rule("10.1.2.0/24"))
        assert prog.run(packet("10.1.2.9")).retval == 2


JUMP = """
.map jumps prog_array u32 u32 4
    r2 = jumps ll
    r3 = 1
    call bpf_tail_call
    r0 = 0
    exit
"""


def test_prog_array_is_updated_live(kernel):
    """A tail call follows what the table holds at this moment, on a device as in a test run."""
    with kernel.net() as net, load(kernel, JUMP, "xdp") as first, load(kernel, "r0 = 1; exit", "xdp", "drop") as drop, \
            load(kernel, "r0 = 2; exit", "xdp", "pass") as passing:
        jumps = first["jumps"]
        assert first.run(frame()).retval == 0            # an empty slot falls through
        listener = net.socket("packet", "lab1")
        with first.attach(net, "lab1"):
            jumps[1] = drop
            net.send([frame()], end="lab0")
            assert listener.receive(seconds=0.1) == []
            jumps[1] = passing
            net.send([frame()], end="lab0")
            assert listener.receive(seconds=1) == [frame()]
            assert jumps.target_map.lookup(u32(1)) == u32(passing.id)
            del jumps[1]
            net.send([frame()], end="lab0")              # XDP_ABORTED
            assert listener.receive(seconds=0.1) == []
        with load(kernel, "r0 = 0; exit", "socket_filter") as other, pytest.raises(KernelError, match="stands for"):
            jumps[1] = other


def test_array_and_hash_of_maps(kernel):
    """Which inner map a program writes to is decided by user space, while it runs."""
    text = """
    .map outer {type} u32 u32 4
        *(u32 *)(r10 - 8) = 1
        r1 = outer ll
        r2 = r10
        r2 += -8
        call bpf_map_lookup_elem
        if r0 == 0 goto none
        r1 = r0
        *(u32 *)(r10 - 8) = 0
        r2 = r10
        r2 += -8
        call bpf_map_lookup_elem
        if r0 == 0 goto none
        r1 = 1
        lock *(u64 *)(r0 + 0) += r1
        r0 = 2
        exit
    none:
        r0 = 1
        exit
    """
    from dataclasses import replace

    from ebpflab import assemble
    from ebpflab.program import Program

    inner = map_spec("inner", "array", "u32", "u64", 1)
    for type in ("array_of_maps", "hash_of_maps"):
        spec = assemble(text.format(type=type), type="xdp")
        spec = replace(spec, maps=(replace(spec.maps[0], inner=inner),))
        with Program(spec, kernel) as prog, kernel.map(inner) as a, kernel.map(inner) as b:
            assert prog.run(frame()).retval == 1
            prog["outer"][1] = a
            prog.run(frame(), repeat=3)
            prog["outer"][1] = b
            prog.run(frame(), repeat=4)
            assert [struct.unpack("<Q", each.lookup(u32(0)))[0] for each in (a, b)] == [3, 4]
            assert prog["outer"].target_map.lookup(u32(1)) == u32(b.id)


@pytest.mark.parametrize("type", ["devmap", "devmap_hash"])
def test_devmap_redirects(kernel, type):
    """What comes in at lab1 goes back out of the device that the map names; entry 2 runs a program on the way."""
    text = f"""
    .map devices {type} u32 u64 4
        r1 = devices ll
        r2 = {{}}
        r3 = 1
        call bpf_redirect_map
        exit
    """
    mark = """
        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r4 = r2
        r4 += 15
        if r4 > r3 goto out
        r5 = 0x77
        *(u8 *)(r2 + 14) = r5
    out:
        r0 = 2
        exit
    """
    with kernel.net() as net, load(kernel, text.format(0), "xdp") as plain, \
            load(kernel, text.format(2), "xdp") as two, \
            load(kernel, mark, "xdp", attach_type="xdp_devmap") as marking:
        device = net.device("lab1")
        back = net.socket("packet", "lab0")
        for prog, value, expected in ((plain, device, frame()), (two, (device, marking), frame(b"\x77"))):
            prog["devices"][0 if prog is plain else 2] = value
            with prog.attach(net, "lab1", mode="native"):
                back.receive()
                net.send([frame()], end="lab0")
                until, got = time.monotonic() + 2, []
                while len(got) < 2 and time.monotonic() < until:       # what left, and what came back
                    got += back.receive(seconds=0.2)
                assert sorted(got) == sorted([frame(), expected])
        with pytest.raises(SpecError, match="devices of a lab network"):
            plain["devices"][0] = 2              # a number that means another device in another namespace


def test_cpumap_moves_frames_to_another_cpu(kernel):
    """A frame is handed to another CPU, where the map's own program runs (and counts by CPU)."""
    if kernel.facts.cpus < 2:
        target = 0
    else:
        target = 1
    text = f"""
    .map cpus cpumap u32 u64 {kernel.facts.cpus}
        r1 = cpus ll
        r2 = {target}
        r3 = 0
        call bpf_redirect_map
        exit
    """
    there = """
    .map where array u32 u64 8
        call bpf_get_smp_processor_id
        r0 &= 7
        *(u32 *)(r10 - 8) = r0
        r1 = where ll
        r2 = r10
        r2 += -8
        call bpf_map_lookup_elem
        if r0 == 0 goto out
        r1 = 1
        lock *(u64 *)(r0 + 0) += r1
    out:
        r0 = 2
        exit
    """
    with kernel.net() as net, load(kernel, text, "xdp") as prog, \
            load(kernel, there, "xdp", attach_type="xdp_cpumap") as on_cpu:
        prog["cpus"][target] = (192, on_cpu)
        listener = net.socket("packet", "lab1")
        with prog.attach(net, "lab1", mode="native"):
            net.send([frame()], end="lab0", count=10)
            until, got = time.monotonic() + 3, []
            while len(got) < 10 and time.monotonic() < until:
                got += listener.receive(seconds=0.2)
            assert got == [frame()] * 10
            assert {key: value for key, value in on_cpu["where"].items() if value} == {target: 10}


def test_xskmap_hands_frames_to_user_space(kernel):
    """Redirected frames come out of an AF_XDP socket; without one they go to the stack. It can send as well."""
    text = """
    .map sockets xskmap u32 u32 4
        r2 = *(u32 *)(r1 + 16)
        r1 = sockets ll
        r3 = 2
        call bpf_redirect_map
        exit
    """
    with kernel.net() as net, load(kernel, text, "xdp") as prog, prog.attach(net, "lab1", mode="generic"):
        listener, xsk = net.socket("packet", "lab0"), net.xsk("lab1")
        net.send([frame(b"before")], end="lab0")
        assert xsk.receive() == []
        prog["sockets"][0] = xsk
        listener.receive()
        frames = [frame(bytes([n])) for n in range(20)]
        net.send(frames, end="lab0")
        got = []
        while more := xsk.receive(seconds=0.5):
            got += more
        assert got == frames and xsk.dropped == 0
        listener.receive()
        assert xsk.send([frame(b"from user space")]) == 1
        assert listener.receive(seconds=1) == [frame(b"from user space")]
        net.send([frame()], end="lab0", count=1000)      # nobody reads: what finds no room is counted
        while xsk.receive(limit=1000):
            pass
        assert xsk.dropped > 0


def test_cgroup_array(kernel):
    """bpf_skb_under_cgroup: only what the cgroup's processes send is dropped."""
    text = """
    .map groups cgroup_array u32 u32 1
        r2 = groups ll
        r3 = 0
        call bpf_skb_under_cgroup
        if r0 == 1 goto drop
        r0 = 0
        exit
    drop:
        r0 = 2
        exit
    """
    send = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'{}', ('10.77.0.2', 5555))"
    with kernel.net(ip=4) as net, kernel.cgroup() as group, load(kernel, text, "sched_cls") as prog:
        prog["groups"][0] = group
        receiver = net.socket("udp", "lab1", bind="10.77.0.2:5555")
        with prog.attach(net, "lab0", direction="egress"):
            inside = ["python3", "-I", "-S", "-c", send.format("inside")]
            outside = ["python3", "-I", "-S", "-c", send.format("outside")]
            net.command(inside, cgroup=group, seconds=30)
            net.command(outside, seconds=30)
            assert receiver.receive(seconds=1) == [b"outside"]


@pytest.mark.parametrize(("type", "order"), [("queue", [1, 2, 3]), ("stack", [3, 2, 1])])
def test_queue_and_stack(kernel, type, order):
    """A program pushes what user space takes out in the map's order."""
    text = f"""
    .map items {type} 0 u32 4
        r6 = *(u32 *)(r1 + 0)
        r7 = *(u32 *)(r1 + 4)
        r2 = r6
        r2 += 15
        if r2 > r7 goto out
        r3 = *(u8 *)(r6 + 14)
        *(u32 *)(r10 - 4) = r3
        r1 = items ll
        r2 = r10
        r2 += -4
        r3 = 0
        call bpf_map_push_elem
        r0 = r0
        exit
    out:
        r0 = 2
        exit
    """
    with load(kernel, text, "xdp") as prog:
        for number in (1, 2, 3, 4):
            assert prog.run(frame(bytes([number]))).retval == 0
        assert prog.run(frame(b"\x05")).retval == (1 << 32) - 7          # E2BIG: full
        items = prog["items"].target_map
        taken = [struct.unpack("<I", items.pop())[0] for _ in range(4)]
        assert [each for each in taken if each != 4] == order and items.pop() is None
        items.update(b"", u32(9))
        assert items.lookup(b"") == u32(9) and items.pop() == u32(9)


def test_closed_things_do_not_go_in(kernel):
    with load(kernel, JUMP, "xdp") as first:
        drop = load(kernel, "r0 = 1; exit", "xdp")
        drop.close()
        with pytest.raises(Rejected, match="closed"):
            first["jumps"][1] = drop
        net = kernel.net()
        net.close()
        with pytest.raises(TargetError, match="was closed"):
            first.attach(net, "lab0")
