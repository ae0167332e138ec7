"""Helpers on checksums: ones' complement sums of little-endian halves, as the kernel keeps them on x86."""

from __future__ import annotations

import errno

from .frames import skb_frame, span
from .registry import ENOTSUPP, helper


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
    frame, offset = skb_frame(run, ctx), offset & 0xFFFF_FFFF
    if flags & ~allowed:
        return -errno.EINVAL
    if offset > 0xFFFF or offset % 2:
        return -errno.EFAULT
    at = span(frame, offset, 2)
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
    skb_frame(run, ctx)
    return -ENOTSUPP   # only for packets whose device gave a complete checksum


@helper()
def csum_level(run, ctx, what):
    """BPF_CSUM_LEVEL_*: how many checksums, from the outermost, are known to be right."""
    headers = skb_frame(run, ctx).headers
    level = headers.csum_level
    if what == 0:     # QUERY
        return -errno.EACCES if level is None else level
    if what == 1:     # INC
        headers.csum_level = 0 if level is None else min(level + 1, 3)
    elif what == 2:   # DEC
        headers.csum_level = level - 1 if level else None
    elif what == 3:   # RESET
        headers.csum_level = None
    else:
        return -errno.EINVAL
    return 0
