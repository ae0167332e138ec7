"""Helpers that make or take room inside a packet: ``skb_adjust_room``, ``skb_change_proto``, and ECN marks."""

from __future__ import annotations

import errno

from ..contexts import ETH_HLEN, get, put
from .frames import P_8021AD, P_8021Q, P_IP, P_IPV6, skb_frame
from .registry import ENOTSUPP, helper, signed32
from .skb import SKB_MAX

IP_HEADER = {P_IP: 20, P_IPV6: 40}
MODE_NET, MODE_MAC = 0, 1
# BPF_F_ADJ_ROOM_*
FIXED_GSO, ENCAP_IPV4, ENCAP_IPV6, ENCAP_GRE, ENCAP_UDP, NO_CSUM_RESET, ENCAP_ETH, DECAP_IPV4, DECAP_IPV6 = (
    1 << at for at in range(9))
ENCAP_L2_SHIFT, ENCAP_L2_MASK = 56, 0xFF << 56
ENCAP, DECAP = ENCAP_IPV4 | ENCAP_IPV6, DECAP_IPV4 | DECAP_IPV6
KNOWN = FIXED_GSO | ENCAP | ENCAP_GRE | ENCAP_UDP | NO_CSUM_RESET | ENCAP_ETH | DECAP | ENCAP_L2_MASK


def _protocol(run) -> int:
    return get(run.input.shape, run.input.buffer, "protocol")


def _match(run, ipv4: int, ipv6: int) -> None:
    """The protocol follows the new outer header that a flag names."""
    protocol = _protocol(run)
    if protocol == P_IP and ipv6:
        put(run.input.shape, run.input.buffer, "protocol", P_IPV6)
    elif protocol == P_IPV6 and ipv4:
        put(run.input.shape, run.input.buffer, "protocol", P_IP)


def _encapsulation_refused(run, count: int, flags: int) -> int:
    inner = flags >> ENCAP_L2_SHIFT
    if flags & ENCAP == ENCAP or (flags & ENCAP_GRE and flags & ENCAP_UDP) or (flags & ENCAP_ETH and inner < ETH_HLEN):
        return -errno.EINVAL
    if run.frame.headers.encapsulated:
        return -errno.EALREADY
    return -errno.EINVAL if inner > count else 0


def _grow(run, at: int, count: int, flags: int) -> int:
    """``bpf_skb_net_grow``."""
    headers = run.frame.headers
    if flags & ENCAP and (refused := _encapsulation_refused(run, count, flags)):
        return refused
    run.frame.insert(at, count, "skb_adjust_room")
    if flags & ENCAP:
        headers.encapsulated = True
        if flags & (ENCAP_GRE | ENCAP_UDP):
            headers.transport = headers.network + (40 if flags & ENCAP_IPV6 else 20)
        _match(run, flags & ENCAP_IPV4, flags & ENCAP_IPV6)
    return 0


def _shrink(run, at: int, count: int, flags: int) -> int:
    """``bpf_skb_net_shrink``."""
    if at + count > run.frame.length:
        return -errno.ENOMEM
    run.frame.remove(at, count, "skb_adjust_room")
    _match(run, flags & DECAP_IPV4, flags & DECAP_IPV6)
    return 0


def _adjust_stream(run, difference: int, mode: int, flags: int) -> int:
    """``sk_skb_adjust_room``: room at the start of a stream's message."""
    frame = run.frame
    if flags or mode:
        return -errno.EINVAL
    if abs(difference) > 0xFFF:
        return -errno.EFAULT
    if -difference > frame.length:
        return -errno.ENOMEM
    if difference > 0:
        frame.grow(difference)
        frame.head[-difference:] = bytes(difference)
    frame.reshape(-difference, 0, 0, "skb_adjust_room")
    return 0


