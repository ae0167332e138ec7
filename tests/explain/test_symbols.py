"""Terms mean what instructions mean, for the evaluator and for z3; solutions satisfy their conditions."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpflab.explain import solve as solving
from ebpflab.explain import symbols as s
from ebpflab.explain.solve import solve
from ebpflab.explain.symbols import Condition
from ebpflab.sim.alu import BINARY, TAKEN

VERBS = [verb for verb in BINARY if verb != "mov"]
U64 = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1])


def soon() -> float:
    return time.monotonic() + 20


@given(st.sampled_from(VERBS), st.sampled_from([32, 64]), U64, U64)
def test_operations_are_those_of_the_simulator(verb, width, a, b):
    mask = (1 << width) - 1
    term = s.binary(verb, s.var("a", width), s.var("b", width))
    assert s.evaluate(term, {"a": a & mask, "b": b & mask}) == BINARY[verb](a & mask, b & mask, width) & mask


@given(st.lists(U64, min_size=1, max_size=3), st.data())
def test_pieces_of_a_term_put_together_are_the_term_again(values, data):
    names = [f"v{at}" for at in range(len(values))]
    whole = s.concat([s.var(name, 64) for name in names])
    given_values = dict(zip(names, values, strict=True))
    again = s.concat([s.extract(whole, at, 8) for at in range(0, whole.width, 8)])
    assert s.evaluate(again, given_values) == s.evaluate(whole, given_values)
    low = data.draw(st.integers(0, whole.width - 1))
    width = data.draw(st.integers(1, whole.width - low))
    expected = s.evaluate(whole, given_values) >> low & ((1 << width) - 1)
    assert s.evaluate(s.extract(whole, low, width), given_values) == expected
    assert s.evaluate(s.zext(s.extract(whole, low, width), width + 7), given_values) == expected
    signed = expected | (((1 << 7) - 1) << width if expected >> (width - 1) else 0)
    assert s.evaluate(s.sext(s.extract(whole, low, width), width + 7), given_values) == signed


def test_a_load_of_a_stored_term_is_that_term():
    term = s.var("a", 64)
    assert s.concat([s.extract(term, at, 8) for at in range(0, 64, 8)]) is term


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(VERBS), st.sampled_from([32, 64]), U64, U64)
def test_z3_agrees_with_the_evaluator(verb, width, a, b):
    pytest.importorskip("z3")
    mask = (1 << width) - 1
    a, b = a & mask, b & mask
    term = s.binary(verb, s.var("a", width), s.var("b", width))
    result = s.evaluate(term, {"a": a, "b": b})
    fixed = [Condition("jeq", s.var("a", width), s.const(a, width)), Condition("jeq", s.var("b", width),
                                                                               s.const(b, width))]
    assert solve([*fixed, Condition("jeq", term, s.const(result, width))], {}, {}, soon()).values == {"a": a, "b": b}
    assert solve([*fixed, Condition("jne", term, s.const(result, width))], {}, {}, soon()).proved


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(sorted(TAKEN)), st.booleans(), U64)
@pytest.mark.parametrize("prover", ["z3", "search"])
def test_a_solution_satisfies_its_conditions(prover, verb, truth, bound):
    if prover == "z3":
        pytest.importorskip("z3")
    with pytest.MonkeyPatch.context() as patch:
        if prover == "search":
            patch.setattr(solving, "prover", lambda: None)
        number = s.concat([s.var(f"packet:{at}", 8) for at in (3, 2, 1, 0)])      # network order
        condition = Condition(verb, s.zext(number, 64), s.const(bound, 64), truth)
        found = solve([condition], {}, {}, soon())
    if found.values is not None:
        assert s.holds(condition, found.values)
    elif prover == "z3":
        assert found.proved
        possible = [TAKEN[verb](a, bound, 64) == truth for a in (0, 1, 2**32 - 1, bound & 2**32 - 1)]
        assert not any(possible)
    else:
        assert not found.proved


def test_ranges_hold_and_an_empty_one_is_a_proof():
    pytest.importorskip("z3")
    length = s.zext(s.var("len", 16), 64)
    assert solve([Condition("jlt", length, s.const(14, 64))], {"len": (14, 1514)}, {}, soon()).proved
    found = solve([Condition("jlt", length, s.const(20, 64))], {"len": (14, 1514)}, {}, soon())
    assert 14 <= found.values["len"] < 20


def test_the_search_finds_a_magic_number_in_either_byte_order(monkeypatch):
    monkeypatch.setattr(solving, "prover", lambda: None)
    for order in ((12, 13), (13, 12)):
        number = s.concat([s.var(f"packet:{at}", 8) for at in order])
        conditions = [Condition("jeq", s.zext(number, 64), s.const(0x86DD, 64)),
                      Condition("jgt", s.zext(s.var("packet:14", 8), 64), s.const(0x60, 64))]
        found = solve(conditions, {}, {}, soon())
        assert all(s.holds(each, found.values) for each in conditions)
