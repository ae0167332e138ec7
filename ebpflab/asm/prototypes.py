"""Types for a program's functions, where a kernel insists on them: a text that names a callback (``r2 = body ll``).

Linux refuses a reference to a function in a program without BTF (``missing btf func_info``, check_ld_imm). Assembly has
no types, so each function becomes ``static int NAME(void)``; of static functions the verifier believes no argument
anyway, it walks them. The BTF (Documentation/bpf/btf.rst)::

    header:  u16 magic | u8 version | u8 flags | u32 its length | u32 offset, length: types | u32 offset, length: names
    type:    u32 name | u32 kind << 24 | u32 size or type       1: INT, and u32 signed << 24 | bits
                                                               2: FUNC_PROTO of type 1    3 …: FUNC of type 2
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence

from ..isa import bits

_MAGIC, _VERSION = 0xEB9F, 1
_INT, _FUNC, _FUNC_PROTO = 1, 12, 13
_SIGNED = 1 << 24
_CALL, _WIDE = bits.JMP | bits.CALL, bits.LD | bits.IMM | bits.DW
_NAME = re.compile(r"[A-Za-z_]\w{0,126}$", re.ASCII)


def described(code: Sequence[tuple[int, int, int, int, int]], names: Mapping[int, str]) -> tuple[bytes, bytes]:
    """(BTF, ``struct bpf_func_info`` of each function) of a program's slots; both empty if it names no callback.

    ``names``: slot -> name, for functions that have one that C could have.
    """
    starts, callbacks = {0}, False
    for pc, (opcode, _, src, _, imm) in enumerate(code):
        if opcode == _CALL and src == bits.CALL_LOCAL:
            starts.add(pc + 1 + imm)
        elif opcode == _WIDE and src == bits.PSEUDO_FUNC:
            starts.add(pc + 1 + imm)
            callbacks = True
    if not callbacks or min(starts) < 0 or max(starts) >= len(code):    # the latter is the verifier's to name
        return b"", b""
    strings = bytearray(b"\0int\0")
    types = [struct.pack("<IIII", 1, _INT << 24, 4, _SIGNED | 32), struct.pack("<III", 0, _FUNC_PROTO << 24, 1)]
    info = []
    for start in sorted(starts):
        name = names.get(start, "")
        types.append(struct.pack("<III", len(strings), _FUNC << 24, 2))
        info.append(struct.pack("<II", start, len(types)))
        strings += (name if _NAME.match(name) else f"function_{start}").encode() + b"\0"
    section = b"".join(types)
    header = struct.pack("<HBBIIIII", _MAGIC, _VERSION, 0, 24, 0, len(section), len(section), len(strings))
    return header + section + strings, b"".join(info)
