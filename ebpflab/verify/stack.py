"""Reading and writing the stack: spills, fills, zeros, and ranges that helpers touch."""

from __future__ import annotations

from . import dynptr, precision, tnum
from .env import EFAULT, EINVAL, MAX_VAR_OFF, Env
from .state import STACK_ACCESS, Frame, Slot
from .value import (
    ANY,
    BASE,
    DYNPTR,
    NOT_INIT,
    SCALAR,
    STACK,
    TP_BUFFER,
    UNINIT,
    Reg,
    constant,
)

MAX_STACK = 512
_SPECIAL = "rdif"       # slots whose last byte is one of these hold more than plain bytes


def within_bounds(env: Env, regno: int, off: int, size: int, write: bool) -> None:
    """The access stays between fp-512 and fp; the frame grows to hold it (``check_stack_access_within_bounds``)."""
    reg = env.regs[regno]
    n = reg.num
    word = " write to" if write else " read from"
    if n.mask == 0:
        low = n.smin + off
        high = low + size
    else:
        if n.smax >= MAX_VAR_OFF or n.smin <= -MAX_VAR_OFF:
            raise env.reject(f"invalid unbounded variable-offset{word} stack R{regno}")
        low, high = n.smin + off, n.smax + off + size
    errno = 0
    if low < -MAX_STACK or low > -1:
        errno = 13
    elif high > 0:
        errno = EINVAL
    elif size < 0:
        errno = EFAULT
    if errno:
        if n.mask == 0:
            raise env.reject(f"invalid{word} stack R{regno} off={off} size={size}", errno)
        raise env.reject(f"invalid variable-offset{word} stack R{regno} var_off={tnum.text((n.value, n.mask))} "
                         f"off={off} size={size}", errno)
    frame = env.stack_of(reg)
    frame.grow(-low)
    env.depths[frame.sub] = max(env.depths[frame.sub], 8 * len(frame.stack))


def _misc(types: str) -> str:
    """Bytes below a narrow spill: what was a register or misc is misc now, zeros stay (``mark_stack_slot_misc``)."""
    return "".join(t if t in "?0" else "m" for t in types)


def _scrubbed(slot: Slot) -> str:
    """A special slot that is partly overwritten loses its meaning (``scrub_spilled_slot``)."""
    return "".join("?" if t == "?" else "m" for t in slot.types) if slot.types[7] in _SPECIAL else slot.types


def _plain(slot: Slot, types: str) -> Slot:
    """The slot with other bytes. What was spilled there is forgotten, but not its reference: see ``dynptr.release``."""
    return Slot(types, slot.reg.retyped(NOT_INIT, 0, slot.reg.ref) if slot.reg.ref else UNINIT)


def _spillable(reg: Reg) -> bool:
    return reg.type & BASE not in (NOT_INIT, SCALAR, TP_BUFFER, DYNPTR)


def write_fixed(env: Env, frame: Frame, off: int, size: int, regno: int) -> None:
    """Store ``size`` bytes at ``fp + off``; ``regno`` -1 for a constant (``check_stack_write_fixed_off``)."""
    index = (-off - 1) // 8
    dynptr.destroy(env, frame, index)
    slot = frame.stack[index]
    reg = env.regs[regno] if regno >= 0 else None
    insn = env.insns[env.pc]
    stores_constant = insn.opcode & 0xE7 == 0x62
    whole = off % 8 == 0
    if whole and size == 8:
        env.stack_liveness.write(frame.number, 1 << index)
    env.touched_slots |= 1 << index
    if reg is not None and whole and reg.type == SCALAR:
        fits = reg.num.umax.bit_length() <= 8 * size
        if fits:
            from .alu import link

            reg = link(env, regno)
        spilled = reg if fits else reg.unlinked()
    elif reg is None and whole and stores_constant:
        spilled = constant(insn.imm)
    elif reg is not None and _spillable(reg):
        if size != 8:
            raise env.reject("invalid size of register spill")
        if frame is not env.frame and reg.type == STACK:
            raise env.reject("cannot spill pointers to stack into stack frame of the caller", EINVAL)
        spilled = reg
    else:
        kind = "m"
        if (reg is not None and reg.is_null) or (reg is None and stores_constant and insn.imm == 0):
            if regno >= 0:
                precision.mark(env, regno)
            kind = "0"
        types = _scrubbed(slot)
        first = (-off - 1) % 8 - size + 1
        frame.put(index, _plain(slot, types[:first] + kind * size + types[first + size:]))
        return
    frame.put(index, Slot(_misc(slot.types[:8 - size]) + "r" * size, spilled))
    env.record(STACK_ACCESS | index << 3 | frame.number)


