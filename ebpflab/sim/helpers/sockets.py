"""Helpers that find sockets, look at them and send packets to them (``net/core/filter.c``, ``net/core/sock_map.c``)."""

from __future__ import annotations

import errno
import ipaddress
import struct

from ..contexts import get, put
from ..maps import References, SocketMap
from ..sockets import AF_INET, AF_INET6, PROTOCOLS, Socket
from .frames import skb_frame
from .maps import a_map
from .registry import helper

SK_DROP, SK_PASS = 0, 1
F_INGRESS = 1
OVERFLOW_UID = 65534
S32_MAX = 0x7FFF_FFFF
F_REPLACE, F_NO_REUSEPORT = 1, 2          # BPF_SK_LOOKUP_F_*
ALL_CALLBACKS = 0x7F                      # BPF_SOCK_OPS_ALL_CB_FLAGS
#: sizes of bpf_sock_tuple's two forms: addresses, ports
TUPLES = {12: (ipaddress.IPv4Address, 4), 36: (ipaddress.IPv6Address, 16)}


def socket_at(run, pointer: int) -> Socket | None:
    """The socket that a pointer or the program's own context stands for."""
    return run.input.socket if pointer == run.ctx else run.machine.sockets.get(pointer)


def a_socket(run, pointer: int) -> Socket:
    """The same; Fault if there is none."""
    found = socket_at(run, pointer)
    return run.machine.sockets.at(pointer) if found is None else found


# -- what is known of a socket ---------------------------------------------------------------------


@helper()
def get_socket_cookie(run, ctx):
    found = socket_at(run, ctx) if ctx else None
    return found.number if found is not None else 0


@helper()
def get_netns_cookie(run, ctx):
    return 1


@helper()
def get_socket_uid(run, ctx):
    skb_frame(run, ctx)
    found = run.input.socket
    return found.uid if found is not None and found.full else OVERFLOW_UID


def _path(run, socket: Socket | None) -> tuple[int, ...]:
    """The cgroups above a socket and its own, the root first; the socket of a test run is in the task's."""
    task = run.machine.task
    if socket is None or not socket.full:
        return ()
    if socket is run.machine.sockets.tested or socket.cgroup_id == task.cgroup_id:
        return (*task.cgroups, task.cgroup_id)
    return (socket.cgroup_id,)


@helper("skb_cgroup_id", "sk_cgroup_id")
def sk_cgroup_id(run, pointer):
    return (_path(run, socket_at(run, pointer)) or (0,))[-1]


@helper("skb_ancestor_cgroup_id", "sk_ancestor_cgroup_id")
def sk_ancestor_cgroup_id(run, pointer, level):
    """The id of the cgroup at a level of the path, the root being 0; 0 if it is not that deep."""
    path, level = _path(run, socket_at(run, pointer)), level & 0xFFFF_FFFF
    return path[level] if level < len(path) else 0


@helper()
def skb_under_cgroup(run, ctx, map_, index):
    found, index = a_map(run, map_, References, "skb_under_cgroup"), index & 0xFFFF_FFFF
    skb_frame(run, ctx)
    path = _path(run, run.input.socket)
    if not path:
        return -errno.ENOENT
    if index >= found.spec.max_entries:
        return -errno.E2BIG
    cgroup = found.at(index)
    return -errno.EAGAIN if cgroup is None else int(cgroup in path)


@helper("get_cgroup_classid", "skb_cgroup_classid", "get_route_realm")
def no_class(run, ctx):
    """No net_cls cgroup and no realm of a route: 0, as on a machine that does not use them."""
    skb_frame(run, ctx)
    return 0


@helper()
def sk_fullsock(run, pointer):
    return pointer if a_socket(run, pointer).full else 0


@helper()
def tcp_sock(run, pointer):
    return a_socket(run, pointer).tcp_address()


@helper()
def get_listener_sock(run, pointer):
    return pointer if a_socket(run, pointer).state == "LISTEN" else 0


# -- look-ups ----------------------------------------------------------------------------------------


def _look_up(run, ctx: int, tuple_: int, size: int, netns: int, flags: int, protocol: str, full: bool) -> int:
    """``__bpf_sk_lookup``: address of the socket that a packet of this tuple is for, 0 if there is none."""
    size &= 0xFFFF_FFFF
    raw = run.memory.read(tuple_, size)
    this_netns = bool(netns >> 31 & 1)
    if size not in TUPLES or flags or not (this_netns or netns <= S32_MAX) or not this_netns:
        return 0
    kind, width = TUPLES[size]
    source, target = kind(raw[:width]), kind(raw[width:2 * width])
    ports = struct.unpack(">HH", raw[2 * width:])
    found = run.machine.sockets.find(protocol, (target, ports[1]), (source, ports[0]), _device(run))
    return 0 if found is None or (full and not found.full) else found.address


def _device(run) -> int:
    """The device that the packet came in by."""
    name = "ingress_ifindex" if run.input.xdp else "ifindex" if run.input.skb else ""
    return get(run.input.shape, run.input.buffer, name) if name else 0


@helper()
def sk_lookup_tcp(run, ctx, tuple_, size, netns, flags):
    return _look_up(run, ctx, tuple_, size, netns, flags, "tcp", True)


@helper()
def sk_lookup_udp(run, ctx, tuple_, size, netns, flags):
    return _look_up(run, ctx, tuple_, size, netns, flags, "udp", True)


@helper()
def skc_lookup_tcp(run, ctx, tuple_, size, netns, flags):
    return _look_up(run, ctx, tuple_, size, netns, flags, "tcp", False)


