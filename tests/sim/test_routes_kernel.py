"""Routing look-ups and MTU checks against a kernel's namespace that has the same devices, routes and neighbours."""

import ipaddress
import shutil
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpflab.asm import assemble
from ebpflab.errors import KernelError, SpecError
from ebpflab.sim import Machine
from ebpflab.sim.routes import Routes

from .conftest import TIERS
from .test_packets_kernel import RELAXED, skb

COMMANDS = """
link add wide type veth peer name other
link set other up
link set wide mtu 9000 address 02:00:00:00:00:09 up
link set lab0 address 02:00:00:00:00:01
addr add 10.9.0.1/24 dev lab0
addr add 10.8.0.1/31 dev wide
-6 addr add fd09::1/64 dev lab0 nodad
route add 10.50.0.0/16 via 10.9.0.7 dev lab0 metric 7
route add 10.50.0.0/16 dev wide metric 9
route add 10.50.3.0/24 dev wide mtu lock 800 src 10.8.0.1
route add blackhole 10.51.0.0/16
route add unreachable 10.52.0.0/16
route add prohibit 10.53.0.0/16
route add 10.60.0.0/16 dev wide table 77
route add 10.61.0.0/16 via inet6 fd09::7 dev lab0
route add default via 10.9.0.254 dev lab0
-6 route add fd50::/16 via fd09::7 dev lab0 metric 5
-6 route add fd50:1::/32 dev wide mtu lock 1300
-6 route add blackhole fd51::/16
-6 route add prohibit fd53::/16
-6 route add fd60::/16 dev wide table 77
neigh add 10.9.0.7 lladdr 02:00:00:00:00:77 dev lab0 nud permanent
neigh add 10.50.3.3 lladdr 02:00:00:00:00:33 dev wide nud permanent
neigh add 10.60.0.1 lladdr 02:00:00:00:00:66 dev wide nud permanent
-6 neigh add fd09::7 lladdr 02:00:00:00:06:07 dev lab0 nud permanent
-6 neigh add fd50:1::1 lladdr 02:00:00:00:06:08 dev wide nud permanent
"""
SYSCTLS = {"ipv6/conf/all/disable_ipv6": 0, "ipv4/conf/all/forwarding": 1, "ipv6/conf/all/forwarding": 1}


def tables(routes: Routes, lab0: int, wide: int) -> Routes:
    """The same as COMMANDS, in the simulator."""
    routes.devices.clear()
    routes.device("lo", 1, mtu=65536, addresses=["127.0.0.1/8", "::1/128"])   # forwards here, as all do
    routes.device("lab0", lab0, mac="02:00:00:00:00:01", addresses=["10.9.0.1/24", "fd09::1/64"])
    routes.device("wide", wide, mac="02:00:00:00:00:09", mtu=9000, addresses=["10.8.0.1/31"])
    for to, device, options in (
            ("10.50.0.0/16", "lab0", {"via": "10.9.0.7", "metric": 7}), ("10.50.0.0/16", "wide", {"metric": 9}),
            ("10.50.3.0/24", "wide", {"mtu": 800, "source": "10.8.0.1"}), ("10.51.0.0/16", "lo", {"kind": "blackhole"}),
            ("10.52.0.0/16", "lo", {"kind": "unreachable"}), ("10.53.0.0/16", "lo", {"kind": "prohibit"}),
            ("10.60.0.0/16", "wide", {"table": 77}), ("10.61.0.0/16", "lab0", {"via": "fd09::7"}),
            ("0.0.0.0/0", "lab0", {"via": "10.9.0.254"}), ("fd50::/16", "lab0", {"via": "fd09::7", "metric": 5}),
            ("fd50:1::/32", "wide", {"mtu": 1300}), ("fd51::/16", "lo", {"kind": "blackhole"}),
            ("fd53::/16", "lo", {"kind": "prohibit"}), ("fd60::/16", "wide", {"table": 77})):
        routes.add(to, device, **options)
    for device, address, mac in (
            ("lab0", "10.9.0.7", "02:00:00:00:00:77"), ("wide", "10.50.3.3", "02:00:00:00:00:33"),
            ("wide", "10.60.0.1", "02:00:00:00:00:66"), ("lab0", "fd09::7", "02:00:00:00:06:07"),
            ("wide", "fd50:1::1", "02:00:00:00:06:08")):
        routes.neighbour(device, address, mac)
    return routes


@pytest.fixture(scope="module")
def net(oracle):
    """(handle of a namespace with these tables, ifindex of lab0, of wide)"""
    if not shutil.which("ip"):
        pytest.skip("iproute2 is not installed: no routes can be made")
    try:
        handle = oracle.session.net_create()["net"]
    except KernelError as error:
        pytest.skip(f"no network namespaces here: {error.what}")

    def do(*words):
        done = oracle.session.command(list(words), net=handle)
        assert not done["status"], (words, done["err"])
        return done["out"]

    for path, value in SYSCTLS.items():
        do("sh", "-c", f"echo {value} > /proc/sys/net/{path}")
    do("ip", "link", "set", "lo", "up")
    for line in COMMANDS.strip().splitlines():
        do("ip", *line.split())
    lab0, wide = (int(do("ip", "-o", "link", "show", name).split(b":")[0]) for name in ("lab0", "wide"))
    yield handle, lab0, wide
    oracle.session.close(handle)


# The packet holds the struct and the flags; the helper's result goes over the flags.
PROGRAM = """
    r6 = r1
    r7 = *(u32 *)(r6 + {data})
    r2 = *(u32 *)(r6 + {end})
    r3 = r7
    r3 += {length}
    if r3 > r2 goto out
    {copy_in}
    r4 = *(u32 *)(r7 + {flags})
    {arguments}
    {copy_out}
    *(u32 *)(r7 + {flags}) = r0
out:
    r0 = 2
    exit
"""
CTX = {"xdp": (0, 4), "sched_cls": (76, 80)}


