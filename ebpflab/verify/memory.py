"""Loads and stores (``check_mem_access``): which pointer, how far, how aligned, what comes back."""

from __future__ import annotations

from ..isa import Insn, Op
from ..isa.bits import CMPXCHG, FETCH, U64
from . import context, mapitself, reference, stack, tnum
from .call import forget_arguments
from .env import EINVAL, ENOTSUPP, MAX_VAR_OFF, Env, Stop
from .scalar import S64_MIN, s32, sign_extended, truncated
from .special import POINTER_TAGS
from .value import (
    ANY,
    ARENA,
    BASE,
    BTF_ID,
    BUF,
    CTX,
    FLOW_KEYS,
    MAP_KEY,
    MAP_PTR,
    MAP_VALUE,
    MAYBE_NULL,
    MEM,
    NOT_INIT,
    PACKETS,
    PKT,
    PKT_END,
    PKT_META,
    RDONLY,
    RINGBUF,
    SCALAR,
    SOCK_COMMON,
    SOCKET,
    SOCKETS,
    STACK,
    TCP_SOCK,
    TP_BUFFER,
    UNTRUSTED,
    XDP_SOCK,
    Reg,
    constant,
    type_name,
)

RDONLY_PROG, WRONLY_PROG = 1 << 7, 1 << 8       # map flags: what programs may not do
_FLOW_KEYS_SIZE = 56    # struct bpf_flow_keys
_ALIGN_NAMES = {FLOW_KEYS: "flow keys ", MAP_KEY: "key ", MAP_VALUE: "value ", CTX: "context ", STACK: "stack ",
                SOCKET: "sock ", SOCK_COMMON: "sock_common ", TCP_SOCK: "tcp_sock ", XDP_SOCK: "xdp_sock "}
#: types whose fixed and variable offsets are checked where they are used (check_func_arg_reg_off)
ANY_OFFSET = frozenset((STACK, PKT, PKT_META, MAP_KEY, MAP_VALUE, MEM, MEM | RDONLY, MEM | RINGBUF, BUF, BUF | RDONLY,
                        ARENA, SCALAR))
_NO_MIX = frozenset((CTX, SOCKET, SOCK_COMMON, TCP_SOCK, XDP_SOCK, BTF_ID, ARENA))

# direct access to packets (may_access_direct_pkt_data)
_PACKET_READ = frozenset(("lwt_in", "lwt_out", "lwt_seg6local", "sk_reuseport", "flow_dissector", "cgroup_skb"))
_PACKET_WRITE = frozenset(("sched_cls", "sched_act", "xdp", "lwt_xmit", "sk_skb", "sk_msg", "cgroup_sockopt"))


def packet_allowed(env: Env, write: bool) -> bool:
    return env.type in _PACKET_WRITE or (not write and env.type in _PACKET_READ)


# ---- alignment

def aligned(env: Env, reg: Reg, off: int, size: int, once: bool) -> None:
    """``once``: this access must be aligned even if others need not (atomics)."""
    strict = env.strict or once
    bits = (reg.num.value, reg.num.mask)
    if reg.type in PACKETS:
        # the kernel puts the network header, 14 bytes in, on a multiple of four (NET_IP_ALIGN)
        if strict and size > 1 and not tnum.aligned(tnum.add(bits, tnum.const(2 + reg.off + off)), size):
            raise env.reject(f"misaligned packet access off 2+{tnum.text(bits)}+{reg.off}+{off} size {size}")
        return
    if reg.type == ARENA or size == 1 or not (strict or reg.type == STACK):
        return
    if not tnum.aligned(tnum.add(bits, tnum.const(reg.off + off)), size):
        word = _ALIGN_NAMES.get(reg.type, "")
        raise env.reject(f"misaligned {word}access off {tnum.text(bits)}+{reg.off}+{off} size {size}")


# ---- regions

