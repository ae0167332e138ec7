"""Helpers on VLAN tags: the outermost tag is beside the packet (``__sk_buff.vlan_*``), the others are in it."""

from __future__ import annotations

import errno

from ..contexts import ETH_HLEN, get, put
from .frames import P_8021AD, P_8021Q, skb_frame
from .registry import helper

VLAN_HLEN, ADDRESSES = 4, 12
TAGGED = (P_8021Q, P_8021AD)
P_802_2, P_802_3 = 0x0400, 0x0100     # ETH_P_* as a little-endian load shows them


def _put_tag(run, protocol: int, tci: int) -> None:
    """The tag beside the packet; protocol 0 takes it away (``__vlan_hwaccel_put_tag``)."""
    for name, value in (("vlan_present", int(bool(protocol or tci))), ("vlan_proto", protocol), ("vlan_tci", tci)):
        put(run.input.shape, run.input.buffer, name, value)


@helper(moves=True)
def skb_vlan_push(run, ctx, protocol, tci):
    frame, shape, buffer = skb_frame(run, ctx), run.input.shape, run.input.buffer
    protocol &= 0xFFFF
    if get(shape, buffer, "vlan_present"):   # that tag goes into the packet
        # both have 16 bits in the packet, 32 in __sk_buff
        outer, outer_tci = (get(shape, buffer, name) & 0xFFFF for name in ("vlan_proto", "vlan_tci"))
        tag = outer.to_bytes(2, "little") + outer_tci.to_bytes(2, "big")
        frame.insert(ADDRESSES, VLAN_HLEN, "skb_vlan_push")
        run.memory.write(frame.data + ADDRESSES, tag)
        put(shape, buffer, "protocol", outer)
    _put_tag(run, protocol if protocol in TAGGED else P_8021Q, tci & 0xFFFF)
    frame.headers.mac_len = frame.headers.network - frame.headers.mac
    return 0


def _out_of_the_packet(run, frame) -> int:
    """Take the first tag out of the packet (``__skb_vlan_pop``): its TCI, or -ENOMEM."""
    if frame.length < ETH_HLEN + VLAN_HLEN:
        return -errno.ENOMEM
    tci, inner = (int.from_bytes(frame.window[at:at + 2], order) for at, order in ((14, "big"), (16, "little")))
    if int.from_bytes(frame.window[16:18], "big") < 0x600:   # a length: the payload tells the protocol
        inner = P_802_3 if (frame.window + frame.tail)[18:20] == b"\xff\xff" else P_802_2
    frame.remove(ADDRESSES, VLAN_HLEN, "skb_vlan_pop")
    put(run.input.shape, run.input.buffer, "protocol", inner)
    headers = frame.headers
    headers.network = max(headers.network - VLAN_HLEN, ETH_HLEN)
    headers.mac_len = headers.network - headers.mac
    return tci


@helper(moves=True)
def skb_vlan_pop(run, ctx):
    frame, shape, buffer = skb_frame(run, ctx), run.input.shape, run.input.buffer
    if get(shape, buffer, "vlan_present"):
        _put_tag(run, 0, 0)
    elif get(shape, buffer, "protocol") not in TAGGED:
        return 0
    elif (tci := _out_of_the_packet(run, frame)) < 0:
        return tci
    protocol = get(shape, buffer, "protocol")
    if protocol in TAGGED:   # the next tag comes out of the packet
        tci = _out_of_the_packet(run, frame)
        if tci < 0:
            return tci
        _put_tag(run, protocol, tci)
    return 0
