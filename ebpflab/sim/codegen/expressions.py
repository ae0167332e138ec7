"""One instruction as Python text.

In the generated functions ``r0`` … ``r10`` are local variables holding unsigned 64-bit numbers, ``mem`` is
``Memory.views``, ``sb sh sw sq`` the frame's stack as bytes, 2-, 4- and 8-byte words, ``cx`` the context's bytes and
``pk`` the packet's.
An access that fails raises KeyError, IndexError, TypeError or struct.error; what it means is worked out then
(``Compiled.explain``), so that nothing is paid for it before.
"""

from __future__ import annotations

import sys

from ...isa import bits
from .. import alu
from ..decode import Code
from .facts import POINTERS, Fact, State, loads_packet, width

LITTLE = sys.byteorder == "little"   # memoryview casts are in the host's order
DIRECT = {"ctx": "cx", "xdp": "cx", "pkt": "pk"}   # buffers that a fact names, by the kind of fact
WORD = {2: "sh", 4: "sw", 8: "sq"}
SIGN = {32: "0x80000000", 64: "0x8000000000000000"}
MASK = {8: "0xff", 16: "0xffff", 32: "0xffffffff", 64: "0xffffffffffffffff"}
M = MASK[64]


def _cut(text: str, have: int, size: int) -> str:
    """``text``, known to be below 2**have, cut to ``size`` bits."""
    return text if have <= size else f"{text} & {MASK[size]}"


def _operand(code: Code, state: State) -> tuple[str, Fact]:
    if code.op.source == "x":
        return f"r{code.src}", state[code.src]
    return str(code.value), ("k", code.value)


def _signed(text: str, have: int, size: int) -> str:
    """A ``size``-bit operand as a signed Python int."""
    if have < size:
        return text
    return f"(({_cut(text, have, size)} ^ {SIGN[size]}) - {SIGN[size]})"


_OPERATOR = {"add": "+", "sub": "-", "mul": "*", "or": "|", "and": "&", "xor": "^"}


def arithmetic(code: Code, state: State) -> list[str]:
    size, verb = code.op.width, code.verb
    dst, (src, fact) = f"r{code.dst}", _operand(code, state)
    x, y = width(state[code.dst]), width(fact)
    if verb == "mov":
        value = _cut(src, y, size) if fact[0] != "k" else str(fact[1] & ((1 << size) - 1))
    elif verb == "movsx":
        low = code.op.fixed["off"]
        top = 1 << (low - 1)
        value = f"(({_cut(src, y, low)} ^ {top}) - {top}) & {MASK[size]}" if y >= low else src
    elif verb == "neg":
        value = f"-{dst} & {MASK[size]}"
    elif verb in ("add", "sub"):
        if fact[0] == "k":
            number = alu.signed(fact[1] & ((1 << size) - 1), size) * (1 if verb == "add" else -1)
            sign, amount = ("-", -number) if number < 0 else ("+", number)
            if number < 0:
                inside = _stays_positive(state[code.dst], number, size)
            else:
                inside = max(x, amount.bit_length()) < size
            value = f"{dst} {sign} {amount}" if inside else f"({dst} {sign} {amount}) & {MASK[size]}"
        else:
            inside = verb == "add" and max(x, y) < size
            value = f"{dst} {_OPERATOR[verb]} {src}" if inside else f"({dst} {_OPERATOR[verb]} {src}) & {MASK[size]}"
    elif verb == "mul":
        value = f"{dst} * {src}" if x + y <= size else f"{dst} * {src} & {MASK[size]}"
    elif verb in ("or", "xor", "and"):
        value = f"{dst} {_OPERATOR[verb]} {src}"
        have = min(x, y) if verb == "and" else max(x, y)
        value = value if have <= size else f"({value}) & {MASK[size]}"
    elif verb == "lsh":
        if fact[0] == "k":
            shift = fact[1] & (size - 1)
            value = f"{dst} << {shift}" if x + shift <= size else f"({dst} << {shift}) & {MASK[size]}"
        else:
            value = f"({dst} << ({src} & {size - 1})) & {MASK[size]}"
    elif verb in ("rsh", "arsh"):
        by = str(fact[1] & (size - 1)) if fact[0] == "k" else f"({src} & {size - 1})"
        if verb == "rsh" or x < size:
            value = f"({_cut(dst, x, size)}) >> {by}"
        else:
            value = f"({_signed(dst, x, size)} >> {by}) & {MASK[size]}"
    else:
        value = _division(verb, size, f"({_cut(dst, x, size)})", f"({_cut(src, y, size)})", fact)
    return [f"{dst} = {value}"]


