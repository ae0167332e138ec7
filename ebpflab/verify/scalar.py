"""What is known of a 64-bit number, and arithmetic on that knowledge.

The kernel keeps five views of a register at once (``struct bpf_reg_state``): a tnum for the bits, and ranges
for the whole word and for its low half, each read as unsigned and as signed.  None implies the others, so
after every operation ``sync`` lets each view sharpen its neighbours (``reg_bounds_sync``)::

        bits (value, mask)
         ↕            ↕
    u64 ↔ s64  ↔  u32 ↔ s32

A ``Scalar`` is immutable and shared: equal knowledge is nearly always the same object, so that comparing two
states mostly compares pointers.  Signed bounds are negative Python ints, unsigned ones never are.
"""

from __future__ import annotations

from functools import lru_cache

from ..isa.bits import U32, U64
from . import tnum

S64_MIN, S64_MAX = -(1 << 63), (1 << 63) - 1
S32_MIN, S32_MAX = -(1 << 31), (1 << 31) - 1
UPPER = U64 ^ U32


def s64(word: int) -> int:
    """The low 64 bits read as a signed number."""
    word &= U64
    return word - (1 << 64) if word >> 63 else word


def s32(word: int) -> int:
    word &= U32
    return word - (1 << 32) if word >> 31 else word


class Scalar:
    """Bits and ranges of a number, as in ``struct bpf_reg_state``. ``bad`` tells of a contradiction between views."""

    __slots__ = ("bad", "mask", "s32_max", "s32_min", "smax", "smin", "u32_max", "u32_min", "umax", "umin", "value")

    def __init__(self, value: int, mask: int, smin: int, smax: int, umin: int, umax: int,
                 s32_min: int, s32_max: int, u32_min: int, u32_max: int):
        self.value, self.mask = value, mask
        self.smin, self.smax, self.umin, self.umax = smin, smax, umin, umax
        self.s32_min, self.s32_max, self.u32_min, self.u32_max = s32_min, s32_max, u32_min, u32_max
        self.bad = _contradiction(self)

    @property
    def key(self) -> tuple[int, ...]:
        return (self.value, self.mask, self.smin, self.smax, self.umin, self.umax,
                self.s32_min, self.s32_max, self.u32_min, self.u32_max)

    def same(self, other: Scalar) -> bool:
        return self is other or (self.value == other.value and self.mask == other.mask and self.key == other.key)

    def admits(self, other: Scalar) -> bool:
        """Is everything that ``other`` can be also possible here (``range_within`` and ``tnum_in``)?"""
        return self is other or (
            self.umin <= other.umin and self.umax >= other.umax
            and self.smin <= other.smin and self.smax >= other.smax
            and self.u32_min <= other.u32_min and self.u32_max >= other.u32_max
            and self.s32_min <= other.s32_min and self.s32_max >= other.s32_max
            and not other.mask & ~self.mask and self.value == other.value & ~self.mask)

    def __repr__(self) -> str:
        return f"Scalar{self.key}"


def _contradiction(n: Scalar) -> str:
    """Why no number fits all views, "" if one may (``reg_bounds_sanity_check``)."""
    if n.umin > n.umax or n.smin > n.smax or n.u32_min > n.u32_max or n.s32_min > n.s32_max:
        return "range bounds violation"
    if n.mask == 0 and not (n.umin == n.umax == n.value and n.smin == n.smax == s64(n.value)):
        return "const tnum out of sync with range bounds"
    if n.mask & U32 == 0:
        low = n.value & U32
        if not (n.u32_min == n.u32_max == low and n.s32_min == n.s32_max == s32(low)):
            return "const subreg tnum out of sync with range bounds"
    return ""


#: a Scalar of these ten numbers, as they are
raw = lru_cache(maxsize=1 << 16)(Scalar)

UNKNOWN = raw(0, U64, S64_MIN, S64_MAX, 0, U64, S32_MIN, S32_MAX, 0, U32)


@lru_cache(maxsize=1 << 16)
def known(word: int) -> Scalar:
    """The number ``word``, taken modulo 2^64."""
    word &= U64
    high, low = s64(word), word & U32
    return raw(word, 0, high, high, word, word, s32(low), s32(low), low, low)


ZERO = known(0)


