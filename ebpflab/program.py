"""A program as its user holds it: specification, trace, maps, and, if the verifier agreed, the loaded program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .abi.records import context
from .errors import Rejected, SpecError, Unsupported
from .spec import ObjectSpec, ProgramSpec
from .stream.maps import LabMap
from .targets.attaching import point
from .targets.base import Closing, Link, Loaded, RunResult, Target
from .trace import Trace

if TYPE_CHECKING:
    from pandas import DataFrame

    from .debugger import Coverage, Debugger
    from .explain import Explanation


class Program(Closing):
    """What ``%%bpf NAME`` binds and ``ebpflab.load`` returns.

    The target verifies and loads ``spec``.  After a rejection the object is there all the same, with the trace that
    says why; ``run`` and ``attach`` then raise ``Rejected``.  Closing detaches and unloads everything it made.
    """

    def __init__(self, spec: ProgramSpec, target: Target, *, log_level: int = 2,
                 maps: Mapping[str, LabMap] | None = None):
        super().__init__()
        self.spec = spec
        self.target = target
        self._loaded: Loaded | None = None
        shared = {name: handle.target_map for name, handle in (maps or {}).items()}
        try:
            self._loaded = self.own(target.load(spec, log_level=log_level, maps=shared or None))
            self.trace: Trace = self._loaded.trace
        except Rejected as error:
            if error.trace is None:
                raise
            self.trace = error.trace
        self.maps: dict[str, LabMap] = {}
        if self._loaded:
            self.maps = {name: LabMap(handle) for name, handle in self._loaded.maps.items()}

    @property
    def ok(self) -> bool:
        """Is it loaded?"""
        return self._loaded is not None

    @property
    def loaded(self) -> Loaded:
        """The target's own object. Raises Rejected if there is none."""
        return self._need()

    @property
    def id(self) -> int:
        """The kernel's id of the loaded program."""
        return self._need().id

    def _need(self) -> Loaded:
        if self._loaded is None:
            raise Rejected(f"{self.spec.name} is not loaded: {self.trace.verdict.error or 'it was closed'}",
                           trace=self.trace, hint="look at .trace, mend the program and run its cell again")
        return self._loaded

    def run(self, data: Any = b"", *, ctx: bytes | Mapping[str, Any] | Sequence[Any] = b"",
            repeat: int = 1) -> RunResult:
        """Test-run it on a packet (anything with ``bytes(data)``), ``repeat`` times. See ``RunResult``.

        ``ctx``: its context, as bytes or by the names of members: ``{"mark": 3}``, ``{"di": 7}``, or the arguments of a
        tracing program in order (``abi.records``).
        """
        return self._need().run(bytes(data), ctx=context(self.spec.type, ctx), repeat=repeat)

    def simulated(self, what: str) -> Any:
        """What only the simulator's programs have. Raises Unsupported for one on another target."""
        loaded = self._need()
        if not hasattr(loaded, what):
            raise Unsupported(f"{what} is the simulator's, {self.spec.name} is on {self.target.name}",
                              hint='load it with target="sim"')
        return getattr(loaded, what)

    def run_many(self, packets: Any, **options) -> DataFrame:
        """Run every packet once in the simulator: a row each; see ``targets.sim.SimProgram.run_many``."""
        return self.simulated("run_many")(packets, **options)

    def debug(self, data: Any = b"", **options) -> Debugger:
        """Run once in the simulator, keep every step, and walk it in both directions; see ``ebpflab.debugger``."""
        return self.simulated("debug")(bytes(data), **options)

    def coverage(self, packets: Any, **options) -> Coverage:
        """Which instructions many packets reach in the simulator, how often, and which way the branches go."""
        return self.simulated("coverage")(packets, **options)

    def attach(self, place: Any = None, end: str | None = None, *, kind: str | None = None, **options) -> Link:
        """Hook it in until the link or the program is closed; a context manager.

        ``place`` is what the kind of hook is about, most kinds follow from the program's type::

            prog.attach(net, "lab0", mode="native")           xdp; sched_cls: direction=; lwt_*: to="10.99.0.0/24"
            prog.attach(cgroup)                               cgroup_skb, cgroup_sock, cgroup_device, sock_ops …
            prog.attach(net.socket("packet", "lab1"))         socket_filter
            prog.attach(sockmap, stage="parser")              sk_skb, sk_msg
            prog.attach("do_unlinkat", kind="kretprobe")      kprobe; tracepoint: "sched:sched_switch"
            prog.attach(path="/bin/sh", function="main")      uprobe
            prog.attach("cpu-clock", frequency=99)            perf_event
            prog.attach()                                     tracing and lsm, loaded for one function

        ``target.hooks()`` lists all kinds with their options. Kinds that see the whole machine need a guest.
        """
        loaded = self._need()
        kernel = self.target.facts.kernel
        return self.own(loaded.attach(point(self.spec, kernel, place, end, kind, options)))

    def explain(self, *, witness: float = 0.0, progress: Callable[[int, float], None] | None = None) -> Explanation:
        """Why it was rejected, and what to do. ``witness``: seconds in which to look for an input that breaks it."""
        from .explain import explain

        return explain(self.trace, witness=witness, progress=progress)

    def info(self) -> dict:
        """What the kernel says of it: sizes, tag, map ids, runs and run time (``target.stats()`` counts them)."""
        return self._need().info()

    def dump(self):
        """It as the kernel has it: ``.text()`` after the verifier's rewriting, ``.hex()`` the machine code."""
        return self._need().dump()

    def pin(self, path: str) -> None:
        """Keep it in the kernel under a name below ``/sys/fs/bpf`` until ``target.unpin(path)``."""
        self._need().pin(path)

    def close(self) -> None:
        self.maps = {}
        self._loaded = None
        super().close()

    def __getitem__(self, name: str) -> LabMap:
        """``prog["counts"]`` is ``prog.maps["counts"]``."""
        return self.maps[name]

    def __repr__(self) -> str:
        state = {"accept": "accepted", "reject": "rejected"}.get(self.trace.verdict.result, "not verified")
        if self.trace.ok and not self.ok:
            state = "closed"
        maps = f", maps {' '.join(self.maps)}" if self.maps else ""
        return (f"<{self.spec.type} program {self.spec.name!r} on {self.target.name}: "
                f"{len(self.spec.insns)} instructions, {state}{maps}>")