def _outside(env: Env, regno: int, off: int, size: int, region: int, zero_ok: bool) -> bool:
    """Log and return True if [off, off + size) is not inside a region of ``region`` bytes."""
    if off >= 0 and (size > 0 or (size == 0 and zero_ok)) and off + size <= region:
        return False
    reg = env.regs[regno]
    if reg.type == MAP_KEY:
        env.say(f"invalid access to map key, key_size={region} off={off} size={size}")
    elif reg.type == MAP_VALUE:
        env.say(f"invalid access to map value, value_size={region} off={off} size={size}")
    elif reg.type in (PKT, PKT_META, PKT_END):
        env.say(f"invalid access to packet, off={off} size={size}, R{regno}(id={reg.id},off={off},r={region})")
    else:
        env.say(f"invalid access to memory, mem_size={region} off={off} size={size}")
    return True


def inside_region(env: Env, regno: int, off: int, size: int, region: int, zero_ok: bool = False) -> None:
    """Smallest and largest possible offset are inside (``check_mem_region_access``)."""
    n = env.regs[regno].num
    if n.smin < 0 and (n.smin == S64_MIN or off + n.smin != s32(off + n.smin) or n.smin + off < 0):
        raise env.reject(f"R{regno} min value is negative, either use unsigned index or do a if (index >=0) check.")
    if _outside(env, regno, s32(n.smin + off), size, region, zero_ok):
        raise env.reject(f"R{regno} min value is outside of the allowed memory range")
    if n.umax >= MAX_VAR_OFF:
        raise env.reject(f"R{regno} unbounded memory access, make sure to bounds check any such access")
    if _outside(env, regno, s32(n.umax + off), size, region, zero_ok):
        raise env.reject(f"R{regno} max value is outside of the allowed memory range")


def inside_packet(env: Env, regno: int, off: int, size: int, zero_ok: bool = False) -> None:
    """What was proved by comparing with the packet's end covers the access (``check_packet_access``)."""
    reg = env.regs[regno]
    if reg.num.smin < 0:
        raise env.reject(f"R{regno} min value is negative, either use unsigned index or do a if (index >=0) check.")
    if reg.data < 0 or _outside(env, regno, off, size, reg.data, zero_ok):
        raise env.reject(f"R{regno} offset is outside of the packet", EINVAL if reg.data < 0 else 13)


def map_access(env: Env, regno: int, off: int, size: int, write: bool, zero_ok: bool = False) -> None:
    """A map's value may be used like this."""
    bpf_map = env.regs[regno].data
    if write and bpf_map.flags & RDONLY_PROG:
        raise env.reject(f"write into map forbidden, value_size={bpf_map.value_size} off={off} size={size}")
    if not write and bpf_map.flags & WRONLY_PROG:
        raise env.reject(f"read from map forbidden, value_size={bpf_map.value_size} off={off} size={size}")
    inside_region(env, regno, off, size, bpf_map.value_size, zero_ok)
    if bpf_map.special:
        _no_special(env, env.regs[regno], off, size)


def _no_special(env: Env, reg: Reg, off: int, size: int) -> None:
    """Locks, timers and their like belong to the kernel (``check_map_access``)."""
    low, high = off + reg.num.smin, off + reg.num.umax + size
    for field in reg.data.special:
        if low < field.offset + field.size and field.offset < high:
            if field.kind in POINTER_TAGS:
                raise env.unsupported(f"pointers kept in maps ({field.kind})")
            raise env.reject(f"{field.kind} cannot be accessed directly by load/store")


def plain_offset(env: Env, reg: Reg, regno: int, fixed_ok: bool = False) -> None:
    """Some pointers may only be used as they came (``__check_ptr_off_reg``)."""
    word = type_name(reg.type)
    if reg.off < 0:
        raise env.reject(f"negative offset {word} ptr R{regno} off={reg.off} disallowed")
    if not fixed_ok and reg.off:
        raise env.reject(f"dereference of modified {word} ptr R{regno} off={reg.off} disallowed")
    if reg.num.mask or reg.num.value:
        raise env.reject(f"variable {word} access var_off={tnum.text((reg.num.value, reg.num.mask))} disallowed")


