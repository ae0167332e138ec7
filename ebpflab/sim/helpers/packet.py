"""Helpers on packets: XDP and socket buffers (``net/core/filter.c``), checksums, redirection."""

from __future__ import annotations

import errno
import zlib

from ...errors import Fault
from ..contexts import ETH_HLEN, get, put
from ..frame import XDP_FRAME, Frame
from ..maps import References
from .registry import helper, signed32

INT_MAX = 0x7FFF_FFFF
SKB_MAX = 16064                            # SKB_MAX_ALLOC: four pages less the skb_shared_info
NET_OFF, LL_OFF = -0x100000, -0x200000     # SKF_NET_OFF, SKF_LL_OFF
XDP_ABORTED, XDP_REDIRECT, TC_ACT_SHOT, TC_ACT_REDIRECT = 0, 4, 2, 7


def _frame(run, ctx: int, xdp: bool) -> Frame:
    if run.frame is None or run.input.xdp is not xdp:
        raise Fault(f"this helper works on {'an XDP frame' if xdp else 'a socket buffer'}, which a"
                    f" {run.program.spec.type} program does not have")
    if ctx != run.ctx:
        raise Fault(f"r1 is {ctx:#x} ({run.memory.describe(ctx)}), not the context")
    return run.frame


def _xdp(run, ctx: int) -> Frame:
    return _frame(run, ctx, True)


def _skb(run, ctx: int) -> Frame:
    return _frame(run, ctx, False)


# -- XDP: the ends of the frame ------------------------------------------------------------------


@helper(moves=True)
def xdp_adjust_head(run, ctx, offset):
    frame, offset = _xdp(run, ctx), signed32(offset)
    if len(frame.head) + offset < XDP_FRAME or offset > frame.length - ETH_HLEN:
        return -errno.EINVAL
    meta = bytes(frame.window[:frame.meta])   # metadata moves along with the start
    frame.reshape(offset, 0, frame.meta, "xdp_adjust_head")
    frame.window[:len(meta)] = meta
    return 0


@helper(moves=True)
def xdp_adjust_meta(run, ctx, offset):
    frame, offset = _xdp(run, ctx), signed32(offset)
    meta = frame.meta - offset
    if len(frame.head) + offset < XDP_FRAME or meta < 0:
        return -errno.EINVAL
    if meta % 4 or meta > 255:
        return -errno.EACCES
    frame.reshape(offset, 0, meta, "xdp_adjust_meta")
    return 0


@helper(moves=True)
def xdp_adjust_tail(run, ctx, offset):
    frame, offset = _xdp(run, ctx), signed32(offset)
    if offset > len(frame.tail) or frame.length + offset < ETH_HLEN:
        return -errno.EINVAL
    if offset > 0:
        frame.tail[:offset] = bytes(offset)
    frame.reshape(0, offset, frame.meta, "xdp_adjust_tail")
    return 0


@helper()
def xdp_get_buff_len(run, ctx):
    return _xdp(run, ctx).length


def _span(frame: Frame, offset: int, size: int) -> int | None:
    """Address of ``size`` bytes at ``offset`` of the packet, None if they are not all inside."""
    return frame.data + offset if offset + size <= frame.length else None


@helper()
def xdp_load_bytes(run, ctx, offset, buffer, size):
    frame = _xdp(run, ctx)
    offset, size = offset & 0xFFFF_FFFF, size & 0xFFFF_FFFF
    if offset > 0xFFFF or size > 0xFFFF:
        return -errno.EFAULT
    at = _span(frame, offset, size)
    if at is None:
        return -errno.EINVAL
    run.memory.write(buffer, run.memory.read(at, size))
    return 0


@helper()
def xdp_store_bytes(run, ctx, offset, buffer, size):
    frame = _xdp(run, ctx)
    offset, size = offset & 0xFFFF_FFFF, size & 0xFFFF_FFFF
    if offset > 0xFFFF or size > 0xFFFF:
        return -errno.EFAULT
    at = _span(frame, offset, size)
    if at is None:
        return -errno.EINVAL
    run.memory.write(at, run.memory.read(buffer, size))
    return 0


# -- socket buffers ------------------------------------------------------------------------------


def _load(run, frame: Frame, offset: int, buffer: int, size: int) -> int:
    at = _span(frame, offset, size) if 0 <= offset <= INT_MAX else None
    if at is None:
        run.memory.clear(buffer, size)
        return -errno.EFAULT
    run.memory.write(buffer, run.memory.read(at, size))
    return 0


def _from_mac(run) -> bytes:
    """The packet from its link-layer header, which for types without one is still in the headroom."""
    frame = run.frame
    return frame.packet() if run.input.l2 else bytes(frame.head[-ETH_HLEN:]) + frame.packet()