def asking(type_, size, arguments):
    """A program that takes ``size`` bytes at 16 of the packet, and flags after them."""
    def copies(one, other, at):
        return "\n".join(f"r1 = *(u64 *)({one} + {at[0] + step})\n*(u64 *)({other} + {at[1] + step}) = r1"
                         for step in range(0, size, 8))

    data, end = CTX[type_]
    return assemble(PROGRAM.format(data=data, end=end, length=16 + size + 8, flags=16 + size, arguments=arguments,
                                   copy_in=copies("r7", "r10", (16, -size)), copy_out=copies("r10", "r7", (-size, 16))),
                    type=type_, name="asks")


def same(oracle, net, spec, cases):
    handle, lab0, wide = net
    kernel, machine = oracle.load(spec), Machine()
    tables(machine.routes, lab0, wide)
    loaded = machine.load(spec)
    for data, ctx in cases:
        done = oracle.session.prog_run(kernel, data, ctx, 1, net=handle, end="lab0")
        for tier in TIERS:
            mine = machine.run(loaded, data, ctx=ctx, tier=tier, ifindex=lab0 if loaded.spec.type == "xdp" else 0)
            assert (mine.retval, mine.data) == (done["retval"], done["data"]), (tier, data[16:].hex(),
                                                                               done["data"][16:].hex())
    oracle.session.close(kernel)


FIB = "r1 = r6\nr2 = r10\nr2 += -64\nr3 = 64\ncall bpf_fib_lookup"
FOUR = ("10.9.0.1", "10.9.0.7", "10.9.0.9", "10.9.0.255", "10.8.0.0", "10.50.1.1", "10.50.3.3", "10.50.3.4",
        "10.51.1.1", "10.52.1.1", "10.53.1.1", "10.60.0.1", "10.61.1.1", "127.0.0.1", "8.8.8.8", "0.0.0.0")
SIX = ("fd09::1", "fd09::7", "fd50::1", "fd50:1::1", "fd50:1::2", "fd51::1", "fd53::1", "fd60::1", "::1", "fe80::1",
       "ff02::1", "2001:db8::1")


def params(family, target, length, device, table):
    raw = b"".join((bytes([family, 6]), bytes(4), struct.pack("<HII", length, device, 0)))
    source = "fd09::9" if ":" in target else "10.9.0.9"
    ends = [ipaddress.ip_address(each).packed.ljust(16, b"\0") for each in (source, target)]
    return raw + ends[0] + ends[1] + struct.pack("<I", table) + bytes(12)


@pytest.mark.parametrize("type_", CTX)
def test_fib_lookup(type_, oracle, net):
    _, lab0, wide = net
    spec = asking(type_, 64, FIB)

    @given(st.lists(st.tuples(st.sampled_from((2, 2, 10, 10, 7)), st.sampled_from(FOUR), st.sampled_from(SIX),
                              st.sampled_from((0, 0, 100, 900, 1400, 1501, 9001, 65535)),
                              st.sampled_from((lab0, lab0, wide, 1, 999)), st.sampled_from((254, 77, 78)),
                              st.sampled_from((0, 0, 0, 1, 2, 4, 9, 16, 20, 3, 32, 64)),
                              st.sampled_from((96, 1300, 1800)), st.booleans()), min_size=40, max_size=40))
    @settings(max_examples=15, **RELAXED)
    def compare(rows):
        cases = []
        for family, four, six, length, device, table, flags, size, gso in rows:
            data = bytes(16) + params(family, six if family == 10 else four, length, device, table)
            data = (data + struct.pack("<II", flags, 0)).ljust(size, b"\0")
            cases.append((data, b"" if type_ == "xdp" else skb(mark=1, gso_size=500 * gso)))
        same(oracle, net, spec, cases)

    compare()


MTU = """r1 = r6
    r2 = *(u32 *)(r10 - 16)
    r3 = r10
    r3 += -12
    r4 = *(u32 *)(r10 - 8)
    r5 = *(u32 *)(r7 + 32)
    call bpf_check_mtu"""


@pytest.mark.parametrize("type_", CTX)
def test_check_mtu(type_, oracle, net):
    _, lab0, wide = net
    spec = asking(type_, 16, MTU)
    def asked(size, *words):
        return (bytes(16) + struct.pack("<III4xII", *(word & 0xFFFF_FFFF for word in words), 0)).ljust(size, b"\0")

    cases = [(asked(size, device, length, difference, flags), b"" if type_ == "xdp" else skb(mark=1, gso_size=gso))
             for device in (0, 1, lab0, wide, 999) for length in (0, 1, 1500, 1501, 9000, 70000)
             for difference in (0, 100, -100, -2000, 7000) for flags in (0, 1, 2)
             for size, gso in ((64, 0), (1600, 600))]
    same(oracle, net, spec, cases)


def test_mistakes_are_told():
    routes = Routes()
    routes.device("eth0", 2)
    for wrong, says in ((lambda: routes.device("eth0", 3), "one of this name"),
                        (lambda: routes.device("e", 2), "ifindex"),
                        (lambda: routes.add("10.0.0.0/8", "eth9"), "eth9"),
                        (lambda: routes.add("10.0.0.1/8", "eth0"), "10.0.0.1/8"),
                        (lambda: routes.add("10.0.0.0/8", "eth0", kind="odd"), "odd"),
                        (lambda: routes.neighbour("eth0", "x", bytes(6)), "'x'")):
        with pytest.raises(SpecError, match=says):
            wrong()
