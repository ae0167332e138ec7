"""What is known of the registers before each instruction, so that the generated code can be short.

A fact is one of

    ("k", value)    this number
    ("fp", offset)  the frame pointer plus offset
    ("ctx", offset) the context plus offset; ("xdp", offset) if it is an xdp_md, which programs cannot write
    ("pkt", offset) the packet's first byte plus offset, as long as no call may have moved the packet
    ("n", bits)     any number below 2**bits

Facts only ever leave out masks and look-ups whose outcome is certain; they are not the verifier's, and hold for
programs that no verifier has seen.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from .. import alu
from ..decode import Code
from ..helpers import HELPERS

Fact = tuple[str, int]
State = tuple[Fact, ...]
ANY: Fact = ("n", 64)
ZERO: Fact = ("k", 0)
POINTERS = ("fp", "ctx", "xdp", "pkt")
POINTER_BITS = 48     # simulated addresses of stacks, contexts and packets are below this
WIDEN_AFTER = 4       # joins at one place before a growing number of bits is taken to be 64


def width(fact: Fact) -> int:
    """The register is below two to this power."""
    kind, value = fact
    return value if kind == "n" else value.bit_length() if kind == "k" else POINTER_BITS


def entry(context: str) -> State:
    """At the start of a function; ``context`` is ctx, xdp, or "" in a subprogram, whose arguments can be anything."""
    first: tuple[Fact, ...] = ((context, 0), *[ZERO] * 4) if context else (ANY,) * 5
    return (ZERO, *first, *[ZERO] * 4, ("fp", 0))


def join(a: Fact, b: Fact) -> Fact:
    return a if a == b else ("n", max(width(a), width(b)))


def _alu(code: Code, state: State) -> Fact:
    size, verb = code.op.width, code.verb
    left = state[code.dst]
    right: Fact = state[code.src] if code.op.source == "x" else ("k", code.value)
    if verb == "mov":
        return right if size == 64 or (width(right) <= 32 and right[0] in "kn") else ("n", 32)
    if verb == "movsx":
        return ("n", size)
    if left[0] == "k" and right[0] == "k":
        mask = (1 << size) - 1
        return ("k", alu.BINARY[verb](left[1] & mask, right[1] & mask, size) & mask)
    if size == 64 and right[0] == "k" and left[0] in POINTERS and verb in ("add", "sub"):
        moved = left[1] + alu.signed(right[1], 64) * (1 if verb == "add" else -1)
        return (left[0], moved) if abs(moved) < 1 << 30 else ANY
    x, y = min(width(left), size), min(width(right), size)
    grown = {
        "add": max(x, y) + 1, "mul": x + y, "and": min(x, y), "or": max(x, y), "xor": max(x, y), "div": x, "mod": x,
        "rsh": max(x - (right[1] & (size - 1)), 0) if right[0] == "k" else x,
        "lsh": x + (right[1] & (size - 1)) if right[0] == "k" else size,
        "arsh": x if x < size else size,
    }.get(verb, size)
    return ("n", min(grown, size))


def loads_packet(code: Code, state: State) -> bool:
    """Does the instruction load ``data`` out of an xdp_md?"""
    return (code.kind == "ldx" and code.verb == "mem" and code.op.width == 32 and state[code.src][0] == "xdp"
            and state[code.src][1] + code.off == 0)


def _moves_packets(code: Code) -> bool:
    if code.verb != "helper":
        return True
    found = HELPERS.get(code.imm)
    return found is None or found.calls_back or found.moves


def step(code: Code, state: State) -> State:
    """The facts after one instruction."""
    changed: dict[int, Fact] = {}
    kind = code.kind
    if kind == "call" and _moves_packets(code):
        changed = {number: ANY for number, fact in enumerate(state) if fact[0] == "pkt"}
    if kind == "alu":
        changed[code.dst] = _alu(code, state)
    elif kind == "end":
        changed[code.dst] = ("n", code.op.width)
    elif kind == "lddw":
        changed[code.dst] = ("k", code.value)
    elif kind == "ldx":
        loaded = ("n", 64 if code.verb == "memsx" else code.op.width)
        changed[code.dst] = ("pkt", 0) if loads_packet(code, state) else loaded
    elif kind in ("call", "ld"):
        changed[0] = ANY
    elif kind == "atomic":
        if code.verb == "load_acquire":
            changed[code.dst] = ("n", code.op.width)
        elif code.verb == "cmpxchg":
            changed[0] = ("n", code.op.width)
        elif code.verb == "xchg" or code.verb.startswith("fetch_"):
            changed[code.src] = ("n", code.op.width)
    if not changed:
        return state
    return tuple([changed.get(number, fact) for number, fact in enumerate(state)])


def successors(code: Code) -> tuple[int, ...]:
    if code.kind == "exit":
        return ()
    if code.kind == "ja":
        return (code.target,)
    return (code.next, code.target) if code.kind in ("jmp", "jcond") else (code.next,)


def flow(codes: Sequence[Code], start: int, context: str) -> dict[int, State]:
    """Facts before every instruction that the function at ``start`` can reach."""
    states: dict[int, State] = {start: entry(context)}
    joins: dict[int, int] = {}
    queue = [start]
    queued = {start}
    while queue:
        pc = heapq.heappop(queue)
        queued.discard(pc)
        code = codes[pc]
        after = step(code, states[pc])
        for target in successors(code):
            if target >= len(codes):
                continue
            old = states.get(target)
            if old is None:
                new = after
            elif old == after:
                continue
            else:
                new = tuple([join(x, y) for x, y in zip(old, after, strict=True)])
                if new == old:
                    continue
                joins[target] = joins.get(target, 0) + 1
                if joins[target] > WIDEN_AFTER:
                    new = tuple([ANY if x != y else y for x, y in zip(old, new, strict=True)])
            states[target] = new
            if target not in queued:
                heapq.heappush(queue, target)
                queued.add(target)
    return states
