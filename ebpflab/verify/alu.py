"""Arithmetic and moves (``check_alu_op``): on numbers, and on pointers as far as that is allowed."""

from __future__ import annotations

from functools import lru_cache

from ..isa import Insn, Op
from ..isa.bits import U32, U64, X
from . import precision, tnum
from .bounds import ANY32, OPERATORS, Operator, computable
from .env import EINVAL, MAX_VAR_OFF, Env
from .scalar import (
    S32_MAX,
    S32_MIN,
    S64_MAX,
    S64_MIN,
    UNKNOWN,
    Scalar,
    from_bits,
    low_half,
    raw,
    s32,
    s64,
    sign_extended,
    sign_extended32,
    sync,
    truncated,
    with_low,
)
from .value import (
    ADD_CONST,
    ADD_CONST32,
    ADD_CONST64,
    ANY,
    ARENA,
    BASE,
    BTF_ID,
    BUF,
    CTX,
    DYNPTR,
    FLOW_KEYS,
    FUNC,
    MAP_KEY,
    MAP_PTR,
    MAP_VALUE,
    MAYBE_NULL,
    MEM,
    PACKETS,
    PKT,
    PKT_META,
    SCALAR,
    STACK,
    TP_BUFFER,
    UNTRUSTED,
    Reg,
    constant,
    type_name,
)

SIGNS = {"add": "+=", "sub": "-=", "mul": "*=", "div": "/=", "or": "|=", "and": "&=", "lsh": "<<=", "rsh": ">>=",
         "neg": "neg", "mod": "%=", "xor": "^=", "mov": "=", "arsh": "s>>=", "sdiv": "/=", "smod": "%="}

_MOVABLE = frozenset((CTX, MAP_VALUE, MAP_KEY, STACK, PKT_META, PKT, TP_BUFFER, BTF_ID, MEM, BUF, FUNC, DYNPTR))


def alu(env: Env, insn: Insn, op: Op) -> None:
    verb = op.verb
    if verb == "mov":
        move(env, insn, op)
    elif verb == "movsx":
        move_signed(env, insn, op)
    elif verb == "neg":
        reg = env.source(insn.dst)
        env.target(insn.dst)
        env.regs[insn.dst] = Reg(SCALAR, OPERATORS["neg"](reg.num, reg.num, op.width == 32)) \
            if reg.type == SCALAR else ANY
    else:
        second = env.source(insn.src) if op.source == "x" else None
        env.source(insn.dst)
        if second is None:
            if insn.imm == 0 and verb in ("div", "mod", "sdiv", "smod"):
                raise env.reject("div by zero", EINVAL)
            if verb in ("lsh", "rsh", "arsh") and not 0 <= insn.imm < op.width:
                raise env.reject(f"invalid shift {insn.imm}", EINVAL)
        env.target(insn.dst)
        compute(env, insn, op, second)
    reg = env.regs[insn.dst]
    if reg.num.bad:
        env.regs[insn.dst] = env.sane(reg, "alu")


def swap_bytes(env: Env, insn: Insn, op: Op) -> None:
    """``le``, ``be``, ``bswap``: the bits move, the ranges follow from them (``scalar_byte_swap``)."""
    reg = env.source(insn.dst)
    env.target(insn.dst)
    if reg.type != SCALAR:
        env.forget(insn.dst)
        return
    size = op.width >> 3
    num = reg.num
    if op.verb != "le":
        num = from_bits(tnum.swapped((num.value, num.mask), size))
    if size < 8:
        num = truncated(num, size)
    elif op.verb == "le":
        return
    else:
        num = sync(*num.key)
    env.regs[insn.dst] = Reg(SCALAR, num, 0, 0, reg.ref, reg.data)


def link(env: Env, regno: int) -> Reg:
    """Give a number an id before it is copied, so that what is learned of one copy is known of both
    (``assign_scalar_id_before_mov``)."""
    reg = env.regs[regno]
    if reg.type != SCALAR:
        return reg
    if reg.id & ADD_CONST:
        reg = env.regs[regno] = Reg(SCALAR, reg.num, 0, 0, reg.ref, reg.data)
    if not reg.id and reg.num.mask:
        reg = env.regs[regno] = reg.linked(env.new_id())
    return reg


def move(env: Env, insn: Insn, op: Op) -> None:
    if op.source == "k":
        env.target(insn.dst)
        env.regs[insn.dst] = constant(insn.imm if op.width == 64 else insn.imm & 0xFFFF_FFFF)
        return
    reg = env.source(insn.src)
    env.target(insn.dst)
    if op.width == 64:
        env.regs[insn.dst] = link(env, insn.src)
    elif reg.type != SCALAR:
        env.regs[insn.dst] = Reg(SCALAR, low_half(UNKNOWN))
    else:
        fits = reg.num.umax <= 0xFFFF_FFFF
        if fits:
            reg = link(env, insn.src)
        env.regs[insn.dst] = Reg(SCALAR, low_half(reg.num), 0, reg.id if fits else 0, reg.ref, reg.data)


