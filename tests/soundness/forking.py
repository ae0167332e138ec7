"""Run a Python function on z3's terms: where it asks whether a comparison holds, both answers are followed.

The function is run again for every path that can be taken. ``Number`` behaves as an int; an answer that only one side
can give is given, otherwise the run goes on with yes and the other side is kept for later.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any


class Forking:
    """A solver that knows what is ``given`` and, while a function runs, which way it went."""

    def __init__(self, z3: Any, bits: int):
        self.z3, self.bits, self.given = z3, bits, []
        self.paths = 0

    def number(self, name: str, low: int, high: int) -> Number:
        """Any number from ``low`` to ``high``."""
        term = self.z3.BitVec(name, self.bits)
        self.given += [term >= low, term <= high]
        return Number(self, term)

    def fresh(self, name: str) -> Number:
        """A number of which nothing is known yet."""
        return Number(self, self.z3.FreshConst(self.z3.BitVecSort(self.bits), name))

    def term(self, word: Any) -> Any:
        if isinstance(word, Answer):        # Python counts True as 1
            return self.z3.If(word.term, self.term(1), self.term(0))
        return word.term if isinstance(word, Number) else self.z3.BitVecVal(int(word), self.bits)

    def number_of(self, term: Any) -> Number:
        return Number(self, term)

    def choose(self, condition: Any, yes: Any, no: Any) -> Number:
        return Number(self, self.z3.If(condition, self.term(yes), self.term(no)))

    def greatest(self, a: Any, b: Any) -> Number:
        return self.choose(self.term(a) > self.term(b), a, b)

    def least(self, a: Any, b: Any) -> Number:
        return self.choose(self.term(a) < self.term(b), a, b)

    def prove(self, work: Callable[[], Any], claim: Callable[[Any], Any]) -> None:
        """``claim(work())`` holds on every path. Raises AssertionError with numbers for which it does not."""
        self.solver = self.z3.SolverFor("QF_BV")
        self.solver.add(*self.given)
        self._later: list[list[bool]] = [[]]
        while self._later:
            self._known, self._taken = self._later.pop(), []
            self.solver.push()
            found = claim(work())
            self.paths += 1
            self.solver.add(self.z3.Not(found))
            assert self.solver.check() == self.z3.unsat, self.solver.model()
            self.solver.pop()

    def decide(self, condition: Any) -> bool:
        condition = self.z3.simplify(condition)
        if self.z3.is_true(condition) or self.z3.is_false(condition):
            return self.z3.is_true(condition)
        if len(self._taken) < len(self._known):
            side = self._known[len(self._taken)]
        else:
            side = self.solver.check(condition) == self.z3.sat
            if side and self.solver.check(self.z3.Not(condition)) == self.z3.sat:
                self._later.append([*self._taken, False])
        self._taken.append(side)
        self.solver.add(condition if side else self.z3.Not(condition))
        return side


class Answer:
    """A comparison of which nobody has asked yet whether it holds."""

    def __init__(self, run: Forking, term: Any):
        self.run, self.term = run, term

    def __bool__(self) -> bool:
        return self.run.decide(self.term)


class Number:
    """An int that z3 knows. Vectors are signed and wide enough for every intermediate result."""

    __hash__ = None     # type: ignore[assignment]

    def __init__(self, run: Forking, term: Any):
        self.run, self.term = run, term

    def __invert__(self) -> Number:
        return Number(self.run, ~self.term)

    def __bool__(self) -> bool:
        return self.run.decide(self.term != 0)


def _operator(apply: Callable[[Any, Any], Any], result: type):
    def forward(self: Number, other: Any) -> Any:
        return result(self.run, apply(self.term, self.run.term(other)))

    def backward(self: Number, other: Any) -> Any:
        return result(self.run, apply(self.run.term(other), self.term))

    return forward, backward


for _name in ("and_", "or_", "xor", "add", "sub", "rshift", "lshift", "lt", "le", "gt", "ge", "eq", "ne"):
    _compares = _name in ("lt", "le", "gt", "ge", "eq", "ne")
    _forward, _backward = _operator(getattr(operator, _name), Answer if _compares else Number)
    setattr(Number, f"__{_name.strip('_')}__", _forward)
    if not _compares:
        setattr(Number, f"__r{_name.strip('_')}__", _backward)
