"""Calls of the kernel's helper functions: arguments against the prototype, and what comes back
(``check_helper_call``, ``check_func_arg``). Prototypes are rows of ``ebpflab.abi.helpers``.
"""

from __future__ import annotations

from typing import Any

from ..abi import HELPER_NAMES
from ..abi.helpers import CONFIGURED, Arg, Helper, may_call, prototype
from ..abi.map_rules import FLAGS
from ..isa import Insn
from ..isa.bits import U32, U64
from ..spec import ProgramSpec
from . import callback, dynptr, lock, mapcalls, memory, precision, reference, timer
from .call import clear_packets, forget_arguments
from .env import EINVAL, ENOTSUPP, SLEEPABLE, Env, Map
from .region import region
from .scalar import s32, sync
from .value import (
    ALLOC,
    ANY,
    BASE,
    BTF_ID,
    BUF,
    CTX,
    DYNPTR,
    FUNC,
    MAP_KEY,
    MAP_PTR,
    MAP_VALUE,
    MAYBE_NULL,
    MEM,
    PACKETS,
    PKT,
    PKT_META,
    RDONLY,
    RINGBUF,
    SCALAR,
    SOCK_COMMON,
    SOCKET,
    STACK,
    TCP_SOCK,
    TRUSTED,
    UNINIT,
    XDP_SOCK,
    Reg,
    type_name,
)

MAX_SIZE = 1 << 29      # BPF_MAX_VAR_SIZ
_MAX_ERRNO = 4095
_GPL = frozenset(("GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"))

_MEMORY = (STACK, PKT, PKT_META, MAP_KEY, MAP_VALUE, MEM, MEM | RINGBUF, BUF, BTF_ID | TRUSTED)
_SOCKS = (SOCK_COMMON, SOCKET, TCP_SOCK, XDP_SOCK)
#: kind of argument -> types of registers that may be passed (compatible_reg_types)
_ALLOWED = {
    "map_key": _MEMORY, "map_value": _MEMORY, "mem": _MEMORY, "const_size": (SCALAR,), "const_size_or_zero": (SCALAR,),
    "const_alloc_size_or_zero": (SCALAR,), "const_map_ptr": (MAP_PTR,), "ctx": (CTX,), "const_str": (MAP_VALUE,),
    "sock_common": _SOCKS, "btf_id_sock_common": (*_SOCKS, BTF_ID, BTF_ID | TRUSTED), "socket": (SOCKET,),
    "ringbuf_mem": (MEM | RINGBUF,), "stack": (STACK,), "func": (FUNC,), "spin_lock": (MAP_VALUE, BTF_ID | ALLOC),
    "timer": (MAP_VALUE,), "dynptr": (STACK, DYNPTR),
}
_KNOWN_KEY = frozenset(("array", "percpu_array"))       # can_elide_value_nullness
_INNER_MAP = FLAGS["inner_map"]         # an array of any size may be put in its place
_TAKES_REFERENCE = frozenset(("sk_lookup_tcp", "sk_lookup_udp", "skc_lookup_tcp", "ringbuf_reserve"))
_CASTS = frozenset(("tcp_sock", "sk_fullsock"))         # results share the argument's reference
_CHANGES_MAP = frozenset(("map_update_elem", "map_delete_elem", "map_push_elem", "map_pop_elem"))
_READS_STRING = frozenset(("get_stack", "get_task_stack", "probe_read_str", "probe_read_kernel_str",
                           "probe_read_user_str"))      # at most as many bytes as they were given
_RESULTS = {"socket": SOCKET, "sock_common": SOCK_COMMON, "tcp_sock": TCP_SOCK}


class Call:
    """What the arguments said (``struct bpf_call_arg_meta``)."""

    __slots__ = ("dynptr", "fill_regno", "fill_size", "key", "largest", "map", "proto", "raw", "ref", "release", "size",
                 "sub")

    def __init__(self, proto: Helper):
        self.proto = proto
        self.map: Map | None = None
        self.key = -1                           # a map key that is known, -1 if not
        self.raw = False                        # the memory argument need not be initialised
        self.fill_regno = self.fill_size = 0    # memory that the helper fills
        self.largest = self.size = 0            # of a size argument; of an allocation
        self.ref = self.release = 0             # reference among the arguments; register to be released
        self.sub = 0                            # function that the helper is given
        self.dynptr: Reg | None = None          # what is known of a dynptr that the helper is given


def available(spec: ProgramSpec, name: str) -> bool:
    """May a program of this type call the helper, on a kernel with none of what is ``CONFIGURED``?"""
    return name not in CONFIGURED and may_call(spec.type, name, spec.expected_attach)