@helper(moves=True)
def skb_adjust_room(run, ctx, difference, mode, flags):
    frame, difference, mode = skb_frame(run, ctx), signed32(difference), mode & 0xFFFF_FFFF
    if run.program.spec.type == "sk_skb":
        return _adjust_stream(run, difference, mode, flags)
    count, headers = abs(difference), frame.headers
    if flags & ~KNOWN:
        return -errno.EINVAL
    if count > 0xFFF:
        return -errno.EFAULT
    base = IP_HEADER.get(_protocol(run))
    if base is None or mode not in (MODE_NET, MODE_MAC):
        return -ENOTSUPP
    at = headers.network - headers.mac + (base if mode == MODE_NET else 0)
    if flags & DECAP:
        if difference >= 0 or flags & DECAP == DECAP:
            return -errno.EINVAL
        base = 20 if flags & DECAP_IPV4 else 40
    gso = get(run.input.shape, run.input.buffer, "gso_size")
    if difference < 0:
        if frame.length - headers.network - count < base:
            return -ENOTSUPP
        if flags & ~(FIXED_GSO | DECAP | NO_CSUM_RESET):
            return -errno.EINVAL
    elif frame.length + count > SKB_MAX and not gso:
        return -ENOTSUPP
    if gso:   # a test run's segments are of no type, so neither TCP nor UDP
        return -ENOTSUPP
    result = (_shrink if difference < 0 else _grow)(run, at, count, flags)
    if not result and not flags & NO_CSUM_RESET:
        headers.csum_level = None
    return result


@helper(moves=True)
def skb_change_proto(run, ctx, protocol, flags):
    """Between IPv4 and IPv6: room for the other header; the program writes it."""
    frame, shape, buffer = skb_frame(run, ctx), run.input.shape, run.input.buffer
    if flags:
        return -errno.EINVAL
    change = (_protocol(run), protocol & 0xFFFF)
    at, count = frame.headers.network - frame.headers.mac, IP_HEADER[P_IPV6] - IP_HEADER[P_IP]
    if change == (P_IP, P_IPV6):
        frame.insert(at, count, "skb_change_proto")
    elif change != (P_IPV6, P_IP):
        return -ENOTSUPP
    elif at + count > frame.length:
        return -errno.ENOMEM
    else:
        frame.remove(at, count, "skb_change_proto")
    put(shape, buffer, "protocol", change[1])
    put(shape, buffer, "hash", 0)
    return 0


def _inner_protocol(run) -> int:
    """The protocol behind the tags in the packet (``vlan_get_protocol``), 0 if they are cut off."""
    protocol, frame = _protocol(run), run.frame
    at = frame.headers.mac_len - 4 if frame.headers.mac_len else ETH_HLEN
    for _ in range(8):   # VLAN_MAX_DEPTH
        if protocol not in (P_8021Q, P_8021AD):
            return protocol
        if at + 4 > frame.length:
            return 0
        protocol = int.from_bytes(frame.window[at + 2:at + 4], "little")
        at += 4
    return 0


@helper()
def skb_ecn_set_ce(run, ctx):
    """Mark as congested (RFC 3168): 1 if it is marked now, 0 if the packet cannot be."""
    frame, protocol = skb_frame(run, ctx), _inner_protocol(run)
    network, size = frame.headers.network, IP_HEADER.get(protocol, 0)
    if not size or frame.length < max(size, network + size):
        return 0
    at = frame.data + network
    if protocol == P_IPV6:
        first = int.from_bytes(run.memory.read(at, 4), "big")
        if not first >> 20 & 3:
            return 0
        run.memory.write(at, (first | 3 << 20).to_bytes(4, "big"))
        return 1
    tos = run.memory.load(at + 1, 1)
    if tos & 3 in (0, 3):
        return int(tos & 3 == 3)
    total = int.from_bytes(run.memory.read(at + 10, 2), "big") + 0xFFFB + (tos + 1 & 3)
    run.memory.write(at + 10, ((total & 0xFFFF) + (total >> 16)).to_bytes(2, "big"))
    run.memory.write(at + 1, bytes([tos | 3]))
    return 1
