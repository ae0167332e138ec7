"""Hooks of a cgroup: what its processes and sockets may do, seen on real processes in a cgroup of our own."""

import pytest

from ebpflab.errors import KernelError, SpecError, TargetError

from .sources import counting, load, seen, udp

pytestmark = pytest.mark.kernel
PYTHON = "python3"


def python(cgroup, text: str, **options):
    """Run Python text in the cgroup; its output."""
    done = cgroup.command([PYTHON, "-I", "-S", "-c", text], seconds=30, **options)
    return done.out.decode().strip() or done.err.decode().strip().splitlines()[-1]


def test_commands_run_in_it_and_nothing_else_does(kernel):
    with kernel.cgroup() as group:
        assert group.processes() == []
        inside = python(group, "import os; print(os.getpid()); print(open('/proc/self/cgroup').read())")
        assert group.path.rsplit("/", 1)[1] in inside
        assert group.processes() == []
        outside = kernel.command([PYTHON, "-c", "print(open('/proc/self/cgroup').read())"])
        assert group.path.rsplit("/", 1)[1] not in outside.out.decode()


SEND = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b"hello", ("10.77.0.2", 5555))
print("sent")
"""


def test_cgroup_skb_egress(kernel):
    """0 drops what the cgroup's sockets send; the sender is told (EPERM); others send on."""
    with kernel.net(ip=4) as net, kernel.cgroup() as group, counting(kernel, "cgroup_skb", 0) as prog:
        receiver, sender = udp(net)
        with prog.attach(group, direction="egress"):
            assert "PermissionError" in python(group, SEND, net=net)
            assert receiver.receive(seconds=0.1) == [] and seen(prog) == 1
            sender.send(b"not in the cgroup")
            assert receiver.receive(seconds=1) == [b"not in the cgroup"] and seen(prog) == 1
        assert python(group, SEND, net=net) == "sent"
        assert receiver.receive(seconds=1) == [b"hello"] and seen(prog) == 1


RECEIVE = """
import socket
a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
a.bind(("127.0.0.1", 0))
a.settimeout(0.5)
b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
b.sendto(b"to myself", a.getsockname())
try:
    print(a.recv(100))
except TimeoutError:
    print("nothing came")
"""


def test_cgroup_skb_ingress(kernel):
    with kernel.net(ip=4) as net, kernel.cgroup() as group, counting(kernel, "cgroup_skb", 0) as prog:
        with prog.attach(group, direction="ingress"):
            assert python(group, RECEIVE, net=net) == "nothing came" and seen(prog) == 1
        assert python(group, RECEIVE, net=net) == "b'to myself'"


NO_UDP = """
.map seen array u32 u64 8
    r6 = *(u32 *)(r1 + 8)
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = seen ll
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
    r0 = 1
    if r6 != 2 goto out
    r0 = 0
out:
    exit
"""


def test_cgroup_sock(kernel):
    """bpf_sock.type is at 8: a cgroup that may make TCP sockets, but no UDP ones."""
    make = "import socket; socket.socket(socket.AF_INET, socket.SOCK_{}); print('made')"
    with kernel.cgroup() as group, load(kernel, NO_UDP, "cgroup_sock", attach_type="cgroup_inet_sock_create") as prog:
        with prog.attach(group):
            assert "PermissionError" in python(group, make.format("DGRAM"))
            assert python(group, make.format("STREAM")) == "made" and seen(prog) == 2
        assert python(group, make.format("DGRAM")) == "made"


NO_URANDOM = """
    r0 = 1
    r2 = *(u32 *)(r1 + 4)
    if r2 != 1 goto out
    r2 = *(u32 *)(r1 + 8)
    if r2 != 9 goto out
    r0 = 0
out:
    exit
"""


def test_cgroup_device(kernel):
    """bpf_cgroup_dev_ctx: major at 4, minor at 8. 1:9 is /dev/urandom."""
    read = "print(len(open('/dev/{}', 'rb', buffering=0).read(1)))"
    with kernel.cgroup() as group, load(kernel, NO_URANDOM, "cgroup_device") as prog:
        with prog.attach(group):
            assert "PermissionError" in python(group, read.format("urandom"))
            assert python(group, read.format("zero")) == "1"
        assert python(group, read.format("urandom")) == "1"


