"""Conditional jumps: follow one side, put the other aside, and teach both what the comparison says."""

from __future__ import annotations

from ..isa import Insn, Op
from . import precision
from .bounds import moved
from .compare import FLIPPED, REVERSED, decided, learn
from .env import MAX_VAR_OFF, Env
from .state import DST_IS_STACK, SRC_IS_STACK, Slot, State, each_reg
from .value import (
    ADD_CONST,
    ADD_CONST32,
    AT_PKT_END,
    BASE,
    BEYOND_PKT_END,
    BTF_ID,
    BUF,
    MAP_KEY,
    MAP_PTR,
    MAP_VALUE,
    MAYBE_NULL,
    MEM,
    PACKET_POINTERS,
    PKT,
    PKT_END,
    PKT_META,
    SCALAR,
    SOCK_COMMON,
    SOCKET,
    STACK,
    TCP_SOCK,
    XDP_SOCK,
    Reg,
    constant,
)

_MAX_PACKET_OFF = 0xFFFF
_MAX_LINKED = 6
#: pointers that are never null (reg_not_null)
_NOT_NULL = frozenset((SOCKET, TCP_SOCK, XDP_SOCK, BUF, MAP_VALUE, MAP_KEY, SOCK_COMMON, MEM, MAP_PTR))


def conditional(env: Env, insn: Insn, op: Op) -> int:
    """Walk a conditional jump; the next instruction (``check_cond_jmp_op``)."""
    verb = op.verb
    narrow = op.width == 32
    dst = env.source(insn.dst)
    flags = DST_IS_STACK if dst.type == STACK else 0
    if op.source == "x":
        src = env.source(insn.src)
        if src.type == STACK:
            flags |= SRC_IS_STACK
    else:
        src = constant(insn.imm)
    if flags:
        env.record(flags)
    taken = _decided(verb, dst, src, narrow)
    if taken is not None:
        if dst.type == SCALAR:
            precision.mark(env, insn.dst)
        if op.source == "x" and src.type == SCALAR:
            precision.mark(env, insn.src)
        return env.pc + 1 + insn.off if taken else env.pc + 1
    linked = _linked(env, insn, op, dst, src)
    # collecting may have unlinked some, the operands too
    dst = env.regs[insn.dst]
    src = env.regs[insn.src] if op.source == "x" else src
    this, other = env.state, env.push(env.pc + 1 + insn.off, env.pc)
    other_regs = other.frames[-1].regs
    if dst.type == SCALAR and src.type == SCALAR:
        _teach(env, insn, op, dst, src, linked, this, other)
    src = env.regs[insn.src] if op.source == "x" else src
    dst = env.regs[insn.dst]
    if not narrow and op.source == "x" and src.type != SCALAR and dst.type != SCALAR \
            and (src.type ^ dst.type) & MAYBE_NULL and BTF_ID not in (src.type & BASE, dst.type & BASE):
        # equal to a pointer that is not null: not null
        regs = {"jeq": other_regs, "jne": env.regs}.get(verb)
        if regs is not None:
            regno = insn.src if src.type & MAYBE_NULL else insn.dst
            regs[regno] = not_null(regs[regno])
    if not narrow and op.source == "k" and insn.imm == 0 and verb in ("jeq", "jne") and dst.type & MAYBE_NULL:
        null_checked(this, dst, verb == "jne")
        null_checked(other, dst, verb == "jeq")
    elif op.source == "x" and not narrow:
        _packets(verb, insn, this, other)
    return env.pc + 1


def _decided(verb: str, dst: Reg, src: Reg, narrow: bool) -> bool | None:
    if dst.type == SCALAR and src.type == SCALAR:
        return decided(verb, dst.num, src.num, narrow)
    if not narrow and dst.type in PACKET_POINTERS and src.type in PACKET_POINTERS:
        return _packet_decided(verb, dst, src)
    if not _const(src, narrow):
        dst, src, verb = src, dst, FLIPPED[verb]
    if not _const(src, narrow) or (src.num.value & 0xFFFF_FFFF if narrow else src.num.value):
        return None
    if verb not in ("jeq", "jne") or dst.type & MAYBE_NULL or dst.type & BASE not in _NOT_NULL \
            or not -MAX_VAR_OFF < dst.num.smin <= dst.num.smax < MAX_VAR_OFF:
        return None
    return verb == "jne"


