"""The views of a number learn from each other without losing a member: the verifier's functions, proved narrow."""

import pytest

from ebpflab.verify import scalar, tnum

from .narrow import LOW, WIDE, View, arithmetic, member, narrowed


@pytest.fixture
def run(monkeypatch):
    return arithmetic(monkeypatch, pytest.importorskip("z3", reason="the proofs need z3-solver (extra: prove)"))


def deduce():
    return narrowed(scalar._deduce, {">> 32": f">> {LOW}"})


def claim(run, function, wrong=False):
    known = View(run, "a")

    def work():
        found = list(function(*known.key))
        if wrong:
            found[5] = found[5] - 1
        return found

    run.prove(work, lambda found: member(run, found, known.word))
    return run.paths


def test_deduce_keeps_every_member_proved(run):
    assert claim(run, deduce()) > 100


def test_a_mistake_would_be_noticed(run):
    with pytest.raises(AssertionError):
        claim(run, deduce(), wrong=True)


def test_ranges_learn_from_bits_proved(run, monkeypatch):
    """``following`` is what ``test_numbers`` proves of it: the smallest member above a number, else the largest."""
    known = View(run, "a")

    def following(bits, word):
        value, mask = map(run.term, bits)
        above = run.fresh("above")
        x, y, word = known.word.term, above.term, run.term(word)
        run.solver.add(run.z3.And(y & ~mask == value, run.z3.Or(y > word, y == value | mask),
                                  run.z3.Implies(x > word, run.z3.And(y <= x, y > word))))
        return above

    monkeypatch.setattr(tnum, "following", following)
    monkeypatch.setattr(scalar, "known", Known)
    function = narrowed(scalar._from_bits, {"1 << 63": f"{1 << WIDE - 1}"})
    run.prove(lambda: function(*known.key), lambda found: member(run, found, known.word))
    assert run.paths > 3


class Known:
    """``scalar.known`` for a narrow word."""

    def __init__(self, word):
        high, low = scalar.s64(word), word & scalar.U32
        self.key = (word, 0, high, high, word, word, scalar.s32(low), scalar.s32(low), low, low)
