"""Arithmetic on what is known: one function an operator, as in ``scalar_min_max_*`` and ``scalar32_min_max_*``.

Every operator takes the knowledge of both operands and whether it is the 32-bit form, and gives the knowledge
of the result.  ``tests/verify/test_bounds.py`` checks each against all concrete results.
"""

from __future__ import annotations

from collections.abc import Callable

from ..isa.bits import U32, U64
from . import tnum
from .scalar import (
    S32_MAX,
    S32_MIN,
    S64_MAX,
    S64_MIN,
    ZERO,
    Scalar,
    known,
    low_from_bits,
    s32,
    s64,
    sync,
    zero_extended,
)

Operator = Callable[[Scalar, Scalar, bool], Scalar]
Range = tuple[int, int, int, int]       # signed min and max, unsigned min and max
ANY32: Range = (S32_MIN, S32_MAX, 0, U32)
ANY64: Range = (S64_MIN, S64_MAX, 0, U64)


def _wide(n: Scalar) -> Range:
    return n.smin, n.smax, n.umin, n.umax


def _low(n: Scalar) -> Range:
    return n.s32_min, n.s32_max, n.u32_min, n.u32_max


def _result(bits: tnum.Tnum, wide: Range, low: Range, narrow: bool) -> Scalar:
    return zero_extended(*bits, *low) if narrow else sync(*bits, *wide, *low)


def _signed_if_same(ends: tuple[int, int], narrow: bool) -> Range:
    """Signed ends of an unsigned range if it does not cross the sign boundary."""
    umin, umax = ends
    low, high = (s32(umin), s32(umax)) if narrow else (s64(umin), s64(umax))
    if low > high:
        low, high = (S32_MIN, S32_MAX) if narrow else (S64_MIN, S64_MAX)
    return low, high, umin, umax


# ---- sums and products: both widths are tracked independently

def _sum(a: Range, b: Range, limits: Range) -> Range:
    smin, smax, umin, umax = a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]
    top = limits[3]
    if smin < limits[0] or smin > limits[1] or smax < limits[0] or smax > limits[1]:
        smin, smax = limits[:2]
    if umin <= top < umax:              # one end wraps around, the other does not
        return smin, smax, 0, top
    return smin, smax, umin & top, umax & top


def _difference(a: Range, b: Range, limits: Range) -> Range:
    smin, smax, umin, umax = a[0] - b[1], a[1] - b[0], a[2] - b[3], a[3] - b[2]
    top = limits[3]
    if smin < limits[0] or smin > limits[1] or smax < limits[0] or smax > limits[1]:
        smin, smax = limits[:2]
    if umin < 0 <= umax:
        return smin, smax, 0, top
    return smin, smax, umin & top, umax & top


def _product(a: Range, b: Range, limits: Range) -> Range:
    umin, umax, top = a[2] * b[2], a[3] * b[3], limits[3]
    if umax > top or umin > top:
        umin, umax = 0, top
    corners = a[0] * b[0], a[0] * b[1], a[1] * b[0], a[1] * b[1]
    smin, smax = min(corners), max(corners)
    if smin < limits[0] or smax > limits[1]:
        smin, smax = limits[:2]
    return smin, smax, umin, umax


def moved(a: Scalar, distance: int, narrow: bool) -> Scalar:
    """``a`` plus a constant, with both widths tracked whichever it is (as ``sync_linked_regs`` does)."""
    b = known(distance)
    bits = tnum.add((a.value, a.mask), (b.value, b.mask))
    return _result(bits, _sum(_wide(a), _wide(b), ANY64), _sum(_low(a), _low(b), ANY32), narrow)


def add(a: Scalar, b: Scalar, narrow: bool) -> Scalar:
    return _result(tnum.add((a.value, a.mask), (b.value, b.mask)), ANY64 if narrow else _sum(_wide(a), _wide(b), ANY64),
                   _sum(_low(a), _low(b), ANY32), narrow)


def sub(a: Scalar, b: Scalar, narrow: bool) -> Scalar:
    return _result(tnum.sub((a.value, a.mask), (b.value, b.mask)),
                   ANY64 if narrow else _difference(_wide(a), _wide(b), ANY64),
                   _difference(_low(a), _low(b), ANY32), narrow)


def neg(a: Scalar, _: Scalar, narrow: bool) -> Scalar:
    return sub(ZERO, a, narrow)


def mul(a: Scalar, b: Scalar, narrow: bool) -> Scalar:
    return _result(tnum.mul((a.value, a.mask), (b.value, b.mask)), _product(_wide(a), _wide(b), ANY64),
                   _product(_low(a), _low(b), ANY32), narrow)


# ---- bitwise: the bits come first, the ranges follow from them

