"""What is known of numbers, against numbers: no operator and no comparison loses a value that is possible."""

import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpflab.isa.bits import U32, U64
from ebpflab.verify import bounds, compare
from ebpflab.verify.scalar import Scalar, known, s32, s64, sign_extended, sync, truncated

EDGES = [0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 32, (1 << 63) - 1, 1 << 63,
         U64 - 1, U64, 0xFFFF_FFFF_8000_0000]
WORDS = st.one_of(st.sampled_from(EDGES), st.integers(0, U64), st.integers(0, 300), st.integers(U64 - 300, U64))


@st.composite
def numbers(draw, words=WORDS):
    """A word, and knowledge that includes it: bits and ranges that need not know of each other."""
    word = draw(words)
    mask = draw(st.one_of(st.just(0), WORDS, st.just(U64), st.integers(0, 255)))
    high, low = s64(word), word & U32
    room = st.one_of(st.just(0), st.integers(0, 16), WORDS)
    n = sync(word & ~mask & U64, mask,
             max(high - draw(room), -1 << 63), min(high + draw(room), (1 << 63) - 1),
             max(word - draw(room), 0), min(word + draw(room), U64),
             max(s32(low) - draw(room), -1 << 31), min(s32(low) + draw(room), (1 << 31) - 1),
             max(low - draw(room), 0), min(low + draw(room), U32))
    return word, n


def has(n: Scalar, word: int) -> bool:
    low = word & U32
    return (word & ~n.mask & U64 == n.value and n.umin <= word <= n.umax and n.smin <= s64(word) <= n.smax
            and n.u32_min <= low <= n.u32_max and n.s32_min <= s32(low) <= n.s32_max)


@settings(deadline=None)
@given(numbers())
def test_views_sharpen_each_other_without_loss(pair):
    word, n = pair
    assert has(n, word) and not n.bad


REAL = {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "and": operator.and_, "or": operator.or_,
        "xor": operator.xor, "neg": lambda x, _: -x, "lsh": operator.lshift, "rsh": operator.rshift}


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("verb", bounds.OPERATORS)
@settings(deadline=None)
@given(data=st.data())
def test_operators_contain_the_result(verb, narrow, data):
    x, a = data.draw(numbers())
    shift = verb in ("lsh", "rsh", "arsh")
    if shift:
        y = data.draw(st.integers(0, 31 if narrow else 63))
        b = known(y)
    else:
        y, b = data.draw(numbers())
    width = U32 if narrow else U64
    if verb == "arsh":
        real = (s32(x) if narrow else s64(x)) >> y
    else:
        real = REAL[verb](x & width, y & width)
    if bounds.computable(verb, b, narrow):
        found = bounds.OPERATORS[verb](a, b, narrow)
        assert has(found, real & width), (a, b, found)


COMPARISONS = {"jeq": operator.eq, "jne": operator.ne, "jgt": operator.gt, "jge": operator.ge, "jlt": operator.lt,
               "jle": operator.le}


def holds(verb, x, y, narrow):
    x, y = (x & U32, y & U32) if narrow else (x, y)
    if verb == "jset":
        return bool(x & y)
    if verb[1] == "s":
        signed = s32 if narrow else s64
        return COMPARISONS["j" + verb[2:]](signed(x), signed(y))
    return COMPARISONS[verb](x, y)


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("verb", compare.FLIPPED)
@settings(deadline=None)
@given(data=st.data())
def test_comparisons_neither_guess_nor_lose(verb, narrow, data):
    (x, a), (y, b) = data.draw(numbers()), data.draw(numbers())
    truth = holds(verb, x, y, narrow)
    assert compare.decided(verb, a, b, narrow) in (None, truth), (a, b)
    taught = compare.learn(verb if truth else compare.REVERSED[verb], a, b, narrow)
    assert has(taught[0], x) and has(taught[1], y), (a, b, taught)


@settings(deadline=None)
@given(numbers(), st.sampled_from((1, 2, 4)))
def test_loads_cut_and_extend(pair, size):
    word, n = pair
    low = word & (1 << 8 * size) - 1
    assert has(truncated(n, size), low)
    sign = low >> 8 * size - 1
    assert has(sign_extended(n, size), (low - (sign << 8 * size)) & U64)


def test_what_is_known_is_shared():
    assert known(5) is known(5)
    assert known(5).admits(known(5)) and not known(5).admits(known(6))