@helper()
def sk_release(run, pointer):
    run.machine.sockets.at(pointer)
    return 0


# -- a socket for a packet -----------------------------------------------------------------------------


@helper()
def sk_assign(run, ctx, pointer, flags):
    socket = a_socket(run, pointer) if pointer else None
    if run.program.spec.type == "sk_lookup":
        return _select(run, socket, flags)
    if socket is None or flags:
        return -errno.EINVAL
    if not skb_frame(run, ctx).headers.ingress:
        return -errno.EOPNOTSUPP
    run.effects["sk_assign"] = socket
    return 0


def _select(run, socket: Socket | None, flags: int) -> int:
    """``bpf_sk_lookup_assign``: the socket that the connection or datagram goes to."""
    shape, buffer = run.input.shape, run.input.buffer
    if flags & ~(F_REPLACE | F_NO_REUSEPORT):
        return -errno.EINVAL
    if socket is not None:
        if not socket.full or socket.state == "ESTABLISHED" or (socket.protocol == "tcp" and socket.state != "LISTEN"):
            return -errno.ESOCKTNOSUPPORT
        if PROTOCOLS[socket.protocol][0] != get(shape, buffer, "protocol"):
            return -errno.EPROTOTYPE
        if socket.family != get(shape, buffer, "family") and socket.family == AF_INET:
            return -errno.EAFNOSUPPORT
    if get(shape, buffer, "sk") and not flags & F_REPLACE:
        return -errno.EEXIST
    member = shape.member("sk")
    run.memory.store(run.ctx + member.offset, 8, socket.address if socket is not None else 0)
    run.effects["sk_assign"] = socket
    return 0


@helper()
def sk_select_reuseport(run, ctx, map_, key, flags):
    """The socket of a group that takes the packet; which sockets are one group is not simulated."""
    if flags:
        return -errno.EINVAL
    found = a_map(run, map_, SocketMap, "sk_select_reuseport")
    name = run.memory.read(key, found.spec.key_size)
    if (socket := found.at(name)) is None:
        return -errno.ENOENT
    run.effects["sk_select_reuseport"] = socket
    return 0


def _redirect(run, map_: int, key: bytes, name: object, flags: int) -> int:
    """To the socket of an entry (``bpf_sk_redirect_map`` and its siblings): what it sends, or what it receives."""
    found = a_map(run, map_, SocketMap, "a redirect to a socket")
    socket = found.at(key)
    wrong = {"tcp": "LISTEN"}
    if flags & ~F_INGRESS or socket is None or socket.state == wrong.get(socket.protocol) or (
            socket.protocol == "udp" and socket.state != "ESTABLISHED"):
        return SK_DROP
    run.redirect = (found.spec.name, name)
    return SK_PASS


@helper("sk_redirect_map", "msg_redirect_map")
def sk_redirect_map(run, ctx, map_, index, flags):
    index &= 0xFFFF_FFFF
    return _redirect(run, map_, index.to_bytes(4, "little"), index, flags)


@helper("sk_redirect_hash", "msg_redirect_hash")
def sk_redirect_hash(run, ctx, map_, key, flags):
    name = run.memory.read(key, run.map(map_).spec.key_size)
    return _redirect(run, map_, name, name, flags)


# -- sock_ops and connect hooks --------------------------------------------------------------------------


@helper("sock_map_update", "sock_hash_update")
def sock_map_update(run, ctx, map_, key, flags):
    found = a_map(run, map_, SocketMap, "sock_map_update")
    name, socket = run.memory.read(key, found.spec.key_size), a_socket(run, ctx)
    return found.admit(name, socket, flags)


@helper()
def sock_ops_cb_flags_set(run, ctx, flags):
    """Which later events of the connection the program hears of; the flags that there are not are given back."""
    socket = a_socket(run, ctx)
    if socket.protocol != "tcp" or not socket.full:
        return -errno.EINVAL
    socket.callbacks = flags & ALL_CALLBACKS
    socket.refresh()
    put(run.input.shape, run.input.buffer, "bpf_sock_ops_cb_flags", socket.callbacks)
    return flags & 0xFFFF_FFFF & ~ALL_CALLBACKS


@helper()
def bind(run, ctx, address, size):
    """Bind the connecting socket to a source address before it connects (``bpf_bind``)."""
    socket, size = a_socket(run, ctx), size & 0xFFFF_FFFF
    raw = run.memory.read(address, size)
    family = int.from_bytes(raw[:2], "little")
    wanted = {AF_INET: (16, slice(4, 8), ipaddress.IPv4Address), AF_INET6: (24, slice(8, 24), ipaddress.IPv6Address)}
    if family not in wanted or family != socket.family:
        return -errno.EAFNOSUPPORT
    least, where, kind = wanted[family]
    if size < least:
        return -errno.EINVAL
    socket.local = kind(raw[where]), int.from_bytes(raw[2:4], "big")
    socket.refresh()
    return 0


def _converts(struct_: str, protocol: str, family: int = 0):
    """``bpf_skc_to_*``: the socket as a struct of the kernel, laid out by the program's types; NULL for others."""
    def convert(run, pointer):
        socket = a_socket(run, pointer) if pointer else None
        if socket is None or socket.protocol != protocol or not socket.full or family not in (0, socket.family):
            return 0
        return run.machine.objects.socket(socket, struct_, run.program.spec.btf)
    return convert


for _struct, _protocol, _family in (("tcp_sock", "tcp", 0), ("tcp6_sock", "tcp", AF_INET6),
                                    ("udp6_sock", "udp", AF_INET6)):
    helper(f"skc_to_{_struct}")(_converts(_struct, _protocol, _family))
