"""Ranges learn from each other without losing a member: the function of the verifier, proved at a small width."""

import inspect

import pytest

from ebpflab.verify import scalar, tnum

from .forking import Forking

#: bits of a register and of its low half
WIDE, LOW = 8, 4


@pytest.fixture
def small(monkeypatch):
    """``scalar`` for registers of WIDE bits on z3's terms: its constants, and what asks for more than a comparison."""
    z3 = pytest.importorskip("z3", reason="the proofs need z3-solver (extra: prove)")
    run = Forking(z3, WIDE + 4)

    def signed(bits):
        full, sign = (1 << bits) - 1, 1 << bits - 1
        return lambda word: (word & full ^ sign) - sign

    def span(low, high):        # tnum.span, with shifts for bit_length
        unlike = (low ^ high).term
        for by in (1, 2, 4):
            unlike = unlike | z3.LShR(unlike, by)
        return low & ~run.number_of(unlike), run.number_of(unlike)

    constants = {"U64": (1 << WIDE) - 1, "U32": (1 << LOW) - 1, "UPPER": (1 << WIDE) - (1 << LOW),
                 "S64_MIN": -(1 << WIDE - 1), "S64_MAX": (1 << WIDE - 1) - 1,
                 "S32_MIN": -(1 << LOW - 1), "S32_MAX": (1 << LOW - 1) - 1,
                 "s64": signed(WIDE), "s32": signed(LOW), "max": run.greatest, "min": run.least}
    for name, value in constants.items():
        monkeypatch.setattr(scalar, name, value, raising=name not in ("max", "min"))
    monkeypatch.setattr(tnum, "span", span)
    return run, constants


def deduce():
    """``scalar._deduce`` with the width of a low half for the 32 that it shifts by."""
    source = inspect.getsource(scalar._deduce)
    assert source.count(">> 32") == 4
    exec(source.replace(">> 32", f">> {LOW}"), scalar.__dict__, found := {})
    return found["_deduce"]


def member(run, key, word, c):
    """z3's term for: ``word`` is one of what ``key`` says."""
    value, mask, smin, smax, umin, umax, s32_min, s32_max, u32_min, u32_max = (run.term(each) for each in key)
    x, low = word.term, (word & c["U32"]).term
    sx, slow = c["s64"](word).term, c["s32"](word).term
    return run.z3.And(x & ~mask == value, smin <= sx, sx <= smax, umin <= x, x <= umax,
                      s32_min <= slow, slow <= s32_max, u32_min <= low, low <= u32_max)


def claim(small, wrong=False):
    run, c = small
    word = run.number("x", 0, c["U64"])
    limits = [(0, c["U64"])] * 2 + [(c["S64_MIN"], c["S64_MAX"])] * 2 + [(0, c["U64"])] * 2
    limits += [(c["S32_MIN"], c["S32_MAX"])] * 2 + [(0, c["U32"])] * 2
    key = [run.number(f"k{at}", *limit) for at, limit in enumerate(limits)]
    run.given.append(member(run, key, word, c))
    function = deduce()

    def work():
        found = list(function(*key))
        if wrong:
            found[5] = found[5] - 1
        return found

    run.prove(work, lambda found: member(run, found, word, c))
    return run.paths


def test_deduce_keeps_every_member_proved(small):
    assert claim(small) > 100


def test_a_mistake_would_be_noticed(small):
    with pytest.raises(AssertionError):
        claim(small, wrong=True)
