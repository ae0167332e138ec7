"""A target that is a Linux kernel: this machine's or a guest's, through a Session or its proxy."""

from __future__ import annotations

import errno as E
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from ..abi.verdicts import verdict
from ..errors import KernelError, Rejected, SpecError, TargetError, Unsupported
from ..obj import resolve
from ..obj.accepted import accepted
from ..spec import MapSpec, ProgramSpec
from ..trace import Trace, klog
from .base import AttachPoint, Closing, Facts, RunResult, Snapshot
from .kernel_types import kernel_of

#: map types whose keys and values the kernel takes no BTF for (libbpf's ``bpf_object__create_map``)
_NO_BTF = frozenset(("perf_event_array", "cgroup_array", "stack_trace", "array_of_maps", "hash_of_maps", "devmap",
                     "devmap_hash", "cpumap", "xskmap", "sockmap", "sockhash", "queue", "stack", "arena", "prog_array",
                     "ringbuf", "user_ringbuf"))


class _Held(Closing):
    """Something in the kernel by its handle. Closing it again, or after its session, does nothing."""

    handle = 0

    def __init__(self, owner: KernelTarget | KernelProgram):
        super().__init__()
        self.target: KernelTarget = owner if isinstance(owner, KernelTarget) else owner.target
        self.session = self.target.session
        self._owner = owner

    def _hold(self, handle: int) -> None:
        self.handle = handle
        self._owner.own(self)

    def close(self) -> None:
        handle, self.handle = self.handle, 0
        self._owner.disown(self)
        try:
            super().close()
        finally:
            if handle:
                self._release(handle)

    def _release(self, handle: int) -> None:
        try:
            self.session.close(handle)
        except KernelError as error:
            if error.errno != E.EBADF:  # the session was closed before us, and this with it
                raise
        except TargetError:
            pass  # the connection is lost, and with it the process that held this


class KernelTypes(_Held):
    """The types (BTF) of a program and its maps, as far as this kernel knows their kinds."""

    def __init__(self, owner: KernelProgram, btf: bytes):
        super().__init__(owner)
        made = self.session.btf_load(accepted(btf, self.target.btf_kinds))
        self._hold(made["btf"])
        self.id: int = made["id"]


class KernelMap(_Held):
    """A live map of a kernel; keys and values are bytes. See ``TargetMap``."""

    def __init__(self, owner: KernelTarget | KernelProgram, spec: MapSpec, types: KernelTypes | None = None):
        super().__init__(owner)
        self.spec = spec
        made = _create(self.target, spec, types)
        self._hold(made["map"])
        self.id: int = made["id"]
        try:
            for key, value in spec.contents:
                self.update(key, value)
            if spec.frozen:
                self.session.map_freeze(self.handle)
        except BaseException:
            self.close()
            raise

    def lookup(self, key: bytes) -> bytes | None:
        """The value, None if there is none; of a per-CPU map one value a possible CPU, each padded to 8 bytes."""
        return self.session.map_lookup(self.handle, key)

    def update(self, key: bytes, value: bytes | KernelMap | KernelProgram, flags: int = 0) -> None:
        """Write an entry; into a prog_array or a map of maps put a loaded program or a map itself."""
        if isinstance(value, _Held):
            value = value.handle.to_bytes(4, "little")
        self.session.map_update(self.handle, key, value, flags)

    def write(self, keys: bytes, values: bytes, flags: int = 0) -> int:
        """Write many entries at once, columns as in a Snapshot; the number written."""
        return self.session.map_write(self.handle, keys, values, flags)

    def delete(self, key: bytes) -> bool:
        return self.session.map_delete(self.handle, key)

    def read(self, *, limit: int = 0, settle: int = 0, flags: int = 0) -> Snapshot:
        """Everything in it. ``settle``, ``flags``: see ``Session.map_read``."""
        read = self.session.map_read(self.handle, limit, settle, flags)
        unsettled = read["unsettled"]
        return Snapshot(self.spec, read["keys"], read["values"], read["count"], read["cpus"], read["lost"],
                        read["seconds"], read["duplicates"], None if unsettled is None else tuple(unsettled))

    def __repr__(self) -> str:
        return f"<{self.spec.type} map {self.spec.name!r} on {self.target.name}: id {self.id}>"


def _create(target: KernelTarget, spec: MapSpec, types: KernelTypes | None) -> dict:
    if spec.pin:
        raise Unsupported(f"map {spec.name!r} asks to be pinned at {spec.pin!r}, which is not supported yet")
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


class KernelLink(_Held):
    """An attachment; closing it detaches."""

    def __init__(self, program: KernelProgram, where: AttachPoint):
        super().__init__(program)
        self.where = where
        options = {name: value.handle if isinstance(value, _Held) else value for name, value in where.options.items()}
        made = self.session.attach(program.handle, {"kind": where.kind, **options})
        self._hold(made["link"])
        self.id: int = made["id"]

    def __repr__(self) -> str:
        place = " ".join(str(self.where.options[name]) for name in ("dev", "mode") if name in self.where.options)
        return f"<{self.where.kind} link {self.id} on {self.target.name}{': ' + place if place else ''}>"


class KernelProgram(_Held):
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
        """Hook it in; for XDP: ``AttachPoint("xdp", {"net": target.net(), "dev": "lab1", "mode": "native"})``."""
        return KernelLink(self, where)

    def info(self) -> dict:
        """What the kernel says of it (struct bpf_prog_info): sizes, map ids, run time."""
        return self.session.prog_info(self.handle)

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


class KernelNet(_Held):
    """Two namespaces joined by a veth pair. ``dropped`` counts frames that the device threw away since the start."""

    def __init__(self, target: KernelTarget):
        super().__init__(target)
        made = self.session.net_create()
        self._hold(made["net"])
        first, second = made["ends"]
        self.ends: tuple[str, str] = (first, second)
        self.macs: dict[str, bytes] = dict(zip(made["ends"], made["macs"], strict=True))
        self.dropped = 0

    def send(self, frames: Sequence[bytes], *, end: str, count: int = 1, pps: float | None = None) -> int:
        """Put the frames, ``count`` times, on the wire from ``end``; how many reached the other side's queue."""
        done = self.session.net_send(self.handle, end, [bytes(frame) for frame in frames], count, pps or 0)
        self.dropped += done["dropped"]
        return done["sent"] - done["dropped"]

    def stats(self, end: str) -> dict:
        """The device's own counters: rx_packets, tx_packets, rx_bytes, …"""
        return self.session.net_stats(self.handle, end)

    def __repr__(self) -> str:
        return f"<network {self.ends[0]} — {self.ends[1]} on {self.target.name}>"


class KernelTarget(Closing):
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

    def net(self) -> KernelNet:
        return KernelNet(self)

    def close(self) -> None:
        """Detach, unload and remove all that came from here, then let the session go."""
        try:
            super().close()
        finally:
            done = getattr(self.session, "disconnect", self.session.close_all)
            done()
