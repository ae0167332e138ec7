"""tnums and ranges: every result of the concrete operation is a member of the abstract one.

tnum operators are proved with z3 at 64 bits (the very functions, run on z3's terms), products and the ends of ranges by
trying all at 4 bits; range operators, comparisons and extensions are tried at 64 bits on numbers near every edge.
"""

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ebpflab.isa.bits import U32, U64
from ebpflab.sim import alu as concrete
from ebpflab.verify import bounds, compare, scalar, tnum

from .numbers import around, known_of, masks, member, words

SETTINGS = settings(max_examples=1500, deadline=None)


def has(a, word):
    return word & ~a[1] & U64 == a[0]


# ---- tnums, proved

#: name -> abstract, concrete on unbounded ints
BITWISE = {
    "add": (tnum.add, lambda x, y: x + y & U64), "sub": (tnum.sub, lambda x, y: x - y & U64),
    "and": (tnum.and_, lambda x, y: x & y), "or": (tnum.or_, lambda x, y: x | y), "xor": (tnum.xor, lambda x, y: x ^ y),
}


class Proof:
    """Symbolic tnums and members at 64 bits, in 80-bit signed ints so that Python's arithmetic cannot overflow."""

    def __init__(self, bits=80):
        self.z3 = pytest.importorskip("z3", reason="the proofs need z3-solver (extra: prove)")
        self.bits, self.given = bits, []

    def word(self, name, below=1 << 64):
        term = self.z3.BitVec(name, self.bits)
        self.given += [term >= 0, term < below]
        return term

    def member(self, a, x):
        return self.z3.And(x & ~a[1] == a[0], a[0] & a[1] == 0)

    def tnum(self, name):
        value, mask, word = self.word(f"{name}v"), self.word(f"{name}m"), self.word(f"{name}x")
        self.given.append(self.member((value, mask), word))
        return (value, mask), word

    def check(self, *claims):
        for claim in claims:
            solver = self.z3.SolverFor("QF_BV")
            solver.add(*self.given, self.z3.Not(claim))
            assert solver.check() == self.z3.unsat, solver.model()


@pytest.mark.parametrize("name", BITWISE)
def test_tnum_operators_proved(name):
    abstract, real = BITWISE[name]
    proof = Proof()
    (a, x), (b, y) = proof.tnum("a"), proof.tnum("b")
    proof.check(proof.member(abstract(a, b), real(x, y)))


@pytest.mark.parametrize("shift", range(64))
def test_tnum_shifts_proved(shift):
    proof = Proof(144)
    a, x = proof.tnum("a")
    claims = [proof.member(tnum.lshift(a, shift), x << shift & U64), proof.member(tnum.rshift(a, shift), x >> shift)]
    for width in (32, 64):
        if shift < width:
            full, sign = (1 << width) - 1, 1 << width - 1
            claims.append(proof.member(tnum.arshift(a, shift, width), ((x & full ^ sign) - sign >> shift) & full))
    proof.check(*claims)


def test_tnum_relations_proved():
    proof = Proof()
    (a, x), (b, y) = proof.tnum("a"), proof.tnum("b")
    known = ~a[1] & ~b[1]
    z3 = proof.z3
    proof.check(
        proof.member(tnum.union(a, b), x), proof.member(tnum.union(a, b), y),
        z3.Implies(x == y, proof.member(tnum.intersect(a, b), x)),
        z3.Implies(x == y, a[0] & known == b[0] & known),      # what overlap() tests
        proof.member(tnum.subreg(a), x & U32),
        proof.member(tnum.with_subreg(a, b), x & (U64 ^ U32) | y & U32),
        *[proof.member(tnum.cast(a, size), x & (1 << size * 8) - 1) for size in (1, 2, 4, 8)],
        proof.member(tnum.neg(a), -x & U64))


def test_low_half_of_a_product_is_the_product_of_low_halves_proved():
    """alu32 takes the low half of 64-bit tnum results: that is right for what wraps around."""
    proof = Proof()
    (a, x), (b, y) = proof.tnum("a"), proof.tnum("b")
    proof.check(*[proof.member(tnum.subreg(abstract(a, b)), real(x & U32, y & U32) & U32)
                  for abstract, real in BITWISE.values()])


def test_following_member_proved():
    """``following``: a member, above the word, and no member between."""
    proof = Proof(80)
    (a, x), word = proof.tnum("a"), proof.word("w")
    z3 = proof.z3

    # (1 << n.bit_length()) - 1 is the number with every bit below and at n's highest bit set
    def filled(n):
        for by in (1, 2, 4, 8, 16, 32):
            n = n | z3.LShR(n, by)
        return n

    different = (word ^ a[0]) & ~a[1] & U64
    below = filled(different)
    inner = z3.If(z3.And(below != 0, a[0] & z3.LShR(below + 1, 1) != 0), word & a[1] & ~below | a[0],
                  ((word | below | ~a[1]) + 1 & a[1]) | a[0])
    result = z3.If(word < a[0], a[0], z3.If(word >= a[0] | a[1], a[0] | a[1], inner))
    proof.check(proof.member(a, result), z3.Implies(word < a[0] | a[1], result > word),
                z3.Implies(x > word, result <= x))


@given(words, masks, words)
@SETTINGS
def test_following_member(value, mask, word):
    a = value & ~mask, mask
    result = tnum.following(a, word)
    assert has(a, result)
    assert result > word or word >= a[0] | a[1]
    for bit in range(64):       # no member in between: neither by leaving out a bit of the result ...
        smaller = result & ~(1 << bit)
        assert not (has(a, smaller) and word < smaller < result)
    if has(a, value) and value > word:
        assert result <= value


