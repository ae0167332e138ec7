"""A target that is a Linux kernel: this machine's or a guest's, through a Session or its proxy."""

from __future__ import annotations

import errno as E
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

from .. import layout
from ..abi import map_types
from ..abi.verdicts import verdict
from ..errors import KernelError, Rejected, SpecError, Unsupported
from ..obj import resolve
from ..obj.accepted import accepted
from ..obj.btf import Btf
from ..obj.layouts import layout_of
from ..spec import MapSpec, ProgramSpec
from ..trace import Trace, klog
from .base import AttachPoint, Closing, Facts, RunResult, Snapshot
from .dumps import Dump
from .held import Held
from .kernel_lab import KernelDevice, LabTarget
from .kernel_types import kernel_of

#: map types whose keys and values the kernel takes no BTF for (libbpf's ``bpf_object__create_map``)
_NO_BTF = frozenset(("perf_event_array", "cgroup_array", "stack_trace", "array_of_maps", "hash_of_maps", "devmap",
                     "devmap_hash", "cpumap", "xskmap", "sockmap", "sockhash", "queue", "stack", "arena", "prog_array",
                     "ringbuf", "user_ringbuf"))


class KernelTypes(Held):
    """The types (BTF) of a program and its maps, as far as this kernel knows their kinds."""

    def __init__(self, owner: KernelProgram, btf: bytes):
        super().__init__(owner)
        made = self.session.btf_load(accepted(btf, self.target.btf_kinds))
        self._hold(made["btf"])
        self.id: int = made["id"]


class KernelMap(Held):
    """A live map of a kernel; keys and values are bytes. See ``TargetMap``."""

    def __init__(self, owner: KernelTarget | KernelProgram, spec: MapSpec, types: KernelTypes | None = None, *,
                 handle: int = 0, id: int = 0):
        """Makes the map, or finds it where ``spec.pin`` says; or takes over an open ``handle``."""
        super().__init__(owner)
        self.spec = spec
        if not handle and spec.pin:
            handle, id = _from_pin(self.target, spec)
        made = {"map": handle, "id": id} if handle else _create(self.target, spec, types)
        self._hold(made["map"])
        self.id: int = made["id"]
        if handle:
            return
        try:
            for key, value in spec.contents:
                self.update(key, value)
            if spec.frozen:
                self.session.map_freeze(self.handle)
            if spec.pin:
                self.pin(spec.pin)
        except BaseException:
            self.close()
            raise

    def lookup(self, key: bytes) -> bytes | None:
        """The value, None if there is none; of a per-CPU map one value a possible CPU, each padded to 8 bytes."""
        return self.session.map_lookup(self.handle, key)

    def update(self, key: bytes, value: bytes | Held | tuple, flags: int = 0) -> None:
        """Write an entry. Where the value stands for an object put the object itself: a loaded program (prog_array),
        a map (map of maps), a socket, an AF_XDP socket, a cgroup, a counter; in a cpumap the length of the queue and
        in a devmap a device (``net.device("lab1")``), or (length or device, program)."""
        parts, where = value if isinstance(value, tuple) else (value,), ()
        if not isinstance(value, (bytes, bytearray, memoryview)):
            numbers = [part.live() if isinstance(part, Held) else int(part) for part in parts]
            value = b"".join(number.to_bytes(4, "little") for number in numbers).ljust(self.spec.value_size, b"\0")
        if self.spec.type.startswith("devmap"):
            if not isinstance(parts[0], KernelDevice):
                raise SpecError(f"map {self.spec.name!r}: a {self.spec.type} holds devices of a lab network",
                                hint='devices[0] = net.device("lab1"), or (net.device("lab1"), program)')
            where = parts[0].net.live(), parts[0].name
        self.session.map_update(self.handle, key, value, flags, *where)

    def write(self, keys: bytes, values: bytes, flags: int = 0) -> int:
        """Write many entries at once, columns as in a Snapshot; the number written."""
        return self.session.map_write(self.handle, keys, values, flags)

    def delete(self, key: bytes) -> bool:
        return self.session.map_delete(self.handle, key)

    def pop(self, key: bytes = b"") -> bytes | None:
        """Take the next entry out of a queue or stack, or that of ``key`` out of a hash; None if there is none."""
        return self.session.map_pop(self.handle, key)

    def read(self, *, limit: int = 0, settle: int = 0, flags: int = 0) -> Snapshot:
        """Everything in it. ``settle``, ``flags``: see ``Session.map_read``."""
        read = self.session.map_read(self.handle, limit, settle, flags)
        unsettled = read["unsettled"]
        return Snapshot(self.spec, read["keys"], read["values"], read["count"], read["cpus"], read["lost"],
                        read["seconds"], read["duplicates"], None if unsettled is None else tuple(unsettled))

    def ring_open(self, pages: int = 8) -> int:
        """Start reading a ringbuf or perf_event_array (``pages``: each CPU's perf buffer); bytes of buffer."""
        return self.session.ring_open(self.handle, pages)["size"]

    def ring_read(self, limit: int = 1 << 20, seconds: float = 0.0) -> dict:
        """The records since the last time as raw columns, with what was lost; see ``Session.ring_read``."""
        return self.session.ring_read(self.handle, limit, seconds)

    def records(self, limit: int = 1 << 20, seconds: float = 0.0) -> list[bytes]:
        """The records since the last time, those there are or the first that come within ``seconds``."""
        found = self.ring_read(limit, seconds)
        spots = zip(memoryview(found["offsets"]).cast("I"), memoryview(found["lens"]).cast("I"), strict=True)
        return [found["data"][at:at + length] for at, length in spots]

    def stack(self, id: int) -> list[str]:
        """The stack that a stack_trace map keeps under ``id``, the innermost function first, by name."""
        raw = self.lookup(id.to_bytes(4, "little"))
        if raw is None:
            raise KeyError(id)
        return self.target.symbols([address for address in memoryview(raw).cast("Q") if address])

    def __repr__(self) -> str:
        return f"<{self.spec.type} map {self.spec.name!r} on {self.target.name}: id {self.id}>"


