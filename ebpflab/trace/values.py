"""A register's text in a kernel log, read into a ``Value``.

Spellings of three ages are understood (``print_reg_state`` / ``print_verifier_state`` in ``kernel/bpf``):

    5.10   inv(id=0,umax_value=255,var_off=(0x0; 0xff))   invP5   ctx(id=0,off=0,imm=0)
    6.1    scalar(umax=255,var_off=(0x0; 0xff))           P5      ctx(off=0,imm=0)
    6.7 …  scalar(smin=smin32=0,smax=umax=255,var_off=…)  P5      ctx()

What the kernel leaves out follows from its printing rules: since 6.7 a bound is omitted when it is the type's
extreme; before, also when the 64-bit bound said the same, and then it is deduced again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ..isa.bits import U32, U64
from .model import Slot, Value

S64_MIN, S64_MAX = -(1 << 63), (1 << 63) - 1
S32_MIN, S32_MAX = -(1 << 31), (1 << 31) - 1

#: bounds of a value of which nothing is known
UNKNOWN = {"umin": 0, "umax": U64, "smin": S64_MIN, "smax": S64_MAX,
           "u32_min": 0, "u32_max": U32, "s32_min": S32_MIN, "s32_max": S32_MAX}
#: every age's name of a bound -> field of Value
_BOUNDS = {
    **{name: name for name in UNKNOWN}, **{name + "_value": name for name in UNKNOWN},
    "smin32": "s32_min", "smax32": "s32_max", "umin32": "u32_min", "umax32": "u32_max",
}
_SPELT = {"smin": "smin", "smax": "smax", "umin": "umin", "umax": "umax",
          "s32_min": "smin32", "s32_max": "smax32", "u32_min": "umin32", "u32_max": "umax32"}
_NUMBERS = {"id": "id", "ref_obj_id": "ref_id", "ref_id": "ref_id", "off": "off", "r": "range", "sz": "size",
            "mem_size": "size", "vs": "size"}
_RENAMED = {"alloc_mem": "ringbuf_mem", "alloc_mem_or_null": "ringbuf_mem_or_null"}      # until 6.1
_CONST = re.compile(r"-?\d+$|0x[0-9a-f]+$")
_STACK = re.compile(r"fp(?:\[(\d+)\])?(-?\d+|0x[0-9a-f]+)$")
_ID_OFF = re.compile(r"(\d+)([+-]\d+)?$")
# name=…: names and values hold no space, but the tnum in var_off has one and parentheses
_CELL = re.compile(r" (R\d+|fp-\d+)(?:_[rwDc]*)?=((?:[^ ()]|\((?:[^()]|\([^()]*\))*\))*)")
_RAW = re.compile(r"[?rm0difp]{8}$")
_PREFIX = re.compile(r"([?m0p]{7}|[?m0p]{6}|[?m0p]{4})(?=P?(?:scalar|-?\d))")


def sign(value: int, bits: int = 64) -> int:
    """The low ``bits`` of a number as a signed one."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def constant(number: int, text: str = "", precise: bool = False) -> Value:
    """A scalar of which every bit is known."""
    return Value("scalar", text or _number(sign(number), True), **_exact(number), precise=precise)


def _exact(number: int) -> dict[str, int]:
    u, low = number & U64, number & U32
    s, s32 = sign(u), sign(low, 32)
    return {"value": u, "mask": 0, "umin": u, "umax": u, "smin": s, "smax": s,
            "u32_min": low, "u32_max": low, "s32_min": s32, "s32_max": s32}


