"""A bare program with memory, as bpf_conformance gives it: r1 points at the memory, r2 is its length, r0 the result.

A kernel runs no such program, so it is called as a function of one that it does run. Both memory and result are map
values: the whole 64 bits of r0 come out, the program has its whole stack, and its memory may be read at any address.

::

    xdp:  r6 = &result;  r1 = &memory;  r2 = length;  call the program;  *(u64 *)(r6 + 0) = r0;  r0 = 2;  exit
"""

from __future__ import annotations

from .. import layout as lay
from ..errors import EbpflabError
from ..isa import Insn, bits, slots
from ..spec import MapSpec, ProgramSpec

_WIDE = bits.LD | bits.IMM | bits.DW
_MOV = bits.ALU64 | bits.MOV
RESULT = "result"
_ARRAY_KEY = bytes(4)


def _address(register: int, map_: int) -> tuple[Insn, Insn]:
    return Insn(_WIDE, register, bits.PSEUDO_MAP_VALUE, 0, map_), Insn(0)


def from_hex(text: str, what: str) -> bytes:
    """Bytes written as hex digits, with or without blanks between. Raises EbpflabError with the place."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        at = next((i for i, c in enumerate(text) if c not in "0123456789abcdefABCDEF" and not c.isspace()), len(text))
        raise EbpflabError(f"{text[at:at + 10]!r} at character {at + 1} is not hex" if at < len(text) else
                           "an odd number of hex digits", where=what, hint="as 'b7 00 00 00 02 00 00 00'") from None


def wrapped(program: bytes, memory: bytes) -> ProgramSpec:
    """The program as a function of an XDP program. Raises DecodeError if it is no whole number of instructions."""
    body = slots(program)
    if not body:
        raise EbpflabError("the program has no instructions", where="stdin")
    maps = [MapSpec(RESULT, "array", lay.SCALARS["u32"], lay.SCALARS["u64"], 1)]
    start: tuple[Insn, ...] = (Insn(_MOV, bits.R1),)
    if memory:
        maps.append(MapSpec("memory", "array", lay.SCALARS["u32"], lay.opaque(len(memory)), 1,
                            contents=((_ARRAY_KEY, memory),)))
        start = _address(bits.R1, 1)
    end = (Insn(bits.STX | bits.MEM | bits.DW, bits.R6, bits.R0), Insn(_MOV, bits.R0, imm=2),
           Insn(bits.JMP | bits.EXIT))
    head = (*_address(bits.R6, 0), *start, Insn(_MOV, bits.R2, imm=len(memory)))
    call = Insn(bits.JMP | bits.CALL, 0, bits.CALL_LOCAL, 0, len(end))
    entry = len(head) + 1 + len(end)
    return ProgramSpec((*head, call, *end, *body), "xdp", "conformance", tuple(maps),
                       functions={0: "conformance", entry: "program"})


def result(maps) -> int:
    """r0, from the maps of the program that has run."""
    return int.from_bytes(maps[RESULT].lookup(_ARRAY_KEY), "little")
