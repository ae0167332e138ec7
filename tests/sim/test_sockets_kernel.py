"""Socket look-ups and what a program reads of a socket, against a kernel's namespace that has the same sockets."""

import ipaddress
import struct

import pytest

from ebpflab.abi import STRUCTS
from ebpflab.asm import assemble
from ebpflab.errors import KernelError
from ebpflab.sim import Machine, packets

from .agree import agreed
from .conftest import TIERS
from .test_packets_kernel import skb

#: protocol, own address, the other's, does it listen. The last of a pair of ends is known when it is made.
WAITING = [("tcp", "10.77.0.1:80", True), ("tcp", "0.0.0.0:81", True), ("tcp", "[fd77::1]:80", True),
           ("tcp", "[::]:82", True), ("udp", "10.77.0.1:53", False), ("udp", "0.0.0.0:53", False),
           ("udp", "[fd77::1]:53", False), ("udp", "[::]:54", False)]
CONNECTED = [("tcp", "10.77.0.1:4000", "10.77.0.1:80"), ("tcp", "[fd77::1]:4001", "[fd77::1]:80"),
             ("udp", "10.77.0.1:4002", "10.77.0.1:53")]

FIELDS = [member for member in STRUCTS["bpf_sock"].members
          if not member.name.startswith("_") and member.name != "rx_queue_mapping"]
WORDS = [(member.offset + step, 2 if member.name == "dst_port" else 4) for member in FIELDS
         for step in range(0, member.size, 4)]
OUT = 72
LENGTH = OUT + 4 * len(WORDS) + 16
CTX = {"xdp": (0, 4), "sched_cls": (76, 80)}


#: what XDP programs do not have
MORE = f"""r1 = r8
        call bpf_tcp_sock
        if r0 == 0 goto other
        r1 = *(u32 *)(r0 + 0)
        *(u32 *)(r7 + {LENGTH - 16}) = r1
        r1 = *(u32 *)(r0 + 12)
        *(u32 *)(r7 + {LENGTH - 12}) = r1
    other:
        r1 = r8
        call bpf_get_listener_sock
        if r0 == 0 goto release
        *(u32 *)(r7 + {LENGTH - 8}) = 1"""


def reading(type_, helper):
    """Look up the tuple at 16 (size at 52, flags at 56, namespace at 64) and write what the socket says behind it."""
    data, end = CTX[type_]
    copy = "\n".join(f"r1 = *(u64 *)(r7 + {16 + at})\n*(u64 *)(r10 + {at - 40}) = r1" for at in range(0, 40, 8))
    read = "\n".join(f"r1 = *(u{size * 8} *)(r8 + {at})\n*(u32 *)(r7 + {OUT + 4 * number}) = r1"
                     for number, (at, size) in enumerate(WORDS))
    more = MORE if type_ == "sched_cls" else ""
    return assemble(f"""
        r6 = r1
        r7 = *(u32 *)(r6 + {data})
        r2 = *(u32 *)(r6 + {end})
        r3 = r7
        r3 += {LENGTH}
        if r3 > r2 goto out
        {copy}
        r3 = *(u32 *)(r7 + 52)
        if r3 > 36 goto out
        r1 = r6
        r2 = r10
        r2 += -40
        r4 = *(u64 *)(r7 + 64)
        r5 = *(u64 *)(r7 + 56)
        call bpf_{helper}
        if r0 == 0 goto out
        r8 = r0
        {read}
        {more}
    release:
        r1 = r8
        call bpf_sk_release
        r0 = 1
        exit
    out:
        r0 = 2
        exit""", type=type_, name="reads")


@pytest.fixture(scope="module")
def world(oracle):
    """(handle of a namespace with sockets, a machine with the same)"""
    try:
        handle = oracle.session.net_create(ip=6)["net"]
    except KernelError as error:
        pytest.skip(f"no network namespaces here: {error.what}")
    machine = Machine()
    for protocol, bind, listen in WAITING:
        oracle.session.sock_open(handle, "lab0", protocol, bind=bind, listen=listen)
        machine.sockets.open(protocol, bind=bind, listen=listen)
    for protocol, bind, to in CONNECTED:
        oracle.session.sock_open(handle, "lab0", protocol, bind=bind, connect=to)
        machine.sockets.open(protocol, bind=bind, connect=to)
        if protocol == "tcp":     # the listener's side of it
            machine.sockets.open(protocol, bind=to, connect=bind)
    yield handle, machine
    oracle.session.close(handle)


def tuple_of(source, target):
    ends = [end.rpartition(":") for end in (source, target)]
    return (b"".join(ipaddress.ip_address(host.strip("[]")).packed for host, _, _ in ends)
            + struct.pack(">HH", *(int(port) for _, _, port in ends)))


def meant(data):
    """The data, without the addresses of the family that a socket does not have."""
    other = "ip4" if data[OUT + 4] == 10 else "ip6"
    found = bytearray(data)
    for number, (at, _) in enumerate(WORDS):
        if STRUCTS["bpf_sock"].at(at).name.endswith(other):
            found[OUT + 4 * number:OUT + 4 * number + 4] = bytes(4)
    return found.hex()


