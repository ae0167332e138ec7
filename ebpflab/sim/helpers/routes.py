"""Helpers that ask the routing tables: ``bpf_fib_lookup`` and ``bpf_check_mtu`` (``net/core/filter.c``)."""

from __future__ import annotations

import errno
import ipaddress
import struct

from ..contexts import get
from ..routes import MAIN, Device, Route
from .frames import skb_frame, xdp_frame
from .registry import helper, signed32

AF_INET, AF_INET6 = 2, 10
# BPF_FIB_LKUP_RET_*
(SUCCESS, BLACKHOLE, UNREACHABLE, PROHIBIT, NOT_FWDED, FWD_DISABLED, _, NO_NEIGH, FRAG_NEEDED, NO_SRC_ADDR) = range(10)
REFUSED = {"blackhole": BLACKHOLE, "unreachable": UNREACHABLE, "prohibit": PROHIBIT, "local": NOT_FWDED}
# BPF_FIB_LOOKUP_*
DIRECT, OUTPUT, SKIP_NEIGH, TBID, SRC, MARK = (1 << at for at in range(6))
SIZE = 64              # sizeof(struct bpf_fib_lookup)
MAX_MTU = {False: 0xFFFF, True: 0xFFFF + 40}     # IP_MAX_MTU, IP6_MAX_MTU
SEGS = 1               # BPF_MTU_CHK_SEGS
MTU_SUCCESS, MTU_FRAG_NEEDED, MTU_SEGS_TOOBIG = range(3)
VLAN_HLEN = 4


def _frame(run, ctx: int):
    return xdp_frame(run, ctx) if run.input.xdp else skb_frame(run, ctx)


def _address(data: bytes | bytearray, at: int, six: bool) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.IPv6Address(bytes(data[at:at + 16])) if six else ipaddress.IPv4Address(bytes(data[at:at + 4]))


def _strict(address) -> bool:
    """Never forwarded (``rt6_need_strict``): multicast, link-local, loopback."""
    return address.is_multicast or address.is_link_local or address.is_loopback


class _Lookup:
    """One bpf_fib_lookup: ``params`` are the bytes of its struct, which it fills as the kernel does."""

    def __init__(self, run, params: bytes, flags: int):
        self.routes, self.params, self.flags = run.machine.routes, bytearray(params), flags
        self.six = params[0] == AF_INET6

    def put(self, at: int, size: int, value: int) -> None:
        self.params[at:at + size] = value.to_bytes(size, "little")

    def put_address(self, at: int, address) -> None:
        self.params[at:at + len(address.packed)] = address.packed

    def run(self, check_mtu: bool) -> int:
        source, target = (_address(self.params, at, self.six) for at in (16, 32))
        length, ifindex = struct.unpack("<HI", self.params[6:12])
        if self.six and (_strict(source) or _strict(target)):
            return NOT_FWDED
        device = self.routes.devices.get(ifindex)
        if device is None:
            return -errno.ENODEV
        if not device.forwarding:
            return FWD_DISABLED
        out = ifindex if self.flags & OUTPUT and not self.six else 0
        route = self.routes.find(target, table=self._table(), device=out)
        if route is None:
            return NOT_FWDED
        if route.kind in REFUSED:
            return REFUSED[route.kind]
        mtu = min(route.mtu or route.device.mtu, MAX_MTU[self.six]) if check_mtu else 0
        if length > mtu and check_mtu:
            self.put(6, 2, mtu & 0xFFFF)
            return FRAG_NEEDED
        return self._fill(route, mtu)

    def _table(self) -> int | None:
        """None: local addresses, then main. Without rules IPv4 has both in one trie: main finds local ones, too."""
        if not self.flags & DIRECT:
            return None
        table = MAIN
        if self.flags & TBID:
            table = int.from_bytes(self.params[48:52], "little")
            self.put(48, 4, 0)
        return None if table == MAIN and not self.six else table

    def _fill(self, route: Route, mtu: int) -> int:
        self.put(12, 4, route.metric)
        self.put(8, 4, route.device.ifindex)
        if self.six and route.via:
            self.put_address(32, route.via)
        if self.flags & SRC:
            # ipv6_dev_get_saddr takes another device's where this one has none
            devices = [route.device, *(self.routes.devices.values() if self.six else ())]
            source = route.source or next((each.ip for device in devices for each in device.addresses
                                           if each.version == route.to.version and not each.is_loopback), None)
            if source is None and self.six:
                return NO_SRC_ADDR
            self.put_address(16, source or ipaddress.IPv4Address(0))
        if not self.six and route.via:
            if route.via.version == 6:
                self.params[0] = AF_INET6
            self.put_address(32, route.via)
        if not self.flags & SKIP_NEIGH:
            next_hop = _address(self.params, 32, self.params[0] == AF_INET6)
            mac = self.routes.neighbours.get((route.device.ifindex, next_hop))
            if mac is None:
                return NO_NEIGH
            self.params[52:64] = route.device.mac + mac
        self.put(48, 4, 0)
        if mtu:
            self.put(6, 2, mtu & 0xFFFF)
        return SUCCESS


@helper()
def fib_lookup(run, ctx, params, size, flags):
    frame, flags = _frame(run, ctx), flags & 0xFFFF_FFFF
    if size & 0xFFFF_FFFF < SIZE or flags >= 64:
        return -errno.EINVAL
    given = run.memory.read(params, SIZE)
    if given[0] not in (AF_INET, AF_INET6):
        return -errno.EAFNOSUPPORT
    lookup = _Lookup(run, given, flags)
    check = run.input.xdp or given[6:8] != bytes(2)
    result = lookup.run(check)
    if not result and not check:   # the packet itself against the device that was found
        device = run.machine.routes.devices[int.from_bytes(lookup.params[8:12], "little")]
        gso = get(run.input.shape, run.input.buffer, "gso_size")
        if frame.length > device.mtu + device.header + VLAN_HLEN and not gso:
            result = FRAG_NEEDED
        lookup.put(6, 2, device.mtu & 0xFFFF)
    run.memory.write(params, bytes(lookup.params))
    return result


def _device(run, ifindex: int) -> Device | None:
    current = get(run.input.shape, run.input.buffer, "ingress_ifindex" if run.input.xdp else "ifindex")
    return run.machine.routes.devices.get(ifindex & 0xFFFF_FFFF or current)


@helper()
def check_mtu(run, ctx, ifindex, length, difference, flags):
    frame = _frame(run, ctx)
    given = run.memory.load(length, 4)
    if flags & ~(0 if run.input.xdp else SEGS) or (flags and (difference & 0xFFFF_FFFF or given)):
        return -errno.EINVAL
    device = _device(run, ifindex)
    if device is None:
        return -errno.ENODEV
    size = signed32((given + device.header if given else frame.length) + difference)
    result = MTU_FRAG_NEEDED if size > device.mtu + device.header else MTU_SUCCESS
    segment = 0 if run.input.xdp else get(run.input.shape, run.input.buffer, "gso_size")
    if result and segment:
        result = MTU_SUCCESS
        headers = frame.headers
        if flags & SEGS:
            if headers.transport is None:
                return -errno.EINVAL
            if headers.transport - headers.network + segment > device.mtu:
                result = MTU_SEGS_TOOBIG
    run.memory.store(length, 4, device.mtu)
    return result
