"""What a target is: a place where programs are verified, loaded, run and watched.

The simulator, this machine's kernel and a kernel in a guest are the same to the user.  Everything that
has a lifetime is a context manager; closing a target closes all that it made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from ..spec import MapSpec, ProgramSpec
from ..trace import Trace


@dataclass(frozen=True, slots=True)
class Facts:
    """What a target says of itself. ``cpus`` counts possible CPUs (the length of a per-CPU value)."""

    name: str
    kernel: str            # "6.18.44", "" for the simulator
    machine: str           # "x86_64"
    cpus: int
    privileged: bool
    jit: bool
    btf: bool
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunResult:
    """One test run. ``retval`` is r0 as unsigned 32 bit; ``duration_ns`` the mean of one run.

    ``data`` is the packet afterwards, ``ctx`` the context if one was given. ``verdict`` is the name of
    ``retval`` for this program type (``XDP_PASS``), "" if it has none. What only the simulator tells: ``tier`` that ran
    it (interpreter, codegen, jit); ``redirect``, where the packet was sent: an ifindex or (map name, key); ``effects``,
    what else helpers decided, by their names: the socket of sk_assign, the bytes of msg_apply_bytes.
    """

    retval: int
    data: bytes = b""
    ctx: bytes = b""
    duration_ns: int = 0
    repeat: int = 1
    verdict: str = ""
    tier: str = ""
    redirect: object = None
    effects: Mapping[str, object] = field(default_factory=dict)

    def __repr__(self) -> str:
        """``<XDP_PASS (2), 64 bytes, 120 ns>``: the packet itself is in ``data``."""
        said = f"{self.verdict} ({self.retval})" if self.verdict else str(self.retval)
        sizes = [f"{len(part)} bytes{of}" for part, of in ((self.data, ""), (self.ctx, " of context")) if part]
        runs = [f"mean of {self.repeat} runs"] if self.repeat > 1 else []
        sent = [f"to {self.redirect}"] if self.redirect is not None else []
        effects = [f"{name} {value}" for name, value in self.effects.items()]
        return f"<{', '.join([said, *sent, *effects, *sizes, f'{self.duration_ns:,} ns', *runs])}>"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A map's contents as raw columns: ``count`` keys one after the other, and as many values.

    A value is ``value_size`` bytes, or for a per-CPU map ``cpus`` times ``value_size`` rounded up to 8.
    ``lost`` counts entries that a changing map made us miss, ``seconds`` is the monotonic time of the reading.
    ``duplicates`` counts keys that came twice and were kept once; ``unsettled`` are the rows that never read the
    same twice in a row, so may be half old and half new (None: nobody looked).
    """

    spec: MapSpec
    keys: bytes
    values: bytes
    count: int
    cpus: int = 1
    lost: int = 0
    seconds: float = 0.0
    duplicates: int = 0
    unsettled: tuple[int, ...] | None = ()


@dataclass(frozen=True, slots=True)
class AttachPoint:
    """Where a program hooks in. ``kind``: xdp, … ; ``options`` are the kind's own (device, mode, namespace)."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class TargetMap(Protocol):
    """A live map of a target. Keys and values are bytes here; typed access is in ``ebpflab.stream``."""

    spec: MapSpec

    def lookup(self, key: bytes) -> bytes | None: ...
    def update(self, key: bytes, value: bytes, flags: int = 0) -> None: ...
    def delete(self, key: bytes) -> bool: ...
    def read(self) -> Snapshot: ...
    def close(self) -> None: ...


@runtime_checkable
class Link(Protocol):
    """An attachment; closing it detaches."""

    where: AttachPoint

    def close(self) -> None: ...


@runtime_checkable
class Net(Protocol):
    """A private network: two namespaces joined by a veth pair, ``ends`` are the device names.

    ``send`` puts frames on the wire *from* an end; ``count`` repeats the list; both are bounded.
    """

    ends: tuple[str, str]

    def send(self, frames: Sequence[bytes], *, end: str, count: int = 1, pps: float | None = None) -> int: ...
    def close(self) -> None: ...


@runtime_checkable
class Loaded(Protocol):
    """A program that a target took, its maps by name, and the trace that came with it."""

    spec: ProgramSpec
    trace: Trace
    maps: Mapping[str, TargetMap]
    id: int

    def run(self, data: bytes = b"", *, ctx: bytes = b"", repeat: int = 1) -> RunResult: ...
    def attach(self, where: AttachPoint) -> Link: ...
    def close(self) -> None: ...


@runtime_checkable
class Target(Protocol):
    """See the module. ``verify`` gives a Trace whatever the verdict; ``load`` raises Rejected with that trace.

    ``btf()`` are the types of its kernel, b"" if it has none.
    """

    name: str

    @property
    def facts(self) -> Facts: ...
    def verify(self, spec: ProgramSpec, *, log_level: int = 2) -> Trace: ...
    def load(self, spec: ProgramSpec, *, log_level: int = 2, maps: Mapping[str, TargetMap] | None = None) -> Loaded: ...
    def net(self) -> Net: ...
    def btf(self) -> bytes: ...
    def close(self) -> None: ...


def describe(target: Target) -> str:
    """One line on a target: name, kernel, machine, CPUs, JIT, BTF."""
    facts = target.facts
    parts = [f"Linux {facts.kernel}" if facts.kernel else "simulated", facts.machine,
             f"{facts.cpus} CPU{'s' if facts.cpus != 1 else ''}", f"JIT {'on' if facts.jit else 'off'}",
             "BTF" if facts.btf else "no BTF", "" if facts.privileged else "not privileged"]
    return f"{target.name}: " + ", ".join(part for part in parts if part)


class Closing:
    """Owns things that must be closed, newest first; a context manager for everything with a lifetime."""

    def __init__(self) -> None:
        self._owned: list[Any] = []

    def own(self, thing):
        self._owned.append(thing)
        return thing

    def disown(self, thing) -> None:
        self._owned = [other for other in self._owned if other is not thing]

    def close(self) -> None:
        """Close all that is owned; the first error is raised after everything was tried."""
        first: BaseException | None = None
        while self._owned:
            try:
                self._owned.pop().close()
            except Exception as error:  # keep closing: nothing may stay in the kernel
                first = first or error
        if first:
            raise first

    def __enter__(self):
        return self

    def __exit__(self, *exc) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(tuple(self._owned))
