"""Arithmetic as RFC 9669 sections 4.1 to 4.3 define it, on unsigned Python ints of the operation's width.

The interpreter uses these functions; the code generator has the same in text form, and tests hold the two and
the kernel against each other.
"""

from __future__ import annotations

from collections.abc import Callable


def signed(value: int, width: int) -> int:
    """Two's complement: the unsigned ``value`` of ``width`` bits read as signed."""
    return value - (1 << width) if value >> (width - 1) else value


def sdiv(a: int, b: int, width: int) -> int:
    """Signed division toward zero; by zero gives 0, the smallest number by -1 itself (4.1)."""
    if b == 0:
        return 0
    x, y = signed(a, width), signed(b, width)
    quotient = abs(x) // abs(y)
    return (quotient if (x < 0) == (y < 0) else -quotient) & ((1 << width) - 1)


def smod(a: int, b: int, width: int) -> int:
    """Signed remainder with the dividend's sign; by zero gives the dividend (4.1)."""
    if b == 0:
        return a
    x, y = signed(a, width), signed(b, width)
    rest = abs(x) % abs(y)
    return (rest if x >= 0 else -rest) & ((1 << width) - 1)


#: verb -> f(dst, src, width); the result is cut to the width afterwards
BINARY: dict[str, Callable[[int, int, int], int]] = {
    "add": lambda a, b, w: a + b,
    "sub": lambda a, b, w: a - b,
    "mul": lambda a, b, w: a * b,
    "div": lambda a, b, w: a // b if b else 0,
    "sdiv": sdiv,
    "or": lambda a, b, w: a | b,
    "and": lambda a, b, w: a & b,
    "lsh": lambda a, b, w: a << (b & (w - 1)),
    "rsh": lambda a, b, w: a >> (b & (w - 1)),
    "neg": lambda a, b, w: -a,
    "mod": lambda a, b, w: a % b if b else a,
    "smod": smod,
    "xor": lambda a, b, w: a ^ b,
    "mov": lambda a, b, w: b,
    "arsh": lambda a, b, w: signed(a, w) >> (b & (w - 1)),
}

#: verb -> f(dst, src, width) -> is the jump taken
TAKEN: dict[str, Callable[[int, int, int], bool]] = {
    "jeq": lambda a, b, w: a == b,
    "jne": lambda a, b, w: a != b,
    "jgt": lambda a, b, w: a > b,
    "jge": lambda a, b, w: a >= b,
    "jlt": lambda a, b, w: a < b,
    "jle": lambda a, b, w: a <= b,
    "jset": lambda a, b, w: a & b != 0,
    "jsgt": lambda a, b, w: signed(a, w) > signed(b, w),
    "jsge": lambda a, b, w: signed(a, w) >= signed(b, w),
    "jslt": lambda a, b, w: signed(a, w) < signed(b, w),
    "jsle": lambda a, b, w: signed(a, w) <= signed(b, w),
}

#: atomic verb without ``fetch_`` -> f(old, operand)
ATOMIC: dict[str, Callable[[int, int], int]] = {
    "add": lambda old, x: old + x,
    "or": lambda old, x: old | x,
    "and": lambda old, x: old & x,
    "xor": lambda old, x: old ^ x,
    "xchg": lambda old, x: x,
}


def byte_swap(value: int, width: int) -> int:
    return int.from_bytes((value & ((1 << width) - 1)).to_bytes(width // 8, "little"), "big")