def _find(env: Env, number: int) -> Helper:
    """The prototype, if a program of this type and licence may call the helper."""
    found = env.prototypes.get(number)
    if found is not None:
        return found
    name = HELPER_NAMES.get(number)
    if name is None:
        raise env.reject(f"invalid func unknown#{number}", EINVAL)
    if not available(env.spec, name):
        raise env.reject(f"program of this type cannot use helper bpf_{name}#{number}", EINVAL)
    proto = prototype(name, env.type, env.attach)
    if proto.gpl and env.spec.license not in _GPL:
        raise env.reject("cannot call GPL-restricted function from non-GPL compatible program", EINVAL)
    if proto.sleeps and not env.spec.flags & SLEEPABLE:
        raise env.reject("helper call might sleep in a non-sleepable prog", EINVAL)
    env.prototypes[number] = proto
    return proto


def helper(env: Env, insn: Insn) -> bool:
    """Call a helper; True if it may leave the function it is called from, as a tail call does."""
    proto = _find(env, insn.imm)
    call = Call(proto)
    for at, arg in enumerate(proto.args):
        _argument(env, call, at + 1, arg)
    _special(env, call)
    for byte in range(call.fill_size):
        memory.access(env, call.fill_regno, byte, 1, True, -1)
    if call.release:
        _release(env, call)
    if proto.name == "tail_call":
        reference.none_left(env, "tail_call")
    elif proto.name == "get_local_storage" and not env.regs[2].is_null:
        raise env.reject("get_local_storage() doesn't support non-zero flags", EINVAL)
    elif proto.name == "dynptr_from_mem" and env.regs[1].type != MAP_VALUE:
        raise env.reject(f"Unsupported reg type {type_name(env.regs[1].type)} for bpf_dynptr_from_mem data")
    elif proto.name in callback.HELPERS:
        callback.enter(env, proto.name, call.sub, call.map)
    forget_arguments(env, env.regs)
    env.regs[0] = _result(env, call)
    if call.map is not None:
        mapcalls.check(env, call.map, proto.name, proto.number)
    if proto.name == "get_func_ip" and env.type != "kprobe":
        if env.type == "tracing":
            raise env.unsupported("helper bpf_get_func_ip in tracing programs")
        raise env.reject(f"func bpf_get_func_ip#173 not supported for program type {env.spec.row.number}", ENOTSUPP)
    if proto.name == "tail_call":
        if len(env.state.frames) == 1:
            return False
        # it failed: go on here; it did not: some other program returned to our caller
        env.touched |= 1
        env.push(env.pc + 1, env.pc)
        clear_packets(env)
        env.regs[0] = ANY
        return True
    if proto.changes_packet:
        clear_packets(env)
    return False


def _special(env: Env, call: Call) -> None:
    """``record_func_map``, ``record_func_key``"""
    name, bpf_map = call.proto.name, call.map
    if bpf_map is not None and name in _CHANGES_MAP and bpf_map.flags & memory.RDONLY_PROG:
        raise env.reject("write into map forbidden")
    if name == "tail_call":
        if bpf_map is None or bpf_map.type != "prog_array":
            raise env.reject_without_newline("expected prog array map for tail call", EINVAL)
        index = env.regs[3].const
        if index is not None and index < bpf_map.max_entries:
            precision.mark(env, 3)


def _release(env: Env, call: Call) -> None:
    reg = env.regs[call.release]
    if call.dynptr is not None:
        errno = dynptr.release(env, reg)
    elif call.ref:
        errno = 0 if reference.release(env, call.ref) else EINVAL
    else:
        errno = 0 if reg.is_null else EINVAL
    if errno:
        raise env.reject(f"func bpf_{call.proto.name}#{call.proto.number} reference has not been acquired before",
                         errno)


# ---- arguments

def _argument(env: Env, call: Call, regno: int, arg: Arg) -> None:
    reg = env.source(regno)
    kind = arg.kind
    if kind == "anything":
        return
    if reg.type in PACKETS and not (call.proto.pkt_access and memory.packet_allowed(env, False)):
        raise env.reject("helper access to the packet is not allowed")
    if kind == "map_value" and call.map is not None and call.map.type in ("sockmap", "sockhash"):
        kind = "btf_id_sock_common"
    if not (arg.nullable and reg.is_null):
        _type(env, call, regno, reg, arg, kind)
        _offset(env, regno, reg, arg)
    if "release" in arg.flags:
        if kind == "dynptr":
            dynptr.may_release(env, regno)
        elif not reg.ref and not reg.is_null:
            raise env.reject(f"R{regno} must be referenced when passed to release function", EINVAL)
        call.release = regno
    if reg.ref:
        if call.ref:
            raise env.reject_without_newline(f"more than one arg with ref_obj_id R{regno} {reg.ref} {call.ref}")
        call.ref = reg.ref
    check = _CHECKS.get(kind)
    if check is not None:
        check(env, call, regno, reg, arg)


