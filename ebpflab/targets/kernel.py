"""A target that is a Linux kernel: this machine's or a guest's, through a Session or its proxy."""

from __future__ import annotations

import errno as E
from collections.abc import Mapping, Sequence
from functools import cached_property

from ..abi.verdicts import verdict
from ..errors import KernelError, Rejected, SpecError, TargetError, Unsupported
from ..spec import MapSpec, ProgramSpec
from ..trace import Trace, klog
from .base import AttachPoint, Closing, Facts, RunResult, Snapshot


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


class KernelMap(_Held):
    """A live map of a kernel; keys and values are bytes. See ``TargetMap``."""

    def __init__(self, owner: KernelTarget | KernelProgram, spec: MapSpec):
        super().__init__(owner)
        self.spec = spec
        made = _create(self.session, spec)
        self._hold(made["map"])
        self.id: int = made["id"]
        try:
            for key, value in spec.contents:
                self.update(key, value)
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


def _create(session, spec: MapSpec) -> dict:
    if spec.pin:
        raise Unsupported(f"map {spec.name!r} asks to be pinned at {spec.pin!r}, which is not supported yet")
    inner = _create(session, spec.inner)["map"] if spec.inner else 0
    try:
        return session.map_create(spec.row.number, spec.key_size, spec.value_size, spec.max_entries, spec.flags,
                                  spec.name, spec.map_extra, inner, **_map_btf(spec))
    finally:
        if inner:
            session.close(inner)  # only a prototype: the kernel keeps its shape


def _map_btf(spec: MapSpec) -> dict:
    """BTF of key and value for the kernel's own tools (bpftool); none is made yet."""
    return {}


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
        self.spec = spec
        unknown = sorted(set(shared) - {each.name for each in spec.maps})
        if unknown:
            raise SpecError(f"{spec.name} has no map {unknown[0]!r}",
                            hint="it has " + (", ".join(each.name for each in spec.maps) or "no maps"))
        self.maps: dict[str, KernelMap] = {}
        try:
            for each in spec.maps:
                self.maps[each.name] = shared[each.name] if each.name in shared else KernelMap(self, each)
            self._load(log_level)
        except BaseException:
            self.close()
            raise

    def _load(self, log_level: int) -> None:
        spec = self.spec
        made = self.session.prog_load(
            spec.row.number, spec.bytes, [self.maps[each.name].handle for each in spec.maps], spec.license, log_level,
            kern_version=spec.kern_version, flags=spec.flags, name=spec.name, ifindex=spec.ifindex,
            attach_type=spec.attach_number, btf=spec.btf, func_info=spec.func_info, line_info=spec.line_info)
        self.trace: Trace = klog.parse(made["log"], spec, ok=made["prog"] != 0, by=self.target.by, errno=made["errno"])
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
