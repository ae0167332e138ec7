"""Calls of the kernel's helper functions: arguments against the prototype, and what comes back
(``check_helper_call``, ``check_func_arg``)."""

from __future__ import annotations

from ..abi import HELPER_NAMES
from ..isa import Insn
from . import mapcalls, memory, precision, stack
from .call import forget_arguments
from .env import EINVAL, Env, Map
from .prototypes import PROTOTYPES, Prototype
from .value import (
    ANY,
    BASE,
    BUF,
    CTX,
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
    STACK,
    UNINIT,
    Reg,
    type_name,
)

_MEMORY = (STACK, PKT, PKT_META, MAP_KEY, MAP_VALUE, MEM, MEM | RINGBUF, BUF)
#: argument word -> types of registers that may be passed (compatible_reg_types)
_ALLOWED = {
    "map_key": _MEMORY, "map_value": _MEMORY, "mem": _MEMORY, "size": (SCALAR,), "size_or_zero": (SCALAR,),
    "const_map_ptr": (MAP_PTR,), "ctx": (CTX,),
}
#: types whose fixed and variable offsets are checked where they are used (check_func_arg_reg_off)
_ANY_OFFSET = frozenset((STACK, PKT, PKT_META, MAP_KEY, MAP_VALUE, MEM, MEM | RDONLY, MEM | RINGBUF, BUF, BUF | RDONLY,
                         SCALAR))
_KNOWN_KEY = frozenset(("array", "percpu_array"))       # can_elide_value_nullness


class Call:
    """What the arguments said (``struct bpf_call_arg_meta``)."""

    __slots__ = ("fill_regno", "fill_size", "key", "map", "proto", "raw")

    def __init__(self, proto: Prototype):
        self.proto = proto
        self.map: Map | None = None
        self.key = -1                           # a map key that is known, -1 if not
        self.raw = False                        # the memory argument need not be initialised
        self.fill_regno = self.fill_size = 0    # memory that the helper fills


def helper(env: Env, insn: Insn) -> None:
    number = insn.imm
    name = HELPER_NAMES.get(number)
    if name is None or number == 0:
        shown = f"bpf_{name}" if name else "unknown"
        if name is None:
            raise env.reject(f"invalid func {shown}#{number}", EINVAL)
        raise env.reject(f"program of this type cannot use helper {shown}#{number}", EINVAL)
    proto = PROTOTYPES.get(number)
    if proto is None:
        raise env.unsupported(f"helper bpf_{name}#{number}")
    if proto.gpl and env.spec.license not in GPL:
        raise env.reject("cannot call GPL-restricted function from non-GPL compatible program", EINVAL)
    call = Call(proto)
    for at, word in enumerate(proto.takes):
        _argument(env, call, at, word)
    for byte in range(call.fill_size):
        memory.access(env, call.fill_regno, byte, 1, True, -1)
    forget_arguments(env, env.regs)
    env.regs[0] = _result(env, call, proto)
    if call.map is not None:
        mapcalls.check(env, call.map, name, number)


GPL = frozenset(("GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"))


def _argument(env: Env, call: Call, at: int, word: str) -> None:
    regno = at + 1
    reg = env.source(regno)
    if word == "anything":
        return
    if reg.type in PACKETS and not (call.proto.packet and memory.packet_allowed(env, False)):
        raise env.reject("helper access to the packet is not allowed")
    nullable = word.endswith("_or_null")
    kind = word.removesuffix("_or_null")
    if not (nullable and reg.is_null):
        _type(env, regno, reg, kind, nullable)
        if reg.type not in _ANY_OFFSET:
            memory.plain_offset(env, reg, regno)
    if kind == "const_map_ptr":
        call.map = reg.data
    elif kind == "map_key":
        assert call.map is not None
        region(env, regno, call.map.key_size, write=False)
        if call.map.type in _KNOWN_KEY:
            call.key = _known_key(env, env.regs[regno], call.map.key_size)
    elif kind == "map_value":
        assert call.map is not None
        region(env, regno, call.map.value_size, write=False)


def _type(env: Env, regno: int, reg: Reg, kind: str, nullable: bool) -> None:
    type = reg.type & ~MAYBE_NULL if nullable else reg.type
    allowed = _ALLOWED.get(kind)
    if allowed is None:
        raise env.unsupported(f"helper argument {kind}")
    if type not in allowed:
        names = ", ".join(type_name(each) for each in allowed)
        raise env.reject(f"R{regno} type={type_name(reg.type)} expected={names}")


def region(env: Env, regno: int, size: int, *, write: bool, zero_ok: bool = False, raw: bool = False) -> bool:
    """A helper reads or writes ``size`` bytes at a pointer (``check_helper_mem_access``); True: fill it."""
    reg = env.regs[regno]
    base = reg.type & BASE
    if reg.type in PACKETS:
        memory.inside_packet(env, regno, reg.off, size, zero_ok)
    elif base == MAP_VALUE:
        memory.map_access(env, regno, reg.off, size, write, zero_ok)
    elif base == STACK:
        return stack.initialized(env, regno, reg.off, size, write=write, zero_ok=zero_ok, raw=raw)
    elif base == MAP_KEY:
        if write:
            raise env.reject(f"R{regno} cannot write into {type_name(reg.type)}")
        memory.inside_region(env, regno, reg.off, size, reg.data.key_size)
    elif base == MEM:
        if write and reg.type & RDONLY:
            raise env.reject(f"R{regno} cannot write into {type_name(reg.type)}")
        memory.inside_region(env, regno, reg.off, size, reg.data, zero_ok)
    elif base == BUF:
        if write and reg.type & RDONLY:
            raise env.reject(f"R{regno} cannot write into {type_name(reg.type)}")
        memory.buffer(env, reg, regno, reg.off, size, "rdonly" if reg.type & RDONLY else "rdwr")
    elif not (zero_ok and size == 0 and reg.is_null):
        raise env.reject(f"R{regno} type={type_name(reg.type)} expected=fp")
    return False


def _known_key(env: Env, reg: Reg, size: int) -> int:
    """The key on the stack if it is a constant, else -1 (``get_constant_map_key``)."""
    if reg.type != STACK or reg.num.mask:
        return -1
    off = reg.off + reg.num.smin
    index, byte = divmod(-off - 1, 8)
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


def _result(env: Env, call: Call, proto: Prototype) -> Reg:
    gives = proto.gives
    if gives == "integer":
        return ANY
    if gives == "void":
        return UNINIT
    if gives == "map_value_or_null":
        assert call.map is not None
        type = MAP_VALUE | MAYBE_NULL
        if proto.name == "map_lookup_elem" and call.map.type in ("sockmap", "sockhash"):
            id = env.acquire()
            return Reg(type, id=id, ref=id, data=call.map)
        if proto.name == "map_lookup_elem" and 0 <= call.key < call.map.max_entries:
            type = MAP_VALUE
        return Reg(type, id=env.new_id() if type & MAYBE_NULL else 0, data=call.map)
    raise env.unsupported(f"helper result {gives}")