@lru_cache(maxsize=1 << 16)
def sync(value: int, mask: int, smin: int, smax: int, umin: int, umax: int,
         s32_min: int, s32_max: int, u32_min: int, u32_max: int) -> Scalar:
    """The Scalar after the views told each other what they know (``reg_bounds_sync``)."""
    if mask == 0 and smin <= s64(value) <= smax and umin <= value <= umax:
        low = value & U32
        if s32_min <= s32(low) <= s32_max and u32_min <= low <= u32_max:
            return known(value)
    bounds = _from_bits(value, mask, smin, smax, umin, umax, s32_min, s32_max, u32_min, u32_max)
    for _ in range(3):
        sharper = _deduce(*bounds)
        if sharper == bounds:
            break
        bounds = sharper
    value, mask, smin, smax, umin, umax, s32_min, s32_max, u32_min, u32_max = bounds
    wide = tnum.intersect((value, mask), tnum.span(umin, umax))
    value, mask = tnum.with_subreg(wide, tnum.intersect(tnum.subreg(wide), tnum.span(u32_min, u32_max)))
    return raw(*_from_bits(value, mask, smin, smax, umin, umax, s32_min, s32_max, u32_min, u32_max))


def low_from_bits(value: int, mask: int, s32_min: int, s32_max: int, u32_min: int,
                  u32_max: int) -> tuple[int, int, int, int]:
    value, mask = value & U32, mask & U32
    return (max(s32_min, s32(value | mask & 0x8000_0000)), min(s32_max, s32(value | mask & S32_MAX)),
            max(u32_min, value), min(u32_max, value | mask))


def _from_bits(value: int, mask: int, smin: int, smax: int, umin: int, umax: int,
               s32_min: int, s32_max: int, u32_min: int, u32_max: int) -> tuple[int, ...]:
    """Ranges learn from the bits (``__update_reg_bounds``), and the bits from a range that has one member."""
    smin, smax = max(smin, s64(value | mask & 1 << 63)), min(smax, s64(value | mask & S64_MAX))
    umin, umax = max(umin, value), min(umax, value | mask)
    above = tnum.following((value, mask), umin)
    if umin & ~mask == value:
        if above > umax:
            return known(umin).key
    elif above == value | mask or (above <= umax and tnum.following((value, mask), above) > umax):
        return known(above).key
    return (value, mask, smin, smax, umin, umax, *low_from_bits(value, mask, s32_min, s32_max, u32_min, u32_max))


def _deduce(value: int, mask: int, smin: int, smax: int, umin: int, umax: int,
            s32_min: int, s32_max: int, u32_min: int, u32_max: int) -> tuple[int, ...]:
    """Ranges learn from each other (``__reg_deduce_bounds``)."""
    # the low half of a range whose upper half never changes is itself a range
    for first, last, signed in ((umin, umax, False), (smin, smax, True)):
        low, high = first & U32, last & U32
        if first >> 32 == last >> 32:
            if not signed or low <= high:
                u32_min, u32_max = max(u32_min, low), min(u32_max, high)
            if s32(low) <= s32(high):
                s32_min, s32_max = max(s32_min, s32(low)), min(s32_max, s32(high))
    # ... and if the upper half takes two neighbouring values, the low half may run from negative to positive
    for first, last in ((umin, umax), (smin, smax)):
        if (first >> 32) + 1 & U32 == last >> 32 & U32 and s32(first) < 0 <= s32(last):
            s32_min, s32_max = max(s32_min, s32(first)), min(s32_max, s32(last))
    # a range that does not cross the sign boundary is the same range signed and unsigned
    if s32(u32_min) <= s32(u32_max):
        s32_min, s32_max = max(s32_min, s32(u32_min)), min(s32_max, s32(u32_max))
    if s32_min & U32 <= s32_max & U32:
        u32_min, u32_max = max(s32_min & U32, u32_min), min(s32_max & U32, u32_max)
    elif u32_max < s32_min & U32:       # only the non-negative end of the signed range overlaps
        s32_min, u32_max = s32(u32_min), min(u32_max, s32_max & U32)
    elif s32_max & U32 < u32_min:       # only the negative end does
        s32_max, u32_min = s32(u32_max), max(u32_min, s32_min & U32)
    if s64(umin) <= s64(umax):
        smin, smax = max(smin, s64(umin)), min(smax, s64(umax))
    if smin & U64 <= smax & U64:
        umin, umax = max(smin & U64, umin), min(smax & U64, umax)
    elif umax < smin & U64:
        smin, umax = s64(umin), min(umax, smax & U64)
    elif smax & U64 < umin:
        smax, umin = s64(umax), max(umin, smin & U64)
    # the low half of each 64-bit end can move to where the 32-bit range begins or ends
    umin, umax = max(umin, umin & UPPER | u32_min), min(umax, umax & UPPER | u32_max)
    smin, smax = max(smin, smin & ~U32 | u32_min), min(smax, smax & ~U32 | u32_max)
    # sign-extended 32 bits that are not negative: the upper half is zero
    if s32_min >= 0 and smin >= S32_MIN and smax <= S32_MAX:
        smin = umin = s32_min
        smax, umax = s32_max, s32_max & U64
        value, mask = tnum.intersect((value, mask), tnum.span(smin, smax & U64))
    return value, mask, smin, smax, umin, umax, s32_min, s32_max, u32_min, u32_max


