"""Comparisons of what is known: is the outcome already decided, and what does each outcome teach?"""

from __future__ import annotations

from functools import lru_cache

from ..isa.bits import U32, U64
from . import tnum
from .scalar import S32_MAX, S32_MIN, S64_MAX, S64_MIN, Scalar, s32, s64, sync

#: a < b is b > a
FLIPPED = {"jeq": "jeq", "jne": "jne", "jset": "jset", "jgt": "jlt", "jlt": "jgt", "jge": "jle", "jle": "jge",
           "jsgt": "jslt", "jslt": "jsgt", "jsge": "jsle", "jsle": "jsge"}
#: not (a < b) is a >= b; "clear" is our word for "no bit of the mask is set", which has no instruction
REVERSED = {"jeq": "jne", "jne": "jeq", "jset": "clear", "clear": "jset", "jgt": "jle", "jle": "jgt",
            "jge": "jlt", "jlt": "jge", "jsgt": "jsle", "jsle": "jsgt", "jsge": "jslt", "jslt": "jsge"}


def decided(verb: str, a: Scalar, b: Scalar, narrow: bool) -> bool | None:
    """Is ``a verb b`` surely true or false? None if it depends (``is_scalar_branch_taken``)."""
    if verb in ("jeq", "jne"):
        same = _equal(a, b, narrow)
        return same if same is None or verb == "jeq" else not same
    if verb == "jset":
        return _masked(a, b, narrow)
    if verb[1] == "s":
        low_a, high_a, low_b, high_b = (a.s32_min, a.s32_max, b.s32_min, b.s32_max) if narrow \
            else (a.smin, a.smax, b.smin, b.smax)
    else:
        low_a, high_a, low_b, high_b = (a.u32_min, a.u32_max, b.u32_min, b.u32_max) if narrow \
            else (a.umin, a.umax, b.umin, b.umax)
    order = verb[-2:]
    if order == "gt":
        return True if low_a > high_b else False if high_a <= low_b else None
    if order == "ge":
        return True if low_a >= high_b else False if high_a < low_b else None
    if order == "lt":
        return True if high_a < low_b else False if low_a >= high_b else None
    return True if high_a <= low_b else False if low_a > high_b else None


def _bits(n: Scalar, narrow: bool) -> tnum.Tnum:
    return (n.value & U32, n.mask & U32) if narrow else (n.value, n.mask)


def _equal(a: Scalar, b: Scalar, narrow: bool) -> bool | None:
    bits_a, bits_b = _bits(a, narrow), _bits(b, narrow)
    if bits_a[1] == 0 and bits_b[1] == 0:
        return bits_a[0] == bits_b[0]
    if not tnum.overlap(bits_a, bits_b):
        return False
    if a.u32_min > b.u32_max or a.u32_max < b.u32_min or a.s32_min > b.s32_max or a.s32_max < b.s32_min:
        return False        # different low halves: different numbers
    if not narrow and (a.umin > b.umax or a.umax < b.umin or a.smin > b.smax or a.smax < b.smin):
        return False
    return None


def _masked(a: Scalar, b: Scalar, narrow: bool) -> bool | None:
    bits, mask = _bits(a, narrow), _bits(b, narrow)
    if mask[1]:
        bits, mask = mask, bits
    if mask[1]:
        return None
    if bits[0] & ~bits[1] & mask[0]:
        return True
    if not (bits[0] | bits[1]) & mask[0]:
        return False
    return None


class _Known:
    """The ten numbers of a Scalar while they are being sharpened."""

    __slots__ = ("mask", "s32_max", "s32_min", "smax", "smin", "u32_max", "u32_min", "umax", "umin", "value")

    def __init__(self, n: Scalar):
        (self.value, self.mask, self.smin, self.smax, self.umin, self.umax,
         self.s32_min, self.s32_max, self.u32_min, self.u32_max) = n.key

    def const(self, narrow: bool) -> int | None:
        mask = self.mask & U32 if narrow else self.mask
        return None if mask else self.value & U32 if narrow else self.value

    def sync(self) -> Scalar:
        return sync(self.value, self.mask, self.smin, self.smax, self.umin, self.umax,
                    self.s32_min, self.s32_max, self.u32_min, self.u32_max)


