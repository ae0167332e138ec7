"""Hooks of the network: each program type is attached and its effect is seen on real packets."""

import errno
from contextlib import nullcontext

import pytest

from ebpflab.errors import KernelError, SpecError

from .sources import counting, frame, load, seen, udp

pytestmark = pytest.mark.kernel

TC_OK, TC_SHOT = 0, 2
XDP_DROP, XDP_PASS, XDP_TX = 1, 2, 3


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_xdp(kernel, mode):
    with kernel.net() as net, counting(kernel, "xdp", XDP_DROP) as prog:
        listener = net.socket("packet", "lab1")
        with prog.attach(net, "lab1", mode=mode):
            net.send([frame()], end="lab0", count=20)
            assert seen(prog) == 20 and listener.receive(seconds=0.1) == []
        net.send([frame()], end="lab0")
        assert seen(prog) == 20 and listener.receive(seconds=1) == [frame()]


@pytest.mark.parametrize("kind", ["tcx", "clsact"])
@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_sched_cls(kernel, kind, direction):
    """Dropped on the way in at lab1, or on the way out at lab0; the other direction passes."""
    with kernel.net(ip=4) as net, counting(kernel, "sched_cls", TC_SHOT) as prog:
        receiver, sender = udp(net)
        sender.send(b"before")
        assert receiver.receive(seconds=1) == [b"before"]
        with prog.attach(net, "lab1" if direction == "ingress" else "lab0", kind=kind, direction=direction):
            for _ in range(5):
                sender.send(b"x")
            assert receiver.receive(seconds=0.1) == [] and seen(prog) >= 5
        now = seen(prog)
        sender.send(b"after")
        assert receiver.receive(seconds=1) == [b"after"] and seen(prog) == now


def test_sched_cls_priority(kernel):
    """Of two filters the one with the smaller number decides; TC_ACT_UNSPEC hands on."""
    with kernel.net() as net, counting(kernel, "sched_cls", 0xFFFFFFFF - (1 << 32)) as first, \
            counting(kernel, "sched_cls", TC_SHOT) as second:
        listener = net.socket("packet", "lab1")
        with second.attach(net, "lab1", priority=20), first.attach(net, "lab1", priority=10):
            net.send([frame()], end="lab0", count=7)
            assert (seen(first), seen(second)) == (7, 7)
        with first.attach(net, "lab1", priority=20), second.attach(net, "lab1", priority=10):
            net.send([frame()], end="lab0", count=3)
            assert (seen(first), seen(second)) == (7, 10)
        # taps see a packet before traffic control does, so it is the counters that tell
        assert len(listener.receive()) == 10


def test_sched_cls_rewrites(kernel):
    """A classifier that writes into the packet: the receiver gets other bytes."""
    text = """
    r6 = r1
    *(u8 *)(r10 - 1) = 90
    r1 = r6
    r2 = 42
    r3 = r10
    r3 += -1
    r4 = 1
    r5 = 0
    call bpf_skb_store_bytes
    r0 = 0
    exit
    """
    with kernel.net(ip=4) as net, load(kernel, text, "sched_cls") as prog:
        receiver, sender = udp(net)
        with prog.attach(net, "lab1"):
            sender.send(b"abc")     # its checksum is left to the device, so it is not checked
            assert receiver.receive(seconds=1) == [b"Zbc"]


@pytest.mark.parametrize("kind", ["packet", "udp"])
@pytest.mark.parametrize("length", [0, 20, 65535])
def test_socket_filter(kernel, kind, length):
    """It returns how many bytes the socket gets; a UDP socket's filter counts from the UDP header."""
    with kernel.net(ip=4) as net, counting(kernel, "socket_filter", length) as prog:
        receiver, sender = udp(net)
        sender.send(b"arp is done")
        assert receiver.receive(seconds=1)
        listener = receiver if kind == "udp" else net.socket("packet", "lab1")
        with prog.attach(listener):
            sender.send(b"y" * 100)
            got = listener.receive(seconds=0.2)
            assert seen(prog) == 1
            whole = 100 if kind == "udp" else 142
            cut = 12 if kind == "udp" else 20
            assert [len(each) for each in got] == {0: [], 20: [cut]}.get(length, [whole])
        sender.send(b"y" * 50)
        assert len(listener.receive(seconds=1)[0]) == (50 if kind == "udp" else 92) and seen(prog) == 1