def _from_pin(target: KernelTarget, spec: MapSpec) -> tuple[int, int]:
    """Handle and id of the map that is pinned where ``spec`` says, (0, 0) if nothing is. SpecError if it differs."""
    try:
        found = target.session.pin_get(spec.pin)
    except KernelError as error:
        if error.errno == E.ENOENT:
            return 0, 0
        raise
    info, wanted = found["info"], {"type": spec.row.number, "key_size": spec.key_size, "value_size": spec.value_size,
                                   "max_entries": spec.max_entries, "flags": spec.flags}
    differs = [name for name, value in wanted.items() if found["kind"] != "map" or info[name] != value]
    if differs:
        target.session.close(found["handle"])
        raise SpecError(f"map {spec.name!r} is to be found at {spec.pin}, but what is pinned there differs in "
                        + ", ".join(differs), hint=f"target.unpin({spec.pin!r}) removes it")
    return found["handle"], info["id"]


def _create(target: KernelTarget, spec: MapSpec, types: KernelTypes | None) -> dict:
    entries = spec.max_entries
    if spec.type == "perf_event_array" and not entries:
        entries = target.facts.cpus
    typed = {}
    if types and spec.type not in _NO_BTF and spec.btf_value:
        typed = {"btf": types.handle, "btf_key_type_id": spec.btf_key, "btf_value_type_id": spec.btf_value}
    inner = _create(target, spec.inner, types)["map"] if spec.inner else 0
    try:
        return target.session.map_create(spec.row.number, spec.key_size, spec.value_size, entries, spec.flags,
                                         spec.name, spec.map_extra, inner, **typed)
    finally:
        if inner:
            target.session.close(inner)  # only a prototype: the kernel keeps its shape


class Pinned(Held):
    """A pinned program or link that was found again; ``info`` is what the kernel says of it."""

    def __init__(self, target: KernelTarget, path: str, found: dict):
        super().__init__(target)
        self.path, self.kind, self.info = path, found["kind"], found["info"]
        self.id: int = self.info["id"]
        self._hold(found["handle"])

    def __repr__(self) -> str:
        return f"<pinned {self.kind} {self.id} on {self.target.name}: {self.path}>"


