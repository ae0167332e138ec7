"""Constant expressions: numbers, names, + - * / % << >> & | ^ ~ and parentheses, as C reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .forms import OperandError, number

_TOKEN = re.compile(r"\s*(0[xX][0-9a-fA-F]+|\d+|[A-Za-z_.$][\w.$]*|<<|>>|[-+*/%&|^~()])")
_BINDING = {"|": 1, "^": 2, "&": 3, "<<": 4, ">>": 4, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6}


def evaluate(text: str, names: Mapping[str, int]) -> int:
    """The value of ``text``. Raises OperandError for what is not an expression, an unknown name, a division by 0."""
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise OperandError(f"{text[at:].strip()!r} is not a constant expression")
        tokens.append(match[1])
        at = match.end()
    value, rest = _climb(tokens, 1, names, text)
    if rest:
        raise OperandError(f"unexpected {rest[0]!r} in the expression {text.strip()!r}")
    return value


def _climb(tokens: list[str], least: int, names: Mapping[str, int], text: str) -> tuple[int, list[str]]:
    """Precedence climbing: operators that bind at least as tightly as ``least``."""
    left, tokens = _atom(tokens, names, text)
    while tokens and _BINDING.get(tokens[0], 0) >= least:
        sign = tokens[0]
        right, tokens = _climb(tokens[1:], _BINDING[sign] + 1, names, text)
        left = _apply(sign, left, right, text)
    return left, tokens


def _atom(tokens: list[str], names: Mapping[str, int], text: str) -> tuple[int, list[str]]:
    if not tokens:
        raise OperandError(f"a value is missing in {text.strip()!r}" if text.strip() else "a value is missing")
    head, *rest = tokens
    if head in "+-~":
        value, rest = _atom(rest, names, text)
        return {"+": value, "-": -value, "~": ~value}[head], rest
    if head == "(":
        value, rest = _climb(rest, 1, names, text)
        if not rest or rest[0] != ")":
            raise OperandError(f"')' is missing in {text.strip()!r}")
        return value, rest[1:]
    if head[0].isdigit():
        return number(head), rest
    if head in names:
        return names[head], rest
    raise OperandError(f"unknown name {head!r}" if head[0].isalpha() or head[0] in "_.$" else f"unexpected {head!r}")


def _apply(sign: str, left: int, right: int, text: str) -> int:
    if sign in "/%":
        if right == 0:
            raise OperandError(f"division by zero in {text.strip()!r}")
        quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        return quotient if sign == "/" else left - quotient * right
    if sign in ("<<", ">>"):
        if not 0 <= right < 64:
            raise OperandError(f"shift by {right} in {text.strip()!r}")
        return left << right if sign == "<<" else left >> right
    return {"+": left + right, "-": left - right, "*": left * right, "&": left & right, "|": left | right,
            "^": left ^ right}[sign]
