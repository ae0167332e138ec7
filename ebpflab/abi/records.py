"""Contexts by the names of their members, as bytes: what a program's r1 points at.

    context("kprobe", {"di": 7, "si": 4096})                  a pt_regs
    context("tracing", [4096, 7])                             the arguments of a function
    context("sock_ops", {"op": "BPF_SOCK_OPS_TCP_CONNECT_CB", "local_ip4": "10.0.0.1"})
    tracepoint(format_text).record(prev_comm="bash", next_pid=7)

A tracepoint's record is laid out as the kernel's own description of it says, the file ``format`` of the event in
tracefs::

    name: sched_switch
    ID: 315
    format:
            field:unsigned short common_type;   offset:0;  size:2;  signed:0;
            field:char prev_comm[16];           offset:8;  size:16; signed:0;
            field:__data_loc char[] filename;   offset:8;  size:4;  signed:0;
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address
from operator import index
from typing import Any

from ..errors import SpecError
from .constants import CONSTANTS
from .prog_types import BY_NAME
from .structs import STRUCTS, Member, Struct

_FIELD = re.compile(r"field:(?P<type>[^;]+?)\s*(?P<name>\w+)(?:\[(?P<count>[^\]]*)\])?;\s*offset:(?P<offset>\d+);"
                    r"\s*size:(?P<size>\d+);\s*signed:(?P<signed>[01]);")


def context(type_: str, given: Mapping[str, Any] | Sequence[Any] | bytes) -> bytes:
    """The context of a program type with these members, all others zero; bytes are given back as they are. A sequence
    are arguments, a word of 64 bits each: what fentry, fexit, LSM and raw tracepoint programs get.

    A value is a number, the name of one (``abi.constants``), text for characters and addresses (IPv4 and IPv6, which
    stand there in network order), bytes, a list of numbers for an array, or a socket of the simulator, whose address it
    is. Raises SpecError.
    """
    if isinstance(given, (list, tuple)):
        return b"".join(_number("an argument", index(value), 8) for value in given)
    if not isinstance(given, Mapping):
        return bytes(given)
    name = BY_NAME[type_].context
    shape = STRUCTS.get(name)
    if shape is None:
        raise SpecError(f"the context of a {type_} program has no members with names",
                        hint="abi.records.tracepoint(format).record(…) makes a tracepoint's; or give bytes")
    return fill(shape, given)


def fill(shape: Struct, given: Mapping[str, Any]) -> bytes:
    """The struct's bytes with these members. Raises SpecError for names it has not, and values without room."""
    made = bytearray(shape.size)
    members = {member.name: member for member in shape.members if not member.name.startswith("_")}
    for name, value in given.items():
        member = members.get(name)
        if member is None:
            near = get_close_matches(name, members, 3) or list(members)
            raise SpecError(f"{shape.name} has no member {name!r}", hint="its members: " + ", ".join(near))
        raw = _raw(shape, member, value)
        made[member.offset:member.offset + len(raw)] = raw
    return bytes(made)


def _raw(shape: Struct, member: Member, value: Any) -> bytes:
    where = f"{shape.name}.{member.name}"
    if hasattr(value, "__index__"):     # a number, or an object that has an address: a socket of the simulator
        value = index(value)
    if isinstance(value, str):
        value = _text(where, member, value)
    if isinstance(value, (bytes, bytearray)):
        if len(value) > member.size:
            raise SpecError(f"{where} has {member.size} bytes, not {len(value)}")
        return bytes(value)
    if isinstance(value, int):
        return _number(where, value, member.unit)
    numbers = list(value)
    if len(numbers) * member.unit > member.size:
        raise SpecError(f"{where} has {member.size // member.unit} elements, not {len(numbers)}")
    return b"".join(_number(where, number, member.unit) for number in numbers)


def _number(where: str, number: int, size: int) -> bytes:
    bits = size * 8
    if not -(1 << bits - 1) <= number < 1 << bits:
        raise SpecError(f"{where}: {number} does not fit into {size} bytes")
    return (number & (1 << bits) - 1).to_bytes(size, "little")


def _text(where: str, member: Member, text: str) -> int | bytes:
    """A constant's number, an address in network order, or characters with their final zero."""
    if text in CONSTANTS:
        return CONSTANTS[text]
    if member.unit == 1:
        return text.encode()[:max(0, member.size - 1)] + b"\0"
    try:
        return ip_address(text).packed
    except ValueError:
        raise SpecError(f"{where}: {text!r} is no number's name and no address",
                        hint=", ".join(get_close_matches(text, CONSTANTS, 3)) or None) from None


# -- tracepoints ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tracepoint:
    """An event's record. ``dynamic``: members whose text or array stands behind the record, at (length << 16 | offset),
    the kernel's ``__data_loc``."""

    name: str
    id: int
    struct: Struct
    dynamic: frozenset[str]

    def record(self, **members: Any) -> bytes:
        """The record's bytes, ``common_type`` filled in. Raises SpecError as ``fill``."""
        behind = bytearray()
        given: dict[str, Any] = {"common_type": self.id} if any(
            member.name == "common_type" for member in self.struct.members) else {}
        for name, value in members.items():
            if name in self.dynamic:
                raw = value.encode() + b"\0" if isinstance(value, str) else bytes(value)
                value = len(raw) << 16 | self.struct.size + len(behind)
                behind += raw
            given[name] = value
        return fill(self.struct, given) + bytes(behind)


def tracepoint(text: str) -> Tracepoint:
    """Read an event's ``format`` file. Raises SpecError for what is none."""
    name = re.search(r"^name:\s*(\S+)", text, re.MULTILINE)
    number = re.search(r"^ID:\s*(\d+)", text, re.MULTILINE)
    fields = list(_FIELD.finditer(text))
    if name is None or not fields:
        raise SpecError("this is no description of a tracepoint", hint="give the text of the event's file 'format',"
                        " /sys/kernel/tracing/events/GROUP/NAME/format")
    members, dynamic = [], set()
    for field in fields:
        size, count = int(field["size"]), field["count"]
        if field["type"].startswith(("__data_loc", "__rel_loc")):
            dynamic.add(field["name"])
            count = None
        elements = int(count) if count and count.isdigit() else 1
        unit = size // elements if elements and size % elements == 0 else 1
        members.append(Member(field["name"], int(field["offset"]), size, unit))
    whole = -(-max(member.end for member in members) // 8) * 8
    return Tracepoint(name[1], int(number[1]) if number else 0, Struct(name[1], whole, tuple(members)),
                      frozenset(dynamic))