def deduce(b: dict[str, int]) -> None:
    """Tighten bounds by each other and by the known bits, in place: what 5.10 … 6.6 left unsaid.

    The rules of ``__update_reg_bounds`` and ``__reg_deduce_bounds``.
    """
    value, mask = b["value"], b["mask"]
    for lo, hi, slo, shi, bits in (("umin", "umax", "smin", "smax", 64),
                                   ("u32_min", "u32_max", "s32_min", "s32_max", 32)):
        full = (1 << bits) - 1
        known, open_ = value & full, mask & full
        b[lo], b[hi] = max(b[lo], known), min(b[hi], known | open_)
        if bits == 32:
            if b["umax"] <= U32:
                b[lo], b[hi] = max(b[lo], b["umin"]), min(b[hi], b["umax"])
            if b["smin"] >= S32_MIN and b["smax"] <= S32_MAX:
                b[slo], b[shi] = max(b[slo], b["smin"]), min(b[shi], b["smax"])
        top = 1 << (bits - 1)
        if not open_ & top:     # the sign is known
            b[slo] = max(b[slo], sign(known, bits))
            b[shi] = min(b[shi], sign(known | open_, bits))
        if b[hi] < top or b[lo] >= top:     # the unsigned range does not cross the sign
            b[slo], b[shi] = max(b[slo], sign(b[lo], bits)), min(b[shi], sign(b[hi], bits))
        if b[slo] >= 0 or b[shi] < 0:
            b[lo], b[hi] = max(b[lo], b[slo] & full), min(b[hi], b[shi] & full)
    if b["umin"] <= b["umax"]:      # the bits above the highest one in which the bounds differ are known
        low = (1 << (b["umin"] ^ b["umax"]).bit_length()) - 1
        b["mask"], b["value"] = mask & low, (value | b["umin"]) & ~(mask & low) & U64


def shifted(value: Value, delta: int, like: Value) -> Value:
    """``value + delta`` with the id and distance of ``like``: a scalar linked to another at a constant distance.

    The rules of ``scalar_min_max_add``: bounds that overflow on one side only are lost.
    """
    found = {}
    for lo, hi, bits, signed in (("umin", "umax", 64, False), ("u32_min", "u32_max", 32, False),
                                 ("smin", "smax", 64, True), ("s32_min", "s32_max", 32, True)):
        low, high = getattr(value, lo) + delta, getattr(value, hi) + delta
        first = UNKNOWN[lo]
        if (low - first) >> bits == (high - first) >> bits and not (signed and (low - first) >> bits):
            found[lo], found[hi] = (low - first) % (1 << bits) + first, (high - first) % (1 << bits) + first
        else:
            found[lo], found[hi] = UNKNOWN[lo], UNKNOWN[hi]
    total, spread = (value.value + delta) & U64, (value.value + value.mask + delta) & U64
    found["mask"] = (total ^ spread) | value.mask
    found["value"] = total & ~found["mask"]
    deduce(found)
    moved = Value("scalar", "", id=like.id, off=like.off, precise=like.precise, **found)
    return replace(moved, text=spell(moved))


def _number(value: int, signed: bool) -> str:
    """verbose_snum and verbose_unum: small numbers decimal, others hexadecimal."""
    decimal = -32768 <= value <= 32767 if signed else value <= 0xFFFF
    return str(value) if decimal else hex(value & U64)


def spell(value: Value) -> str:
    """The text that Linux 6.7 and later print for a scalar (``print_reg_state``), without the mark of precision."""
    if value.mask == 0:
        return _number(value.smin, True)
    bounds = []
    for name in ("smin", "smax", "umin", "umax", "s32_min", "s32_max", "u32_min", "u32_max"):
        number = getattr(value, name)
        if number != UNKNOWN[name]:
            shown = number & U32 if name.startswith("s32") and not -32768 <= number <= 32767 else number
            bounds.append((_SPELT[name], name[0] == "s", name.endswith("max"), shown))
    parts = [f"id={value.id}{value.off:+d}" if value.off else f"id={value.id}"] if value.id else []
    while bounds:
        name, signed, upper, number = bounds.pop(0)
        same = [other for other in bounds if other[2] == upper and other[3] == number]
        bounds = [other for other in bounds if other not in same]
        parts.append("=".join((name, *(other[0] for other in same), _number(number, signed))))
    if value.mask != U64:
        parts.append(f"var_off=({value.value:#x}; {value.mask:#x})")
    return f"scalar({','.join(parts)})"


