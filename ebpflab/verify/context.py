"""Loads and stores through the context and socket pointers, by the tables in ``ebpflab.abi.contexts``."""

from __future__ import annotations

from ..abi import contexts
from .env import Env
from .value import ANY, BASE, BTF_ID, MAYBE_NULL, SCALAR, Reg, type_name, type_of


def access(env: Env, off: int, size: int, write: bool, value: int, signed: bool) -> None:
    """An access to the context; a load may make a pointer (``check_ctx_access``)."""
    if env.type not in contexts.CONTEXTS:
        raise env.unsupported(f"context of program type {env.type}")
    span = contexts.access(env.type, off, size, write=write, attach=env.attach, signed=signed)
    if span is None:
        raise env.reject(f"invalid bpf_context access off={off} size={size}")
    if write or value < 0:
        return
    if span.gives == "scalar":
        env.regs[value] = ANY
        return
    try:
        type = type_of(span.gives)
    except KeyError:
        raise env.unsupported(f"{span.gives} pointers out of the context") from None
    if type & BASE == BTF_ID:
        raise env.unsupported(f"{span.gives} pointers out of the context")
    assert type != SCALAR
    env.regs[value] = Reg(type, id=env.new_id() if type & MAYBE_NULL else 0)


def socket_access(env: Env, reg: Reg, regno: int, off: int, size: int) -> None:
    if reg.num.smin < 0:
        raise env.reject(f"R{regno} min value is negative, either use unsigned index or do a if (index >=0) check.")
    if contexts.pointer_access(type_name(reg.type), off, size) is None:
        raise env.reject(f"R{regno} invalid {type_name(reg.type)} access off={off} size={size}")
