"""What a program and its maps are, before any machine has seen them: plain, frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from . import layout
from .abi import ATTACH_TYPES, map_types, prog_types
from .abi.attach_types import DEFAULT_ATTACH
from .errors import SpecError
from .isa import Insn, bits, encode


def _row(kind: str, name: str, table: Mapping):
    if name in table:
        return table[name]
    near = get_close_matches(name, table, 1)
    raise SpecError(f"unknown {kind} {name!r}",
                    hint=f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(table))


@dataclass(frozen=True, slots=True)
class MapSpec:
    """A map: ``type`` as in ``abi.map_types``; key and value in the type language of ``ebpflab.layout``.

    ``key_size`` and ``value_size`` (bytes) follow from the layouts. For a map of maps ``inner`` is the
    prototype of its elements; ``contents`` (pairs of bytes) are written when the map is created, ``slots`` (index and
    name of a program or map) when those are loaded. ``frozen``: then closed to writing from user space (constants).
    ``btf_key`` and ``btf_value`` are type ids in the BTF of the program that comes with it.
    """

    name: str
    type: str
    key: layout.Layout | None
    value: layout.Layout | None
    max_entries: int
    flags: int = 0
    map_extra: int = 0
    inner: MapSpec | None = None
    contents: tuple[tuple[bytes, bytes], ...] = ()
    slots: tuple[tuple[int, str], ...] = ()
    frozen: bool = False
    pin: str = ""
    btf_key: int = 0
    btf_value: int = 0

    @property
    def row(self) -> map_types.MapType:
        return _row("map type", self.type, map_types.BY_NAME)

    @property
    def key_size(self) -> int:
        return self.key.size if self.key else 0

    @property
    def value_size(self) -> int:
        return self.value.size if self.value else 0


def map_spec(name: str, type: str, key: str | int = "", value: str | int = "", max_entries: int = 1,
             **rest) -> MapSpec:
    """A checked MapSpec. ``key`` and ``value`` are type names, or sizes in bytes for opaque ones.

    Raises SpecError for an unknown map type, a wrong key or value size, or a name the kernel refuses.
    """
    row = _row("map type", type, map_types.BY_NAME)
    types = [layout.parse(t) if isinstance(t, str) and t else layout.opaque(int(t)) if t else None
             for t in (key, value)]
    for what, have, need in (("key", types[0], row.key), ("value", types[1], row.value)):
        size = have.size if have else 0
        if need is not None and size != need:
            raise SpecError(f"map {name!r}: a {type} map has a {what} of {need} bytes, not {size}")
        if need is None and size == 0:
            raise SpecError(f"map {name!r}: a {type} map needs a {what} type")
    if max_entries < 1 and not type.endswith("_storage"):       # one value for each object
        raise SpecError(f"map {name!r}: max_entries must be at least 1, not {max_entries}")
    if max_entries >= 1 << 32:
        raise SpecError(f"map {name!r}: max_entries is a number of 32 bits, {max_entries} does not fit")
    if not name or not all(c.isalnum() or c in "_." for c in name):
        raise SpecError(f"map name {name!r}: letters, digits, '_' and '.' only")
    return MapSpec(name, type, types[0], types[1], max_entries, **rest)


@dataclass(frozen=True, slots=True)
class SourceLine:
    """Where an instruction comes from. ``line`` and ``column`` count from 1."""

    file: str
    line: int
    column: int = 1
    text: str = ""


@dataclass(frozen=True, slots=True)
class CoreReloc:
    """A place that depends on the target kernel's types (``struct bpf_core_relo``).

    ``kind`` is the number of ``enum bpf_core_relo_kind``, ``type`` an id in the program's BTF, ``path`` the access
    string: indices into members and arrays, as ``0:1:2``.
    """

    pc: int
    kind: int
    type: int
    path: str


@dataclass(frozen=True, slots=True)
class ProgramSpec:
    """A program: slots, maps, and everything bpf(2)'s BPF_PROG_LOAD asks for.

    A wide load with src PSEUDO_MAP_FD or PSEUDO_MAP_VALUE holds in ``imm`` the *index into* ``maps``;
    a target puts its own file descriptor or address there.
    ``attach_to`` is what an ELF section names after its prefix (``kprobe/NAME``).
    ``core`` and ``externs`` (slot -> name of a kernel function or variable; ``weak`` names may be absent) are resolved
    for a target before loading; ``missing`` (slot -> what) then says where something of the kernel is absent, and
    ``attach_btf_id`` is the kernel's id of what ``attach_to`` names.
    ``labels``: slot -> name; ``lines``: slot -> SourceLine; ``functions``: slot -> name of a subprogram.
    """

    insns: tuple[Insn, ...]
    type: str = "xdp"
    name: str = "prog"
    maps: tuple[MapSpec, ...] = ()
    license: str = "GPL"
    kern_version: int = 0
    flags: int = 0
    attach_type: str = ""
    attach_to: str = ""
    ifindex: int = 0
    labels: Mapping[int, str] = field(default_factory=dict)
    functions: Mapping[int, str] = field(default_factory=dict)
    lines: Mapping[int, SourceLine] = field(default_factory=dict)
    source: str = ""
    btf: bytes = b""
    func_info: bytes = b""
    line_info: bytes = b""
    core: tuple[CoreReloc, ...] = ()
    externs: Mapping[int, str] = field(default_factory=dict)
    weak: frozenset[str] = frozenset()
    missing: Mapping[int, str] = field(default_factory=dict)
    attach_btf_id: int = 0

    def __post_init__(self) -> None:
        if self.type:
            _row("program type", self.type, prog_types.BY_NAME)
        if self.attach_type:
            _row("attach type", self.attach_type, ATTACH_TYPES)

    @property
    def row(self) -> prog_types.ProgType:
        return _row("program type", self.type, prog_types.BY_NAME)

    @property
    def expected_attach(self) -> str:
        """``attach_type``, or what the kernel takes for it where none is given; "" for none."""
        return self.attach_type or DEFAULT_ATTACH.get(self.type, "")

    @property
    def attach_number(self) -> int:
        return _row("attach type", self.attach_type, ATTACH_TYPES) if self.attach_type else 0

    @property
    def bytes(self) -> bytes:
        return encode(self.insns)

    def map(self, name: str) -> MapSpec:
        return _row("map", name, {m.name: m for m in self.maps})

    def map_slots(self) -> dict[int, MapSpec]:
        """Slot of each wide load that refers to a map -> that map."""
        wide = bits.LD | bits.IMM | bits.DW
        found = {}
        for pc, insn in enumerate(self.insns):
            if insn.opcode == wide and insn.src in (bits.PSEUDO_MAP_FD, bits.PSEUDO_MAP_VALUE):
                if not 0 <= insn.imm < len(self.maps):
                    raise SpecError(f"instruction {pc} refers to map {insn.imm}, the program has {len(self.maps)}")
                found[pc] = self.maps[insn.imm]
        return found


@dataclass(frozen=True, slots=True)
class ObjectSpec:
    """A compiled object: programs and maps by name, in the order of the file."""

    programs: Mapping[str, ProgramSpec]
    maps: Mapping[str, MapSpec]
    license: str = ""
    kern_version: int = 0
    btf: bytes = b""

    def program(self, name: str = "") -> ProgramSpec:
        """The program of that name; without a name the only one. Raises SpecError."""
        if name:
            return _row("program", name, self.programs)
        if len(self.programs) != 1:
            raise SpecError(f"the object has {len(self.programs)} programs",
                            hint=f"name one: {', '.join(self.programs)}")
        return next(iter(self.programs.values()))