def _stays_positive(fact: Fact, number: int, size: int) -> bool:
    """Is a pointer plus a negative number still above zero? Packets lie above 2**25, the rest above 2**32."""
    kind, offset = fact
    return size == 64 and kind in POINTERS and offset + number > (-(1 << 24) if kind == "pkt" else -(1 << 32))


def _division(verb: str, size: int, dst: str, src: str, fact: Fact) -> str:
    if verb in ("sdiv", "smod"):
        return f"{verb}({dst}, {src}, {size})"
    operator, by_zero = ("//", "0") if verb == "div" else ("%", dst)
    if fact[0] == "k":
        divisor = fact[1] & ((1 << size) - 1)
        return f"{dst} {operator} {divisor}" if divisor else by_zero
    return f"{dst} {operator} {src} if {src} else {by_zero}"


def byte_order(code: Code, state: State) -> list[str]:
    size, dst = code.op.width, f"r{code.dst}"
    have = width(state[code.dst])
    if code.verb == "le":
        return [f"{dst} = {_cut(dst, have, size)}"] if have > size else ["pass"]
    if size == 16:
        return [f"{dst} = ({dst} & 0xff) << 8 | {dst} >> 8 & 0xff"]
    return [f"{dst} = swap{size}({_cut(dst, have, size)})"]


_COMPARE = {"jeq": "==", "jne": "!=", "jgt": ">", "jge": ">=", "jlt": "<", "jle": "<=",
            "jsgt": ">", "jsge": ">=", "jslt": "<", "jsle": "<="}


def condition(code: Code, state: State) -> str:
    size, verb = code.op.width, code.verb
    src, fact = _operand(code, state)
    x, y = width(state[code.dst]), width(fact)
    dst = _cut(f"r{code.dst}", x, size)
    if verb == "jset":
        both = min(x, y)
        return f"r{code.dst} & {src}" if both <= size else f"r{code.dst} & {src} & {MASK[size]}"
    if not verb.startswith("js"):
        right = src if fact[0] != "k" else str(fact[1] & ((1 << size) - 1))
        return f"{_paren(dst)} {_COMPARE[verb]} {_paren(_cut(right, y, size)) if fact[0] != 'k' else right}"
    right = str(alu.signed(fact[1] & ((1 << size) - 1), size)) if fact[0] == "k" else _signed(src, y, size)
    return f"{_signed(f'r{code.dst}', x, size)} {_COMPARE[verb]} {right}"


def _paren(text: str) -> str:
    return f"({text})" if " " in text else text


def _slot(fact: Fact, code: Code) -> int | None:
    """Position in the stack of an access whose place is known and inside the frame."""
    if fact[0] != "fp":
        return None
    at = bits.STACK_SIZE + fact[1] + code.off
    return at if 0 <= at <= bits.STACK_SIZE - code.op.bytes else None


def _address(register: int, off: int) -> str:
    return f"r{register} {'-' if off < 0 else '+'} {abs(off)}" if off else f"r{register}"


