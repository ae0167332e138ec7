"""What a comparison decides and teaches and what operators leave: the verifier's functions, proved narrow.

The last step of each, in which all views tell each other what they know (``sync``), is left out: ``test_deduce``
proves it.
"""

import pytest

from ebpflab.verify import bounds, compare, scalar

from .narrow import LOW, WIDE, View, arithmetic, member, signed


@pytest.fixture
def run(monkeypatch):
    made = arithmetic(monkeypatch, pytest.importorskip("z3", reason="the proofs need z3-solver (extra: prove)"))
    for module in (compare, bounds, scalar):
        monkeypatch.setattr(module, "sync", lambda *key: key)
    return made


def holds(verb, a, b, narrow):
    """z3's term for: a run finds ``a verb b``."""
    width = LOW if narrow else WIDE
    a, b = (each & (1 << width) - 1 for each in (a, b))
    if verb[1] == "s" and verb != "jset":
        a, b = signed(width)(a), signed(width)(b)
    if verb == "jset":
        return ((a & b) != 0).term
    return {"eq": a == b, "ne": a != b, "gt": a > b, "ge": a >= b, "lt": a < b, "le": a <= b}[verb[-2:]].term


both = pytest.mark.parametrize("narrow", [False, True], ids=["wide", "low"])
each_verb = pytest.mark.parametrize("verb", sorted(compare.FLIPPED))


def teaches(run, verb, narrow, truth):
    """``truth(a, b)`` given, ``compare.learn(verb)`` keeps both members."""
    a, b = View(run, "a"), View(run, "b")
    run.given.append(truth(a.word, b.word))
    run.prove(lambda: compare.learn.__wrapped__(verb, a, b, narrow),
              lambda found: run.z3.And(member(run, found[0], a.word), member(run, found[1], b.word)))


@both
@each_verb
def test_what_a_comparison_teaches(run, verb, narrow):
    teaches(run, verb, narrow, lambda a, b: holds(verb, a, b, narrow))


@both
def test_what_no_bit_in_common_teaches(run, narrow):
    teaches(run, "clear", narrow, lambda a, b: run.z3.Not(holds("jset", a, b, narrow)))


@both
@each_verb
def test_what_is_decided(run, verb, narrow):
    a, b = View(run, "a"), View(run, "b")
    truth = holds(verb, a.word, b.word, narrow)
    run.prove(lambda: compare.decided(verb, a, b, narrow),
              lambda said: run.z3.BoolVal(True) if said is None else truth if said else run.z3.Not(truth))


def test_a_mistake_would_be_noticed(run):
    with pytest.raises(AssertionError):
        teaches(run, "jlt", False, lambda a, b: holds("jle", a, b, False))


@both
@pytest.mark.parametrize("verb", ["and", "or", "xor", "add", "sub", "neg"])
def test_what_an_operator_leaves(run, verb, narrow):
    a, b = View(run, "a"), View(run, "b")
    x, y = a.word, b.word
    real = {"and": x & y, "or": x | y, "xor": x ^ y, "add": x + y, "sub": x - y, "neg": 0 - x}[verb]
    real = real & (1 << (LOW if narrow else WIDE)) - 1
    run.prove(lambda: bounds.OPERATORS[verb](a, b, narrow), lambda found: member(run, found, real))
