"""BTF as text and as plain data: every record, as ``bpftool btf dump`` shows them."""

from __future__ import annotations

from collections.abc import Iterator

from . import btf as b
from .btf import Btf, Type

_LINKAGE = {b.VAR: ("static", "global", "extern"), b.FUNC: ("static", "global", "extern")}
_ENCODINGS = ((b.INT_SIGNED, "SIGNED"), (b.INT_CHAR, "CHAR"), (b.INT_BOOL, "BOOL"))
_WITH_SIZE = frozenset((b.INT, b.STRUCT, b.UNION, b.ENUM, b.ENUM64, b.DATASEC, b.FLOAT))
_COMPOSITE = frozenset((b.STRUCT, b.UNION))
_ENUMS = frozenset((b.ENUM, b.ENUM64))


def record(found: Type) -> dict:
    """A type as plain data: id, kind, name, and what its kind has."""
    row: dict = {"id": found.id, "kind": found.kind_name.upper(), "name": found.name or "(anon)"}
    kind = found.kind
    if kind in _ENUMS:
        row["encoding"] = "SIGNED" if found.signed else "UNSIGNED"
    if kind in _WITH_SIZE:
        row["size"] = found.size
    if kind == b.INT:
        row.update(bits_offset=found.bit_offset, nr_bits=found.bits, encoding=_encoding(found))
    elif kind in _COMPOSITE:
        row["members"] = [{"name": m.name or "(anon)", "type_id": m.type, "bits_offset": m.offset,
                           **({"bitfield_size": m.bits} if m.bits else {})} for m in found.members]
    elif kind in _ENUMS:
        row["values"] = [{"name": name, "val": value} for name, value in found.values]
    elif kind == b.ARRAY:
        row.update(type_id=found.type, index_type_id=found.index, nr_elems=found.count)
    elif kind == b.FWD:
        row["fwd_kind"] = "union" if found.flags else "struct"
    elif kind == b.FUNC_PROTO:
        row.update(ret_type_id=found.type,
                   params=[{"name": name or "(anon)", "type_id": type_} for name, type_ in found.values])
    elif kind == b.DATASEC:
        row["vars"] = [{"type_id": type_, "offset": offset, "size": size} for type_, offset, size in found.values]
    elif kind != b.FLOAT:
        row["type_id"] = found.type
    if kind in _LINKAGE:
        row["linkage"] = _LINKAGE[kind][found.flags] if found.flags < 3 else str(found.flags)
    if kind == b.DECL_TAG:
        row["component_idx"] = found.flags
    return row


def _encoding(found: Type) -> str:
    return " ".join(word for bit, word in _ENCODINGS if found.flags & bit) or "(none)"


def raw(found: Type) -> str:
    """``[1] INT 'int' size=4 …``, and a line for each member, value, parameter or variable."""
    row = record(found)
    inner = next((row.pop(key) for key in ("members", "values", "params", "vars") if key in row), None)
    head = f"[{row.pop('id')}] {row.pop('kind')} {_quoted(row.pop('name'))}"
    lines = [" ".join([head, *(f"{key}={value}" for key, value in row.items()),
                       *([f"vlen={len(inner)}"] if inner is not None else [])])]
    for each in inner or ():
        name = [_quoted(each.pop("name"))] if "name" in each else []
        lines.append("\t" + " ".join([*name, *(f"{key}={value}" for key, value in each.items())]))
    return "\n".join(lines)


def _quoted(name: str) -> str:
    return f"'{name}'"


def chosen(types: Btf, name: str) -> Iterator[Type]:
    """All types, or those of one name. The base's are left out unless they are asked for by name."""
    if not name:
        return (types[id] for id in range(types.first_id, len(types)))
    return (types[id] for id in types.names.get(name.removeprefix("struct ").removeprefix("union ")
                                                .removeprefix("enum "), ()))