@lru_cache(maxsize=1 << 14)
def learn(verb: str, a: Scalar, b: Scalar, narrow: bool, same: bool = False) -> tuple[Scalar, Scalar]:
    """What ``a`` and ``b`` can be, given that ``a verb b`` holds (``regs_refine_cond_op``).

    ``same``: they are one register, which learns both ways.
    """
    swap = verb in ("jge", "jgt", "jsge", "jsgt")
    first, second = (_Known(b), _Known(a)) if swap else (_Known(a), _Known(b))
    if same:
        second = first
    if swap:
        verb = FLIPPED[verb]
    if verb == "jeq":
        _learn_equal(first, second, narrow)
    elif verb in ("jne", "jset", "clear"):
        number, constant = (first, second) if second.const(narrow) is not None else (second, first)
        word = constant.const(narrow)
        if word is not None:
            {"jne": _learn_different, "jset": _learn_set, "clear": _learn_clear}[verb](number, word, narrow)
    else:
        _learn_order(verb, first, second, narrow)
    results = first.sync(), second.sync()
    return (results[1], results[0]) if swap else results


def _learn_equal(a: _Known, b: _Known, narrow: bool) -> None:
    if narrow:
        a.u32_min = b.u32_min = max(a.u32_min, b.u32_min)
        a.u32_max = b.u32_max = min(a.u32_max, b.u32_max)
        a.s32_min = b.s32_min = max(a.s32_min, b.s32_min)
        a.s32_max = b.s32_max = min(a.s32_max, b.s32_max)
        low = tnum.intersect((a.value & U32, a.mask & U32), (b.value & U32, b.mask & U32))
        a.value, a.mask = tnum.with_subreg((a.value, a.mask), low)
        b.value, b.mask = tnum.with_subreg((b.value, b.mask), low)
    else:
        a.umin = b.umin = max(a.umin, b.umin)
        a.umax = b.umax = min(a.umax, b.umax)
        a.smin = b.smin = max(a.smin, b.smin)
        a.smax = b.smax = min(a.smax, b.smax)
        a.value, a.mask = b.value, b.mask = tnum.intersect((a.value, a.mask), (b.value, b.mask))


def _learn_different(a: _Known, word: int, narrow: bool) -> None:
    """A constant at the edge of a range is cut off."""
    if narrow:
        a.u32_min, a.u32_max = a.u32_min + (a.u32_min == word) & U32, a.u32_max - (a.u32_max == word) & U32
        signed = s32(word)
        a.s32_min, a.s32_max = s32(a.s32_min + (a.s32_min == signed)), s32(a.s32_max - (a.s32_max == signed))
    else:
        a.umin, a.umax = a.umin + (a.umin == word) & U64, a.umax - (a.umax == word) & U64
        signed = s64(word)
        a.smin, a.smax = s64(a.smin + (a.smin == signed)), s64(a.smax - (a.smax == signed))


def _learn_set(a: _Known, word: int, narrow: bool) -> None:
    """Only a mask of one bit tells which bit is set."""
    if word == 0 or word & word - 1:
        return
    if narrow:
        a.value, a.mask = tnum.with_subreg((a.value, a.mask), tnum.or_((a.value & U32, a.mask & U32), (word, 0)))
    else:
        a.value, a.mask = tnum.or_((a.value, a.mask), (word, 0))


def _learn_clear(a: _Known, word: int, narrow: bool) -> None:
    """The ranges are forgotten first: on a path that cannot be taken they might contradict the bits."""
    a.smin, a.smax, a.umin, a.umax = S64_MIN, S64_MAX, 0, U64
    a.s32_min, a.s32_max, a.u32_min, a.u32_max = S32_MIN, S32_MAX, 0, U32
    if narrow:
        low = tnum.and_((a.value & U32, a.mask & U32), (~word & U64, 0))
        a.value, a.mask = tnum.with_subreg((a.value, a.mask), low)
    else:
        a.value, a.mask = tnum.and_((a.value, a.mask), (~word & U64, 0))


def _learn_order(verb: str, a: _Known, b: _Known, narrow: bool) -> None:
    """a <= b or a < b, signed or not."""
    strict = verb[-1] == "t"
    if verb[1] == "s":
        if narrow:
            a.s32_max, b.s32_min = (min(a.s32_max, s32(b.s32_max - strict)), max(s32(a.s32_min + strict), b.s32_min))
        else:
            a.smax, b.smin = min(a.smax, s64(b.smax - strict)), max(s64(a.smin + strict), b.smin)
    elif narrow:
        a.u32_max, b.u32_min = min(a.u32_max, b.u32_max - strict & U32), max(a.u32_min + strict & U32, b.u32_min)
    else:
        a.umax, b.umin = min(a.umax, b.umax - strict & U64), max(a.umin + strict & U64, b.umin)