@pytest.mark.parametrize(("type", "drop"), [("lwt_out", 2), ("lwt_xmit", 2), ("lwt_in", 2)])
def test_lwt(kernel, type, drop):
    """Packets of one route are dropped (BPF_DROP), those to other places are not."""
    with kernel.net(ip=4) as net, counting(kernel, type, drop) as dropping, counting(kernel, type, 0) as passing:
        receiver, sender = udp(net)
        watch = net.socket("packet", "lab1")
        sender.send(b"hello")
        assert receiver.receive(seconds=1) == [b"hello"]
        watch.receive()
        outside = net.socket("udp", "lab0", bind="10.77.0.1:6000")
        if type == "lwt_in":     # what comes in at lab1 for 10.99.0.0/24 is routed on, back to lab0
            done = net.command(["ip", "route", "add", "10.99.0.0/24", "via", "10.77.0.2"])
            assert done.ok, done.err
            place, back = "lab1", net.socket("packet", "lab0")
        else:
            place, back = "lab0", watch
        via = "10.77.0.1" if place == "lab1" else "10.77.0.2"

        def routed():
            try:
                outside.send(b"routed", to="10.99.0.9:9")
            except KernelError as error:      # BPF_DROP on the way out is told to the sender
                assert type != "lwt_in" and error.errno in (errno.EPERM, errno.EINVAL, errno.ENOBUFS)
            return [each for each in back.receive(seconds=0.3) if each.endswith(b"routed") and
                    (place == "lab0" or each[22] == 63)]      # forwarded once: a TTL of 63

        with dropping.attach(net, place, to="10.99.0.0/24", via=via):
            assert routed() == [] and seen(dropping) == 1
            sender.send(b"straight")
            assert receiver.receive(seconds=1) == [b"straight"] and seen(dropping) == 1
        with passing.attach(net, place, to="10.99.0.0/24", via=via):
            assert len(routed()) == 1 and seen(passing) == 1
        with pytest.raises(KernelError, match="ENETUNREACH") if place == "lab0" else nullcontext():
            outside.send(b"routed", to="10.99.0.9:9")
        assert seen(passing) == 1, "the route is gone"


def test_lwt_xmit_headroom(kernel):
    """A tunnel that pushes an IPv4 header in front: bpf_lwt_push_encap, seen on the wire."""
    text = """
    r6 = r1
    *(u64 *)(r10 - 24) = 0
    *(u64 *)(r10 - 16) = 0
    *(u32 *)(r10 - 8) = 0
    *(u8 *)(r10 - 24) = 0x45
    *(u8 *)(r10 - 16) = 64
    *(u8 *)(r10 - 15) = 4
    *(u32 *)(r10 - 12) = 0x01004d0a
    *(u32 *)(r10 - 8) = 0x02004d0a
    r1 = r6
    r2 = 2
    r3 = r10
    r3 += -24
    r4 = 20
    call bpf_lwt_push_encap
    r0 = 0
    exit
    """
    with kernel.net(ip=4) as net, load(kernel, text, "lwt_xmit") as prog:
        watch, outside = net.socket("packet", "lab1"), net.socket("udp", "lab0", bind="10.77.0.1:6000")
        with prog.attach(net, "lab0", to="10.99.0.0/24", via="10.77.0.2", headroom=64):
            outside.send(b"wrapped", to="10.99.0.9:9")
            frames = [each for each in watch.receive(seconds=1) if each.endswith(b"wrapped")]
            while not frames:
                more = watch.receive(seconds=1)
                assert more
                frames = [each for each in more if each.endswith(b"wrapped")]
        outer, inner = frames[0][14:34], frames[0][34:54]
        assert outer[9] == 4 and outer[16:20] == bytes((10, 77, 0, 2))
        assert inner[9] == 17 and inner[16:20] == bytes((10, 99, 0, 9))


