"""The simulator as a target: programs run in this process, on memory, CPUs and a wire that are simulated."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike

from ..abi.verdicts import verdict
from ..debugger import Coverage, Debugger, coverage, debug
from ..errors import KernelError, Rejected, SpecError, TargetError
from ..obj import resolve
from ..obj.vmlinux import HERE
from ..sim import Machine, available_tiers, pcap
from ..sim.machine import Program
from ..sim.maps import SimMap
from ..sim.sockets import Socket
from ..spec import MapSpec, ProgramSpec
from ..trace import Trace
from .base import AttachPoint, Closing, Facts, RunResult, Snapshot
from .sim_net import SimDevice, SimLink, SimNet

#: what LINUX_KERNEL_VERSION says here: the release whose rules the simulator follows
KERNEL = resolve.Kernel("the simulator", version=(6, 18, 0))


class SimTargetMap(Closing):
    """A live map of the simulator; keys and values are bytes. See ``TargetMap``."""

    def __init__(self, owner: Closing, machine: Machine, inside: SimMap):
        super().__init__()
        self.spec, self.id = inside.spec, inside.id
        self.inside, self._machine, self._owner, self._open = inside, machine, owner, True
        owner.own(self)

    def _live(self) -> SimMap:
        if not self._open:
            raise KernelError(f"map {self.spec.name!r} is closed", errno=errno.EBADF, call="BPF_MAP")
        return self.inside

    def lookup(self, key: bytes) -> bytes | None:
        with self._machine.lock:
            return self._live().lookup(bytes(key))

    def update(self, key: bytes, value: bytes | SimTargetMap | SimProgram | Socket | SimDevice,
               flags: int = 0) -> None:
        """Write an entry; what a value names (a loaded program, a map, a socket) may be given itself."""
        if isinstance(value, SimDevice):
            value = value.index.to_bytes(4, "little").ljust(self.spec.value_size, b"\0")
        if isinstance(value, Socket):
            value = value.number.to_bytes(self.spec.value_size, "little")
        if isinstance(value, (SimTargetMap, SimProgram)):
            value = value.id.to_bytes(4, "little")
        with self._machine.lock:
            self._live().update(bytes(key), bytes(value), flags)

    def write(self, keys: bytes, values: bytes, flags: int = 0) -> int:
        """Write many entries, columns as in a Snapshot; the number written."""
        count = len(keys) // self.spec.key_size
        size = len(values) // count if count else 0
        for at in range(count):
            self.update(keys[at * self.spec.key_size:(at + 1) * self.spec.key_size],
                        values[at * size:(at + 1) * size], flags)
        return count

    def delete(self, key: bytes) -> bool:
        with self._machine.lock:
            return self._live().delete(bytes(key))

    def read(self, *, limit: int = 0, settle: int = 0, flags: int = 0) -> Snapshot:
        """Everything in it. Nothing changes meanwhile, so nothing is lost; the options are a kernel's."""
        with self._machine.lock:
            found = self._live().read()
        keys, values, count = found.keys, found.values, found.count
        if limit and count > limit:
            keys, values = keys[:len(keys) // count * limit], values[:len(values) // count * limit]
            count = limit
        return Snapshot(self.spec, keys, values, count, found.cpus, 0, found.seconds)

    def consume(self) -> list:
        """The records of a ringbuf or perf_event_array since the last time (``sim.maps.Event``)."""
        with self._machine.lock:
            return self._live().consume()

    @property
    def lost(self) -> int:
        """Records that found no room."""
        return self.inside.lost

    def close(self) -> None:
        if self._open:
            self._open = False
            self._owner.disown(self)
            self._machine.release(self.inside)

    def __repr__(self) -> str:
        return f"<{self.spec.type} map {self.spec.name!r} on sim: id {self.id}>"


class SimProgram(Closing):
    """A program in the simulator, with its maps. See ``Loaded``."""

    def __init__(self, target: SimTarget, spec: ProgramSpec, trace: Trace, shared: Mapping[str, SimTargetMap]):
        super().__init__()
        self.target, self.spec, self.trace = target, spec, trace
        unknown = sorted(set(shared) - {each.name for each in spec.maps})
        if unknown:
            raise SpecError(f"{spec.name} has no map {unknown[0]!r}",
                            hint="it has " + (", ".join(each.name for each in spec.maps) or "no maps"))
        self.inside: Program = target.machine.load(spec, {name: each.inside for name, each in shared.items()})
        self.id = self.inside.id
        self.maps = {name: shared.get(name) or SimTargetMap(self, target.machine, target.machine.hold(inside))
                     for name, inside in self.inside.maps.items()}
        target.own(self)

    def run(self, data: bytes = b"", *, ctx: bytes = b"", repeat: int = 1, cpu: int = 0,
            tier: str = "auto") -> RunResult:
        """A test run with the semantics of BPF_PROG_TEST_RUN; Fault if the program does what a machine must not.

        ``tier``: interpreter, codegen or jit (needs llvmlite), with the same results; auto is codegen, and jit for
        many repetitions where it is there.
        """
        done = self.target.machine.run(self.inside, data, ctx=ctx, repeat=repeat, cpu=cpu, tier=tier)
        return RunResult(done.retval, done.data, done.ctx, done.ns, repeat, verdict(self.spec.type, done.retval),
                         done.tier, done.redirect, done.effects)

    def run_many(self, packets, *, cpu: int = 0, tier: str = "auto", timing: bool = True, errors: str = "keep"):
        """Run every packet once, in order: a DataFrame with a row a packet.

        ``packets``: frames as bytes (or anything with ``bytes(packet)``), a two-dimensional uint8 array, or the path
        of a pcap or pcapng file. Columns: ``verdict`` (``fault`` where it faulted), ``retval``, ``length`` of the
        packet afterwards, ``insns`` executed, ``ns`` with ``timing``, ``fault`` (None or what happened).
        ``attrs``: ``tier`` that ran it, ``seconds`` in all, ``maps``: name -> DataFrame of the entries that changed
        (``key``, ``before``, ``after``, ``delta``). ``errors="raise"``: raise the first Fault instead.
        """
        from .batch import table

        batch = self.target.machine.run_batch(self.inside, packets, cpu=cpu, tier=tier, timing=timing, errors=errors)
        return table(self.spec, batch)

    def debug(self, data: bytes = b"", *, ctx: bytes = b"", cpu: int = 0) -> Debugger:
        """Run once, keep every step, and walk it in both directions beside what the verifier knew."""
        traces = {each.inside.id: each.trace for each in self.target
                  if isinstance(each, SimProgram) and each.trace.steps}
        return debug(self.inside, data, ctx=ctx, cpu=cpu, traces=traces)

    def coverage(self, packets, *, cpu: int = 0) -> Coverage:
        """Run every packet once, in order, and count which instructions they reach; packets as for ``run_many``."""
        return coverage(self.inside, pcap.read(packets) if isinstance(packets, (str, PathLike)) else packets, cpu=cpu)

    def struct(self, name: str, of: Socket | Mapping[str, int | bytes]) -> int:
        """Address of a struct of the kernel, laid out by this program's types, for a context's pointer: a socket as
        ``sock`` or ``tcp_sock``, or any struct by its members (``a.b`` is a member of a member), all others zero.

        Raises SpecError if the program has no such type.
        """
        objects, types = self.target.machine.objects, self.inside.spec.btf
        with self.target.machine.lock:
            made = objects.socket(of, name, types) if isinstance(of, Socket) else objects.make(name, of, types)
        if not made:
            raise SpecError(f"{self.spec.name} has no type struct {name}", hint="a program compiled from C has types")
        return made

    def attach(self, where: AttachPoint) -> SimLink:
        """Hook it in: ``AttachPoint("xdp", {"net": target.net(), "dev": "lab1"})``; ``sim_net.KINDS`` has the kinds."""
        return SimLink(self, where)

    def close(self) -> None:
        self.target.disown(self)
        super().close()
        self.target.machine.unload(self.inside)

    def __repr__(self) -> str:
        return f"<{self.spec.type} program {self.spec.name!r} on sim: id {self.id}>"


class SimTarget(Closing):
    """The simulator. See ``Target``; ``machine`` is the simulated computer (clock, seed, task, printed lines)."""

    name = "sim"

    def __init__(self, cpus: int = 4, seed: int = 0):
        super().__init__()
        self.machine = Machine(cpus, seed)

    @property
    def facts(self) -> Facts:
        return Facts(self.name, "", "ebpf", self.machine.cpus, False, False, False,
                     {"tiers": available_tiers(), "budget": self.machine.budget})

    def verify(self, spec: ProgramSpec, *, log_level: int = 2) -> Trace:
        """What ebpflab's own verifier says; its verdict can be ``unsupported``, which is neither yes nor no."""
        from ..verify import verify

        return verify(self._ready(spec), log_level=log_level)

    def btf(self) -> bytes:
        """The types of this machine's kernel, b"" if there is none: the simulator has none of its own."""
        return HERE.read_bytes() if HERE.exists() else b""

    def _ready(self, spec: ProgramSpec) -> ProgramSpec:
        """A compiled program as the simulator runs it: it has no types of its own, so the program's are the truth, and
        no functions that a tracing program could be attached to."""
        spec = replace(spec, core=())
        if not spec.externs:
            return spec
        return replace(resolve.prepare(replace(spec, attach_to=""), KERNEL), attach_to=spec.attach_to)

    def load(self, spec: ProgramSpec, *, log_level: int = 2, maps: Mapping[str, SimTargetMap] | None = None,
             unsafe: bool = False) -> SimProgram:
        """Verify and load. Raises Rejected with the trace if the verifier refuses.

        A program the verifier has no verdict on is loaded, and its trace says so; ``unsafe`` loads a rejected one
        too. Either way nothing can happen but a Fault: memory, calls and time are bounded when it runs.
        """
        spec = self._ready(spec)
        trace = self.verify(spec, log_level=log_level)
        if trace.verdict.result == "reject" and not unsafe:
            raise Rejected(f"{spec.name} was rejected by {trace.verdict.by}: {trace.verdict.error}", trace=trace)
        return SimProgram(self, spec, trace, maps or {})

    def map(self, spec: MapSpec) -> SimTargetMap:
        """A map on its own, to be shared by programs."""
        return SimTargetMap(self, self.machine, self.machine.create_map(spec))

    def socket(self, protocol: str, *, bind: str, connect: str = "", listen: bool = False, **members) -> Socket:
        """A socket that programs find, for a context's ``sk`` and maps of sockets: ``sim.sockets.Sockets.open``."""
        with self.machine.lock:
            return self.machine.sockets.open(protocol, bind=bind, connect=connect, listen=listen, **members)

    def memory(self, data: bytes, *, user: bool = False) -> int:
        """Address of bytes of the kernel, or of the current process, for a context's pointer: what probe reads find."""
        with self.machine.lock:
            return (self.machine.user_memory if user else self.machine.kernel_memory)(bytes(data))

    def net(self) -> SimNet:
        return SimNet(self)


def open(argument: str = "") -> SimTarget:
    """``sim``, or ``sim:8`` for a machine with 8 CPUs."""
    if argument and not (argument.isdigit() and 1 <= int(argument) <= 1024):
        raise TargetError(f"sim:{argument}: what follows the colon is the number of CPUs, 1 to 1024")
    return SimTarget(int(argument)) if argument else SimTarget()