def write_variable(env: Env, frame: Frame, pointer: Reg, off: int, size: int, regno: int) -> None:
    """A store somewhere in a range: every slot there may be hit (``check_stack_write_var_off``)."""
    low, high = pointer.num.smin + off, pointer.num.smax + off + size
    reg = env.regs[regno] if regno >= 0 else None
    insn = env.insns[env.pc]
    zero = reg.is_null if reg is not None else insn.opcode & 0xE7 == 0x62 and insn.imm == 0
    relied = False
    for at in range(low, high):
        dynptr.destroy(env, frame, (-at - 1) // 8)
    slots = list(frame.stack)
    for at in range(low, high):
        index, byte = divmod(-at - 1, 8)
        slot = slots[index]
        env.touched_slots |= 1 << index
        if zero and slot.types[byte] == "r" and slot.spilled_scalar and slot.reg.is_null:
            relied = True
            continue
        kind = "m"
        if zero and slot.types[byte] == "0":
            kind, relied = "0", True
        types = _scrubbed(slot)
        slots[index] = _plain(slot, types[:byte] + kind + types[byte + 1:])
    frame.stack = tuple(slots)
    if relied and regno >= 0:
        precision.mark(env, regno)


def write(env: Env, regno: int, off: int, size: int, value: int) -> None:
    pointer = env.regs[regno]
    frame = env.stack_of(pointer)
    if pointer.num.mask == 0:
        write_fixed(env, frame, off + pointer.num.smin, size, value)
    else:
        write_variable(env, frame, pointer, off, size, value)


def _loaded_bytes(env: Env, frame: Frame, low: int, high: int, regno: int) -> None:
    """A register gets plain bytes: zero if all of them are, else unknown (``mark_reg_stack_read``)."""
    zeros = 0
    for at in range(low, high):
        index, byte = divmod(-at - 1, 8)
        env.touched_slots |= 1 << index
        if frame.stack[index].types[byte] != "0":
            break
        zeros += 1
    env.regs[regno] = constant(0) if zeros == high - low else ANY


def read_fixed(env: Env, frame: Frame, off: int, size: int, regno: int) -> None:
    """Load from ``fp + off`` (``check_stack_read_fixed_off``); ``regno`` -1: only check."""
    index = (-off - 1) // 8
    slot = frame.stack[index]
    types, reg = slot.types, slot.reg
    env.touched_slots |= 1 << index
    env.stack_liveness.read(frame.number, env.pc, 1 << index)
    if types[7] != "r":
        for at in range(size):
            if types[(-off - 1 - at) % 8] not in "m0?":
                raise env.reject(f"invalid read from stack off {off}+{at} size {size}")
        if regno >= 0:
            _loaded_bytes(env, frame, off, off + size, regno)
        return
    spilled = 8 - types.index("r")
    if size != 8 or spilled != 8:
        if reg.type != SCALAR:
            raise env.reject("invalid size of register fill")
        if regno < 0:
            return
        if size <= spilled and off % 8 == 0:
            # the low bytes of the spilled number; a narrower one is a different number
            env.regs[regno] = reg if reg.num.umax.bit_length() <= 8 * size else reg.unlinked()
        else:
            kinds = [types[(-off - 1 - at) % 8] for at in range(size)]
            for at, kind in enumerate(kinds):
                if kind not in "rm0?":
                    raise env.reject(f"invalid read from stack off {off}+{at} size {size}")
            if kinds == ["r"] * size and reg.is_null:
                env.regs[regno] = constant(0)
            else:
                env.regs[regno] = constant(0) if kinds == ["0"] * size else ANY
                return
    elif regno >= 0:
        env.regs[regno] = reg
    env.record(STACK_ACCESS | index << 3 | frame.number)


def read(env: Env, regno: int, off: int, size: int, value: int) -> None:
    pointer = env.regs[regno]
    n = pointer.num
    if n.mask == 0:
        read_fixed(env, env.stack_of(pointer), off + n.smin, size, value)
        return
    if value < 0:
        raise env.reject("variable offset stack pointer cannot be passed into helper function; "
                         f"var_off={tnum.text((n.value, n.mask))} off={off} size={size}")
    initialized(env, regno, off, size, write=False)
    _loaded_bytes(env, env.stack_of(pointer), n.smin + off, n.smax + off + size, value)


def initialized(env: Env, regno: int, off: int, size: int, *, write: bool, zero_ok: bool = False,
                raw: bool = False) -> bool:
    """A helper or a variable load touches ``size`` bytes (``check_stack_range_initialized``).

    ``raw``: the helper fills memory that need not be initialised; then nothing is checked if the place is
    known, and True tells the caller to mark it as written.
    """
    if size == 0 and not zero_ok:
        raise env.reject("invalid zero-sized read")
    within_bounds(env, regno, off, size, write)
    pointer = env.regs[regno]
    frame, n = env.stack_of(pointer), pointer.num
    low = n.smin + off
    high = n.smax + off if n.mask else low
    if raw and n.mask == 0:
        for at in range(low, high + size):
            index, byte = divmod(-at - 1, 8)
            if index < len(frame.stack) and frame.stack[index].types[byte] == "d":
                raise env.reject(f"potential write to dynptr at off={at} disallowed")
        return True
    slots = list(frame.stack)
    for at in range(low, high + size):
        index, byte = divmod(-at - 1, 8)
        slot = slots[index]
        kind = slot.types[byte]
        if kind in "0?":
            if write:
                slots[index] = Slot(slot.types[:byte] + "m" + slot.types[byte + 1:], slot.reg)
        elif kind != "m":
            if not slot.spilled:
                if n.mask == 0:
                    raise env.reject(f"invalid read from stack R{regno} off {low}+{at - low} size {size}")
                raise env.reject(f"invalid read from stack R{regno} var_off {tnum.text((n.value, n.mask))}"
                                 f"+{at - low} size {size}")
            if write:
                slots[index] = Slot("".join("?" if t == "?" else "m" for t in slot.types), ANY)
        env.stack_liveness.read(frame.number, env.pc, 1 << index)
    frame.stack = tuple(slots)
    return False

