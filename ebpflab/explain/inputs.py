"""What a rejected program is run on: values of the input's variables, put into a machine.

Variables are named by what they are::

    len                     bytes of the packet            packet:AT            one of them
    meta                    bytes of metadata before it (XDP)
    context:AT              a byte of the context          has:MAP:KEY          is the entry there? (hash maps)
    map:MAP:KEY:AT          a byte of an entry's value     call:N  read:N:AT    result, memory of the Nth helper call
    *                       every context byte is 0xff unless it is named
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from ..abi.contexts import CONTEXTS
from ..sim.contexts import ETH_HLEN, L2, Input
from ..sim.machine import Program
from ..spec import ProgramSpec
from . import symbols as s
from .shadow import Shadow

LONGEST_PACKET = 1514
LENGTHS = (64, ETH_HLEN, 128, LONGEST_PACKET, 34)
METADATA = (8, 4, 32)
LDX_W, DATA_META = 0x61, 8      # *(u32 *)(r + 8), the field of struct xdp_md


def has_packet(spec: ProgramSpec) -> bool:
    return spec.row.context in ("xdp_md", "__sk_buff")


def skipped(spec: ProgramSpec) -> int:
    """Bytes of the packet in front of what the program sees."""
    return 0 if spec.type in L2 else ETH_HLEN


def packet(spec: ProgramSpec, values: Mapping[str, int]) -> bytes:
    """The packet that the values describe, b"" for a program type without one."""
    if not has_packet(spec):
        return b""
    return bytes(values.get(f"packet:{at}", 0) for at in range(values.get("len", 0)))


def uses_metadata(spec: ProgramSpec) -> bool:
    """Does an XDP program read ``xdp_md.data_meta``? A frame may come with metadata in front of the packet."""
    return spec.row.context == "xdp_md" and any(
        insn.opcode == LDX_W and insn.off == DATA_META for insn in spec.insns)


def frame(spec: ProgramSpec, values: Mapping[str, int]) -> tuple[bytes, bytes]:
    """(data, context) as a test run takes them: the packet, and for metadata in front of it an ``xdp_md``."""
    data, meta = packet(spec, values), values.get("meta", 0)
    if not meta:
        return data, b""
    return bytes(meta) + data, struct.pack("<II", meta, meta + len(data))


def seeds(spec: ProgramSpec) -> Iterator[dict[str, int]]:
    """Plain inputs to begin with."""
    if not has_packet(spec):
        yield {}
        yield {"*": 1}
        return
    for length in LENGTHS:
        yield {"len": length}
    yield {"len": 64, "packet:12": 8, "packet:14": 0x45, "packet:23": 6}       # TCP over IPv4
    yield {"len": 64, "*": 1}
    if uses_metadata(spec):
        for meta in METADATA:
            yield {"len": 64, "meta": meta}


def fill_maps(program: Program, values: Mapping[str, int]) -> None:
    """The maps' own contents, and the entries that the values ask for (of a per-CPU map: on CPU 0)."""
    for spec in program.spec.maps:
        for key, value in spec.contents:
            program.maps[spec.name].put(key, value, 0)
    for owner, key, value in entries(program.spec, values):
        held = program.maps[owner]
        size = -(-len(value) // 8) * 8 * held.cpus if held.per_cpu else len(value)
        held.put(key, value.ljust(size, b"\0"), 0)


def shadow_input(spec: ProgramSpec, shadow: Shadow, given: Input, values: dict[str, int]) -> None:
    """Packet and context become variables; the context's bytes take the values that were asked for."""
    held, spans = given.frame, CONTEXTS.get(spec.type)
    if held is not None and (given.xdp or given.skb):
        shadow.packet = held.data
        away = skipped(spec)
        shadow.ranges["len"] = (ETH_HLEN, LONGEST_PACKET)
        for at in range(len(held.window) - held.meta):
            shadow.memory[held.data + at] = s.var(f"packet:{at + away}", 8)
        length = s.binary("sub", s.zext(s.var("len", 16), 64), s.const(away, 64))
        _pointer(shadow, given, "data_end", s.binary("add", length, s.const(held.data, 64)))
        if not given.xdp:
            _pointer(shadow, given, "len", length)
    everything = values.get("*")
    for at in range(len(given.buffer)):
        span = spans.at(at) if spans is not None else None
        if given.address + at in shadow.memory or (spans is not None and (span is None or span.gives != "scalar")):
            continue
        name = f"context:{at}"
        if everything:
            values.setdefault(name, 0xFF)
        shadow.defaults[name] = given.buffer[at]    # what the machine itself fills in
        if name in values:
            given.buffer[at] = values[name]
        shadow.memory[given.address + at] = s.var(name, 8)


def _pointer(shadow: Shadow, given: Input, name: str, term: s.Term) -> None:
    member = given.shape.member(name)
    for at in range(member.size):
        shadow.memory[given.address + member.offset + at] = s.extract(term, 8 * at, 8)


def context(spec: ProgramSpec, defaults: Mapping[str, int], values: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Context fields that are not what the machine makes them."""
    spans = CONTEXTS.get(spec.type)
    found: dict[str, int] = {"bytes of metadata": values["meta"]} if values.get("meta") else {}
    for name, value in values.items():
        kind, _, rest = name.partition(":")
        if kind != "context" or value == defaults.get(name, 0):
            continue
        span = spans.at(int(rest)) if spans is not None else None
        label, first, end = (span.name, span.offset, span.end) if span is not None else (
            f"byte {rest}", int(rest), int(rest) + 1)
        whole = {**defaults, **values}
        found[label] = sum(whole.get(f"context:{at}", 0) << 8 * (at - first) for at in range(first, end))
    return tuple(found.items())


def entries(spec: ProgramSpec, values: Mapping[str, int]) -> tuple[tuple[str, bytes, bytes], ...]:
    """Map entries that the values ask for."""
    found: dict[tuple[str, str], bytearray] = {}
    for name, value in values.items():
        kind, _, rest = name.partition(":")
        if kind not in ("map", "has"):
            continue
        owner, key, *at = rest.split(":")
        if spec.map(owner).type.endswith("hash") and not values.get(f"has:{owner}:{key}"):
            continue
        content = found.setdefault((owner, key), bytearray(spec.map(owner).value_size))
        if kind == "map":
            content[int(at[0])] = value
    return tuple((owner, bytes.fromhex(key), bytes(content)) for (owner, key), content in found.items())
