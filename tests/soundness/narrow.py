"""The verifier's arithmetic for registers of WIDE bits, their low half LOW, on z3's terms.

A proof of 64 bits along hundreds of paths takes hours, one of six takes seconds; nothing in these functions depends
on the width but the constants, which are replaced.
"""

from __future__ import annotations

import inspect
from typing import Any

from ebpflab.verify import bounds, compare, scalar, tnum

from .forking import Forking, Number

WIDE, LOW = 6, 3
TOP, TOP_LOW = (1 << WIDE) - 1, (1 << LOW) - 1
#: the ten numbers of a Scalar
LIMITS = {"value": (0, TOP), "mask": (0, TOP),
          "smin": (-(1 << WIDE - 1), (1 << WIDE - 1) - 1), "smax": (-(1 << WIDE - 1), (1 << WIDE - 1) - 1),
          "umin": (0, TOP), "umax": (0, TOP),
          "s32_min": (-(1 << LOW - 1), (1 << LOW - 1) - 1), "s32_max": (-(1 << LOW - 1), (1 << LOW - 1) - 1),
          "u32_min": (0, TOP_LOW), "u32_max": (0, TOP_LOW)}


def signed(bits: int):
    full, sign = (1 << bits) - 1, 1 << bits - 1
    return lambda word: (word & full ^ sign) - sign


CONSTANTS = {"U64": TOP, "U32": TOP_LOW, "UPPER": TOP - TOP_LOW,
             "S64_MIN": LIMITS["smin"][0], "S64_MAX": LIMITS["smin"][1],
             "S32_MIN": LIMITS["s32_min"][0], "S32_MAX": LIMITS["s32_min"][1],
             "ANY64": (*LIMITS["smin"], 0, TOP), "ANY32": (*LIMITS["s32_min"], 0, TOP_LOW),
             "s64": signed(WIDE), "s32": signed(LOW)}


class View:
    """A Scalar of numbers that z3 chooses (``key``), and ``word``, one of its members."""

    def __init__(self, run: Forking, name: str):
        self.key = [run.number(f"{name}.{field}", *limits) for field, limits in LIMITS.items()]
        for field, number in zip(LIMITS, self.key, strict=True):
            setattr(self, field, number)
        self.word = run.number(f"{name}.x", 0, TOP)
        run.given.append(member(run, self.key, self.word))


def member(run: Forking, key: Any, word: Number) -> Any:
    """z3's term for: ``word`` is one of what the ten numbers of ``key`` say."""
    value, mask, smin, smax, umin, umax, s32_min, s32_max, u32_min, u32_max = (run.term(each) for each in key)
    x, low = word.term, (word & TOP_LOW).term
    sx, slow = signed(WIDE)(word).term, signed(LOW)(word).term
    return run.z3.And(x & ~mask == value, smin <= sx, sx <= smax, umin <= x, x <= umax,
                      s32_min <= slow, slow <= s32_max, u32_min <= low, low <= u32_max)


def arithmetic(monkeypatch: Any, z3: Any) -> Forking:
    """A solver, with the modules of the verifier's arithmetic made narrow until the test ends."""
    run = Forking(z3, WIDE + 4)

    def span(low, high):        # tnum.span, with shifts for bit_length
        unlike = run.term(low ^ high)
        for by in (1, 2, 4):
            unlike = unlike | z3.LShR(unlike, by)
        return low & ~run.number_of(unlike), run.number_of(unlike)

    for module in (tnum, scalar, compare, bounds):
        for name, value in CONSTANTS.items():
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
        monkeypatch.setattr(module, "max", run.greatest, raising=False)
        monkeypatch.setattr(module, "min", run.least, raising=False)
    monkeypatch.setattr(tnum, "span", span)
    low_from_bits = narrowed(scalar.low_from_bits, {"0x8000_0000": f"{1 << LOW - 1}"})
    for module in (scalar, bounds):
        monkeypatch.setattr(module, "low_from_bits", low_from_bits)
    return run


def narrowed(of: Any, instead: dict[str, str]) -> Any:
    """A function with the numbers of its source that depend on the width replaced."""
    source = inspect.getsource(of)
    for text, number in instead.items():
        assert text in source
        source = source.replace(text, number)
    exec(source, vars(inspect.getmodule(of)), found := {})
    return found[of.__name__]
