"""Helpers on socket buffers: loads and stores, length, type, hash (``net/core/filter.c``)."""

from __future__ import annotations

import errno
import zlib

from ..contexts import ETH_HLEN, get, put
from ..frame import Frame
from .frames import P_IP, P_IPV6, from_mac, skb_frame, span
from .registry import ENOTSUPP, helper

INT_MAX = 0x7FFF_FFFF
SKB_MAX = 16064                            # SKB_MAX_ALLOC: four pages less the skb_shared_info


def _load(run, frame: Frame, offset: int, buffer: int, size: int) -> int:
    at = span(frame, offset, size) if 0 <= offset <= INT_MAX else None
    if at is None:
        run.memory.clear(buffer, size)
        return -errno.EFAULT
    run.memory.write(buffer, run.memory.read(at, size))
    return 0


@helper()
def skb_load_bytes(run, ctx, offset, buffer, size):
    return _load(run, skb_frame(run, ctx), offset & 0xFFFF_FFFF, buffer, size & 0xFFFF_FFFF)


@helper()
def skb_load_bytes_relative(run, ctx, offset, buffer, size, start):
    skb_frame(run, ctx)
    offset, size = offset & 0xFFFF_FFFF, size & 0xFFFF_FFFF
    if start > 1 or offset > 0xFFFF:   # BPF_HDR_START_MAC, BPF_HDR_START_NET
        run.memory.clear(buffer, size)
        return -errno.EFAULT
    whole = from_mac(run)[ETH_HLEN * start:]
    data = whole[offset:offset + size]
    if len(data) < size:
        run.memory.clear(buffer, size)
        return -errno.EFAULT
    run.memory.write(buffer, data)
    return 0


@helper()
def skb_store_bytes(run, ctx, offset, buffer, size, flags):
    frame, offset, size = skb_frame(run, ctx), offset & 0xFFFF_FFFF, size & 0xFFFF_FFFF
    if flags & ~3:   # BPF_F_RECOMPUTE_CSUM, BPF_F_INVALIDATE_HASH
        return -errno.EINVAL
    at = span(frame, offset, size) if offset <= INT_MAX else None
    if at is None:
        return -errno.EFAULT
    run.memory.write(at, run.memory.read(buffer, size))
    return 0


@helper()
def skb_pull_data(run, ctx, size):
    return -errno.ENOMEM if size & 0xFFFF_FFFF > skb_frame(run, ctx).length else 0


@helper(moves=True)
def skb_change_tail(run, ctx, size, flags):
    frame, size = skb_frame(run, ctx), size & 0xFFFF_FFFF
    headers = frame.headers
    least = next((at for at in (headers.transport, headers.network) if at and at > 0), 0)   # __bpf_skb_min_len
    if flags or not least <= size <= SKB_MAX:
        return -errno.EINVAL
    if headers.encapsulated:
        return -ENOTSUPP
    more = size - frame.length
    if more > len(frame.tail):
        frame.tail.extend(bytes(more - len(frame.tail)))
    if more > 0:
        frame.tail[:more] = bytes(more)
    frame.reshape(0, more, 0, "skb_change_tail")
    for name in ("gso_size", "gso_segs"):
        put(run.input.shape, run.input.buffer, name, 0)
    return 0


@helper(moves=True)
def skb_change_head(run, ctx, room, flags):
    frame, room = skb_frame(run, ctx), room & 0xFFFF_FFFF
    gso = get(run.input.shape, run.input.buffer, "gso_size")
    if flags or room > INT_MAX or (frame.length + room > SKB_MAX and not gso):
        return -errno.EINVAL
    frame.grow(room)
    if room:
        frame.head[-room:] = bytes(room)
    frame.reshape(-room, 0, 0, "skb_change_head")
    frame.headers.mac, frame.headers.mac_len = 0, frame.headers.network
    return 0


@helper()
def skb_change_type(run, ctx, kind):
    skb_frame(run, ctx)
    shape, buffer = run.input.shape, run.input.buffer
    if kind & 0xFFFF_FFFF > 3 or get(shape, buffer, "pkt_type") > 3:   # PACKET_OTHERHOST is the last that may be
        return -errno.EINVAL
    put(shape, buffer, "pkt_type", kind & 3)
    return 0


@helper()
def get_hash_recalc(run, ctx):
    """A hash of the flow; the kernel's depends on a secret of each boot, this one does not."""
    frame, shape = skb_frame(run, ctx), run.input.shape
    value = get(shape, run.input.buffer, "hash") or zlib.crc32(frame.packet()[ETH_HLEN * run.input.l2:][12:24]) or 1
    put(shape, run.input.buffer, "hash", value)
    return value


@helper()
def set_hash_invalid(run, ctx):
    skb_frame(run, ctx)
    put(run.input.shape, run.input.buffer, "hash", 0)
    return 0


@helper()
def set_hash(run, ctx, value):
    skb_frame(run, ctx)
    put(run.input.shape, run.input.buffer, "hash", value & 0xFFFF_FFFF)
    return 0


@helper()
def skb_set_tstamp(run, ctx, time, kind):
    """``kind``: BPF_SKB_CLOCK_REALTIME, _MONOTONIC, _TAI."""
    skb_frame(run, ctx)
    shape, buffer, kind = run.input.shape, run.input.buffer, kind & 0xFFFF_FFFF
    if get(shape, buffer, "protocol") not in (P_IP, P_IPV6):
        return -errno.EOPNOTSUPP
    if kind > 2 or (kind and not time):
        return -errno.EINVAL
    put(shape, buffer, "tstamp", time)
    put(shape, buffer, "tstamp_type", kind)
    return 0


@helper()
def skb_get_xfrm_state(run, ctx, index, to, size, flags):
    """No packet here came through IPsec."""
    skb_frame(run, ctx)
    run.memory.clear(to, size & 0xFFFF_FFFF)
    return -errno.EINVAL
