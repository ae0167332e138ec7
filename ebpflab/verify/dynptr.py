"""Dynptrs: 16 bytes of stack that helpers make and read, for memory whose size only the kernel knows.

A dynptr fills two slots; the *first* is the one at the lower address, where a pointer to it points. ``slot.reg`` is
what is known of it: its ``id``, which its slices carry, and the reference of a reservation in a ring buffer. Whoever
writes over one destroys it, and its slices with it. A callback is given a pointer to a dynptr of the kernel's own.
"""

from __future__ import annotations

from . import reference
from .env import EFAULT, EINVAL, Env
from .state import EMPTY, Frame, Slot, each_reg
from .value import ANY, DYNPTR, MAYBE_NULL, MEM, STACK, Reg, View

SIZE = 16
KINDS = frozenset(("local", "ringbuf"))
_REFERENCED = frozenset(("ringbuf",))       # must be given back (dynptr_type_refcounted)


def pointer(env: Env) -> Reg:
    """A dynptr that a function or a callback is given; it cannot destroy it (``mark_dynptr_cb_reg``)."""
    return Reg(DYNPTR, id=env.new_id(), data=View("local"))


def slice_of(env: Env, of: Reg, size: int) -> Reg:
    """What ``bpf_dynptr_data`` gives; it is gone when the dynptr is."""
    return Reg(MEM | MAYBE_NULL, id=env.new_id(), ref=of.ref, data=size & 0xFFFF_FFFF | of.id << 32)


# ---- where a pointer points

def _index(env: Env, reg: Reg) -> int:
    """The first slot of the dynptr that a stack pointer may point at, perhaps deeper than the stack is so far
    (``dynptr_get_spi``). -1 if there can be none, which is said."""
    if reg.num.mask:
        env.say("dynptr has to be at a constant offset")
        return -1
    off = reg.off + reg.num.smin
    index = (-off - 1) // 8
    if off % 8 or index < 1:
        env.say(f"cannot pass in dynptr at an offset={off}")
        return -1
    return index


def _first_slot(env: Env, reg: Reg) -> Slot:
    """The slot that a stack pointer points at; an empty one if there is none."""
    index, stack = _index(env, reg), env.stack_of(reg).stack
    return stack[index] if 0 <= index < len(stack) else EMPTY


def initialized(env: Env, regno: int, kind: str = "") -> Reg:
    """A call reads the dynptr at which a register points; what is known of it (``process_dynptr_func``).

    ``kind``: the only one that is wanted, if not all are.
    """
    reg = env.regs[regno]
    if reg.type not in (STACK, DYNPTR):
        raise env.reject(f"arg#{regno - 1} expected pointer to stack or const struct bpf_dynptr", EINVAL)
    known = reg
    if reg.type == STACK:
        slot = _first_slot(env, reg)
        known = slot.reg
        if slot.types[7] != "d" or not known.data.first:
            raise env.reject(f"Expected an initialized dynptr as arg #{regno - 1}", EINVAL)
    if kind and known.data.kind != kind:
        raise env.reject(f"Expected a dynptr of type {kind} as arg #{regno - 1}", EINVAL)
    if reg.type == STACK:
        slots = 3 << _index(env, reg) - 1
        env.stack_liveness.read(reg.frameno, env.pc, slots)
        env.touched_slots |= slots
    return known


# ---- making and destroying

def may_make(env: Env, reg: Reg) -> None:
    """Is this a place for a new dynptr (``is_dynptr_reg_valid_uninit``)?"""
    if reg.type == DYNPTR or _index(env, reg) < 0:
        raise env.reject("Dynptr has to be an uninitialized dynptr", EINVAL)


def make(env: Env, reg: Reg, kind: str) -> None:
    """A helper makes a dynptr where ``reg`` points, in bytes just written (``mark_stack_slots_dynptr``)."""
    frame, index = env.stack_of(reg), _index(env, reg)
    id = env.new_id()
    ref = reference.acquire(env) if kind in _REFERENCED else 0
    for at in (index, index - 1):
        frame.put(at, Slot("d" * 8, Reg(DYNPTR, id=id, ref=ref, data=View(kind, at == index))))
    env.stack_liveness.write(frame.number, 3 << index - 1)


def destroy(env: Env, frame: Frame, index: int) -> None:
    """A slot is written to: if it is part of a dynptr, that one is gone (``destroy_if_dynptr_stack_slot``)."""
    slot = frame.stack[index]
    if slot.types[7] != "d":
        return
    known = slot.reg
    if known.data.kind in _REFERENCED:
        raise env.reject("cannot overwrite referenced dynptr", EINVAL)
    first = index if known.data.first else index + 1
    env.touched_slots |= 3 << first - 1
    _empty(env, frame, first)
    each_reg(env.state, lambda reg: ANY if _is_slice(reg) and reg.slice_of == known.id else reg)


def _is_slice(reg: Reg) -> bool:
    return reg.type in (MEM, MEM | MAYBE_NULL)


def _empty(env: Env, frame: Frame, first: int) -> None:
    frame.put(first, EMPTY)
    frame.put(first - 1, EMPTY)
    env.stack_liveness.write(frame.number, 3 << first - 1)


# ---- giving back

def may_release(env: Env, regno: int) -> None:
    """A helper that gives memory back wants the dynptr that holds it."""
    reg = env.regs[regno]
    if reg.type == DYNPTR:
        raise env.reject("cannot release unowned const bpf_dynptr", EINVAL)
    if not _first_slot(env, reg).reg.ref:
        raise env.reject(f"arg {regno} is an unacquired reference", EINVAL)


def release(env: Env, reg: Reg) -> int:
    """The reservation is given back: dynptr and slices are gone (``unmark_stack_slots_dynptr``). 0 or an error.

    Linux stumbles over a slot where a slice was spilled and other bytes were written since, unless it is the topmost.
    """
    frame, ref = env.stack_of(reg), _first_slot(env, reg).reg.ref
    reference.release(env, ref)
    if any(slot.reg.ref == ref and slot.types[7] != "d" for slot in frame.stack[1:]):
        env.say("verifier bug: misconfigured ref_obj_id")
        return EFAULT
    _empty(env, frame, _index(env, reg))
    return 0
