"""Memory that a helper or a function is given (``check_helper_mem_access``, ``check_mem_reg``)."""

from __future__ import annotations

from . import memory, stack
from .env import Env, Stop
from .jump import not_null
from .scalar import s32
from .value import BASE, BTF_ID, BUF, CTX, MAP_KEY, MAP_VALUE, MAYBE_NULL, MEM, PACKETS, RDONLY, STACK, type_name

#: program types whose context is what the kernel has in memory, no view of it (no convert_ctx_access)
_PLAIN_CONTEXT = frozenset(("kprobe", "tracepoint", "raw_tracepoint", "raw_tracepoint_writable", "cgroup_device",
                            "lirc_mode2", "netfilter", "syscall"))


def region(env: Env, regno: int, size: int, *, write: bool, zero_ok: bool = False, raw: bool = False) -> bool:
    """A helper reads or writes ``size`` bytes at a pointer.

    True: the helper fills ``raw`` memory on the stack, which the caller must mark.
    """
    reg = env.regs[regno]
    base = reg.type & BASE
    if base in PACKETS:
        memory.inside_packet(env, regno, reg.off, size, zero_ok)
    elif base == MAP_VALUE:
        memory.map_access(env, regno, reg.off, size, write, zero_ok)
    elif base == STACK:
        return stack.initialized(env, regno, reg.off, size, write=write, zero_ok=zero_ok, raw=raw)
    elif base in (MAP_KEY, MEM, BUF):
        if write and (base == MAP_KEY or reg.type & RDONLY):
            raise env.reject(f"R{regno} cannot write into {type_name(reg.type)}")
        if base == BUF:
            memory.buffer(env, reg, regno, reg.off, size, "rdonly" if reg.type & RDONLY else "rdwr")
        elif base == MAP_KEY:
            memory.inside_region(env, regno, reg.off, size, reg.data.key_size)
        else:
            memory.inside_region(env, regno, reg.off, size, reg.size, zero_ok)
    elif base == BTF_ID:
        raise env.unsupported("access through kernel pointers")
    elif base == CTX and env.type in _PLAIN_CONTEXT:
        if size:
            memory.access(env, regno, size - 1, 1, write, -1)
        elif not zero_ok:
            raise Stop(13)
    elif not (zero_ok and size == 0 and reg.is_null):
        raise env.reject(f"R{regno} type={type_name(reg.type)} expected=fp")
    return False


def readable_and_writable(env: Env, regno: int, size: int) -> None:
    """A function may do with ``size`` bytes what it likes; a pointer that may be null counts as one that is not."""
    reg = env.regs[regno]
    if reg.is_null:
        return
    if reg.type & MAYBE_NULL:
        env.regs[regno] = not_null(reg)
    size = s32(size)        # the kernel counts in an int
    region(env, regno, size, write=False, zero_ok=True)
    region(env, regno, size, write=True, zero_ok=True)
    env.regs[regno] = reg