def _type(env: Env, call: Call, regno: int, reg: Reg, arg: Arg, kind: str) -> None:
    """``check_reg_type``"""
    allowed = _ALLOWED.get(kind)
    if allowed is None:
        raise env.unsupported(f"helper bpf_{call.proto.name} (argument {kind})")
    type = reg.type
    if "rdonly" in arg.flags:
        type &= ~RDONLY
    if arg.nullable:
        type &= ~MAYBE_NULL
    if type not in allowed:
        names = ", ".join(type_name(each) for each in allowed)
        raise env.reject(f"R{regno} type={type_name(reg.type)} expected={names}")
    if reg.type & BASE == BTF_ID:
        raise env.unsupported("kernel pointers as helper arguments")


def _offset(env: Env, regno: int, reg: Reg, arg: Arg) -> None:
    if "release" in arg.flags:
        if arg.kind == "dynptr" and reg.type == STACK:
            return
        if reg.off:
            raise env.reject(f"R{regno} must have zero offset when passed to release func or trusted arg to kfunc",
                             EINVAL)
        memory.plain_offset(env, reg, regno)
    elif reg.type not in memory.ANY_OFFSET:
        memory.plain_offset(env, reg, regno)


def _map_pointer(env: Env, call: Call, regno: int, reg: Reg, arg: Arg) -> None:
    if call.map is not None:
        timer.same_map(env, call.map, reg.data)
    call.map = reg.data


def _function(env: Env, call: Call, regno: int, reg: Reg, arg: Arg) -> None:
    if call.proto.name not in callback.HELPERS:
        raise env.unsupported(f"helper bpf_{call.proto.name} (argument {arg.kind})")
    call.sub = reg.data


def _map_key(env: Env, call: Call, regno: int, reg: Reg, arg: Arg) -> None:
    assert call.map is not None
    region(env, regno, call.map.key_size, write=False)
    if call.map.type in _KNOWN_KEY and not call.map.flags & _INNER_MAP:
        call.key = _known_key(env, env.regs[regno], call.map.key_size)


def _map_value(env: Env, call: Call, regno: int, reg: Reg, arg: Arg) -> None:
    if arg.nullable and reg.is_null:
        return
    assert call.map is not None
    call.raw = "uninit" in arg.flags
    _region(env, call, regno, call.map.value_size, "write" in arg.flags, False, True)


def _memory(env: Env, call: Call, regno: int, reg: Reg, arg: Arg) -> None:
    """Memory whose size comes with the next argument, unless it is fixed."""
    call.raw = "uninit" in arg.flags
    if "fixed" in arg.flags:
        _region(env, call, regno, arg.size, "write" in arg.flags, False, True)
        if "aligned" in arg.flags:
            memory.aligned(env, reg, 0, arg.size, True)


def _size(env: Env, call: Call, regno: int, reg: Reg, arg: Arg) -> None:
    """A size, and with it the memory before it (``check_mem_size_reg``)."""
    zero_ok = arg.kind == "const_size_or_zero"
    write = "write" in call.proto.args[regno - 2].flags
    n = reg.num
    call.largest = n.umax
    if n.smin < 0:
        raise env.reject(f"R{regno} min value is negative, either use unsigned or 'var &= const'")
    if n.umin == 0 and not zero_ok:
        raise env.reject(f"R{regno} invalid zero-sized read: u64=[{n.umin},{n.umax}]")
    if n.umax >= MAX_SIZE:
        raise env.reject(f"R{regno} unbounded memory access, use 'var &= const' or 'if (var < const)'")
    _region(env, call, regno - 1, n.umax, write, zero_ok, n.mask == 0)
    precision.mark(env, regno)


def _allocation(env: Env, call: Call, regno: int, reg: Reg, arg: Arg) -> None:
    if reg.num.mask:
        raise env.reject(f"R{regno} is not a known constant'")
    call.size = reg.num.value
    precision.mark(env, regno)


def _string(env: Env, call: Call, regno: int, reg: Reg, arg: Arg) -> None:
    """A constant, zero-terminated string in a read-only map (``check_reg_const_str``)."""
    bpf_map = reg.data
    if bpf_map.content is None:
        raise env.reject(f"R{regno} does not point to a readonly map'")
    if reg.num.mask:
        raise env.reject(f"R{regno} is not a constant address'")
    memory.map_access(env, regno, reg.off, bpf_map.value_size - reg.off, False)
    if b"\0" not in bpf_map.content[reg.off + reg.num.value:]:
        raise env.reject("string is not zero-terminated", EINVAL)