def move_signed(env: Env, insn: Insn, op: Op) -> None:
    reg = env.source(insn.src)
    env.target(insn.dst)
    if reg.type != SCALAR:
        env.regs[insn.dst] = ANY if op.width == 64 else Reg(SCALAR, low_half(UNKNOWN))
        return
    positive = reg.num.umax < 1 << insn.off - 1       # then sign extension changes nothing
    if positive:
        reg = link(env, insn.src)
    extend = sign_extended if op.width == 64 else sign_extended32
    num = extend(reg.num, insn.off >> 3)
    env.regs[insn.dst] = Reg(SCALAR, num, 0, reg.id if positive else 0, reg.ref, reg.data)


def compute(env: Env, insn: Insn, op: Op, second: Reg | None) -> None:
    """The other operators (``adjust_reg_min_max_vals``)."""
    dst = env.regs[insn.dst]
    if dst.type == ARENA:
        raise env.unsupported("arena pointers")
    if second is None:
        second = constant(insn.imm)
        if dst.type != SCALAR:
            env.regs[insn.dst] = move_pointer(env, insn, op, dst, second, dst)
            return
    elif second.type != SCALAR:
        if dst.type != SCALAR:
            if op.verb == "sub":
                env.forget(insn.dst)
                return
            raise env.reject(f"R{insn.dst} pointer {SIGNS[op.verb]} pointer prohibited")
        precision.mark(env, insn.dst)
        env.regs[insn.dst] = move_pointer(env, insn, op, second, dst, dst)
        return
    elif dst.type != SCALAR:
        precision.mark(env, insn.src)
        env.regs[insn.dst] = move_pointer(env, insn, op, dst, second, dst)
        return
    if op.verb in ("and", "or") and second.num.mask == 0:
        dst = fork(env, insn, dst)
    env.regs[insn.dst] = _number(insn, op, dst, second)


def fork(env: Env, insn: Insn, dst: Reg) -> Reg:
    """A number that is 0 or -1, as ``s>> 63`` leaves it, is better followed as two (``maybe_fork_scalars``)."""
    n = dst.num
    if n.smin == -1 and n.smax == 0:
        zero, ones = constant(0), constant(-1)
    elif n.s32_min == -1 and n.s32_max == 0:
        zero, ones = dst.number(with_low(n, 0)), dst.number(with_low(n, U32))
    else:
        return dst
    env.push(env.pc, env.pc).frames[-1].regs[insn.dst] = zero
    return ones


def _number(insn: Insn, op: Op, dst: Reg, second: Reg) -> Reg:
    verb, narrow = op.verb, op.width == 32
    if not computable(verb, second.num, narrow):
        return ANY
    num = _transferred(OPERATORS[verb], dst.num, second.num, narrow)
    if dst.id and verb in ("add", "sub"):
        distance = _distance(insn, verb, dst, second.num, narrow)
        if distance is not None:
            # r1 = r2; r1 += K: what is learned of one holds for the other, K apart
            return Reg(SCALAR, num, distance, dst.id | (ADD_CONST32 if narrow else ADD_CONST64), dst.ref, dst.data)
    return Reg(SCALAR, num, 0, 0, dst.ref, dst.data) if dst.ref or dst.data else Reg(SCALAR, num)


@lru_cache(maxsize=1 << 15)
def _transferred(operator: Operator, a: Scalar, b: Scalar, narrow: bool) -> Scalar:
    """Programs do the same to the same numbers, path after path."""
    return operator(a, b, narrow)


def _distance(insn: Insn, verb: str, dst: Reg, n: Scalar, narrow: bool) -> int | None:
    """By how much ``dst`` moves away from the numbers it is linked to; None if the link must be cut."""
    if dst.id & ADD_CONST or (insn.opcode & X and insn.src == insn.dst):
        return None
    if n.mask & U32 if narrow else n.mask:
        return None
    if narrow and dst.num.umax > U32:
        return None
    word = s32(n.value) if narrow else s64(n.value)
    if not S32_MIN <= word <= S32_MAX:
        return None
    if verb == "sub":
        return None if word == S32_MIN else -word
    return word


# ---- pointers

def _sane_offset(env: Env, reg: Reg, type: int) -> None:
    """Offsets must stay far from where they could wrap around (``check_reg_sane_offset``)."""
    n, word = reg.num, type_name(type)
    if n.mask == 0 and not -MAX_VAR_OFF < n.smin < MAX_VAR_OFF:
        raise env.reject(f"math between {word} pointer and {n.smin} is not allowed", EINVAL)
    if not -MAX_VAR_OFF < reg.off < MAX_VAR_OFF:
        raise env.reject(f"{word} pointer offset {reg.off} is not allowed", EINVAL)
    if n.smin == S64_MIN:
        raise env.reject(f"math between {word} pointer and register with unbounded min value is not allowed", EINVAL)
    if not -MAX_VAR_OFF < n.smin < MAX_VAR_OFF:
        raise env.reject(f"value {n.smin} makes {word} pointer be out of bounds", EINVAL)