def _const(reg: Reg, narrow: bool) -> bool:
    return reg.type == SCALAR and not (reg.num.mask & 0xFFFF_FFFF if narrow else reg.num.mask)


def _packet_decided(verb: str, dst: Reg, src: Reg) -> bool | None:
    """Known from an earlier comparison with the packet's end (``is_pkt_ptr_branch_taken``)."""
    if src.type == PKT_END:
        pkt = dst
    elif dst.type == PKT_END:
        pkt, verb = src, FLIPPED[verb]
    else:
        return None
    if pkt.type == PKT_END or pkt.data >= 0:
        return None
    if verb in ("jle", "jgt") and pkt.data == BEYOND_PKT_END:
        return verb == "jgt"
    if verb in ("jlt", "jge"):
        return verb == "jge"
    return None


# ---- numbers

def _linked(env: Env, insn: Insn, op: Op, dst: Reg, src: Reg) -> tuple:
    """Registers and slots with the operands' ids; those that find no room in the history are unlinked."""
    found: list[tuple[int, bool, int]] = []
    if op.source == "x" and src.type == SCALAR and src.id:
        _collect(env, src.id & ~ADD_CONST, found)
    if dst.type == SCALAR and dst.id:
        _collect(env, dst.id & ~ADD_CONST, found)
    if len(found) > 1:
        env.record(0, tuple(found))
    return tuple(found)


def _collect(env: Env, id: int, found: list[tuple[int, bool, int]]) -> None:
    for frame in reversed(env.state.frames):
        live = env.shape.live[env.state.insn_of(frame.number)]
        for at in range(10):
            reg = frame.regs[at]
            if live >> at & 1 and reg.id and reg.type == SCALAR and reg.id & ~ADD_CONST == id:
                if len(found) < _MAX_LINKED:
                    found.append((frame.number, True, at))
                else:
                    frame.regs[at] = reg.linked(0)
        for at, slot in enumerate(frame.stack):
            reg = slot.reg
            if reg.id and slot.spilled_scalar and reg.id & ~ADD_CONST == id:
                if len(found) < _MAX_LINKED:
                    found.append((frame.number, False, at))
                else:
                    frame.put(at, Slot(slot.types, reg.linked(0)))


def _teach(env: Env, insn: Insn, op: Op, dst: Reg, src: Reg, linked: tuple, this: State, other: State) -> None:
    narrow, same = op.width == 32, op.source == "x" and insn.src == insn.dst
    fall_dst, fall_src = learn(REVERSED[op.verb], dst.num, src.num, narrow, same)
    jump_dst, jump_src = learn(op.verb, dst.num, src.num, narrow, same)
    sides = ((other, jump_dst, jump_src, "true"), (this, fall_dst, fall_src, "false"))
    results = []
    for state, dst_num, src_num, word in sides:
        pair = []
        for reg, num, which in ((dst, dst_num, 1), (src, src_num, 2)):
            made = reg if num is reg.num else reg.number(num)
            pair.append(env.sane(made, f"{word}_reg{which}") if num.bad else made)
        results.append((state, pair))
    for state, pair in results:
        regs = state.frames[-1].regs
        regs[insn.dst] = pair[0]
        if op.source == "x":
            regs[insn.src] = pair[1]
    if op.source == "x" and src.id:
        for state, _ in reversed(results):
            spread(state, insn.src, linked)
    if dst.id:
        for state, _ in reversed(results):
            spread(state, insn.dst, linked)


def spread(state: State, regno: int, linked: tuple) -> None:
    """What is now known of a number is known of all linked to it (``sync_linked_regs``)."""
    top = state.frames[-1]
    source = top.regs[regno]
    if source.type != SCALAR or not source.id:
        return
    base = source.id & ~ADD_CONST
    for number, is_reg, at in linked:
        frame = state.frames[number]
        if is_reg and frame is top and at == regno:
            continue
        reg = frame.regs[at] if is_reg else frame.stack[at].reg
        if reg.type != SCALAR or reg.id & ~ADD_CONST != base:
            continue
        if (reg.id ^ source.id) & ADD_CONST == ADD_CONST:
            continue        # one distance is 64 bits wide, the other 32
        if not (reg.id | source.id) & ADD_CONST or reg.off == source.off:
            made = source
        else:
            # reg = source + the difference of their distances; its own id and distance stay
            num = moved(source.num, reg.off - source.off, bool((reg.id | source.id) & ADD_CONST32))
            made = Reg(SCALAR, num, reg.off, reg.id, source.ref, source.data)
        if is_reg:
            frame.regs[at] = made
        else:
            frame.put(at, Slot(frame.stack[at].types, made))


