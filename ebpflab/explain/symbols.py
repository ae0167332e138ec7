"""Terms over a run's inputs: bit vectors that can be evaluated, and given to z3.

A term is made of variables (a packet byte, a map value's byte, a helper's result) by the operations that instructions
have, with the meaning of ``sim.alu``. Terms are shared, so walks over them are by ``order``, never by recursion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..sim.alu import BINARY, TAKEN, signed


class Term:
    """``op``: const, var, extract, concat, zext, sext, or a verb of ``sim.alu.BINARY``; ``width`` in bits.

    ``data`` is a constant's value, a variable's name, or the lowest bit of an extract.
    """

    __slots__ = ("args", "data", "op", "width")

    def __init__(self, op: str, width: int, args: tuple[Term, ...] = (), data: int | str = 0):
        self.op, self.width, self.args, self.data = op, width, args, data

    def __repr__(self) -> str:
        inside = [repr(arg) for arg in self.args] + ([str(self.data)] if self.data != "" else [])
        return f"{self.op}{self.width}({', '.join(inside)})"


def const(value: int, width: int) -> Term:
    return Term("const", width, (), value & ((1 << width) - 1))


def var(name: str, width: int) -> Term:
    return Term("var", width, (), name)


def binary(verb: str, a: Term, b: Term) -> Term:
    if a.op == b.op == "const":
        return const(BINARY[verb](a.data, b.data, a.width), a.width)
    return Term(verb, a.width, (a, b))


def extract(term: Term, low: int, width: int) -> Term:
    """Bits ``low`` … ``low + width - 1``."""
    if low == 0 and width == term.width:
        return term
    if term.op == "const":
        return const(term.data >> low, width)
    if term.op == "extract":
        return extract(term.args[0], term.data + low, width)
    if term.op == "zext":
        inner = term.args[0]
        if low >= inner.width:
            return const(0, width)
        if low + width <= inner.width:
            return extract(inner, low, width)
    return Term("extract", width, (term,), low)


def zext(term: Term, width: int) -> Term:
    if width <= term.width:
        return extract(term, 0, width)
    return const(term.data, width) if term.op == "const" else Term("zext", width, (term,))


def sext(term: Term, width: int) -> Term:
    if width <= term.width:
        return extract(term, 0, width)
    if term.op == "const":
        return const(signed(term.data, term.width), width)
    return Term("sext", width, (term,))


def concat(parts: list[Term]) -> Term:
    """Lowest part first. Neighbouring pieces of one term become one piece again."""
    joined: list[Term] = []
    for part in parts:
        if joined:
            last = joined[-1]
            if last.op == part.op == "const":
                joined[-1] = const(part.data << last.width | last.data, last.width + part.width)
                continue
            if last.op == part.op == "extract" and last.args[0] is part.args[0] \
                    and last.data + last.width == part.data:
                joined[-1] = extract(last.args[0], last.data, last.width + part.width)
                continue
        joined.append(part)
    if len(joined) == 1:
        return joined[0]
    if len(joined) == 2 and joined[1].op == "const" and joined[1].data == 0:
        return zext(joined[0], joined[0].width + joined[1].width)
    return Term("concat", sum(part.width for part in joined), tuple(joined))


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """``a verb b`` (a jump's verb) is ``truth``."""

    verb: str
    a: Term
    b: Term
    truth: bool = True

    def negated(self) -> Condition:
        return Condition(self.verb, self.a, self.b, not self.truth)


def order(roots: Iterable[Term]) -> list[Term]:
    """All terms below the roots, each after its arguments."""
    done: dict[int, Term] = {}
    for root in roots:
        stack = [(root, False)]
        while stack:
            term, ready = stack.pop()
            if id(term) in done:
                continue
            if ready:
                done[id(term)] = term
            else:
                stack.append((term, True))
                stack.extend((arg, False) for arg in term.args if id(arg) not in done)
    return list(done.values())


def variables(conditions: Iterable[Condition]) -> dict[str, int]:
    """Name -> width of every variable in the conditions."""
    found = order([side for each in conditions for side in (each.a, each.b)])
    return {str(term.data): term.width for term in found if term.op == "var"}


def evaluate(term: Term, values: Mapping[str, int]) -> int:
    """The term's value; variables that ``values`` does not have are 0."""
    return evaluate_all([term], values)[id(term)]


def evaluate_all(terms: Iterable[Term], values: Mapping[str, int]) -> dict[int, int]:
    known: dict[int, int] = {}
    for term in order(terms):
        known[id(term)] = _value(term, [known[id(arg)] for arg in term.args], values) & ((1 << term.width) - 1)
    return known


def _value(term: Term, args: list[int], values: Mapping[str, int]) -> int:
    op = term.op
    if op == "const":
        return term.data
    if op == "var":
        return values.get(str(term.data), 0)
    if op == "extract":
        return args[0] >> term.data
    if op == "zext":
        return args[0]
    if op == "sext":
        return signed(args[0], term.args[0].width)
    if op == "concat":
        total, at = 0, 0
        for part, value in zip(term.args, args, strict=True):
            total |= value << at
            at += part.width
        return total
    return BINARY[op](args[0], args[1], term.width)


def holds(condition: Condition, values: Mapping[str, int]) -> bool:
    known = evaluate_all((condition.a, condition.b), values)
    return TAKEN[condition.verb](known[id(condition.a)], known[id(condition.b)], condition.a.width) == condition.truth
