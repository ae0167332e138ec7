"""Tristate numbers against their meaning: every pair at four bits, low and high in the word, and samples at 64."""

import operator
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpflab.isa.bits import U32, U64
from ebpflab.verify import tnum

WIDTH = 4
SMALL = [(value, mask) for value in range(1 << WIDTH) for mask in range(1 << WIDTH) if not value & mask]
WORDS = st.integers(0, U64)


def members(bits, shift=0):
    value, mask = bits
    unknown = [1 << at for at in range(64) if mask >> at & 1]
    return [value | sum(chosen) for chosen in product(*((0, bit) for bit in unknown))]


def has(bits, word):
    return word & ~bits[1] & U64 == bits[0]


def best(words):
    """The smallest tnum that contains all of ``words``."""
    ones, any_one = U64, 0
    for word in words:
        ones, any_one = ones & word, any_one | word
    return ones, any_one & ~ones


OPERATORS = {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "and_": operator.and_,
             "or_": operator.or_, "xor": operator.xor}
EXACT = ("add", "sub", "and_", "or_", "xor")        # nothing smaller would do; multiplication is only sound


@pytest.mark.parametrize("place", [0, 30, 60])
@pytest.mark.parametrize("name", OPERATORS)
def test_operators_contain_every_result(name, place):
    ours, real = getattr(tnum, name), OPERATORS[name]
    for a, b in product(SMALL, SMALL):
        a, b = [(value << place, mask << place) for value, mask in (a, b)]
        found = ours(a, b)
        results = [real(x, y) & U64 for x in members(a) for y in members(b)]
        assert not found[0] & found[1]
        assert all(has(found, word) for word in results), (a, b, found)
        if name in EXACT:
            assert found == best(results), (a, b)


@pytest.mark.parametrize("place", [0, 30, 60])
def test_shifts_are_exact(place):
    for value, mask in SMALL:
        a = value << place, mask << place
        for shift in (0, 1, 2, 5, 31, 32, 63):
            assert tnum.lshift(a, shift) == best([x << shift & U64 for x in members(a)])
            assert tnum.rshift(a, shift) == best([x >> shift for x in members(a)])
            signed = [(x - (x >> 63 << 64)) >> shift & U64 for x in members(a)]
            assert tnum.arshift(a, shift, 64) == best(signed)
            low = [x & U32 for x in members(a)]
            if shift < 32:
                signed = [(x - (x >> 31 << 32)) >> shift & U32 for x in low]
                assert tnum.arshift(tnum.subreg(a), shift, 32) == best(signed)


def test_sets():
    for a, b in product(SMALL, SMALL):
        both = set(members(a)) & set(members(b))
        assert tnum.overlap(a, b) == bool(both)
        assert tnum.contains(a, b) == (set(members(b)) <= set(members(a)))
        assert set(members(tnum.union(a, b))) >= set(members(a)) | set(members(b))
        if both:
            assert set(members(tnum.intersect(a, b))) == both
    for low in range(16):
        for high in range(low, 16):
            assert set(members(tnum.span(low, high))) >= set(range(low, high + 1))


def test_the_next_member():
    for a in SMALL:
        for word in range(1 << WIDTH):
            later = [x for x in members(a) if x > word]
            if later and word >= a[0]:
                assert tnum.following(a, word) == min(later), (a, word)


@settings(deadline=None)
@given(WORDS, WORDS, WORDS, WORDS)
def test_operators_on_whole_words(x, a_mask, y, b_mask):
    a, b = (x & ~a_mask, a_mask), (y & ~b_mask, b_mask)
    for name, real in OPERATORS.items():
        assert has(getattr(tnum, name)(a, b), real(x, y) & U64), name


@settings(deadline=None)
@given(WORDS, WORDS, st.sampled_from((2, 4, 8)))
def test_bytes(x, mask, size):
    a = (x & ~mask, mask)
    low = x & (1 << 8 * size) - 1
    assert has(tnum.cast(a, size), low)
    assert has(tnum.swapped(a, size), int.from_bytes(low.to_bytes(size, "little"), "big"))
    assert has(tnum.with_subreg(a, tnum.subreg(a)), x)
    assert tnum.aligned(a, size) == (not (a[0] | a[1]) % size)