def zero_extended(value: int, mask: int, s32_min: int, s32_max: int, u32_min: int, u32_max: int) -> Scalar:
    """A 32-bit result in a 64-bit register (``zext_32_to_64``, then ``reg_bounds_sync``)."""
    positive = s32_min >= 0 and s32_max >= 0
    return sync(value & U32, mask & U32, s32_min if positive else 0, s32_max if positive else U32,
                u32_min, u32_max, s32_min, s32_max, u32_min, u32_max)


@lru_cache(maxsize=1 << 14)
def low_half(n: Scalar) -> Scalar:
    """``(u32)n``, what a 32-bit move leaves."""
    return zero_extended(n.value, n.mask, n.s32_min, n.s32_max, n.u32_min, n.u32_max)


def from_bits(bits: tnum.Tnum) -> Scalar:
    """A number of which only bits are known; not synchronised."""
    return raw(*bits, *UNKNOWN.key[2:])


def with_low(n: Scalar, low: int) -> Scalar:
    """The low half is known to be ``low`` (``__mark_reg32_known``); the other views are left as they are."""
    bits = tnum.with_subreg((n.value, n.mask), (low, 0))
    return raw(*bits, n.smin, n.smax, n.umin, n.umax, s32(low), s32(low), low, low)


@lru_cache(maxsize=1 << 14)
def truncated(n: Scalar, size: int) -> Scalar:
    """The low ``size`` < 8 bytes, zero-extended, as a narrow load leaves them (``coerce_reg_to_size``)."""
    full = (1 << size * 8) - 1
    if n.umin & ~full == n.umax & ~full:
        umin, umax = n.umin & full, n.umax & full
    else:
        umin, umax = 0, full
    low = (S32_MIN, S32_MAX, 0, U32) if size < 4 else (n.s32_min, n.s32_max, n.u32_min, n.u32_max)
    return sync(n.value & full, n.mask & full, umin, umax, umin, umax, *low)


def _sign_extend(word: int, size: int) -> int:
    sign = 1 << size * 8 - 1
    return (word & (sign << 1) - 1 ^ sign) - sign


def sign_extended(n: Scalar, size: int) -> Scalar:
    """The low ``size`` bytes, sign-extended to 64 bits (``coerce_reg_to_size_sx``)."""
    bits = size * 8
    if n.mask == 0:
        return known(_sign_extend(n.value, size))
    if (n.smax & U64) >> bits == (n.smin & U64) >> bits:
        ends = _sign_extend(n.smax, size), _sign_extend(n.smin, size)
        low, high = min(ends), max(ends)
        if (low >= 0) == (high >= 0):
            return raw(*tnum.span(low & U64, high & U64), low, high, low & U64, high & U64,
                       s32(low), s32(high), low & U32, high & U32)
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    return raw(0, U64, low, high, 0, U64, low, high, 0, U32)


def sign_extended32(n: Scalar, size: int) -> Scalar:
    """The low ``size`` (1, 2) bytes sign-extended to 32 bits, then zero-extended (``coerce_subreg_to_size_sx``)."""
    bits = size * 8
    if n.mask == 0:
        return known(_sign_extend(n.value, size) & U32)
    if (n.s32_max & U32) >> bits == (n.s32_min & U32) >> bits:
        ends = _sign_extend(n.s32_max, size), _sign_extend(n.s32_min, size)
        low, high = min(ends), max(ends)
        if (low >= 0) == (high >= 0):
            return zero_extended(*tnum.subreg(tnum.span(low & U64, high & U64)), low, high, low & U32, high & U32)
    return zero_extended(0, U32, -(1 << bits - 1), (1 << bits - 1) - 1, 0, U32)