def buffer(env: Env, reg: Reg, regno: int, off: int, size: int, word: str) -> None:
    """Memory whose size only the kernel knows when it runs the program (``__check_buffer_access``)."""
    if off < 0:
        raise env.reject(f"R{regno} invalid {word} buffer access: off={off}, size={size}")
    if reg.num.mask or reg.num.value:
        raise env.reject(f"R{regno} invalid variable buffer offset: off={off}, "
                         f"var_off={tnum.text((reg.num.value, reg.num.mask))}")


# ---- the access itself

def access(env: Env, regno: int, off: int, size: int, write: bool, value: int, once: bool = False,
           signed: bool = False) -> None:
    """Load into or store from register ``value`` (-1: no register) through register ``regno``."""
    reg = env.regs[regno]
    aligned(env, reg, off, size, once)
    off += reg.off
    type, base = reg.type, reg.type & BASE
    loads = value >= 0 and not write
    if type == STACK:
        stack.within_bounds(env, regno, off, size, write)
        if write:
            stack.write(env, regno, off, size, value)
        else:
            stack.read(env, regno, off, size, value)
    elif type == MAP_VALUE:
        map_access(env, regno, off, size, write)
        if loads:
            env.regs[value] = _map_content(reg, off, size, signed)
    elif type == CTX:
        plain_offset(env, reg, regno)
        context.access(env, off, size, write, value, signed)
    elif type in PACKETS:
        if write and not packet_allowed(env, write):
            raise env.reject("cannot write into packet")
        inside_packet(env, regno, off, size)
        if loads:
            env.forget(value)
    elif type == MAP_KEY:
        if write:
            raise env.reject(f"write to change key R{regno} not allowed")
        inside_region(env, regno, off, size, reg.data.key_size)
        if loads:
            env.forget(value)
    elif base == MEM:
        _region(env, reg, regno, off, size, write)
        if loads:
            env.forget(value)
    elif type == FLOW_KEYS:
        if off < 0 or off + size > _FLOW_KEYS_SIZE:
            raise env.reject(f"invalid access to flow keys off={off} size={size}")
        if loads:
            env.forget(value)
    elif type in SOCKETS:
        if write:
            raise env.reject(f"R{regno} cannot write into {type_name(type)}")
        context.socket_access(env, reg, regno, off, size)
        if value >= 0:
            env.forget(value)
    elif type == TP_BUFFER or base == BUF:
        word = "tracepoint" if type == TP_BUFFER else "rdonly" if type & RDONLY else "rdwr"
        if write and type & RDONLY:
            raise env.reject(f"R{regno} cannot write into {type_name(type)}")
        buffer(env, reg, regno, off, size, word)
        if loads:
            env.forget(value)
    elif type == MAP_PTR:
        mapitself.access(env, reg, regno, off, size, write, value)
    elif (base == BTF_ID and not type & MAYBE_NULL) or type == ARENA:
        raise env.unsupported(f"access through {type_name(type)} pointers")
    else:
        raise env.reject(f"R{regno} invalid mem access '{type_name(type)}'")
    if loads and size < 8:
        loaded = env.regs[value]
        if loaded.type == SCALAR:
            env.regs[value] = loaded.number((sign_extended if signed else truncated)(loaded.num, size))


def _region(env: Env, reg: Reg, regno: int, off: int, size: int, write: bool) -> None:
    type = reg.type
    if type & MAYBE_NULL:
        raise env.reject(f"R{regno} invalid mem access '{type_name(type)}'")
    if write and type & RDONLY:
        raise env.reject(f"R{regno} cannot write into {type_name(type)}")
    if not (type & RDONLY and type & UNTRUSTED):
        inside_region(env, regno, off, size, reg.size)


def _map_content(reg: Reg, off: int, size: int, signed: bool) -> Reg:
    """The value of a map that nobody can change is known."""
    content = reg.data.content
    if content is None or reg.num.mask or reg.data.type not in ("array", "percpu_array"):
        return ANY
    if reg.data.max_entries != 1:
        raise Stop(ENOTSUPP)        # the kernel gives up without a word
    start = off + reg.num.value
    return constant(int.from_bytes(content[start:start + size], "little", signed=signed) & U64)