def _bitwise(a: Scalar, b: Scalar, bits: tnum.Tnum, ends: Callable, narrow: bool) -> Scalar:
    value, mask = bits
    low_value, low_mask = value & U32, mask & U32
    if not low_mask and not b.mask & U32:
        low: Range = (s32(low_value), s32(low_value), low_value, low_value)
    else:
        low = _signed_if_same(ends(a.u32_min, a.u32_max, b.u32_min, b.u32_max, low_value, low_mask), True)
    if narrow:
        if low_mask or b.mask & U32:
            low = low_from_bits(value, mask, *low)
        return zero_extended(value, mask, *low)
    if not mask and not b.mask:
        wide: Range = (s64(value), s64(value), value, value)
        low = (s32(low_value), s32(low_value), low_value, low_value)
    else:
        wide = _signed_if_same(ends(a.umin, a.umax, b.umin, b.umax, value, mask), False)
    return sync(value, mask, *wide, *low)


def and_(a: Scalar, b: Scalar, narrow: bool) -> Scalar:
    return _bitwise(a, b, tnum.and_((a.value, a.mask), (b.value, b.mask)),
                    lambda amin, amax, bmin, bmax, value, mask: (value, min(amax, bmax)), narrow)


def or_(a: Scalar, b: Scalar, narrow: bool) -> Scalar:
    return _bitwise(a, b, tnum.or_((a.value, a.mask), (b.value, b.mask)),
                    lambda amin, amax, bmin, bmax, value, mask: (max(amin, bmin), value | mask), narrow)


def xor(a: Scalar, b: Scalar, narrow: bool) -> Scalar:
    return _bitwise(a, b, tnum.xor((a.value, a.mask), (b.value, b.mask)),
                    lambda amin, amax, bmin, bmax, value, mask: (value, value | mask), narrow)


# ---- shifts by a known amount; the caller made sure of that

def _shifted_low(n: Scalar, shift: int) -> Range:
    if shift > 31 or n.u32_max > 1 << 31 - shift:       # the top bit may be shifted out
        return ANY32
    return S32_MIN, S32_MAX, n.u32_min << shift & U32, n.u32_max << shift & U32


def lsh(a: Scalar, b: Scalar, narrow: bool) -> Scalar:
    shift = b.u32_min if narrow else b.umin
    if narrow:
        value, mask = tnum.subreg(tnum.lshift(tnum.subreg((a.value, a.mask)), shift))
        return zero_extended(value, mask, *low_from_bits(value, mask, *_shifted_low(a, shift)))
    # << 32 then s>> 32 is how compilers sign-extend: the low half's bounds become those of the whole
    smin, smax = (a.s32_min << 32, a.s32_max << 32) if shift == 32 else (S64_MIN, S64_MAX)
    umin, umax = (0, U64) if a.umax > 1 << 63 - shift else (a.umin << shift & U64, a.umax << shift & U64)
    return sync(*tnum.lshift((a.value, a.mask), shift), smin, smax, umin, umax, *_shifted_low(a, shift))


def rsh(a: Scalar, b: Scalar, narrow: bool) -> Scalar:
    shift = b.u32_min if narrow else b.umin
    if narrow:
        value, mask = tnum.rshift(tnum.subreg((a.value, a.mask)), shift)
        return zero_extended(value, mask, *low_from_bits(value, mask, S32_MIN, S32_MAX,
                                                          a.u32_min >> shift, a.u32_max >> shift))
    return sync(*tnum.rshift((a.value, a.mask), shift), S64_MIN, S64_MAX, a.umin >> shift, a.umax >> shift, *ANY32)


def arsh(a: Scalar, b: Scalar, narrow: bool) -> Scalar:
    shift = b.u32_min if narrow else b.umin
    if narrow:
        value, mask = tnum.arshift((a.value, a.mask), shift, 32)
        return zero_extended(value, mask, *low_from_bits(value, mask, a.s32_min >> shift, a.s32_max >> shift, 0, U32))
    return sync(*tnum.arshift((a.value, a.mask), shift, 64), a.smin >> shift, a.smax >> shift, 0, U64, *ANY32)


#: verb of the instruction table -> operator; the verifier does not follow division
OPERATORS: dict[str, Operator] = {
    "add": add, "sub": sub, "neg": neg, "mul": mul, "and": and_, "or": or_, "xor": xor,
    "lsh": lsh, "rsh": rsh, "arsh": arsh,
}


def computable(verb: str, n: Scalar, narrow: bool) -> bool:
    """Is the result's range worth computing (``is_safe_to_compute_dst_reg_range``)? Shifts need a known amount."""
    if verb in ("lsh", "rsh", "arsh"):
        if narrow:
            return n.mask & U32 == 0 and n.s32_min == n.s32_max and n.u32_min == n.u32_max and n.umax < 32
        return n.mask == 0 and n.smin == n.smax and n.umin == n.umax and n.umax < 64
    return verb in OPERATORS

