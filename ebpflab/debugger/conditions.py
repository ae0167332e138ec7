"""Conditions of breakpoints: Python expressions over a moment of a run.

``r1 > 5 and pc == 7`` · ``w0 == 0`` · ``at("packet[12:14]") == b"\\x08\\x00"`` · ``depth == 1``

Names: r0 … r10, w0 … w10 (unsigned), ``pc``, ``step``, ``depth``, ``line`` (of the source, 0: none), and ``at(place)``.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any

from ..errors import SpecError
from ..isa.bits import U32
from ..sim.history import History
from .places import Found, place

Condition = Callable[[History, int], bool]
_BUILTINS = {name: getattr(__import__("builtins"), name) for name in (
    "abs", "all", "any", "bin", "bytes", "hex", "int", "len", "max", "min", "range", "sum")}


def condition(text: str) -> Condition:
    """The condition. Raises SpecError for what is no expression, or names what there is not (when it is asked)."""
    try:
        code: CodeType = compile(text, "<condition>", "eval")
    except SyntaxError as error:
        raise SpecError(f"the condition {text!r}: {error.msg}, at column {error.offset}",
                        hint='for instance: r1 > 5 and at("packet[12]") == b"\\x08"') from None

    def holds(history: History, index: int) -> bool:
        try:
            return bool(eval(code, {"__builtins__": _BUILTINS}, _names(history, index)))
        except SpecError:
            raise
        except Exception as error:
            raise SpecError(f"the condition {text!r} cannot be decided at step {index}: {error}",
                            hint="names: r0 … r10, w0 … w10, pc, step, depth, line, at(place)") from error

    return holds


def _names(history: History, index: int) -> dict[str, Any]:
    step = history.steps[index]

    def at(text: str) -> Found:
        return place(text, history).read(history, index)

    return {**{f"r{number}": word for number, word in enumerate(step.regs)},
            **{f"w{number}": word & U32 for number, word in enumerate(step.regs)},
            "pc": step.pc, "step": index, "depth": step.depth, "line": step.source.line if step.source else 0, "at": at}