# ---- everything at small widths, by trying all

ALL = [(value, mask) for mask in range(16) for value in range(16) if not value & mask]


def members(a, width=4):
    return [x for x in range(1 << width) if x & ~a[1] == a[0]]


def test_products_by_trying_all():
    for a, b in itertools.product(ALL, ALL):
        made = tnum.mul(a, b)
        assert all(has(made, x * y) for x in members(a) for y in members(b))


def test_spans_by_trying_all():
    for low in range(64):
        for high in range(low, 64):
            assert all(has(tnum.span(low, high), x) for x in range(low, high + 1))


def test_following_by_trying_all():
    for a in ALL:
        inside = members(a)
        for word in range(17):
            assert tnum.following(a, word) == next((x for x in inside if x > word), inside[-1])


def test_aligned_and_contains_by_trying_all():
    for a in ALL:
        for size in (1, 2, 4, 8):
            assert tnum.aligned(a, size) == all(x % size == 0 for x in members(a))
        for b in ALL:
            assert tnum.contains(a, b) == (set(members(b)) <= set(members(a)))
            assert tnum.overlap(a, b) == bool(set(members(b)) & set(members(a)))


NIBBLE: bounds.Range = (-8, 7, 0, 15)


def _nibble(word):
    """Four bits read as signed."""
    return (word & 15 ^ 8) - 8


@pytest.mark.parametrize("name", ("_sum", "_difference", "_product"))
def test_ranges_by_trying_all(name):
    """The ends of sums, differences and products at 4 bits: every pair of ranges, every pair of their members."""
    function = getattr(bounds, name)
    real = {"_sum": int.__add__, "_difference": int.__sub__, "_product": int.__mul__}[name]
    spans = [(low, high) for low in range(16) for high in range(low, 16)]
    for (alow, ahigh), (blow, bhigh) in itertools.product(spans, spans):
        made = function((alow - 8, ahigh - 8, alow, ahigh), (blow - 8, bhigh - 8, blow, bhigh), NIBBLE)
        inside = list(itertools.product(range(alow, ahigh + 1), range(blow, bhigh + 1)))
        unsigned = [real(x, y) & 15 for x, y in inside]
        signed = [_nibble(real(x - 8, y - 8)) for x, y in inside]
        assert made[0] <= min(signed) and max(signed) <= made[1], (alow, ahigh, blow, bhigh)
        assert made[2] <= min(unsigned) and max(unsigned) <= made[3], (alow, ahigh, blow, bhigh)


# ---- numbers of 64 bits

@given(known_of())
@SETTINGS
def test_the_views_tell_each_other_only_what_is_true(known):
    word, n = known
    assert member(scalar.sync(*n.key), word)
    assert member(scalar.raw(*scalar._deduce(*n.key)), word)
    assert member(scalar.raw(*scalar._from_bits(*n.key)), word)
    assert not scalar.sync(*n.key).bad


@given(known_of(), st.sampled_from((1, 2, 4)))
@SETTINGS
def test_extensions(known, size):
    word, n = known
    full = (1 << size * 8) - 1
    assert member(scalar.low_half(n), word & U32)
    assert member(scalar.truncated(n, size), word & full)
    assert member(scalar.sign_extended(n, size), concrete.signed(word & full, size * 8) & U64)
    if size < 4:
        assert member(scalar.sign_extended32(n, size), concrete.signed(word & full, size * 8) & U32)
    assert has(tnum.swapped((n.value, n.mask), size), int.from_bytes((word & full).to_bytes(size, "little"), "big"))


@given(known_of(), known_of(), st.sampled_from(sorted(bounds.OPERATORS)), st.booleans())
@example((U64, scalar.UNKNOWN), (1, scalar.known(1)), "add", True)
@SETTINGS
def test_operators(first, second, verb, narrow):
    (x, a), (y, b) = first, second
    width = 32 if narrow else 64
    if verb in ("lsh", "rsh", "arsh"):
        y %= width
        b = scalar.known(y)
    assert bounds.computable(verb, b, narrow)
    full = (1 << width) - 1
    real = concrete.BINARY[verb](x & full, y & full, width) & full
    assert member(bounds.OPERATORS[verb](a, b, narrow), real)


@given(known_of(), st.integers(-(1 << 31), (1 << 31) - 1))
@SETTINGS
def test_linked_numbers_move_together(known, distance):
    word, n = known
    assert member(bounds.moved(n, distance, False), word + distance & U64)
    assert member(bounds.moved(n, distance, True), word + distance & U32)


CONDITIONS = sorted(compare.FLIPPED)


@given(known_of(), known_of(), st.sampled_from(CONDITIONS), st.booleans(), st.booleans())
@SETTINGS
def test_comparisons(first, second, verb, narrow, constant):
    """A decided branch goes that way; an open one teaches, on the side taken, only what is true."""
    (x, a), (y, b) = first, second
    if constant:
        b = scalar.known(y)
    width = 32 if narrow else 64
    full = (1 << width) - 1
    taken = bool(concrete.TAKEN[verb](x & full, y & full, width))
    said = compare.decided(verb, a, b, narrow)
    assert said is None or said == taken
    new_a, new_b = compare.learn(verb if taken else compare.REVERSED[verb], a, b, narrow)
    assert member(new_a, x) and member(new_b, y)


@given(st.lists(words, min_size=1, max_size=4), masks)
@SETTINGS
def test_the_tightest_views_hold_their_numbers(inside, mask):
    n = around(tuple(inside), mask)
    assert all(member(n, word) and member(scalar.sync(*n.key), word) for word in inside)
