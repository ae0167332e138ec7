"""Helpers on XDP frames: the ends of the frame, loads and stores (``net/core/filter.c``)."""

from __future__ import annotations

import errno

from ..contexts import ETH_HLEN
from ..frame import XDP_FRAME
from .frames import span, xdp_frame
from .registry import helper, signed32


@helper(moves=True)
def xdp_adjust_head(run, ctx, offset):
    frame, offset = xdp_frame(run, ctx), signed32(offset)
    if len(frame.head) + offset < XDP_FRAME or offset > frame.length - ETH_HLEN:
        return -errno.EINVAL
    meta = bytes(frame.window[:frame.meta])   # metadata moves along with the start
    frame.reshape(offset, 0, frame.meta, "xdp_adjust_head")
    frame.window[:len(meta)] = meta
    return 0


@helper(moves=True)
def xdp_adjust_meta(run, ctx, offset):
    frame, offset = xdp_frame(run, ctx), signed32(offset)
    meta = frame.meta - offset
    if len(frame.head) + offset < XDP_FRAME or meta < 0:
        return -errno.EINVAL
    if meta % 4 or meta > 255:
        return -errno.EACCES
    frame.reshape(offset, 0, meta, "xdp_adjust_meta")
    return 0


@helper(moves=True)
def xdp_adjust_tail(run, ctx, offset):
    frame, offset = xdp_frame(run, ctx), signed32(offset)
    if offset > len(frame.tail) or frame.length + offset < ETH_HLEN:
        return -errno.EINVAL
    if offset > 0:
        frame.tail[:offset] = bytes(offset)
    frame.reshape(0, offset, frame.meta, "xdp_adjust_tail")
    return 0


@helper()
def xdp_get_buff_len(run, ctx):
    return xdp_frame(run, ctx).length


@helper()
def xdp_load_bytes(run, ctx, offset, buffer, size):
    frame = xdp_frame(run, ctx)
    offset, size = offset & 0xFFFF_FFFF, size & 0xFFFF_FFFF
    if offset > 0xFFFF or size > 0xFFFF:
        return -errno.EFAULT
    at = span(frame, offset, size)
    if at is None:
        return -errno.EINVAL
    run.memory.write(buffer, run.memory.read(at, size))
    return 0


@helper()
def xdp_store_bytes(run, ctx, offset, buffer, size):
    frame = xdp_frame(run, ctx)
    offset, size = offset & 0xFFFF_FFFF, size & 0xFFFF_FFFF
    if offset > 0xFFFF or size > 0xFFFF:
        return -errno.EFAULT
    at = span(frame, offset, size)
    if at is None:
        return -errno.EINVAL
    run.memory.write(at, run.memory.read(buffer, size))
    return 0