def _same_kind(env: Env, type: int, mixes: bool = False) -> None:
    """One instruction cannot be used with pointers that need different code (``save_aux_ptr_type``)."""
    before = env.pointer_types[env.pc]
    if before == NOT_INIT:
        env.pointer_types[env.pc] = type
    elif type != before and (type & BASE in _NO_MIX or before & BASE in _NO_MIX):
        if mixes and type & BASE in (MEM, BTF_ID) and before & BASE in (MEM, BTF_ID):
            raise env.unsupported("pointers of different trust in one load")
        raise env.reject("same insn cannot be used with different pointers", EINVAL)


def load(env: Env, insn: Insn, op: Op, once: bool = False) -> None:
    type = env.source(insn.src).type
    env.target(insn.dst)
    access(env, insn.src, insn.off, op.width >> 3, False, insn.dst, once, op.verb == "memsx")
    _same_kind(env, type, True)
    reg = env.regs[insn.dst]
    if reg.num.bad:
        env.regs[insn.dst] = env.sane(reg, "ldx")


def store(env: Env, insn: Insn, op: Op, once: bool = False) -> None:
    env.source(insn.src)
    type = env.source(insn.dst).type
    access(env, insn.dst, insn.off, op.width >> 3, True, insn.src, once)
    _same_kind(env, type)


def store_constant(env: Env, insn: Insn, op: Op) -> None:
    type = env.source(insn.dst).type
    access(env, insn.dst, insn.off, op.width >> 3, True, -1)
    _same_kind(env, type)


def may_load_packet(env: Env) -> None:
    """Do programs of this type have ``LD_ABS`` and ``LD_IND`` (``may_access_skb``)?"""
    if env.type not in ("socket_filter", "sched_cls", "sched_act"):
        raise env.reject("BPF_LD_[ABS|IND] instructions not allowed for this program type", EINVAL)


def packet_load(env: Env, insn: Insn, op: Op) -> bool:
    """``r0 = *(u32 *)skb[K]``: a call in disguise, with the context in r6 (``check_ld_abs``).

    Outside of the packet the function returns 0; True: walk that path now, the other is put aside.
    """
    may_load_packet(env)
    reg = env.source(6)
    reference.none_left(env, "BPF_LD_[ABS|IND]")
    if reg.type != CTX:
        raise env.reject("at the time of BPF_LD_ABS|IND R6 != pointer to skb", EINVAL)
    if op.verb == "ind":
        env.source(insn.src)
    plain_offset(env, reg, 6)
    forget_arguments(env, env.regs)
    env.forget(0)
    if len(env.state.frames) == 1:
        return False
    env.push(env.pc + 1, env.pc)
    env.regs[0] = constant(0)
    return True


def atomic(env: Env, insn: Insn, op: Op) -> None:
    """Read-modify-write, load-acquire, store-release (``check_atomic``)."""
    if op.verb == "load_acquire":
        load(env, insn, op, True)
        _atomic_pointer(env, insn.src, "loads from")
        return
    if op.verb == "store_release":
        store(env, insn, op, True)
        _atomic_pointer(env, insn.dst, "stores into")
        return
    env.source(insn.src)
    env.source(insn.dst)
    if insn.imm == CMPXCHG:
        env.source(0)
    _atomic_pointer(env, insn.dst, "stores into")
    fetched = -1
    if insn.imm & FETCH:
        fetched = 0 if insn.imm == CMPXCHG else insn.src
        env.target(fetched)
        env.forget(fetched)
    size = op.width >> 3
    access(env, insn.dst, insn.off, size, False, -1, True)
    if fetched >= 0:
        access(env, insn.dst, insn.off, size, False, fetched, True)
    access(env, insn.dst, insn.off, size, True, -1, True)


def _atomic_pointer(env: Env, regno: int, word: str) -> None:
    type = env.regs[regno].type
    if type in (CTX, FLOW_KEYS) or type in PACKETS or type in SOCKETS:
        raise env.reject(f"BPF_ATOMIC {word} R{regno} {type_name(type)} is not allowed")