def load(code: Code, state: State, lenient: bool = False) -> list[str]:
    size, dst, fact = code.op.bytes, f"r{code.dst}", state[code.src]
    sign = "s" if code.verb == "memsx" else "u"
    at = _slot(fact, code)
    if at is not None:
        if size == 1 and sign == "u":
            value = f"sb[{at}]"
        elif LITTLE and sign == "u" and at % size == 0:
            value = f"{WORD[size]}[{at // size}]"
        else:
            value = f"{sign}{size}(sb, {at})[0]"
    elif fact[0] in DIRECT and fact[1] + code.off >= 0:
        buffer, at = DIRECT[fact[0]], fact[1] + code.off
        value = f"{buffer}[{at}]" if size == 1 and sign == "u" else f"{sign}{size}({buffer}, {at})[0]"
    else:
        place = _address(code.src, code.off)
        head, tail = (f"mem[(a := {place}) >> 24]", "a & 0xffffff") if code.off else (
            f"mem[{place} >> 24]", f"{place} & 0xffffff")
        if lenient:
            value = f"{sign}{size}(*lenient({place} & {M}))[0]"
        elif size == 1 and sign == "u":
            value = f"{head}[{tail}]"
        else:
            value = f"{sign}{size}({head}, {tail})[0]"
    lines = [f"{dst} = {value}" + (f" & {M}" if sign == "s" else "")]
    return [*lines, "pk = run.frame.view()"] if loads_packet(code, state) else lines


def store(code: Code, state: State) -> list[str]:
    size, fact = code.op.bytes, state[code.dst]
    if code.op.source == "x":
        value = _cut(f"r{code.src}", width(state[code.src]), size * 8)
    else:
        value = str(code.value & ((1 << size * 8) - 1))
    at = _slot(fact, code)
    if at is not None:
        if size == 1:
            return [f"sb[{at}] = {value}"]
        if LITTLE and at % size == 0:
            return [f"{WORD[size]}[{at // size}] = {value}"]
        return [f"p{size}(sb, {at}, {value})"]
    if fact[0] in ("ctx", "pkt") and fact[1] + code.off >= 0:
        buffer, at = DIRECT[fact[0]], fact[1] + code.off
        return [f"{buffer}[{at}] = {value}" if size == 1 else f"p{size}({buffer}, {at}, {value})"]
    place = _address(code.dst, code.off)
    if size == 1:   # the value is worked out first, the subscript last: no temporary
        return [f"mem[{place} >> 24][{_paren(place)} & 0xffffff] = {value}"]
    if code.off:
        return [f"p{size}(mem[(a := {place}) >> 24], a & 0xffffff, {value})"]
    return [f"p{size}(mem[{place} >> 24], {place} & 0xffffff, {value})"]


_ATOMIC = {"add": "t + {s}", "or": "t | {s}", "and": "t & {s}", "xor": "t ^ {s}", "xchg": "{s}"}


def atomic(code: Code, state: State) -> list[str]:
    size, verb, wide = code.op.bytes, code.verb, code.op.width
    base = code.src if verb == "load_acquire" else code.dst
    lines = [f"a = {_address(base, code.off)}"]
    if size > 1:
        lines.append(f"if a & {size - 1}: raise misaligned(a & {M}, {size})")
    lines.append("v = mem[a >> 24]")
    src = f"r{code.src}"
    if verb == "load_acquire":
        return [*lines, f"r{code.dst} = u{size}(v, a & 0xffffff)[0]"]
    if verb == "store_release":
        return [*lines, f"p{size}(v, a & 0xffffff, {src} & {MASK[wide]})"]
    lines.append(f"t = u{size}(v, a & 0xffffff)[0]")
    if verb == "cmpxchg":
        same = "r0" if wide == 64 else f"(r0 & {MASK[wide]})"
        return [*lines, f"p{size}(v, a & 0xffffff, {src} & {MASK[wide]} if t == {same} else t)", "r0 = t"]
    value = _ATOMIC[verb.removeprefix("fetch_")].format(s=src)
    lines.append(f"p{size}(v, a & 0xffffff, ({value}) & {MASK[wide]})")
    return [*lines, f"{src} = t"] if verb == "xchg" or verb.startswith("fetch_") else lines


#: kind -> text of an instruction that only goes on to the next
STRAIGHT = {
    "alu": arithmetic, "end": byte_order, "ldx": load, "st": store, "stx": store, "atomic": atomic,
    "lddw": lambda code, state: [f"r{code.dst} = {code.value}"],
}
