"""Plain words for what a verifier knows: registers and stack slots, beside the kernel's own vocabulary.

The kernel's spelling (``R2=pkt(off=14,r=14)``) stays what it is; these words stand next to it.
"""

from __future__ import annotations

from .model import Slot, Value

U64 = (1 << 64) - 1

# reg_type_str() of kernel/bpf/log.c without its prefixes and "_or_null". {at} is the offset into the region.
POINTERS = {
    "not_init": "nothing was written here yet; it must not be read",
    "ctx": "the context, the argument of the program{at}",
    "fp": "stack address, frame pointer{at}",
    "map_ptr": "the map {map}",
    "map_key": "key of map {map}{at}",
    "map_value": "value of map {map}{at}",
    "pkt": "packet pointer{at}, {proved}",
    "packet": "the packet{at}, which has {size} bytes",
    "pkt_meta": "packet metadata pointer{at}, {proved}",
    "pkt_end": "the end of the packet; only to compare with",
    "mem": "memory of {size} bytes{at}",
    "ringbuf_mem": "a reserved ring buffer record of {size} bytes{at}",
    "dynptr_ptr": "a dynptr",
    "flow_keys": "flow keys{at}",
    "sock": "a socket{at}",
    "sock_common": "the common part of a socket{at}",
    "tcp_sock": "a TCP socket{at}",
    "xdp_sock": "an AF_XDP socket{at}",
    "tp_buffer": "a tracepoint's buffer{at}",
    "buf": "a buffer{at}",
    "ptr_": "pointer to a kernel object{at}",
    "func": "address of a function of this program",
    "arena": "arena address",
}
PREFIXES = {
    "rdonly_": "read-only", "ringbuf_": "ring buffer", "user_": "user-space", "percpu_": "per-CPU",
    "untrusted_": "untrusted", "trusted_": "trusted", "rcu_": "RCU-protected",
}
OR_NULL = ", or NULL: compare with 0 before use"

RANGES = {
    (0, 1): "0 or 1",
    (0, 0xFF): "any byte, 0 to 255",
    (0, 0xFFFF): "any 16-bit number, 0 to 65535",
    (0, 0xFFFF_FFFF): "any 32-bit number",
    (0, U64): "any 64-bit number; nothing is known of it",
}
LANDMARKS = {
    (1 << 31) - 1: "2³¹−1", (1 << 32) - 1: "2³²−1", (1 << 63) - 1: "2⁶³−1", U64: "2⁶⁴−1",
    1 << 31: "2³¹", 1 << 32: "2³²", 1 << 63: "2⁶³", -(1 << 31): "−2³¹", -(1 << 63): "−2⁶³",
}
SLOT_BYTES = {
    "m": "some bytes, nothing known of them", "0": "zeros", "d": "part of a dynptr", "i": "part of an iterator",
    "f": "saved interrupt flags", "?": "not written", "r": "a saved register", "p": "forgotten, nothing reads it",
}


def number(n: int) -> str:
    """A number as people read it: decimal while short, else hexadecimal or a power of two."""
    if n in LANDMARKS:
        return LANDMARKS[n]
    sign = "−" if n < 0 else ""
    return f"{sign}{abs(n)}" if abs(n) < 1_000_000 else f"{sign}{abs(n):#x}"


def scalar_words(v: Value) -> str:
    """What a scalar (or a pointer's variable part) can be."""
    if v.mask == 0 and v.umin == v.umax:
        signed = v.value - (1 << 64) if v.value >> 63 else v.value
        words = f"the number {number(signed)}"
        return words if abs(signed) < 10 or "0x" in words else f"{words} ({v.value:#x})"
    signed = v.smin < 0 and (v.smax - v.smin) < (v.umax - v.umin)
    low, high = (v.smin, v.smax) if signed else (v.umin, v.umax)
    multiple = (v.value | v.mask) & -(v.value | v.mask)
    words = RANGES.get((low, high)) or f"{number(low)} to {number(high)}"
    if (low, high) == (0, U64) and v.mask != U64:
        words = "any 64-bit number with some bits known"
    return f"{words}, a multiple of {number(multiple)}" if multiple > 1 and high >= multiple else words


def _at(v: Value) -> str:
    fixed = "" if v.off == 0 else f" {'+' if v.off > 0 else '−'} {abs(v.off)}"
    varies = v.mask != 0 or v.umin != v.umax
    if not varies:
        return fixed or (f" + {v.value}" if v.value else "")
    return f"{fixed} + ({scalar_words(v)})"


def _proved(v: Value) -> str:
    """Bytes from the packet's start that were proved. The kernel prints {BEYOND,AT}_PKT_END as r=0xffff…ff and …fe,
    until 6.6 as r=-1 and r=-2; a log's parser keeps that in the text only."""
    if v.range < 0 or v.range >> 63 or "r=0xfffffffffffffff" in v.text or "r=-" in v.text:
        return "known to be at or past the end"
    return f"{v.range} byte{'' if v.range == 1 else 's'} proved" if v.range else "no byte proved yet"


def value_words(v: Value) -> str:
    """One register in plain words."""
    if v.type == "scalar":
        return scalar_words(v)
    kind, null = v.type.removesuffix("_or_null"), v.type.endswith("_or_null")
    adjectives = []
    while kind not in POINTERS:
        found = next((p for p in PREFIXES if kind.startswith(p)), None)
        if found is None:
            break
        adjectives.append(PREFIXES[found])
        kind = kind.removeprefix(found)
    template = POINTERS.get(kind) or POINTERS["ptr_" if kind.startswith("ptr_") else kind] if (
        kind in POINTERS or kind.startswith("ptr_")) else v.type.replace("_", " ") + "{at}"
    words = template.format(at=_at(v), proved=_proved(v), map=v.map or "(unnamed)", size=v.size)
    return " ".join([*adjectives, words]) + (OR_NULL if null else "")


def slot_words(slot: Slot) -> str:
    """One stack slot in plain words."""
    if slot.value is not None:
        return "saved: " + value_words(slot.value)
    letters = [c for c in dict.fromkeys(slot.bytes) if c != "?"]
    words = " and ".join(SLOT_BYTES.get(c, f"bytes marked {c!r}") for c in letters) or SLOT_BYTES["?"]
    written = sum(c != "?" for c in slot.bytes)
    return words if written in (0, 8) else f"{words} ({written} of 8 bytes written)"


def cell_words(cell: Value | Slot) -> str:
    return slot_words(cell) if isinstance(cell, Slot) else value_words(cell)
