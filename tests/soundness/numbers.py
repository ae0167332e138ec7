"""Numbers and what may be known of them, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from ebpflab.isa.bits import U32, U64
from ebpflab.verify import scalar, tnum

EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFE, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_FFFE,
         U32, 1 << 32, (1 << 32) + 1, 0x7FFF_FFFF_FFFF_FFFF, 1 << 63, 0xFFFF_FFFF_7FFF_FFFF, 0xFFFF_FFFF_8000_0000,
         U64 - 1, U64)
near = st.builds(lambda edge, by: edge + by & U64, st.sampled_from(EDGES), st.integers(-40, 40))
words = st.one_of(near, near, st.integers(0, U64), st.integers(0, U32), st.integers(-300, 300).map(lambda n: n & U64))
masks = st.one_of(st.just(0), st.sampled_from((1, 0xF0, 0xFF, U32, U64, U64 ^ U32, 1 << 63, 1 << 31)),
                  st.integers(0, U64), st.builds(lambda a, b: a & b, st.integers(0, U64), st.integers(0, U64)))


def member(n: scalar.Scalar, word: int) -> bool:
    low = word & U32
    return (word & ~n.mask & U64 == n.value and n.umin <= word <= n.umax and n.smin <= scalar.s64(word) <= n.smax
            and n.u32_min <= low <= n.u32_max and n.s32_min <= scalar.s32(low) <= n.s32_max)


def around(words_: tuple[int, ...], mask: int) -> scalar.Scalar:
    """The tightest views that hold all of ``words_``, the bits loosened by ``mask``; not synchronised."""
    bits: tnum.Tnum = (words_[0], 0)
    for word in words_[1:]:
        bits = tnum.union(bits, (word, 0))
    bits = bits[0] & ~mask, bits[1] | mask
    signed, low = [scalar.s64(word) for word in words_], [word & U32 for word in words_]
    low_signed = [scalar.s32(word) for word in low]
    return scalar.raw(*bits, min(signed), max(signed), min(words_), max(words_), min(low_signed), max(low_signed),
                      min(low), max(low))


@st.composite
def known_of(draw) -> tuple[int, scalar.Scalar]:
    """A word and something true of it: views that are tight or loose each for itself, synchronised or not."""
    word = draw(words)
    others = draw(st.lists(words, max_size=3))
    key = list(around((word, *others), draw(masks)).key)
    free = scalar.UNKNOWN.key
    for first in (0, 2, 4, 6, 8):       # bits, s64, u64, s32, u32
        if draw(st.integers(0, 2)) == 0:
            key[first:first + 2] = free[first:first + 2]
    made = scalar.sync(*key) if draw(st.booleans()) else scalar.raw(*key)
    return word, scalar.raw(*key) if made.bad else made