def _spin_lock(env: Env, call: Call, regno: int, reg: Reg, arg: Arg) -> None:
    lock.spin(env, regno, call.proto.name == "spin_lock")


def _timer(env: Env, call: Call, regno: int, reg: Reg, arg: Arg) -> None:
    call.map = timer.field(env, regno)


def _dynptr(env: Env, call: Call, regno: int, reg: Reg, arg: Arg) -> None:
    """``process_dynptr_func``"""
    kind = next((flag for flag in arg.flags if flag in dynptr.KINDS), "")
    if "uninit" not in arg.flags:
        call.dynptr = dynptr.initialized(env, regno, kind)
        return
    dynptr.may_make(env, reg)
    for off in range(0, dynptr.SIZE, 8):
        memory.access(env, regno, off, 8, True, -1)
    dynptr.make(env, reg, kind)


_CHECKS = {
    "const_map_ptr": _map_pointer, "func": _function, "map_key": _map_key, "map_value": _map_value, "mem": _memory,
    "const_size": _size, "const_size_or_zero": _size, "const_alloc_size_or_zero": _allocation, "const_str": _string,
    "spin_lock": _spin_lock, "timer": _timer, "dynptr": _dynptr,
}


def _region(env: Env, call: Call, regno: int, size: int, write: bool, zero_ok: bool, known: bool) -> None:
    if region(env, regno, size, write=write, zero_ok=zero_ok, raw=call.raw and known):
        call.fill_regno, call.fill_size = regno, size


def _known_key(env: Env, reg: Reg, size: int) -> int:
    """The key on the stack if it is a constant, else -1 (``get_constant_map_key``)."""
    if reg.type != STACK or reg.num.mask:
        return -1
    index, byte = divmod(-(reg.off + reg.num.smin) - 1, 8)
    frame = env.stack_of(reg)
    slot = frame.stack[index]

    def run(kind: str) -> int:
        length = 0
        while length <= byte and slot.types[byte - length] == kind:
            length += 1
        return length

    if run("0") >= size:
        return 0
    if not slot.spilled_scalar or run("r") != size or slot.reg.num.mask:
        return -1
    precision.mark_slot(env, frame.number, index)
    return slot.reg.num.value


# ---- results

def _result(env: Env, call: Call) -> Reg:
    proto, ret = call.proto, call.proto.ret
    flags = MAYBE_NULL if ret.nullable else 0
    data: Any = 0
    if ret.kind == "integer":
        return _integer(env, call)
    if ret.kind == "void":
        return UNINIT
    if ret.kind == "map_value":
        assert call.map is not None
        if proto.name == "map_lookup_elem" and call.map.type in _KNOWN_KEY and 0 <= call.key < call.map.max_entries:
            flags = 0
        type, data = MAP_VALUE | flags, call.map
    elif ret.kind in _RESULTS:
        type, data = _RESULTS[ret.kind] | flags, 0
    elif ret.kind == "ringbuf_mem":
        type, data = MEM | RINGBUF | flags, call.size & U32
    elif ret.kind == "dynptr_mem":
        assert call.dynptr is not None
        return dynptr.slice_of(env, call.dynptr, call.size)
    else:
        raise env.unsupported(f"helper bpf_{proto.name} (result {ret.kind})")
    locked = ret.kind == "map_value" and data.locked
    id = env.new_id() if flags or locked else 0
    ref = 0
    if proto.name in _CASTS:
        ref = call.ref
    elif proto.name in _TAKES_REFERENCE or (proto.name == "map_lookup_elem" and call.map is not None
                                            and call.map.type in ("sockmap", "sockhash")):
        id = ref = reference.acquire(env)
    return Reg(type, id=id, ref=ref, data=data)


def _integer(env: Env, call: Call) -> Reg:
    """Some helpers promise a range (``do_refine_retval_range``)."""
    name = call.proto.name
    if name in _READS_STRING:
        largest = call.largest
        num = sync(0, U64, -_MAX_ERRNO, largest, 0, U64, -_MAX_ERRNO, s32(largest), 0, 0xFFFF_FFFF)
        return env.sane(Reg(SCALAR, num), "retval")
    if name == "get_smp_processor_id":
        last = env.cpus - 1
        return Reg(SCALAR, sync(0, U64, 0, last, 0, last, 0, last, 0, last))
    return ANY

