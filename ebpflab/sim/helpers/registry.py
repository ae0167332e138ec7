"""The table of simulated helpers: number -> function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from ...abi import HELPER_IDS, HELPER_NAMES
from ...errors import Fault, Unsupported

ENOTSUPP = 524      # the kernel's own; user space has no name for it
_TABLE: dict[int, Helper] = {}
#: helper number -> Helper
HELPERS = MappingProxyType(_TABLE)


@dataclass(frozen=True, slots=True)
class Helper:
    """``function(run, r1, …)`` with ``arity`` registers; gives r0 (a negative errno is fine).

    ``calls_back``: it may run functions of the program; ``moves``: it may move the packet.
    """

    name: str
    number: int
    function: Callable[..., int]
    arity: int
    calls_back: bool = False
    moves: bool = False


def helper(*names: str, calls_back: bool = False, moves: bool = False):
    """Register a function as the helper(s) of these names; without names, of its own name."""
    def register(function):
        for name in names or (function.__name__,):
            number = HELPER_IDS[name]
            _TABLE[number] = Helper(name, number, function, function.__code__.co_argcount - 1, calls_back, moves)
        return function
    return register


def find(number: int) -> Helper:
    """The helper, or the error that names it."""
    found = HELPERS.get(number)
    if found is None:
        if number not in HELPER_NAMES or number == 0:
            raise Fault(f"there is no helper number {number}")
        raise Unsupported(f"helper bpf_{HELPER_NAMES[number]} is not simulated",
                          hint="run the program on a kernel target (local or a guest)")
    return found


def signed32(value: int) -> int:
    """An int argument: the register's low 32 bits, signed."""
    value &= 0xFFFF_FFFF
    return value - (1 << 32) if value >> 31 else value
