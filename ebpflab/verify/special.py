"""Fields of map values that only the kernel may touch: locks, timers, lists (``btf_parse_fields``).

They are found by the names of their types in the BTF that the program brings along.
"""

from __future__ import annotations

from typing import NamedTuple

from ..obj.btf import ARRAY, DATASEC, MODIFIERS, PTR, STRUCT, TYPE_TAG, VAR, Btf

#: structs of the kernel -> their sizes
STRUCTS = {"bpf_spin_lock": 4, "bpf_res_spin_lock": 8, "bpf_timer": 16, "bpf_wq": 16, "bpf_task_work": 8,
           "bpf_list_head": 16, "bpf_list_node": 24, "bpf_rb_root": 16, "bpf_rb_node": 32, "bpf_refcount": 4}
SPIN_LOCK, TIMER = "bpf_spin_lock", "bpf_timer"
#: what is told apart by the map it lies in
OF_THEIR_MAP = frozenset((TIMER, "bpf_wq", "bpf_task_work"))
LOCKS = frozenset((SPIN_LOCK, "bpf_res_spin_lock"))
POINTER_TAGS = frozenset(("kptr", "kptr_untrusted", "percpu_kptr", "uptr"))
_MOST = 64      # elements of an array that are looked at


class Special(NamedTuple):
    """A field: the name of its type (or the tag of the pointer), first byte, size."""

    kind: str
    offset: int
    size: int


def special_fields(btf: Btf, type_id: int) -> tuple[Special, ...]:
    """The special fields of a value of this type, in order."""
    return tuple(sorted(_search(btf, type_id, 0, 0), key=lambda field: field.offset))


def offset_of(fields: tuple[Special, ...], kind: str) -> int | None:
    """Where the field of this kind is; a value has at most one of those that are asked for."""
    return next((field.offset for field in fields if field.kind == kind), None)


def _search(btf: Btf, type_id: int, offset: int, depth: int) -> list[Special]:
    type, tags = btf[type_id], set()
    while type.kind in MODIFIERS:
        type = btf[type.type]
    if depth > 8:
        return []
    if type.kind == PTR:
        pointee = btf[type.type]
        while pointee.kind in MODIFIERS:
            if pointee.kind == TYPE_TAG:
                tags.add(pointee.name)
            pointee = btf[pointee.type]
        return [Special(tag, offset, 8) for tag in sorted(tags & POINTER_TAGS)]
    if type.kind == STRUCT:
        if type.name in STRUCTS:
            return [Special(type.name, offset, STRUCTS[type.name])]
        parts = [(member.type, offset + member.offset // 8) for member in type.members if not member.bits]
    elif type.kind == DATASEC:
        parts = [(btf[var].type if btf[var].kind == VAR else var, offset + at) for var, at, _ in type.values]
    elif type.kind == ARRAY:
        size = _size(btf, type.type)
        parts = [(type.type, offset + at * size) for at in range(min(type.count, _MOST))]
    else:
        return []
    return [found for part, at in parts for found in _search(btf, part, at, depth + 1)]


def _size(btf: Btf, type_id: int) -> int:
    type = btf[type_id]
    while type.kind in MODIFIERS:
        type = btf[type.type]
    return 8 if type.kind == PTR else type.count * _size(btf, type.type) if type.kind == ARRAY else type.size