FAR4, FAR6 = "10.77.0.2:999", "[fd77::2]:999"
TARGETS4 = [f"{host}:{port}" for host in ("10.77.0.1", "10.77.0.9", "127.0.0.1") for port in (80, 81, 82, 53, 54, 1)]
TARGETS6 = [f"[{host}]:{port}" for host in ("fd77::1", "fd77::9", "::1") for port in (80, 82, 53, 54, 1)]
TUPLES = [*(tuple_of(FAR4, each) for each in TARGETS4), *(tuple_of(FAR6, each) for each in TARGETS6),
          *(tuple_of(*pair) for _, bind, to in CONNECTED for pair in ((to, bind), (bind, to)))]
#: tuple, flags, namespace: what is refused
REFUSED = [(TUPLES[0][:11], 0, -1), (TUPLES[0], 1, -1), (TUPLES[0], 0, 1 << 31), (TUPLES[0], 0, 77), (b"", 0, -1)]


@pytest.mark.parametrize("helper", ("sk_lookup_tcp", "sk_lookup_udp", "skc_lookup_tcp"))
@pytest.mark.parametrize("type_", CTX)
def test_look_ups(type_, helper, oracle, world):
    handle, machine = world
    if helper.startswith("skc"):
        spec = assemble(f"""
            r7 = *(u32 *)(r1 + {CTX[type_][0]})
            r2 = *(u32 *)(r1 + {CTX[type_][1]})
            r3 = r7
            r3 += {LENGTH}
            if r3 > r2 goto out
            r2 = *(u64 *)(r7 + 16)
            *(u64 *)(r10 - 16) = r2
            r2 = *(u32 *)(r7 + 24)
            *(u32 *)(r10 - 8) = r2
            r2 = r10
            r2 += -16
            r3 = 12
            r4 = -1
            r5 = 0
            call bpf_skc_lookup_tcp
            if r0 == 0 goto out
            r2 = *(u32 *)(r0 + 72)
            *(u32 *)(r7 + {OUT}) = r2
            r1 = r0
            call bpf_sk_release
        out:
            r0 = 2
            exit""", type=type_)
    else:
        spec = reading(type_, helper)
    kernel, program = oracle.load(spec), machine.load(spec)
    hits = 0
    for tuple_, flags, netns in [*((each, 0, -1) for each in TUPLES), *REFUSED]:
        data = bytes(16) + tuple_.ljust(36, b"\0") + struct.pack("<IQq", len(tuple_), flags, netns)
        data = data.ljust(LENGTH, b"\0")
        ctx = skb(mark=1) if type_ == "sched_cls" else b""
        done = oracle.session.prog_run(kernel, data, ctx, 1, net=handle, end="lab0")
        for tier in TIERS:
            mine = program.run(data, ctx=ctx, tier=tier)
            assert (mine.retval, meant(mine.data)) == (done["retval"], meant(done["data"])), (tier, tuple_.hex())
        hits += done["data"][OUT:] != bytes(len(done["data"]) - OUT)
    assert hits >= 8
    oracle.session.close(kernel)
    program.close()


SK = """r6 = r1
    r1 = *(u64 *)(r6 + 168)
    if r1 == 0 goto none
    {body}
    exit
none:
    r0 = 77
    exit"""
FULL = "call bpf_sk_fullsock\nif r0 == 0 goto none\nr8 = r0\n"
#: what a program asks of the socket that a test run gives to its packet
ASKED = {
    **{f"{member.name} of the packet's socket": f"{FULL}r0 = *(u32 *)(r8 + {member.offset})" for member in FIELDS
       if member.size == 4},
    "is TCP": "call bpf_tcp_sock\nif r0 == 0 goto none\nr0 = 1",
    "listens": "call bpf_get_listener_sock\nif r0 == 0 goto none\nr0 = 1",
    "uid": "r1 = r6\ncall bpf_get_socket_uid",
    "class": "r1 = r6\ncall bpf_get_cgroup_classid",
    "realm": "r1 = r6\ncall bpf_get_route_realm",
    "assign outside ingress": f"{FULL}r1 = r6\nr2 = r8\nr3 = 0\ncall bpf_sk_assign",
    "assign with flags": f"{FULL}r1 = r6\nr2 = r8\nr3 = 1\ncall bpf_sk_assign",
    "family": f"{FULL}r0 = *(u8 *)(r8 + 4)",
}


@pytest.mark.parametrize("body", ASKED.values(), ids=ASKED)
def test_the_socket_of_a_test_run(body, oracle):
    for data in (packets.udp(b"payload"), packets.udp(b"payload", src="fd00::1", dst="fd00::2"), bytes(64)):
        agreed(oracle, SK.format(body=body), "sched_cls", data)


def test_the_skb_has_the_cookie_of_its_socket(oracle):
    """The numbers differ; that there is one does not."""
    agreed(oracle, "call bpf_get_socket_cookie\nif r0 == 0 goto out\nr0 = 1\nout: exit", "sched_cls")
