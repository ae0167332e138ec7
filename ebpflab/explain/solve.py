"""Inputs for which conditions hold: by z3 if it is installed (extra ``prove``), else by search.

    solve(conditions, {"len": (14, 1500)}, start, deadline) -> Solution(values) | Solution(None, proved=True) | …
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from ..sim.alu import TAKEN, signed
from .symbols import Condition, Term, evaluate_all, order, variables

Ranges = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Solution:
    """``values`` of the variables, or None; then ``proved`` says that there are none at all."""

    values: dict[str, int] | None
    proved: bool = False


def solve(conditions: Sequence[Condition], ranges: Ranges, start: Mapping[str, int], deadline: float) -> Solution:
    """Values under which all conditions hold and every variable lies in its range (inclusive; absent: any).

    ``start`` are values to begin with. ``deadline`` is a ``time.monotonic()``.
    """
    z3 = prover()
    if z3 is None:
        return Solution(_search(conditions, ranges, start, deadline))
    return _prove(z3, conditions, ranges, deadline)


@cache
def prover():
    """The z3 module, None if it is not installed."""
    try:
        import z3
    except ImportError:
        return None
    return z3


# ---- z3

def _shift(z3, verb: str):
    def shift(a, b):
        count = b & (a.size() - 1)
        return {"lsh": lambda: a << count, "rsh": lambda: z3.LShR(a, count), "arsh": lambda: a >> count}[verb]()
    return shift


def _operators(z3) -> dict:
    zero = lambda b: b == 0
    return {
        "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "and": lambda a, b: a & b,
        "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b, "neg": lambda a, b: -a,
        "div": lambda a, b: z3.If(zero(b), z3.BitVecVal(0, a.size()), z3.UDiv(a, b)),
        "mod": lambda a, b: z3.If(zero(b), a, z3.URem(a, b)),
        "sdiv": lambda a, b: z3.If(zero(b), z3.BitVecVal(0, a.size()), a / b),
        "smod": lambda a, b: z3.If(zero(b), a, z3.SRem(a, b)),
        **{verb: _shift(z3, verb) for verb in ("lsh", "rsh", "arsh")},
    }


def _comparisons(z3) -> dict:
    return {
        "jeq": lambda a, b: a == b, "jne": lambda a, b: a != b, "jgt": z3.UGT, "jge": z3.UGE, "jlt": z3.ULT,
        "jle": z3.ULE, "jset": lambda a, b: (a & b) != 0, "jsgt": lambda a, b: a > b, "jsge": lambda a, b: a >= b,
        "jslt": lambda a, b: a < b, "jsle": lambda a, b: a <= b,
    }


def _translate(z3, terms: list[Term]) -> tuple[dict, dict]:
    """id of each term -> z3 expression, and name -> z3 variable."""
    operators = _operators(z3)
    made: dict[int, object] = {}
    names: dict[str, object] = {}
    for term in terms:
        args = [made[id(arg)] for arg in term.args]
        if term.op == "const":
            made[id(term)] = z3.BitVecVal(term.data, term.width)
        elif term.op == "var":
            made[id(term)] = names.setdefault(str(term.data), z3.BitVec(str(term.data), term.width))
        elif term.op == "extract":
            made[id(term)] = z3.Extract(term.data + term.width - 1, term.data, args[0])
        elif term.op == "concat":
            made[id(term)] = z3.Concat(*reversed(args))
        elif term.op in ("zext", "sext"):
            extend = z3.ZeroExt if term.op == "zext" else z3.SignExt
            made[id(term)] = extend(term.width - term.args[0].width, args[0])
        else:
            made[id(term)] = operators[term.op](*args)
    return made, names


def _prove(z3, conditions: Sequence[Condition], ranges: Ranges, deadline: float) -> Solution:
    made, names = _translate(z3, order([side for each in conditions for side in (each.a, each.b)]))
    compare, solver = _comparisons(z3), z3.Solver()
    for each in conditions:
        found = compare[each.verb](made[id(each.a)], made[id(each.b)])
        solver.add(found if each.truth else z3.Not(found))
    for name, variable in names.items():
        if name in ranges:
            low, high = ranges[name]
            solver.add(z3.UGE(variable, low), z3.ULE(variable, high))
    solver.set("timeout", max(int((deadline - time.monotonic()) * 1000), 1))
    answer = solver.check()
    if answer != z3.sat:
        return Solution(None, answer == z3.unsat)
    model = solver.model()
    return Solution({name: model.eval(variable, model_completion=True).as_long() for name, variable in names.items()})


# ---- search

def _distance(each: Condition, a: int, b: int) -> int:
    """0 if the condition holds, else how far the two sides are from where it would."""
    width = each.a.width
    if TAKEN[each.verb](a, b, width) == each.truth:
        return 0
    if each.verb == "jset":
        return 1 + bin(a & b).count("1")
    if each.verb.startswith("js"):
        a, b = signed(a, width), signed(b, width)
    return 1 + abs(a - b)


def _search(conditions: Sequence[Condition], ranges: Ranges, start: Mapping[str, int], deadline: float
            ) -> dict[str, int] | None:
    """Hill climbing on the sum of distances, from ``start``; the values to try come from the conditions themselves."""
    chance = random.Random(1)
    widths = variables(conditions)
    sides = [side for each in conditions for side in (each.a, each.b)]
    inside = {id(each): sorted(variables([each])) for each in conditions}
    values = {name: min(max(start.get(name, 0), ranges.get(name, (0, 0))[0]),
                        ranges.get(name, (0, (1 << width) - 1))[1]) for name, width in widths.items()}

    def judge(tried: Mapping[str, int]) -> tuple[int, list[Condition], dict[int, int]]:
        known = evaluate_all(sides, tried)
        wrong, total = [], 0
        for each in conditions:
            distance = _distance(each, known[id(each.a)], known[id(each.b)])
            if distance:
                wrong.append(each)
                total += (1 << 64) + distance      # fewer first, then nearer
        return total, wrong, known

    best, wrong, known = judge(values)
    stuck = 0
    while best and time.monotonic() < deadline and stuck < 4000:
        each = chance.choice(wrong)
        names = inside[id(each)]
        if not names:
            return None
        tried = dict(values)
        _change(chance, tried, names, widths, known[id(each.b)], known[id(each.a)], ranges)
        score, *rest = judge(tried)
        if score <= best:
            stuck = 0 if score < best else stuck + 1
            best, values, (wrong, known) = score, tried, rest
        else:
            stuck += 1
    return None if best else values


def _change(chance: random.Random, tried: dict[str, int], names: list[str], widths: Mapping[str, int], a: int, b: int,
            ranges: Ranges) -> None:
    """Move some variables of one condition: towards the other side's value (either byte order), or to an extreme."""
    goal = chance.choice((a, b)) + chance.choice((-1, 0, 0, 1))
    how = chance.randrange(4)
    if how == 0 and len(names) > 1:     # bytes of one number, as they lie in memory or in network order
        ordered = sorted(names, key=_place, reverse=chance.random() < 0.5)
        for at, name in enumerate(ordered):
            tried[name] = goal >> 8 * at & ((1 << widths[name]) - 1)
    else:
        name = chance.choice(names)
        top = (1 << widths[name]) - 1
        tried[name] = (goal & top, chance.choice((0, 1, top, top >> 1, (top >> 1) + 1)), chance.randint(0, top),
                       tried[name] ^ 1 << chance.randrange(widths[name]))[how]
    for name in names:
        low, high = ranges.get(name, (0, (1 << widths[name]) - 1))
        tried[name] = min(max(tried[name], low), high)


def _place(name: str) -> tuple[str, int]:
    head, _, digits = name.rpartition(":")
    return head, int(digits) if digits.isdigit() else 0