# ---- pointers

def not_null(reg: Reg) -> Reg:
    """The pointer after a check that it is not null (``mark_ptr_not_null_reg``)."""
    if reg.type & BASE == MAP_VALUE:
        bpf_map = reg.data
        if bpf_map.inner is not None:
            return Reg(MAP_PTR, reg.num, reg.off, reg.id, reg.ref, bpf_map.inner.told_apart(reg.id), reg.frameno)
        if bpf_map.type == "xskmap":
            return reg.retyped(XDP_SOCK, reg.id, reg.ref)
        if bpf_map.type in ("sockmap", "sockhash"):
            return reg.retyped(SOCKET, reg.id, reg.ref)
        return reg.retyped(MAP_VALUE, reg.id, reg.ref)
    return reg.retyped(reg.type & ~MAYBE_NULL, reg.id, reg.ref)


def null_checked(state: State, checked: Reg, is_null: bool) -> None:
    """All copies of a pointer are null, or not (``mark_ptr_or_null_regs``)."""
    id = checked.id
    if checked.ref and checked.ref == id and is_null:
        state.refs = tuple(ref for ref in state.refs if ref.lock is not None or ref.id != id)

    def settle(reg: Reg) -> Reg:
        if not reg.type & MAYBE_NULL or reg.id != id or reg.off or reg.num.mask or reg.num.value:
            return reg
        if is_null:
            return reg.retyped(SCALAR, 0, 0)
        made = not_null(reg)
        # values with a lock are told apart by their ids
        return made if made.type == MAP_VALUE and made.data.locked else made.linked(0)

    each_reg(state, settle)


def _packets(verb: str, insn: Insn, this: State, other: State) -> bool:
    """Comparing a packet pointer with the end proves bytes on one side (``try_match_pkt_pointers``)."""
    dst, src = this.frames[-1].regs[insn.dst], this.frames[-1].regs[insn.src]
    if verb not in ("jgt", "jlt", "jge", "jle"):
        return False
    if (dst.type == PKT and src.type == PKT_END) or (dst.type == PKT_META and _unmoved(src)):
        pkt, regno = dst, insn.dst
    elif (dst.type == PKT_END and src.type == PKT) or (_unmoved(dst) and src.type == PKT_META):
        pkt, regno, verb = src, insn.src, FLIPPED[verb]
    else:
        return False
    # pkt > end proves nothing when taken; when not taken, pkt <= end
    good, bad = (this, other) if verb in ("jgt", "jge") else (other, this)
    open_end = verb in ("jge", "jlt")           # pkt < end: one byte more
    _prove(good, pkt, open_end)
    _at_end(bad, regno, verb in ("jgt", "jle"))
    return True


def _unmoved(reg: Reg) -> bool:
    return reg.type == PKT and reg.id == 0 and reg.off == 0 and reg.num.mask == 0 and reg.num.value == 0


def _prove(state: State, pkt: Reg, open_end: bool) -> None:
    """All pointers from the same base may access the bytes up to ``pkt`` (``find_good_pkt_pointers``)."""
    if pkt.off < 0 or (pkt.off == 0 and open_end):
        return
    if pkt.num.umax > _MAX_PACKET_OFF or pkt.num.umax + pkt.off > _MAX_PACKET_OFF:
        return
    size = pkt.off + open_end

    def widen(reg: Reg) -> Reg:
        if reg.type != pkt.type or reg.id != pkt.id or reg.data >= size:
            return reg
        return reg.ranged(size)

    each_reg(state, widen)


def _at_end(state: State, regno: int, beyond: bool) -> None:
    """The pointer reaches the end, or goes beyond it (``mark_pkt_end``)."""
    regs = state.frames[-1].regs
    if regs[regno].type == PKT:
        regs[regno] = regs[regno].ranged(BEYOND_PKT_END if beyond else AT_PKT_END)

