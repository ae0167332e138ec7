"""What a register or a stack slot holds in a run, as the trace model's ``Value``: numbers and pointers that are known.

The simulator's machine has plain 64-bit words. A word that lies in a region of the run is shown as a pointer there,
unless the verifier says that it is a number.
"""

from __future__ import annotations

from ..abi import STRUCTS
from ..abi.prog_types import BY_NAME
from ..isa.bits import STACK_SIZE, U32
from ..sim.maps import SimMap
from ..sim.maps.base import Element
from ..sim.memory import FUNCTION_BASE, OFFSET, PAGE, PAGE_BITS
from ..trace import Value
from ..trace.values import constant

FUNCTIONS = range(FUNCTION_BASE, FUNCTION_BASE + (16 << PAGE_BITS))


def ends_of_packet(type_: str, ctx: bytes) -> tuple[int, int]:
    """(data, data_end) as the context of this program type has them, (0, 0) if it has none."""
    shape = STRUCTS.get(BY_NAME[type_].context)
    if shape is None or shape.name not in ("xdp_md", "__sk_buff"):
        return 0, 0
    one, other = (int.from_bytes(ctx[member.offset:member.end], "little") & U32
                  for member in (shape.member("data"), shape.member("data_end")))
    return one, other


def pointer(owner: object, address: int, size: int, word: int, packet: tuple[int, int], depth: int) -> Value:
    """The Value of ``word``, which points into a region (``size`` bytes from ``address``). Offsets in bytes.

    ``fp``: from the frame pointer of frame ``frame`` (None: ``depth``); ``packet``: from ``data``, ``size`` its length.
    """
    at = word - address
    name = str(owner)
    if isinstance(owner, Element):
        text = f"map_value(map={owner.map.spec.name},key={_key(owner.key)},off={at})"
        return Value("map_value", text, off=at, size=size, map=owner.map.spec.name)
    if isinstance(owner, SimMap):
        return Value("map_ptr", f"map_ptr(map={owner.spec.name})", off=at, map=owner.spec.name)
    if name == "packet":
        data, end = packet
        if word == end:
            return Value("pkt_end", "pkt_end()", off=end - data, size=end - data)
        return Value("packet", f"packet(off={word - data},len={end - data})", off=word - data, size=end - data)
    if name.startswith("stack of frame "):
        off, frame = at - STACK_SIZE, int(name.rsplit(" ", 1)[1])
        own = frame == depth
        return Value("fp", f"fp{'' if own else f'[{frame}]'}{off}", off=off, frame=None if own else frame)
    if name.startswith("context"):
        return Value("ctx", f"ctx(off={at})" if at else "ctx()", off=at)
    return Value("mem", f"mem({name},off={at},sz={size})", off=at, size=size)


def function(word: int) -> Value:
    return Value("func", f"func(insn={(word - FUNCTION_BASE) // 8})", off=(word - FUNCTION_BASE) // 8)


def number(word: int) -> Value:
    return constant(word)


def nearest(pages, word: int) -> tuple[int, int] | None:
    """(page, offset) of the region in ``pages`` that a word points into, or a little before."""
    page, at = word >> PAGE_BITS, word & OFFSET
    if page in pages:
        return page, at
    if at > PAGE // 2 and page + 1 in pages:
        return page + 1, at - PAGE
    return None


def _key(key: bytes) -> str:
    return str(int.from_bytes(key, "little")) if len(key) in (1, 2, 4, 8) else key.hex()