def _split(body: str) -> Iterator[str]:
    """The comma-separated attributes between the parentheses; a tnum has no comma."""
    return filter(None, body.split(","))


def _attributes(body: str, type_: str, old: bool) -> dict:
    """Fields of Value from the text between the parentheses."""
    found: dict = {}
    bounds: dict[str, int] = {}
    tnum = None
    for item in _split(body):
        *names, last = item.split("=")
        for name in names:
            if name in _BOUNDS:
                field = _BOUNDS[name]
                number = int(last, 0)
                bits = 32 if "32" in field else 64
                bounds[field] = sign(number, bits) if field[0] == "s" else number & (U32 if bits == 32 else U64)
            elif name == "var_off":
                low, _, high = last.strip("()").partition("; ")
                tnum = int(low, 16), int(high, 16)
            elif name == "imm":
                found["imm"] = sign(int(last, 16) if old else int(last, 0))
            elif name == "id":
                split = _ID_OFF.match(last)
                if not split:
                    raise ValueError(f"id {last!r}")
                number, off = split.groups()
                found["id"] = int(number)
                if off:
                    found["off"] = int(off)
            elif name == "map":
                found["map"] = last
            elif name in _NUMBERS:
                found[_NUMBERS[name]] = int(last, 0)
    if "off" in found:
        found["off"] = sign(found["off"])
    if not 0 <= found.get("range", 0) <= S32_MAX:   # AT_PKT_END, BEYOND_PKT_END: nothing is proved
        found["range"] = 0
    fixed = found.pop("imm", None)
    if type_ != "scalar" and fixed:     # 7.1 and later keep a pointer's fixed offset there
        found["off"], fixed = found.get("off", 0) + fixed, 0
    if tnum is None and not bounds and (type_ != "scalar" or fixed is not None):
        return {**found, **_exact(fixed or 0)}
    value, mask = tnum or (0, U64)
    full = {"value": value, "mask": mask, **UNKNOWN, **bounds}
    if old:
        deduce(full)
    return {**found, **full}


def parse_value(text: str, old: bool = False) -> Value:
    """A Value from the kernel's text. ``old``: printed by a kernel before 6.7.

    Raises ValueError for text that no kernel prints.
    """
    if text.startswith("inv"):
        text = text.replace("invP", "P", 1) if text.startswith("invP") else text[3:]
        if not text or text[0] == "(":
            text = "scalar" + (text or "()")
        elif text == "P":
            text = "Pscalar()"
        elif text.startswith("P("):
            text = "Pscalar" + text[1:]
    precise = text.startswith("P")
    if precise:
        text = text[1:]
    if _CONST.match(text):
        return constant(int(text, 0), text, precise)
    if match := _STACK.match(text):
        frame = None if match[1] is None else int(match[1])
        return Value("fp", text, off=sign(int(match[2], 0)), frame=frame)
    head, paren, body = text.partition("(")
    if paren and not body.endswith(")"):
        raise ValueError(f"unbalanced value {text!r}")
    type_, frame = _RENAMED.get(head, head) or "scalar", None
    if head.startswith("fp["):
        type_, frame = "fp", int(head[3:-1])
    return Value(type_, text or "scalar", precise=precise, frame=frame, **_attributes(body[:-1], type_, old))


def parse_slot(off: int, text: str, old: bool = False) -> Slot:
    """A stack slot from the text after ``fp-8=``."""
    if _RAW.match(text):
        return Slot(off, text)
    if text.startswith(("dynptr_", "iter_")):
        head = text.partition("(")[0]
        return Slot(off, ("d" if head[0] == "d" else "i") * 8, parse_value(text if "(" in text else head, old))
    if match := _PREFIX.match(text):
        prefix = match[1]
        return Slot(off, prefix + "r" * (8 - len(prefix)), parse_value(text[len(prefix):], old))
    return Slot(off, "rrrrrrrr", parse_value(text, old))


def cells(text: str) -> list[tuple[str, str]]:
    """``R0=… fp-8=…`` split into names and texts; the marks of read and written (``_rw``) are dropped."""
    return _CELL.findall(text)
