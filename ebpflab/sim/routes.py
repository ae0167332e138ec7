"""Devices, routes and neighbours of the simulated machine, as bpf_fib_lookup and bpf_check_mtu find them.

    machine.routes.device("lab0", 2, mac="02:00:00:00:00:01", addresses=["10.0.0.1/24"], forwarding=True)
    machine.routes.add("0.0.0.0/0", "lab0", via="10.0.0.254")
    machine.routes.neighbour("lab0", "10.0.0.254", "02:00:00:00:00:fe")

A device's addresses bring their connected routes along, and are local: nothing is forwarded to them. There are
routing tables but no rules: a look-up asks the local addresses, then table main, or with BPF_FIB_LOOKUP_DIRECT
one table alone.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import SpecError
from . import packets

MAIN = 254             # RT_TABLE_MAIN
LOOPBACK = 1           # ifindex of lo
KINDS = ("unicast", "local", "blackhole", "unreachable", "prohibit")    # RTN_*

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


@dataclass(frozen=True, slots=True)
class Device:
    """A network device; ``header`` is the length of its link-layer header in bytes."""

    name: str
    ifindex: int
    mac: bytes = bytes(6)
    mtu: int = 1500
    forwarding: bool = True
    addresses: tuple[Interface, ...] = ()
    header: int = 14


@dataclass(frozen=True, slots=True)
class Route:
    """``kind`` is one of KINDS; ``mtu`` is one that is locked (``mtu lock`` of
    ``ip route``; others do not count in forwarding), 0 is the device's; ``source`` the preferred source address."""

    to: Network
    device: Device
    via: Address | None = None
    metric: int = 0
    table: int = MAIN
    kind: str = "unicast"
    source: Address | None = None
    mtu: int = 0


class Routes:
    """The tables. Names of devices are unique, so are ifindexes; ``lo`` is there from the start."""

    def __init__(self) -> None:
        self.devices: dict[int, Device] = {}
        self.routes: list[Route] = []
        self.neighbours: dict[tuple[int, Address], bytes] = {}
        self.device("lo", LOOPBACK, mtu=65536, forwarding=False, addresses=["127.0.0.1/8", "::1/128"])

    def device(self, name: str, ifindex: int, *, mac: str | bytes = bytes(6), mtu: int = 1500, forwarding: bool = True,
               addresses: Iterable[str] = (), header: int = 14) -> Device:
        """Add a device. Raises SpecError for a name or an ifindex that is taken, for a bad address."""
        if ifindex in self.devices or any(each.name == name for each in self.devices.values()):
            raise SpecError(f"device {name} ({ifindex}): there is one of this name or ifindex already")
        found = tuple(_parse(ipaddress.ip_interface, each) for each in addresses)
        made = self.devices[ifindex] = Device(name, ifindex, packets.mac(mac), mtu, forwarding, found, header)
        for each in found:   # fib_add_ifaddr, addrconf_prefix_route
            if each.network.prefixlen < each.max_prefixlen and ifindex != LOOPBACK:
                metric, source = (256, None) if each.version == 6 else (0, each.ip)
                self.routes.append(Route(each.network, made, metric=metric, source=source))
        return made

    def add(self, to: str, device: str, *, via: str = "", metric: int | None = None, table: int = MAIN,
            kind: str = "unicast", source: str = "", mtu: int = 0) -> Route:
        """Add a route. The metric is 0 for IPv4 and 1024 for IPv6 if it is not given, as ``ip route`` does."""
        if kind not in KINDS:
            raise SpecError(f"unknown kind of route {kind!r}", hint="kinds: " + ", ".join(KINDS))
        network = _parse(ipaddress.ip_network, to)
        made = Route(network, self.named(device), _parse(ipaddress.ip_address, via) if via else None,
                     (1024 if network.version == 6 else 0) if metric is None else metric, table, kind,
                     _parse(ipaddress.ip_address, source) if source else None, mtu)
        self.routes.append(made)
        return made

    def neighbour(self, device: str, address: str, mac: str | bytes) -> None:
        """Say which link-layer address an IP address on a device has."""
        self.neighbours[self.named(device).ifindex, _parse(ipaddress.ip_address, address)] = packets.mac(mac)

    def named(self, name: str) -> Device:
        for each in self.devices.values():
            if each.name == name:
                return each
        raise SpecError(f"there is no device {name!r}", hint="devices: " + ", ".join(
            each.name for each in self.devices.values()))

    def find(self, to: Address, *, table: int | None = None, device: int = 0) -> Route | None:
        """The route to an address: longest prefix, then least metric, then first added. ``table`` None: local
        addresses, then main. ``device``: only routes out of this one, and those that lead nowhere."""
        local = self._local(to) if table is None else None
        if local is not None and device in (0, local.device.ifindex):
            return local
        fits = [route for route in self.routes
                if route.table == (MAIN if table is None else table) and route.to.version == to.version
                and to in route.to and (device in (0, route.device.ifindex) or route.kind not in ("unicast", "local"))]
        return min(fits, key=lambda route: (-route.to.prefixlen, route.metric), default=None)

    def _local(self, to: Address) -> Route | None:
        for device in self.devices.values():
            for each in device.addresses:
                broadcast = each.version == 4 and each.network.prefixlen < 31 and to == each.network.broadcast_address
                if to == each.ip or broadcast or (device.ifindex == LOOPBACK and to in each.network):
                    return Route(ipaddress.ip_network(to), device, kind="local")
        return None


def _parse(parse, text: str):
    try:
        return parse(text)
    except ValueError as error:
        raise SpecError(f"{text!r} is no {parse.__name__.replace('ip_', 'IP ')}: {error}") from None
