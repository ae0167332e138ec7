"""What a program may return (``check_return_code``)."""

from __future__ import annotations

from ..abi.returns import returns
from . import precision
from .env import EINVAL, Env
from .scalar import S64_MAX, S64_MIN, Scalar
from .state import ASYNC
from .value import SCALAR, type_name


def check_result(env: Env) -> None:
    """r0 is readable, and in the range of what is left: the program, a callback, or a global function."""
    reg = env.source(0)
    frame = env.frame
    where, allowed = "At program exit", returns(env.type, env.attach)
    if frame.role == ASYNC:
        where, allowed = "At async callback return", frame.allowed
    elif frame.sub and frame.sub != env.shape.exception:
        if reg.type != SCALAR:
            raise env.reject("At subprogram exit the register R0 is not a scalar value "
                             f"({type_name(reg.type)})", EINVAL)
        return
    if allowed is None:
        return
    if reg.type != SCALAR:
        raise env.reject(f"{where} the register R0 is not a known value ({type_name(reg.type)})", EINVAL)
    precision.mark(env, 0)
    low, high = allowed
    if not low <= reg.num.smin <= reg.num.smax <= high:
        raise env.reject(f"{where} the register R0 has {range_text(reg.num, low, high)}", EINVAL)


def range_text(n: Scalar, low: int, high: int) -> str:
    """``smin=2 smax=2 should have been in [0, 1]`` (``verbose_invalid_scalar``)."""
    known = [f"smin={n.smin} "] if n.smin > S64_MIN else []
    known += [f"smax={n.smax} "] if n.smax < S64_MAX else []
    return "".join(known or ["unknown scalar value "]) + f"should have been in [{low}, {high}]"
