"""The lab network and XDP on it: real frames, both modes, what is dropped is counted, nobody else is on the wire."""

import errno
import socket
import struct
import threading
import time

import pytest

from ebpflab.errors import KernelError, Unsupported
from ebpflab.isa import encode
from ebpflab.kernel import netns, rtnetlink, syscall, traffic

from .programs import XDP, counting, looping, returns

pytestmark = pytest.mark.kernel

FRAME = bytes.fromhex("020000000001020000000000" "88b5") + bytes(range(50))   # an EtherType for experiments


class Lab:
    """A network with a counting program, ready to be attached."""

    def __init__(self, session, cpus, verdict=2):
        self.session, self.cpus = session, cpus
        made = session.net_create()
        self.net, self.ends = made["net"], made["ends"]
        self.map = session.map_create(6, 4, 8, 1, name="seen")["map"]
        self.prog = session.prog_load(XDP, encode(counting(verdict)), [self.map], name="see")["prog"]

    def attach(self, dev="lab1", mode="native", prog=None):
        where = {"kind": "xdp", "net": self.net, "dev": dev, "mode": mode}
        return self.session.attach(prog or self.prog, where)["link"]

    def seen(self):
        return sum(struct.unpack(f"<{self.cpus}Q", self.session.map_lookup(self.map, bytes(4))))

    def send(self, end="lab0", frames=(FRAME,), **how):
        return self.session.net_send(self.net, end, list(frames), **how)

    def listen(self, end):
        """A packet socket on ``end``."""
        def opened():
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            made.bind((end, 3))
            made.settimeout(2)
            return made
        return self.session._things[self.net].thing.inside(end, opened)


@pytest.fixture
def lab(session, local_facts):
    return Lab(session, local_facts["cpus"])


@pytest.mark.parametrize("mode", ["native", "generic", ""])
def test_frames_change_the_map(lab, mode):
    link = lab.attach(mode=mode)
    assert lab.send(count=300) == {"sent": 300, "dropped": 0, "seconds": pytest.approx(0, abs=5)}
    assert lab.seen() == 300
    lab.session.close(link)
    lab.send(count=50)
    assert lab.seen() == 300, "closing the link detaches"
    assert lab.session.net_stats(lab.net, "lab1")["rx_packets"] == 350


@pytest.mark.parametrize("mode", ["native", "generic"])
@pytest.mark.parametrize(("verdict", "arrives"), [(1, False), (2, True)])
def test_the_verdict_decides(session, local_facts, mode, verdict, arrives):
    lab = Lab(session, local_facts["cpus"], verdict)
    lab.attach(mode=mode)
    with lab.listen("lab1") as listener:
        lab.send()
        if arrives:
            assert listener.recv(2048) == FRAME
        else:
            listener.settimeout(0.2)
            with pytest.raises(TimeoutError):
                listener.recv(2048)
    assert lab.seen() == 1


def test_what_xdp_sends_back_arrives(lab):
    """XDP_TX needs a program on the receiving end too: the network brings one while the user has none there."""
    reflector = lab.session.prog_load(XDP, returns(3))["prog"]
    lab.attach("lab1", "native", reflector)
    with lab.listen("lab0") as listener:
        lab.send()
        frames = {listener.recv(2048, 0) for _ in range(2)}     # what went out, and what came back
    assert frames == {FRAME}
    assert lab.session.net_stats(lab.net, "lab0")["rx_packets"] == 1
    mine = lab.attach("lab0", "native")                         # takes the place of the network's own
    lab.send(count=20)
    assert lab.seen() == 20
    lab.session.close(mine)                                     # and the network's own is back
    lab.send(count=5)
    assert lab.session.net_stats(lab.net, "lab0")["rx_packets"] == 26


def test_programs_on_both_ends_in_turn(lab, gone):
    """No filler is left when links come and go in any order."""
    first, second = lab.attach("lab0", "native"), lab.attach("lab1", "native")
    net = lab.session._things[lab.net].thing
    assert not net._fillers
    lab.session.close(first)
    assert set(net._fillers) == {"lab0"}
    filler = net._fillers["lab0"].id
    lab.session.close(second)
    assert not net._fillers and not gone("link", [filler])
    third = lab.attach("lab0", "generic")
    assert not net._fillers
    lab.session.close(third)
    assert lab.attach("lab0", "generic")


def test_several_frames_in_order_and_counted(lab):
    frames = [bytes(12) + b"\x88\xb5" + bytes([n]) * 50 for n in range(100)]
    lab.attach()
    with lab.listen("lab1") as listener:
        assert lab.send(frames=frames, count=2)["sent"] == 200
        assert [listener.recv(2048) for _ in range(200)] == frames * 2
    assert lab.seen() == 200
    assert lab.send(frames=[], count=5)["sent"] == 0
    assert lab.send(count=0)["sent"] == 0


def test_one_system_call_sends_many(lab, monkeypatch):
    calls, real = [], syscall.libc
    monkeypatch.setattr(syscall, "libc", lambda name, *args: calls.append(name) or real(name, *args))
    assert lab.send(count=1000)["sent"] == 1000
    assert calls.count("sendmmsg") <= 40