class Bundle(Closing):
    """The programs of a compiled object, loaded together: one set of maps, prog arrays filled as the object says.

    ``programs`` by name, in the order of the object; a rejected one is there with its trace. ``maps`` by name.
    Closing it closes them all.
    """

    def __init__(self, spec: ObjectSpec, target: Target, *, log_level: int = 2):
        super().__init__()
        self.spec, self.target = spec, target
        self.programs: dict[str, Program] = {}
        self.maps: dict[str, LabMap] = {}
        try:
            for name, each in spec.programs.items():
                if not each.type:
                    raise SpecError("its ELF section stands for no program type", where=f"program {name}",
                                    hint='put it into one that does: SEC("xdp"), SEC("tc"), SEC("socket") …')
                shared = {known: self.maps[known] for known in spec.maps if known in self.maps}
                program = self.own(Program(each, target, log_level=log_level, maps=shared))
                self.programs[name] = program
                self.maps = self.maps or program.maps
            for each in self.maps.values():
                self._fill(each)
        except BaseException:
            self.close()
            raise

    def _fill(self, array: LabMap) -> None:
        for index, name in array.spec.slots if array.spec.type == "prog_array" else ():
            loaded = self.programs[name]._loaded if name in self.programs else None
            if loaded is not None:  # the slot of a rejected program stays empty: a tail call to it falls through
                array.target_map.update(index.to_bytes(4, "little"), loaded)

    def __getitem__(self, name: str) -> Program:
        return self.programs[name]

    def __repr__(self) -> str:
        return f"<object on {self.target.name}: {', '.join(map(repr, self.programs.values()))}>"


def bind(program: Program, name: str, namespace: dict[str, Any]) -> str:
    """Put a program and its maps into a notebook's variables; say in one line what was bound.

    A program or map of an earlier run is replaced (the program closed); any other variable is left alone.
    """
    namespace[name] = program
    kept = []
    for map_name, handle in program.maps.items():
        variable = map_name.replace(".", "_")
        if variable == name or not isinstance(namespace.get(variable, handle), LabMap):
            kept.append(f'{name}.maps["{map_name}"]')
        else:
            namespace[variable] = handle
            kept.append(variable)
    maps = f"; maps: {', '.join(kept)}" if kept else ""
    return f"{name} = {program!r}{maps}"