@helper()
def skb_load_bytes(run, ctx, offset, buffer, size):
    return _load(run, _skb(run, ctx), offset & 0xFFFF_FFFF, buffer, size & 0xFFFF_FFFF)


@helper()
def skb_load_bytes_relative(run, ctx, offset, buffer, size, start):
    _skb(run, ctx)
    offset, size = offset & 0xFFFF_FFFF, size & 0xFFFF_FFFF
    if start > 1 or offset > 0xFFFF:   # BPF_HDR_START_MAC, BPF_HDR_START_NET
        run.memory.clear(buffer, size)
        return -errno.EFAULT
    whole = _from_mac(run)[ETH_HLEN * start:]
    data = whole[offset:offset + size]
    if len(data) < size:
        run.memory.clear(buffer, size)
        return -errno.EFAULT
    run.memory.write(buffer, data)
    return 0


@helper()
def skb_store_bytes(run, ctx, offset, buffer, size, flags):
    frame, offset, size = _skb(run, ctx), offset & 0xFFFF_FFFF, size & 0xFFFF_FFFF
    if flags & ~3:   # BPF_F_RECOMPUTE_CSUM, BPF_F_INVALIDATE_HASH
        return -errno.EINVAL
    at = _span(frame, offset, size) if offset <= INT_MAX else None
    if at is None:
        return -errno.EFAULT
    run.memory.write(at, run.memory.read(buffer, size))
    return 0


@helper()
def skb_pull_data(run, ctx, size):
    return -errno.ENOMEM if size & 0xFFFF_FFFF > _skb(run, ctx).length else 0


@helper(moves=True)
def skb_change_tail(run, ctx, size, flags):
    frame, size = _skb(run, ctx), size & 0xFFFF_FFFF
    least = ETH_HLEN if run.input.l2 else 0
    if flags or not least <= size <= SKB_MAX:
        return -errno.EINVAL
    more = size - frame.length
    if more > len(frame.tail):
        frame.tail.extend(bytes(more - len(frame.tail)))
    if more > 0:
        frame.tail[:more] = bytes(more)
    frame.reshape(0, more, 0, "skb_change_tail")
    return 0


@helper(moves=True)
def skb_change_head(run, ctx, room, flags):
    frame, room = _skb(run, ctx), room & 0xFFFF_FFFF
    if flags or frame.length + room > SKB_MAX:
        return -errno.EINVAL
    if room > len(frame.head):
        frame.head[:0] = bytes(room - len(frame.head))
    if room:
        frame.head[-room:] = bytes(room)
    frame.reshape(-room, 0, 0, "skb_change_head")
    return 0


@helper()
def skb_change_type(run, ctx, kind):
    _skb(run, ctx)
    shape, buffer = run.input.shape, run.input.buffer
    if kind & 0xFFFF_FFFF > 3 or get(shape, buffer, "pkt_type") > 3:   # PACKET_OTHERHOST is the last that may be
        return -errno.EINVAL
    put(shape, buffer, "pkt_type", kind & 3)
    return 0


@helper()
def get_hash_recalc(run, ctx):
    """A hash of the flow; the kernel's depends on a secret of each boot, this one does not."""
    frame, shape = _skb(run, ctx), run.input.shape
    value = get(shape, run.input.buffer, "hash") or zlib.crc32(frame.packet()[ETH_HLEN * run.input.l2:][12:24]) or 1
    put(shape, run.input.buffer, "hash", value)
    return value


@helper()
def set_hash_invalid(run, ctx):
    _skb(run, ctx)
    put(run.input.shape, run.input.buffer, "hash", 0)
    return 0


@helper()
def set_hash(run, ctx, value):
    _skb(run, ctx)
    put(run.input.shape, run.input.buffer, "hash", value & 0xFFFF_FFFF)
    return 0


def load_packet(run, code, index: int) -> int | None:
    """The packet loads of RFC 9669 section 5.5 (LD_ABS, LD_IND): network order, None outside the packet."""
    if run.frame is None or run.input.xdp:
        raise Fault(f"a {run.program.spec.type} program has no socket buffer to load from")
    size, offset = code.op.bytes, signed32(code.imm + index)
    if offset >= 0:
        data = run.frame.window
    elif offset >= NET_OFF:
        data, offset = _from_mac(run)[ETH_HLEN:], offset - NET_OFF
    elif offset >= LL_OFF:
        data, offset = _from_mac(run), offset - LL_OFF
    else:
        return None
    return int.from_bytes(data[offset:offset + size], "big") if offset + size <= len(data) else None


# -- checksums: ones' complement sums of little-endian halves, as the kernel keeps them on x86 --------


def partial(data: bytes, seed: int = 0) -> int:
    """``csum_partial`` as x86 does it, word by word, for whichever of the two zeros comes out matters."""
    total = seed
    for at in range(0, len(data), 8):
        total += int.from_bytes(data[at:at + 8], "little")
    return _carry32(total)