def pinned(target: KernelTarget, path: str) -> KernelMap | Pinned:
    """Open what is pinned; of a map the key and value are opaque unless the kernel has their types (BTF)."""
    found = target.session.pin_get(path)
    if found["kind"] != "map":
        return Pinned(target, path, found)
    return KernelMap(target, spec_of(target, found["info"]), handle=found["handle"], id=found["info"]["id"])


def spec_of(target: KernelTarget, info: dict) -> MapSpec:
    """The MapSpec of a map that is in the kernel, from what the kernel says of it."""
    row = map_types.BY_NUMBER.get(info["type"])
    if row is None:
        raise Unsupported(f"map {info['name']!r} is of type {info['type']}, which is not known here")
    key, value = (layout.opaque(info[part]) if info[part] else None for part in ("key_size", "value_size"))
    if info["btf_id"] and info["btf_value_type_id"]:
        types = Btf(target.session.btf_get(info["btf_id"]))
        key = layout_of(types, info["btf_key_type_id"]) if key and info["btf_key_type_id"] else key
        value = layout_of(types, info["btf_value_type_id"])
    return MapSpec(info["name"], row.name, key, value, info["max_entries"], info["flags"], info["map_extra"])


class KernelLink(Held):
    """An attachment; closing it detaches."""

    def __init__(self, program: KernelProgram, where: AttachPoint):
        super().__init__(program)
        self.where = where
        options = {name: value.live() if isinstance(value, Held) else value for name, value in where.options.items()}
        made = self.session.attach(program.handle, {"kind": where.kind, **options})
        self._hold(made["link"])
        self.id: int = made["id"]

    def __repr__(self) -> str:
        place = " ".join(str(value) for value in self.where.options.values() if isinstance(value, (str, int)))
        return f"<{self.where.kind} link {self.id} on {self.target.name}{': ' + place if place else ''}>"


class KernelProgram(Held):
    """A loaded program with its maps. Closing it detaches, unloads, and removes the maps that it made."""

    def __init__(self, target: KernelTarget, spec: ProgramSpec, log_level: int, shared: Mapping[str, KernelMap]):
        super().__init__(target)
        self.spec = spec = resolve.prepare(spec, target.kernel) if resolve.needed(spec) else spec
        unknown = sorted(set(shared) - {each.name for each in spec.maps})
        if unknown:
            raise SpecError(f"{spec.name} has no map {unknown[0]!r}",
                            hint="it has " + (", ".join(each.name for each in spec.maps) or "no maps"))
        self.maps: dict[str, KernelMap] = {}
        try:
            self.types = KernelTypes(self, spec.btf) if spec.btf else None
            for each in spec.maps:
                self.maps[each.name] = shared[each.name] if each.name in shared else KernelMap(self, each, self.types)
            for each in spec.maps:  # maps that hold maps; those that hold programs are filled when these are loaded
                if each.inner and each.name not in shared:
                    for index, name in each.slots:
                        self.maps[each.name].update(index.to_bytes(4, "little"), self.maps[name])
            self._load(log_level)
        except BaseException:
            self.close()
            raise

    def _load(self, log_level: int) -> None:
        spec = self.spec
        made = self.session.prog_load(
            spec.row.number, spec.bytes, [self.maps[each.name].handle for each in spec.maps], spec.license, log_level,
            kern_version=spec.kern_version, flags=spec.flags, name=spec.name, ifindex=spec.ifindex,
            attach_type=spec.attach_number, attach_btf_id=spec.attach_btf_id,
            btf=self.types.handle if self.types else 0, func_info=spec.func_info, line_info=spec.line_info)
        self.trace: Trace = _explained(
            klog.parse(made["log"], spec, ok=made["prog"] != 0, by=self.target.by, errno=made["errno"]))
        self.id: int = made["id"]
        self.tag: str = made["tag"]
        self.load_seconds: float = made["seconds"]
        if not made["prog"]:
            raise Rejected(f"{spec.name} was rejected by {self.target.by}: {self.trace.verdict.error}",
                           trace=self.trace)
        self._hold(made["prog"])

    def run(self, data: bytes = b"", *, ctx: bytes = b"", repeat: int = 1) -> RunResult:
        """BPF_PROG_TEST_RUN on a packet of at least 14 bytes (programs on packets) and a context."""
        done = self.session.prog_run(self.handle, bytes(data), ctx, repeat)
        return RunResult(done["retval"], done["data"], done["ctx"], done["duration_ns"], repeat,
                         verdict(self.spec.type, done["retval"]))

    def attach(self, where: AttachPoint) -> KernelLink:
        """Hook it in; for XDP: ``AttachPoint("xdp", {"net": target.net(), "dev": "lab1", "mode": "native"})``.

        ``target.hooks()`` says which kinds there are and what they take.
        """
        return KernelLink(self, where)

    def info(self) -> dict:
        """What the kernel says of it (struct bpf_prog_info): sizes, map ids, run time."""
        return self.session.prog_info(self.handle)

    def dump(self) -> Dump:
        """It as the verifier left it (xlated) and as machine code (jited)."""
        return self.target.dump(self.id)

    def __repr__(self) -> str:
        return f"<{self.spec.type} program {self.spec.name!r} on {self.target.name}: id {self.id}>"


