"""Frozen dataclasses as JSON and back, without a schema to keep in step with them.

A dataclass is ``{"is": name, field: …}`` with its fields that differ from the default; bytes are ``{"$hex": …}``,
mappings ``{"$map": [[key, value], …]}``, sequences lists (and tuples when read again).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from ..errors import EbpflabError
from ..isa import Insn, encode, slots
from ..layout import Field, Layout
from ..spec import CoreReloc, MapSpec, ProgramSpec, SourceLine
from .diagnosis import Diagnosis, Remark
from .model import Stats, Verdict

_KNOWN = {cls.__name__: cls for cls in (CoreReloc, Diagnosis, Field, Layout, MapSpec, ProgramSpec, Remark, SourceLine,
                                        Stats, Verdict)}


def _default(field) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def to_plain(value: Any) -> Any:
    """Nothing but None, bool, int, float, str, list and dict. TypeError for what has no such form."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (bytes, bytearray)):
        return {"$hex": bytes(value).hex()}
    if isinstance(value, Mapping):
        return {"$map": [[to_plain(key), to_plain(item)] for key, item in value.items()]}
    if is_dataclass(value) and type(value).__name__ in _KNOWN:
        kept = {field.name: getattr(value, field.name) for field in fields(value)
                if getattr(value, field.name) != _default(field)}
        return {"is": type(value).__name__, **{name: to_plain(item) for name, item in kept.items()}}
    if isinstance(value, (list, tuple)):
        if value and all(type(item) is Insn for item in value):
            return {"$insns": encode(value).hex()}
        return [to_plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} cannot be written")


def from_plain(value: Any) -> Any:
    """The object that ``to_plain`` made this of. Raises EbpflabError for anything else."""
    if isinstance(value, list):
        return tuple(from_plain(item) for item in value)
    if not isinstance(value, dict):
        return value
    if "$hex" in value:
        return bytes.fromhex(value["$hex"])
    if "$insns" in value:
        return slots(bytes.fromhex(value["$insns"]))
    if "$map" in value:
        return {from_plain(key): from_plain(item) for key, item in value["$map"]}
    cls = _KNOWN.get(value.get("is"))
    names = {field.name for field in fields(cls)} if cls else set()
    if cls is None or not set(value) - {"is"} <= names:
        raise EbpflabError(f"{value.get('is', 'an object without a type')!r} is nothing that a trace holds",
                           hint="the file was written by another version of ebpflab or is damaged")
    return cls(**{name: from_plain(item) for name, item in value.items() if name != "is"})