def _carry32(total: int) -> int:
    while total >> 32:
        total = (total & 0xFFFF_FFFF) + (total >> 32)
    return total


def _fold(total: int) -> int:
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@helper()
def csum_diff(run, old, old_size, new, new_size, seed):
    old_size, new_size, seed = old_size & 0xFFFF_FFFF, new_size & 0xFFFF_FFFF, seed & 0xFFFF_FFFF
    if (old_size | new_size) % 4:
        return -errno.EINVAL
    before, after = run.memory.read(old, old_size), run.memory.read(new, new_size)
    if old_size and not new_size:
        total = partial(before, seed ^ 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    else:
        total = partial(after, seed)
        if old_size:
            total = _carry32(total + (partial(before) ^ 0xFFFF_FFFF))
    return _fold(total)   # since Linux 6.13 folded to 16 bits on every architecture


def _replace(total: int, old: int, new: int, size: int, narrow: bool) -> int | None:
    """A 16-bit checksum field after ``old`` became ``new`` (size 2 or 4; 0: ``new`` is the difference).

    ``narrow``: two bytes are exchanged in 16-bit arithmetic (``csum_replace2``); the two kinds of zero differ.
    """
    if size == 0:
        return None if old else _fold(_carry32((total ^ 0xFFFF_FFFF) + (new & 0xFFFF_FFFF))) ^ 0xFFFF
    if size not in (2, 4):
        return None
    if size == 2:
        old, new = old & 0xFFFF, new & 0xFFFF
    if size == 2 and narrow:
        return _fold(_fold((total ^ 0xFFFF) + (old ^ 0xFFFF)) + new) ^ 0xFFFF
    start = _carry32((total ^ 0xFFFF_FFFF) + (old & 0xFFFF_FFFF ^ 0xFFFF_FFFF))
    return _fold(_carry32(start + (new & 0xFFFF_FFFF))) ^ 0xFFFF


def _checksum(run, ctx, offset, old, new, flags, allowed: int) -> int:
    frame, offset = _skb(run, ctx), offset & 0xFFFF_FFFF
    if flags & ~allowed:
        return -errno.EINVAL
    if offset > 0xFFFF or offset % 2:
        return -errno.EFAULT
    at = _span(frame, offset, 2)
    if at is None:
        return -errno.EFAULT
    total = run.memory.load(at, 2)
    mangled, enforce = bool(flags & 0x20), bool(flags & 0x40)   # BPF_F_MARK_MANGLED_0, BPF_F_MARK_ENFORCE
    if mangled and not enforce and not total:
        return 0
    result = _replace(total, old, new, flags & 0xF, narrow=allowed == 0xF)
    if result is None:
        return -errno.EINVAL
    run.memory.store(at, 2, 0xFFFF if mangled and not result else result)
    return 0


@helper()
def l3_csum_replace(run, ctx, offset, old, new, flags):
    return _checksum(run, ctx, offset, old, new, flags, 0xF)


@helper()
def l4_csum_replace(run, ctx, offset, old, new, flags):
    return _checksum(run, ctx, offset, old, new, flags, 0xFF)


@helper()
def csum_update(run, ctx, total):
    _skb(run, ctx)
    return -524   # ENOTSUPP: only for packets whose device gave a complete checksum


# -- redirection ---------------------------------------------------------------------------------


@helper()
def redirect(run, ifindex, flags):
    ifindex &= 0xFFFF_FFFF
    if run.program.spec.type == "xdp":
        if flags:
            return XDP_ABORTED
        run.redirect = ifindex
        return XDP_REDIRECT
    if flags & ~1:   # BPF_F_INGRESS
        return TC_ACT_SHOT
    run.redirect = ifindex
    return TC_ACT_REDIRECT


@helper()
def redirect_map(run, map_, index, flags):
    found, index = run.map(map_), index & 0xFFFF_FFFF
    if not isinstance(found, References) or found.spec.type not in ("devmap", "cpumap", "xskmap"):
        raise Fault(f"bpf_redirect_map does not work on {found.spec.name}, a {found.spec.type} map")
    if flags & ~(0x1B if found.spec.type == "devmap" else 3):   # action, BPF_F_BROADCAST, BPF_F_EXCLUDE_INGRESS
        return XDP_ABORTED
    if found.at(index) is None and not flags & 8:
        return flags & 3
    run.redirect = (found.spec.name, index)
    return XDP_REDIRECT


@helper()
def clone_redirect(run, ctx, ifindex, flags):
    _skb(run, ctx)
    if flags & ~1:
        return -errno.EINVAL
    run.redirect = ifindex & 0xFFFF_FFFF
    return 0