OPS = """
.map seen array u32 u64 16
    r6 = *(u32 *)(r1 + 0)
    if r6 > 15 goto out
    *(u32 *)(r10 - 4) = r6
    r2 = r10
    r2 += -4
    r1 = seen ll
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
out:
    r0 = 1
    exit
"""
ACTIVE_ESTABLISHED = 4
CONNECT = """
import socket
s = socket.create_connection(("10.77.0.2", 8080), 3)
print("connected")
"""


def test_sock_ops(kernel):
    """It is told of every connection that the cgroup opens."""
    with kernel.net(ip=4) as net, kernel.cgroup() as group, load(kernel, OPS, "sock_ops") as prog, \
            net.socket("tcp", "lab1", bind="10.77.0.2:8080", listen=True):
        with prog.attach(group):
            assert python(group, CONNECT, net=net) == "connected"
            assert seen(prog, ACTIVE_ESTABLISHED) == 1
            assert python(group, CONNECT, net=net) == "connected"
            assert seen(prog, ACTIVE_ESTABLISHED) == 2
        python(group, CONNECT, net=net)
        assert seen(prog, ACTIVE_ESTABLISHED) == 2


REDIRECTED = """
    r2 = 0x01004d0a
    *(u32 *)(r1 + 4) = {address}
    *(u32 *)(r1 + 24) = {port}
    r0 = {verdict}
    exit
"""


def test_cgroup_sock_addr(kernel):
    """connect4: refused with EPERM, or sent to another port than the one that was asked for."""
    with kernel.net(ip=4) as net, kernel.cgroup() as group, \
            net.socket("tcp", "lab1", bind="10.77.0.2:9090", listen=True) as listening:
        text = REDIRECTED.format(address=int.from_bytes(bytes((10, 77, 0, 2)), "little"),
                                 port=int.from_bytes((9090).to_bytes(2, "big"), "little"), verdict="{}")
        with load(kernel, text.format(0), "cgroup_sock_addr", attach_type="cgroup_inet4_connect") as prog, \
                prog.attach(group):
            assert "PermissionError" in python(group, CONNECT, net=net)
        with load(kernel, text.format(1), "cgroup_sock_addr", attach_type="cgroup_inet4_connect") as prog, \
                prog.attach(group):
            assert python(group, CONNECT, net=net) == "connected"      # asked for 8080, where nobody listens
            listening.accept().close()
        assert "refused" in python(group, CONNECT, net=net)


def test_it_goes_with_everything_in_it(kernel):
    """Closing a cgroup ends its processes and removes its directory."""
    group = kernel.cgroup()
    with pytest.raises(KernelError, match="ended after"):
        group.command(["sleep", "30"], seconds=0.2)
    group.close()
    assert group.path not in _directories(kernel)
    with pytest.raises(TargetError, match="was closed"):
        group.command(["true"])


def _directories(kernel) -> str:
    root = "/sys/fs/cgroup" if kernel.name != "local" else _root()
    return kernel.command(["find", root, "-maxdepth", "1"]).out.decode()


def _root() -> str:
    from ebpflab.kernel.cgroups import mounted

    return mounted()


def test_mistakes_are_explained(kernel):
    with kernel.cgroup() as group, counting(kernel, "cgroup_skb", 1) as prog:
        with pytest.raises(SpecError, match=r"cgroup= is missing\n.*\.cgroup\(\); prog.attach\(group\)"):
            prog.attach()
        with pytest.raises(SpecError, match="not attached to a network"):
            prog.attach(kernel.net())
        with pytest.raises(KernelError, match="no direction 'in'"):
            prog.attach(group, direction="in")
        with pytest.raises(KernelError, match="there is no command 'nosuch'"):
            group.command(["nosuch"])
        with pytest.raises(KernelError, match="up to 60 seconds"):
            group.command(["true"], seconds=1000)


def test_a_command_that_fails(kernel):
    done = kernel.command(["sh", "-c", "cat; echo bad >&2; exit 3"], data=b"in")
    assert (done.status, done.out, done.err, done.ok) == (3, b"in", b"bad\n", False)
    assert kernel.command(["sh", "-c", "kill -9 $$"]).status == -9
