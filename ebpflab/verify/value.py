"""What a register or a spilled stack slot holds: its type and what is known of it.

A ``Reg`` is immutable and shared between states; changing one means making another.  The types and flags are
those of ``enum bpf_reg_type`` and ``enum bpf_type_flag``, so that ``type & MAYBE_NULL`` reads as in the kernel.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from .scalar import UNKNOWN, ZERO, Scalar, known

(NOT_INIT, SCALAR, CTX, MAP_PTR, MAP_VALUE, MAP_KEY, STACK, PKT_META, PKT, PKT_END, FLOW_KEYS, SOCKET, SOCK_COMMON,
 TCP_SOCK, TP_BUFFER, XDP_SOCK, BTF_ID, MEM, ARENA, BUF, FUNC, DYNPTR) = range(22)

MAYBE_NULL, RDONLY, RINGBUF, USER, PERCPU, UNTRUSTED, TRUSTED, RCU, ALLOC = (1 << bit for bit in range(8, 17))
BASE = 0xFF

_NAMES = ("?", "scalar", "ctx", "map_ptr", "map_value", "map_key", "fp", "pkt_meta", "pkt", "pkt_end", "flow_keys",
          "sock", "sock_common", "tcp_sock", "tp_buffer", "xdp_sock", "ptr_", "mem", "arena", "buf", "func",
          "dynptr_ptr")
_PREFIXES = ((RDONLY, "rdonly_"), (RINGBUF, "ringbuf_"), (USER, "user_"), (PERCPU, "percpu_"), (RCU, "rcu_"),
             (UNTRUSTED, "untrusted_"), (TRUSTED, "trusted_"))

PACKETS = frozenset((PKT, PKT_META))
PACKET_POINTERS = frozenset((PKT, PKT_META, PKT_END))
SOCKETS = frozenset((SOCKET, SOCK_COMMON, TCP_SOCK, XDP_SOCK))

#: set in a scalar's id when ``off`` is its constant distance from the others with that id, added as 64 or 32 bits
ADD_CONST64, ADD_CONST32 = 1 << 31, 1 << 30
ADD_CONST = ADD_CONST64 | ADD_CONST32
#: packet ranges that are no sizes: the pointer is known to be at or beyond the end
AT_PKT_END, BEYOND_PKT_END = -1, -2


@lru_cache(maxsize=256)
def type_name(type: int) -> str:
    """The kernel's word for a type (``reg_type_str``), for instance ``map_value_or_null``."""
    base = type & BASE
    tail = ("or_null_" if base == BTF_ID else "_or_null") if type & MAYBE_NULL else ""
    return "".join(word for flag, word in _PREFIXES if type & flag) + _NAMES[base] + tail


#: the kernel's word -> type, for tables that speak in words
TYPES = {name: number for number, name in enumerate(_NAMES)}


def type_of(word: str) -> int:
    """The type that ``type_name`` spells like this. KeyError if there is none."""
    flags = 0
    for flag, prefix in _PREFIXES:
        if word.startswith(prefix):
            word, flags = word[len(prefix):], flags | flag
    if word.endswith("_or_null"):
        word, flags = word[:-8], flags | MAYBE_NULL
    return TYPES[word] | flags


class View(NamedTuple):
    """What a pointer to a dynptr, or a slot of one, says of it: the kind of memory behind it, ``local`` (of a map) or
    ``ringbuf``, and whether the slot is the first of the two (``reg->dynptr``)."""

    kind: str
    first: bool = True


class Reg:
    """One value.

    type     base type and flags
    num      the number of a scalar, the variable part of a pointer's offset
    off      a pointer's constant offset in bytes; a scalar's distance if its id says ADD_CONST
    id       values with the same id are linked: what is learned of one is known of all
    ref      id of the reference that must be released, 0 for none
    data     by type: the map, a packet pointer's proved range, a function's number, a ``View``; of a memory region
             the size (bits 0 to 31) and the id of the dynptr that it is a slice of (from bit 32)
    frameno  which frame's stack a stack pointer points into
    """

    __slots__ = ("data", "frameno", "id", "num", "off", "ref", "type")

    def __init__(self, type: int, num: Scalar = ZERO, off: int = 0, id: int = 0, ref: int = 0,
                 data: Any = 0, frameno: int = 0):
        self.type, self.num, self.off, self.id = type, num, off, id
        self.ref, self.data, self.frameno = ref, data, frameno

    def number(self, num: Scalar) -> Reg:
        """The same with another number."""
        return Reg(self.type, num, self.off, self.id, self.ref, self.data, self.frameno)

    def linked(self, id: int) -> Reg:
        """The same with another id."""
        return Reg(self.type, self.num, self.off, id, self.ref, self.data, self.frameno)

    def unlinked(self) -> Reg:
        """The same number, linked to no other (``clear_scalar_id``)."""
        return Reg(self.type, self.num, 0, 0, self.ref, self.data, self.frameno)

    def retyped(self, type: int, id: int, ref: int) -> Reg:
        return Reg(type, self.num, self.off, id, ref, self.data, self.frameno)

    def ranged(self, data: Any) -> Reg:
        """The same with another ``data``."""
        return Reg(self.type, self.num, self.off, self.id, self.ref, data, self.frameno)

    def same(self, other: Reg) -> bool:
        """Equal but for ids and frame (``memcmp`` up to ``id`` in ``regs_exact``)."""
        return self is other or (self.type == other.type and self.off == other.off
                                 and (self.num is other.num or self.num.same(other.num)) and self.data == other.data)

    @property
    def size(self) -> int:
        """Bytes of a memory region (``mem_size``)."""
        return self.data & 0xFFFF_FFFF

    @property
    def slice_of(self) -> int:
        """Id of the dynptr that a memory region is a slice of, 0 for none (``dynptr_id``)."""
        return self.data >> 32

    @property
    def const(self) -> int | None:
        """The value of a fully known scalar."""
        return self.num.value if self.type == SCALAR and self.num.mask == 0 else None

    @property
    def is_null(self) -> bool:
        return self.type == SCALAR and self.num.mask == 0 and self.num.value == 0

    def __repr__(self) -> str:
        return f"<{type_name(self.type)} off={self.off} id={self.id} {self.num}>"


UNINIT = Reg(NOT_INIT, UNKNOWN)
ANY = Reg(SCALAR, UNKNOWN)


@lru_cache(maxsize=1 << 14)
def constant(word: int) -> Reg:
    """A fully known scalar."""
    return Reg(SCALAR, known(word))
