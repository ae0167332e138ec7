"""When is a type of the program the same as one of the kernel? (libbpf's ``relo_core.c``; kinds only, not bytes.)

Three questions, of growing strictness:

    fields_compatible   may a member of this type stand for that one?     (a field's relocation)
    types_compatible    is it there at all?                              (type exists, size, id)
    types_match         is it there with all the members that I know?    (type matches)
"""

from __future__ import annotations

from collections.abc import Iterator

from . import btf as b
from .btf import Btf, Type

_DEEPEST = 32
_COMPOSITE = frozenset((b.STRUCT, b.UNION))
_ENUMS = frozenset((b.ENUM, b.ENUM64))


def essential(name: str) -> str:
    """A name without its flavour: ``task_struct___old`` means ``task_struct``."""
    if "___" not in name:
        return name
    # the last "___" between other characters starts the flavour
    for at in range(len(name) - 5, -1, -1):
        if name[at + 1:at + 4] == "___" and name[at] != "_" and name[at + 4] != "_":
            return name[:at + 1]
    return name


def same_kind(one: Type, other: Type) -> bool:
    return one.kind == other.kind or (one.kind in _ENUMS and other.kind in _ENUMS)


class Candidates:
    """Types of a kernel by essential name."""

    def __init__(self, types: Btf):
        self.types = types
        self._flavoured: dict[str, list[int]] = {}
        for name, ids in types.names.items():
            plain = essential(name)
            if plain != name:
                self._flavoured.setdefault(plain, []).extend(ids)

    def of(self, local: Type) -> Iterator[Type]:
        """Those that may be meant by a type of the program, in the order of their ids."""
        name = essential(local.name)
        for id in sorted((*self.types.names.get(name, ()), *self._flavoured.get(name, ()))):
            found = self.types[id]
            if same_kind(found, local):
                yield found


def _names_agree(one: Type, other: Type) -> bool:
    return essential(one.name) == essential(other.name)


def fields_compatible(local: Btf, local_id: int, target: Btf, target_id: int, deeper: int = _DEEPEST) -> bool:
    """``bpf_core_fields_are_compat``: sizes and signs of integers may differ, structs need not be alike."""
    mine, theirs = local.strip(local_id), target.strip(target_id)
    if mine.kind in _COMPOSITE and theirs.kind in _COMPOSITE:
        return True
    if not same_kind(mine, theirs):
        return False
    if mine.kind in (b.PTR, b.FLOAT):
        return True
    if mine.kind in _ENUMS or mine.kind == b.FWD:
        return not mine.name or not theirs.name or _names_agree(mine, theirs)
    if mine.kind == b.INT:
        return mine.bit_offset == 0 and theirs.bit_offset == 0
    return mine.kind == b.ARRAY and deeper > 0 and fields_compatible(local, mine.type, target, theirs.type, deeper - 1)


def types_compatible(local: Btf, local_id: int, target: Btf, target_id: int, deeper: int = _DEEPEST) -> bool:
    """``bpf_core_types_are_compat``: the same kind, through pointers, arrays and prototypes."""
    mine, theirs = local.strip(local_id), target.strip(target_id)
    if not same_kind(mine, theirs) or deeper == 0:
        return False
    if mine.kind in (b.PTR, b.ARRAY):
        return types_compatible(local, mine.type, target, theirs.type, deeper - 1)
    if mine.kind == b.FUNC_PROTO:
        pairs = _signature(mine, theirs)
        return bool(pairs) and all(types_compatible(local, one, target, other, deeper - 1) for one, other in pairs)
    if mine.kind == b.INT:
        return mine.bit_offset == 0 and theirs.bit_offset == 0
    return mine.kind in _COMPOSITE or mine.kind in _ENUMS or mine.kind in (b.FWD, b.VOID)


def _signature(mine: Type, theirs: Type) -> list[tuple[int, int]]:
    """Pairs of the types of two prototypes, result last; none if they take different numbers of arguments."""
    if len(mine.values) != len(theirs.values):
        return []
    return [*((one, other) for (_, one), (_, other) in zip(mine.values, theirs.values, strict=True)),
            (mine.type, theirs.type)]


def types_match(local: Btf, local_id: int, target: Btf, target_id: int, behind_pointer: bool = False,
                deeper: int = _DEEPEST) -> bool:
    """``bpf_core_types_match``: every member and enumerator of the program's type is there with a matching type.

    Behind a pointer a struct need only have the same name and kind.
    """
    mine, theirs = local.strip(local_id), target.strip(target_id)
    if deeper == 0 or not _names_agree(mine, theirs):
        return False
    if mine.kind in _COMPOSITE:
        if behind_pointer:
            return mine.kind == theirs.kind or (theirs.kind == b.FWD and (mine.kind == b.UNION) == bool(theirs.flags))
        return mine.kind == theirs.kind and _members_match(local, mine, target, theirs, deeper - 1)
    if mine.kind == b.FWD:
        return (theirs.kind == b.FWD and mine.flags == theirs.flags) or (
            behind_pointer and theirs.kind == (b.UNION if mine.flags else b.STRUCT))
    if mine.kind in _ENUMS:
        known = {essential(name) for name, _ in theirs.values}
        return theirs.kind in _ENUMS and mine.size == theirs.size and all(essential(n) in known for n, _ in mine.values)
    if mine.kind != theirs.kind:
        return False
    if mine.kind == b.INT:
        return mine.size == theirs.size and mine.signed == theirs.signed
    if mine.kind == b.PTR:
        return types_match(local, mine.type, target, theirs.type, True, deeper - 1)
    if mine.kind == b.ARRAY:
        return mine.count == theirs.count and types_match(local, mine.type, target, theirs.type, behind_pointer,
                                                          deeper - 1)
    if mine.kind == b.FUNC_PROTO:
        pairs = _signature(mine, theirs)
        return bool(pairs) and all(types_match(local, one, target, other, behind_pointer, deeper - 1)
                                   for one, other in pairs)
    return mine.kind in (b.VOID, b.FLOAT)


def _members_match(local: Btf, mine: Type, target: Btf, theirs: Type, deeper: int) -> bool:
    if len(mine.members) > len(theirs.members):
        return False
    return all(any(essential(member.name) == essential(other.name)
                   and types_match(local, member.type, target, other.type, False, deeper) for other in theirs.members)
               for member in mine.members)