def move_pointer(env: Env, insn: Insn, op: Op, pointer: Reg, offset: Reg, dst: Reg) -> Reg:
    """``pointer + offset`` or ``pointer - offset`` (``adjust_ptr_min_max_vals``). ``dst`` is the destination
    before, one of the two."""
    n, regno, verb = offset.num, insn.dst, op.verb
    fixed = n.mask == 0
    if (fixed and (n.smin != n.smax or n.umin != n.umax)) or n.smin > n.smax or n.umin > n.umax:
        return ANY          # contradictory bounds of a path that cannot be taken
    if op.width != 64:
        if verb == "sub":
            return ANY
        raise env.reject(f"R{regno} 32-bit pointer arithmetic prohibited")
    type, base = pointer.type, pointer.type & BASE
    if type & MAYBE_NULL:
        raise env.reject(f"R{regno} pointer arithmetic on {type_name(type)} prohibited, null-check it first")
    if base == MEM and type & UNTRUSTED:
        return dst
    if base not in _MOVABLE and not (base == FLOW_KEYS and fixed) \
            and not (base in (FLOW_KEYS, MAP_PTR) and fixed and n.smin == 0 and verb == "add"):
        raise env.reject(f"R{regno} pointer arithmetic on {type_name(type)} prohibited")
    _sane_offset(env, offset, type)
    _sane_offset(env, pointer, type)
    if verb == "add":
        result = _forward(env, pointer, n, fixed)
    elif verb == "sub":
        if dst is offset:
            raise env.reject(f"R{regno} tried to subtract pointer from scalar")
        if type == STACK:
            raise env.reject(f"R{regno} subtraction from stack pointer prohibited")
        result = _backward(env, pointer, n, fixed)
    elif verb in ("and", "or", "xor"):
        raise env.reject(f"R{regno} bitwise operator {SIGNS[verb]} on pointer prohibited")
    else:
        raise env.reject(f"R{regno} pointer arithmetic with {SIGNS[verb]} operator prohibited")
    _sane_offset(env, result, type)
    if dst is offset:       # 6.18 makes it a pointer, but leaves its frame and reference as they were
        return Reg(result.type, _pointer_number(result.num), result.off, result.id, dst.ref, result.data, dst.frameno)
    return result.number(_pointer_number(result.num))


def _pointer_number(n: Scalar) -> Scalar:
    """Pointers' offsets have no 32-bit bounds of their own."""
    return n if n.mask == 0 else sync(n.value, n.mask, n.smin, n.smax, n.umin, n.umax, *ANY32)


def _moved(pointer: Reg, num: Scalar, off: int, id: int, data: object) -> Reg:
    return Reg(pointer.type, num, off, id, pointer.ref, data, pointer.frameno)


def _fits(off: int) -> bool:
    return S32_MIN <= off <= S32_MAX


def _forward(env: Env, pointer: Reg, n: Scalar, fixed: bool) -> Reg:
    if fixed and _fits(pointer.off + n.smin):
        return _moved(pointer, pointer.num, pointer.off + n.smin, pointer.id, pointer.data)
    p = pointer.num
    smin, smax, umin, umax = p.smin + n.smin, p.smax + n.smax, p.umin + n.umin, p.umax + n.umax
    if not S64_MIN <= smin <= S64_MAX or not S64_MIN <= smax <= S64_MAX:
        smin, smax = S64_MIN, S64_MAX
    if umin > U64 or umax > U64:
        umin, umax = 0, U64
    bits = tnum.add((p.value, p.mask), (n.value, n.mask))
    num = raw(*bits, smin, smax, umin, umax, *ANY32)
    if pointer.type in PACKETS:     # a new base: nothing is proved about it yet
        return _moved(pointer, num, pointer.off, env.new_id(), 0)
    return _moved(pointer, num, pointer.off, pointer.id, pointer.data)


def _backward(env: Env, pointer: Reg, n: Scalar, fixed: bool) -> Reg:
    if fixed and _fits(pointer.off - n.smin):
        return _moved(pointer, pointer.num, pointer.off - n.smin, pointer.id, pointer.data)
    p = pointer.num
    smin, smax = p.smin - n.smax, p.smax - n.smin
    if not S64_MIN <= smin <= S64_MAX or not S64_MIN <= smax <= S64_MAX:
        smin, smax = S64_MIN, S64_MAX
    umin, umax = (0, U64) if p.umin < n.umax else (p.umin - n.umax, p.umax - n.umin & U64)
    bits = tnum.sub((p.value, p.mask), (n.value, n.mask))
    num = raw(*bits, smin, smax, umin, umax, *ANY32)
    if pointer.type in PACKETS:
        return _moved(pointer, num, pointer.off, env.new_id(), 0 if n.smin < 0 else pointer.data)
    return _moved(pointer, num, pointer.off, pointer.id, pointer.data)
