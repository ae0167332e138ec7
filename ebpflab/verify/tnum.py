"""Tristate numbers: what is known of each bit of a 64-bit word (``kernel/bpf/tnum.c``).

A tnum is a pair ``(value, mask)`` of unsigned ints.  A bit set in ``mask`` is unknown, and then clear in
``value``; every other bit equals the bit of ``value``::

    value 0b0101, mask 0b0010    ->  01x1, that is 5 or 7

Every operator below is sound: it contains all results of the concrete operator on members of its arguments.
``tests/verify/test_tnum.py`` proves that at small widths.  Plain tuples, not a class: the verifier makes millions.
"""

from __future__ import annotations

from ..isa.bits import U32, U64

Tnum = tuple[int, int]

UNKNOWN: Tnum = (0, U64)
UPPER = U64 ^ U32


def const(value: int) -> Tnum:
    return value & U64, 0


def span(low: int, high: int) -> Tnum:
    """The smallest tnum that contains the unsigned range [low, high] (``tnum_range``)."""
    bits = (low ^ high).bit_length()
    if bits > 63:
        return UNKNOWN
    delta = (1 << bits) - 1
    return low & ~delta, delta


def add(a: Tnum, b: Tnum) -> Tnum:
    values = a[0] + b[0]
    mask = ((a[1] + b[1] + values) ^ values | a[1] | b[1]) & U64
    return values & ~mask & U64, mask


def sub(a: Tnum, b: Tnum) -> Tnum:
    difference = a[0] - b[0]
    mask = ((difference + a[1]) ^ (difference - b[1]) | a[1] | b[1]) & U64
    return difference & ~mask & U64, mask


def neg(a: Tnum) -> Tnum:
    return sub((0, 0), a)


def and_(a: Tnum, b: Tnum) -> Tnum:
    value = a[0] & b[0]
    return value, (a[0] | a[1]) & (b[0] | b[1]) & ~value


def or_(a: Tnum, b: Tnum) -> Tnum:
    value = a[0] | b[0]
    return value, (a[1] | b[1]) & ~value


def xor(a: Tnum, b: Tnum) -> Tnum:
    mask = a[1] | b[1]
    return (a[0] ^ b[0]) & ~mask, mask


def mul(a: Tnum, b: Tnum) -> Tnum:
    """Long multiplication; an unknown bit of ``a`` joins the sums with and without ``b``."""
    total = (0, 0)
    (value, mask), shifted = a, b
    while value or mask:
        if value & 1:
            total = add(total, shifted)
        elif mask & 1:
            total = union(total, add(total, shifted))
        value, mask = value >> 1, mask >> 1
        shifted = lshift(shifted, 1)
    return total


def lshift(a: Tnum, shift: int) -> Tnum:
    return a[0] << shift & U64, a[1] << shift & U64


def rshift(a: Tnum, shift: int) -> Tnum:
    return a[0] >> shift, a[1] >> shift


def arshift(a: Tnum, shift: int, width: int) -> Tnum:
    """Arithmetic shift of the low ``width`` (32 or 64) bits; the result has no bits above."""
    full, sign = (1 << width) - 1, 1 << (width - 1)
    value, mask = a[0] & full, a[1] & full
    return ((value ^ sign) - sign >> shift) & full, ((mask ^ sign) - sign >> shift) & full


def intersect(a: Tnum, b: Tnum) -> Tnum:
    """What both say; if they contradict each other the result is some member of neither."""
    mask = a[1] & b[1]
    return (a[0] | b[0]) & ~mask, mask


def union(a: Tnum, b: Tnum) -> Tnum:
    mask = a[0] ^ b[0] | a[1] | b[1]
    return a[0] & b[0] & ~mask, mask


def overlap(a: Tnum, b: Tnum) -> bool:
    """Can one number be a member of both?"""
    known = ~a[1] & ~b[1]
    return a[0] & known == b[0] & known


def contains(a: Tnum, b: Tnum) -> bool:
    """Is every member of ``b`` a member of ``a`` (``tnum_in``)?"""
    return not b[1] & ~a[1] and a[0] == b[0] & ~a[1]


def subreg(a: Tnum) -> Tnum:
    """The low 32 bits, zero-extended."""
    return a[0] & U32, a[1] & U32


def with_subreg(a: Tnum, low: Tnum) -> Tnum:
    """``a`` with its low 32 bits replaced by those of ``low``."""
    return a[0] & UPPER | low[0] & U32, a[1] & UPPER | low[1] & U32


def cast(a: Tnum, size: int) -> Tnum:
    """The low ``size`` bytes, zero-extended."""
    full = (1 << size * 8) - 1
    return a[0] & full, a[1] & full


def swapped(a: Tnum, size: int) -> Tnum:
    """The low ``size`` bytes in reverse order, zero-extended (``tnum_bswap``)."""
    full = (1 << size * 8) - 1
    value, mask = ((word & full).to_bytes(size, "little") for word in a)
    return int.from_bytes(value, "big"), int.from_bytes(mask, "big")


def following(a: Tnum, word: int) -> int:
    """The smallest member above ``word``; the largest one if none is above (``tnum_step``)."""
    value, mask = a
    if word < value:
        return value
    if word >= value | mask:
        return value | mask
    below = (1 << ((word ^ value) & ~mask).bit_length()) - 1     # from the first bit where word is no member
    if below and value & (below + 1 >> 1):      # clear in word, set in all members: the rest may be as small as can be
        return word & mask & ~below | value
    return ((word | below | ~mask) + 1 & mask) | value


def aligned(a: Tnum, size: int) -> bool:
    """Are all members multiples of ``size``, a power of two?"""
    return not (a[0] | a[1]) & (size - 1)


def text(a: Tnum) -> str:
    """As the kernel prints it: ``(0x0; 0xff)``, or the number if all bits are known (``tnum_strn``)."""
    if a[1] == 0:
        return str(a[0]) if a[0] <= 0xFFFF else f"{a[0]:#x}"
    return f"({a[0]:#x}; {a[1]:#x})"