def test_pace(lab):
    done = lab.send(count=100, pps=500)
    assert done["sent"] == 100 and 0.15 <= done["seconds"] < 2


def test_what_is_dropped_is_said(lab):
    net = lab.session._things[lab.net].thing
    net.inside("lab1", lambda: rtnetlink.request(16, 4, rtnetlink._ifinfo(rtnetlink.index("lab1"), 0, 1), "lab1"))
    done = lab.send(count=30)
    assert (done["sent"], done["dropped"]) == (30, 30)


def test_a_full_queue_is_waited_for(lab, session):
    """Three senders against a slow program fill the queue; every frame that was not called dropped arrives."""
    slow = session.prog_load(XDP, looping(20_000))["prog"]
    lab.attach("lab1", "native", slow)
    net = session._things[lab.net].thing
    senders = [net.inside("lab0", traffic.Sender, "lab0") for _ in range(3)]
    done = []
    threads = [threading.Thread(target=lambda each=each: done.append(each.send([FRAME], 5000))) for each in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in senders:
        each.close()
    assert [each["sent"] for each in done] == [5000] * 3
    arrived = session.net_stats(lab.net, "lab0")["tx_packets"]
    lost = sum(each["dropped"] for each in done)
    unseen = max(0, session.net_stats(lab.net, "lab0")["tx_dropped"] - sum(each["refused"] for each in done))
    assert arrived + lost + unseen == 15_000


def test_nobody_else_is_on_the_wire(lab):
    lab.attach("lab0"), lab.attach("lab1")
    time.sleep(0.3)
    assert lab.seen() == 0
    assert lab.session.net_stats(lab.net, "lab0")["tx_packets"] == 0


def test_the_namespaces_are_our_own(lab):
    net = lab.session._things[lab.net].thing
    names = [net.inside(end, lambda: [name for _, name in socket.if_nameindex()]) for end in lab.ends]
    assert [sorted(n) for n in names] == [["lab0", "lo"], ["lab1", "lo"]]
    assert not {"lab0", "lab1"} & {name for _, name in socket.if_nameindex()}


@pytest.mark.parametrize(("where", "number", "words"), [
    ({"kind": "xpd"}, errno.EOPNOTSUPP, "did you mean 'xdp'?"),
    ({"kind": "tcx"}, errno.EINVAL, "takes sched_cls\n  hint: a xdp program: xdp"),
    ({"kind": "xdp", "dev": "lab7", "mode": "native"}, errno.ENODEV, "the ends are lab0 and lab1"),
    ({"kind": "xdp", "dev": "lab0", "mode": "fast"}, errno.EINVAL, "known: generic, native, offload"),
    ({"kind": "xdp", "dev": "lab0", "device": "x"}, errno.EINVAL, "it takes net, dev, mode"),
    ({"kind": "xdp", "dev": "lab0", "mode": "offload"}, errno.EINVAL, "refuses this attachment"),
])
def test_bad_places_are_explained(lab, where, number, words):
    with pytest.raises(KernelError) as caught:
        lab.session.attach(lab.prog, {"net": lab.net, **where})
    assert caught.value.errno == number and words in str(caught.value)


def test_bad_places_without_a_network(lab):
    with pytest.raises(Unsupported, match="this machine's own"):
        lab.session.attach(lab.prog, {"kind": "xdp", "dev": "nothere9"})
    with pytest.raises(KernelError, match="no open net"):
        lab.session.attach(lab.prog, {"kind": "xdp", "net": 999, "dev": "lab0"})


def test_a_taken_place_is_said(lab):
    lab.attach("lab1", "native")
    with pytest.raises(KernelError, match="another program is attached here"):
        lab.attach("lab1", "native")
    with pytest.raises(KernelError, match="in the other mode"):
        lab.attach("lab1", "generic")
    other = lab.session.prog_load(1, returns(0))["prog"]
    with pytest.raises(KernelError, match="a socket_filter program cannot be attached by 'xdp'"):
        lab.attach("lab0", "generic", other)


@pytest.mark.parametrize(("frames", "how", "words"), [
    ([b"short"], {}, "frame 0 has 5 bytes"), ([FRAME, bytes(70_000)], {}, "frame 1 has 70000"),
    ([FRAME], {"count": -1}, "must not be negative"), ([FRAME], {"pps": -5.0}, "must not be negative"),
    ([bytes(9000)], {}, "sendmmsg failed with EMSGSIZE")])
def test_bad_frames_are_explained(lab, frames, how, words):
    with pytest.raises(KernelError, match=words):
        lab.send(frames=frames, **how)


def test_unknown_end(lab):
    with pytest.raises(KernelError, match="lab0 and lab1"):
        lab.send(end="eth0")


def test_a_thread_that_fails_in_a_namespace_tells_why(session):
    namespace = netns.create()
    with pytest.raises(ZeroDivisionError):
        netns.inside(namespace, lambda: 1 // 0)
    namespace.close()
    with pytest.raises(KernelError, match="setns failed with EBADF"):
        netns.inside(namespace, lambda: None)
