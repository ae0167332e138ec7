"""A program's BTF as a given kernel accepts it.

Compilers write kinds that came after a kernel was made, and things that are for the loader only (externs, their
sections). Every type keeps its id; what the kernel would refuse becomes an INT of one byte, or the nearest kind that
it knows (libbpf's ``bpf_object__sanitize_btf``).
"""

from __future__ import annotations

import struct
from collections.abc import Collection

from . import btf as b
from .btf import Btf, Type

#: kinds that every kernel with BPF_BTF_LOAD takes
FIRST = frozenset(range(b.INT, b.FUNC_PROTO + 1))
#: sections of externs, which the loader resolves
_LOADER_SECTIONS = (".ksyms", ".kconfig")
_STATIC, _GLOBAL, _EXTERN = 0, 1, 2


def accepted(data: bytes, kinds: Collection[int]) -> bytes:
    """The blob for a kernel that takes ``kinds`` (as ``Session.btf_kinds`` says; 0: global functions)."""
    types = Btf(data)
    known = FIRST | set(kinds) | ({b.VAR} if b.DATASEC in kinds else set())
    gone: set[int] = set()
    for found in types:  # a tag of something that goes has to go as well; tags stand after or before it
        if _refused(found, known):
            gone.add(found.id)
    gone |= {found.id for found in types if found.kind == b.DECL_TAG and found.type in gone}
    static_only = b.VOID not in kinds
    records = []
    for found in types:
        raw = types.record(found.id)
        if found.id in gone:
            raw = _replacement(types, found, raw)
        elif found.kind == b.FUNC and static_only and found.flags == _GLOBAL:
            raw = _with_info(raw, b.FUNC, _STATIC)
        records.append(raw)
    return types.rebuilt(b"".join(records))


def _refused(found: Type, known: Collection[int]) -> bool:
    return (found.kind not in known
            or (found.kind in (b.VAR, b.FUNC) and found.flags == _EXTERN)
            or (found.kind == b.DATASEC and (found.name in _LOADER_SECTIONS or not found.size)))


def _with_info(raw: bytes, kind: int, vlen: int) -> bytes:
    return raw[:4] + struct.pack("<I", kind << 24 | vlen) + raw[8:]


def _replacement(types: Btf, found: Type, raw: bytes) -> bytes:
    if found.kind == b.TYPE_TAG:
        return b"\0\0\0\0" + _with_info(raw, b.CONST, 0)[4:]
    if found.kind in (b.FLOAT, b.ENUM64):
        # nothing computes with it in the kernel, only its size counts
        return struct.pack("<III", int.from_bytes(raw[:4], "little"), b.STRUCT << 24, found.size)
    return struct.pack("<IIII", int.from_bytes(raw[:4], "little") if found.kind in (b.VAR, b.FUNC) else 0,
                       b.INT << 24, 1, 8)