def _explained(trace: Trace) -> Trace:
    """The kernel only says ``invalid func unknown#195896080`` where a relocation found nothing: say what it was."""
    verdict = trace.verdict
    lacks = trace.program.missing.get(verdict.pc) if verdict.pc is not None else None
    if verdict.ok or not lacks:
        return trace
    words = f"{lacks}, and the program uses it at instruction {verdict.pc} (the kernel says: {verdict.error})"
    return replace(trace, verdict=replace(verdict, error=words, error_lines=(*verdict.error_lines, words)))


class KernelTarget(LabTarget, Closing):
    """A kernel behind ``session``, a ``kernel.session.Session`` or its proxy over a wire. See ``Target``."""

    def __init__(self, session, name: str):
        super().__init__()
        self.session, self.name = session, name

    @cached_property
    def facts(self) -> Facts:
        found = self.session.facts()
        return Facts(self.name, found["version"], found["machine"], found["cpus"], found["privileged"], found["jit"],
                     found["btf"], found)

    @cached_property
    def kernel(self) -> resolve.Kernel:
        """Its types and configuration, which compiled programs are made ready for."""
        return kernel_of(self.session, self.facts)

    def btf(self) -> bytes:
        """Its types, b"" if it shows none."""
        return self.kernel.types.data if self.kernel.types else b""

    @cached_property
    def btf_kinds(self) -> frozenset[int]:
        """Kinds of types that it takes in a program's BTF."""
        return frozenset(self.session.btf_kinds())

    @property
    def by(self) -> str:
        return f"Linux {self.facts.kernel}"

    def verify(self, spec: ProgramSpec, *, log_level: int = 2) -> Trace:
        """What this kernel's verifier says; the program and its maps are gone again afterwards."""
        try:
            with self.load(spec, log_level=log_level) as loaded:
                return loaded.trace
        except Rejected as error:
            return error.trace

    def load(self, spec: ProgramSpec, *, log_level: int = 2,
             maps: Mapping[str, KernelMap] | None = None) -> KernelProgram:
        """Make its maps (but for those given in ``maps``) and load it. Rejected, with the trace, if it is."""
        return KernelProgram(self, spec, log_level, maps or {})

    def map(self, spec: MapSpec) -> KernelMap:
        """A map on its own, to be shared by programs."""
        return KernelMap(self, spec)

    def get(self, path: str) -> KernelMap | Pinned:
        """What is pinned at ``path``: a map, as any other, or a program or link to hold on to."""
        return pinned(self, path)

    def dump(self, id: int) -> Dump:
        """The program with that kernel id, whoever loaded it, as the verifier left it and as machine code."""
        found = self.session.dump(0, id)
        return Dump(found["xlated"], found["jited"], tuple(found["ksyms"]), tuple(found["lens"]))

    def close(self) -> None:
        """Detach, unload and remove all that came from here, then let the session go."""
        try:
            super().close()
        finally:
            done = getattr(self.session, "disconnect", self.session.close_all)
            done()