PASS_ALL = "r0 = 1; exit"
LENGTH = """
    r0 = *(u32 *)(r1 + 0)
    exit
"""
REDIRECT = """
.map socks sockmap u32 u32 2
    r2 = socks ll
    r3 = {index}
    r4 = {flags}
    call bpf_sk_redirect_map
    exit
"""


def test_sk_skb_redirects_between_sockets(kernel):
    """What one connection receives goes out of another: a proxy without user space."""
    with kernel.net(ip=4) as net, load(kernel, LENGTH, "sk_skb", attach_type="sk_skb_stream_parser") as parser, \
            load(kernel, REDIRECT.format(index=1, flags=0), "sk_skb", attach_type="sk_skb_stream_verdict") as verdict:
        (left, left_inside), (right, right_inside) = net.connection(7001), net.connection(7002)
        socks = verdict["socks"].target_map
        with parser.attach(socks), verdict.attach(socks):
            socks.update(bytes(4), left_inside)
            socks.update((1).to_bytes(4, "little"), right_inside)
            left.send(b"through the map")
            assert right.receive(seconds=2) == [b"through the map"]
            assert left_inside.receive(seconds=0.1) == []
        socks.delete(bytes(4))
        left.send(b"and now not")
        assert left_inside.receive(seconds=2) == [b"and now not"] and right.receive(seconds=0.1) == []


def test_sk_skb_drops(kernel):
    with kernel.net(ip=4) as net, load(kernel, ".map socks sockmap u32 u32 2\nr1 = socks ll\nr0 = 0\nexit", "sk_skb",
                                       attach_type="sk_skb_stream_verdict") as verdict:
        ours, theirs = net.connection()
        with verdict.attach(verdict["socks"], stage="verdict"):
            verdict["socks"].target_map.update(bytes(4), theirs)
            ours.send(b"into the void")
            assert theirs.receive(seconds=0.2) == []


def test_sk_msg(kernel):
    """On the sending side: the message goes straight into another socket's receive queue."""
    text = """
    .map socks sockmap u32 u32 2
    r2 = socks ll
    r3 = 1
    r4 = 1
    call bpf_msg_redirect_map
    exit
    """
    with kernel.net(ip=4) as net, load(kernel, text, "sk_msg", attach_type="sk_msg_verdict") as prog:
        (left, left_inside), (_, right_inside) = net.connection(7001), net.connection(7002)
        socks = prog["socks"].target_map
        with prog.attach(socks):
            socks.update(bytes(4), left)
            socks.update((1).to_bytes(4, "little"), right_inside)
            left.send(b"short cut")
            assert right_inside.receive(seconds=2) == [b"short cut"]
            assert left_inside.receive(seconds=0.1) == []


def test_what_is_missing_is_said(kernel):
    with counting(kernel, "sched_cls", 0) as prog, kernel.net() as net:
        with pytest.raises(SpecError, match=r"net= is missing\n.*prog.attach\(net, \"lab0\"\)"):
            prog.attach()
        with pytest.raises(KernelError, match="did you mean 'egress'"):
            prog.attach(net, "lab0", direction="egres")
        with pytest.raises(KernelError, match="did you mean 'direction'"):
            prog.attach(net, "lab0", directoin="egress")
        with pytest.raises(KernelError, match="did you mean 'tcx'"):
            prog.attach(net, "lab0", kind="tcxx")
        with pytest.raises(KernelError, match=r"a sched_cls program cannot be attached by 'xdp'.*\n.*tcx, clsact"):
            prog.attach(net, "lab0", kind="xdp")
        with pytest.raises(KernelError, match="the ends are lab0 and lab1"):
            prog.attach(net, "lab9")
        with pytest.raises(KernelError, match="priority is a number from 1 to 65535"):
            prog.attach(net, "lab0", priority=0)
    with counting(kernel, "lwt_out", 0) as prog, kernel.net(ip=4) as net:
        with pytest.raises(SpecError, match="to= is missing"):
            prog.attach(net, "lab0")
        with pytest.raises(KernelError, match=r"is no network, as 10.99.0.0/24"):
            prog.attach(net, "lab0", to="10.99.0.0/33")
    with counting(kernel, "socket_filter", 0) as prog, pytest.raises(SpecError, match="not attached to a network"):
        prog.attach(kernel.net())
