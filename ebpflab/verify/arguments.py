"""The registers of a call against what BTF says of the function (``btf_check_subprog_call``)."""

from __future__ import annotations

from . import dynptr, memory
from .env import EINVAL, Env, Stop
from .region import readable_and_writable
from .signature import Argument, Mismatch
from .value import ARENA, CTX, MAYBE_NULL, SCALAR, Reg


def mismatch(env: Env, sub: int) -> int:
    """Compare r1 to r5 with the prototype; 0, or the error if they do not fit.

    Then the function's BTF is not looked at again: compilers change the arguments of static functions. What a
    global function expects must be there; that is for the caller to say.
    """
    signatures = env.signatures
    if not signatures.infos or sub in signatures.unreliable:
        return EINVAL
    try:
        for at, argument in enumerate(signatures.arguments(sub, env.say)):
            _check(env, at + 1, env.regs[at + 1], argument)
    except (Mismatch, Stop) as problem:
        signatures.unreliable.add(sub)
        return problem.errno
    return 0


def _check(env: Env, regno: int, reg: Reg, argument: Argument) -> None:
    kind = argument.kind
    if kind == "scalar":
        if reg.type != SCALAR:
            raise env.reject(f"R{regno} is not a scalar", EINVAL)
    elif kind == "ctx":
        _offset(env, regno, reg)
        if reg.type != CTX:
            raise env.reject(f"arg#{regno - 1} expects pointer to ctx", EINVAL)
    elif kind == "mem":
        _offset(env, regno, reg)
        try:
            readable_and_writable(env, regno, argument.size)
        except Stop:
            raise Stop(EINVAL) from None
        if reg.type & MAYBE_NULL and not argument.nullable:
            raise env.reject(f"arg#{regno - 1} is expected to be non-NULL", EINVAL)
    elif kind == "arena":
        if reg.type not in (ARENA, SCALAR):
            raise env.reject(f"R{regno} is not a pointer to arena or scalar.", EINVAL)
    elif kind == "dynptr":
        _offset(env, regno, reg)
        dynptr.initialized(env, regno)


def _offset(env: Env, regno: int, reg: Reg) -> None:
    if reg.type not in memory.ANY_OFFSET:
        memory.plain_offset(env, reg, regno)
