"""The simulated machine: memory, CPUs, clock, maps, programs, and what they left behind."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..abi.records import context
from ..errors import Fault, SpecError
from ..isa import bits
from ..spec import MapSpec, ProgramSpec
from . import maps as simmaps
from .contexts import LOOPBACK, TEST_RUN, Arrival, Input
from .decode import Image, decode, follows_types
from .maps import SimMap
from .memory import Memory, UserMemory
from .objects import Objects
from .routes import Routes
from .sockets import Sockets
from .tasks import Signal, Sysctl, Task
from .timers import Timers

BUDGET = 10_000_000        # instructions a run may take before it counts as endless
ZERO_STACK = bytes(bits.STACK_SIZE)
TIERS = ("auto", "jit", "codegen", "interpreter")
PROMOTED = 20_000          # repetitions from which compiling to machine code pays
_program_ids = itertools.count(1)


def available_tiers() -> list[str]:
    """The tiers that this installation can run, fastest first."""
    from .jit import installed

    return [tier for tier in TIERS[1:] if tier != "jit" or installed()]


class Clock:
    """Simulated time in ns since boot. Every reading takes ``tick`` ns, so two runs see the same times."""

    def __init__(self, start: int = 1_000_000_000, tick: int = 100):
        self.now, self.tick = start, tick

    def read(self) -> int:
        self.now += self.tick
        return self.now

    def advance(self, ns: int) -> None:
        self.now += ns


@dataclass(slots=True)
class Result:
    """One run: ``retval`` is r0 cut to 32 bits, ``insns`` the instructions of the last repetition, ``redirect``
    where bpf_redirect sent the packet (ifindex or (map name, index)), ``ns`` the mean wall time, ``tier`` what ran
    it, ``effects`` what else helpers decided, by their names: the socket of sk_assign, the bytes of
    msg_apply_bytes; ``meta`` how many bytes at the start of ``data`` are XDP metadata."""

    retval: int
    data: bytes
    ctx: bytes
    r0: int = 0
    insns: int = 0
    repeat: int = 1
    ns: int = 0
    redirect: object = None
    tier: str = ""
    meta: int = 0
    effects: dict[str, Any] = field(default_factory=dict)


class Run:
    """The state of one program run that helpers see. ``budget`` is what is left of the instructions, ``depth`` the
    frame of the function that called a helper."""

    __slots__ = ("allowed", "budget", "cpu", "ctx", "depth", "effects", "engine", "frame", "input", "machine", "memory",
                 "program", "redirect", "retval", "tail_calls")

    def __init__(self, machine: Machine, program: Program, input_: Input, cpu: int, budget: int, engine):
        self.machine, self.memory, self.program, self.input = machine, machine.memory, program, input_
        self.ctx, self.frame = input_.address, input_.frame
        self.cpu, self.allowed, self.engine = cpu, budget, engine
        self.begin(program)

    def begin(self, program: Program) -> None:
        """Once more from the start, on the same packet."""
        self.program, self.budget, self.depth, self.tail_calls = program, self.allowed, 0, 0
        self.redirect: object = None
        self.effects: dict[str, Any] = {}
        self.retval = 0

    def map(self, address: int) -> SimMap:
        """The map that a program's map pointer names. Raises Fault."""
        found = self.machine.map_at.get(address)
        if found is None:
            raise Fault(f"{address:#x} ({self.memory.describe(address)}) is not a map")
        return found

    def call(self, address: int, *arguments: int) -> int:
        """Call back into the program: a function pointer with its arguments."""
        return self.engine.callback(self, address, arguments)


@dataclass(eq=False, slots=True, weakref_slot=True)
class Program:
    """A program that is loaded: linked to its maps' addresses. ``source`` is the generated Python, for the curious."""

    machine: Machine
    spec: ProgramSpec
    image: Image
    maps: dict[str, SimMap]
    id: int = field(default_factory=lambda: next(_program_ids))
    compiled: object = None
    native: Any = None       # the JIT tier's form
    spent: int = 0           # instructions that the JIT tier has run
    cookie: int = 0          # what bpf_get_attach_cookie gives

    @property
    def source(self) -> str:
        return self.generated().source

    def generated(self):
        """The codegen tier's form, made when first needed."""
        if self.compiled is None:
            from .codegen import generate

            self.compiled = generate(self)
        return self.compiled

    def run(self, data: bytes = b"", *, ctx: bytes | Mapping[str, Any] = b"", repeat: int = 1, cpu: int = 0,
            tier: str = "auto", hook=None, budget: int | None = None) -> Result:
        return self.machine.run(self, data, ctx=ctx, repeat=repeat, cpu=cpu, tier=tier, hook=hook, budget=budget)

    def close(self) -> None:
        self.machine.unload(self)


class Machine:
    """``cpus`` simulated CPUs, one program running at a time; everything is reproducible from ``seed``.

    ``printed`` are the lines of bpf_trace_printk, ``task`` the current process, ``signals`` what programs sent,
    ``sysctl`` what a cgroup_sysctl program is asked about, ``symbols`` name -> address of the kernel's symbols,
    ``routes`` the devices, routes and neighbours, ``sockets`` the sockets that programs find.
    """

    def __init__(self, cpus: int = 4, seed: int = 0, clock: Clock | None = None, budget: int = BUDGET):
        if cpus < 1:
            raise SpecError(f"a machine has at least one CPU, not {cpus}")
        self.cpus, self.budget = cpus, budget
        self.memory = Memory()
        self.clock = clock or Clock()
        self.random = random.Random(seed)
        self.task = Task()
        self.sysctl = Sysctl()
        self.signals: list[Signal] = []
        self.symbols: dict[str, int] = {}
        self.routes = Routes()
        self.printed: deque[str] = deque(maxlen=10_000)
        self.map_at: dict[int, SimMap] = {}
        self.map_by_id: dict[int, SimMap] = {}
        self.programs: dict[int, Program] = {}
        self.lock = threading.RLock()
        self._jit: Any = None
        self.timers = Timers(self)
        self.objects = Objects(self.memory)
        self.sockets = Sockets(self.memory)
        self.stacks = [bytearray(ZERO_STACK) for _ in range(bits.MAX_CALL_FRAMES)]
        self.frame_pointers = [self.memory.map(stack, f"stack of frame {depth}") + bits.STACK_SIZE
                               for depth, stack in enumerate(self.stacks)]

    def create_map(self, spec: MapSpec) -> SimMap:
        """A new map. Raises KernelError as BPF_MAP_CREATE, Unsupported for types that are not simulated."""
        if spec.type == "perf_event_array" and not spec.max_entries:
            spec = replace(spec, max_entries=self.cpus)      # one a CPU, as loaders do
        with self.lock:
            made = simmaps.create(spec, self.memory, self.cpus)
            self.map_at[made.address] = self.map_by_id[made.id] = made
            if spec.type == "prog_array":
                made.resolve = self.programs.get
            elif spec.type in ("array_of_maps", "hash_of_maps"):
                made.resolve = self.map_by_id.get
            elif isinstance(made, simmaps.SocketMap):
                made.sockets = self.sockets
            return made

    def user_memory(self, data: bytes, name: str = "user memory") -> int:
        """Address of bytes of the current process, for a context's pointer: what bpf_probe_read_user reads."""
        return self.memory.map(bytearray(data), UserMemory(name))

    def kernel_memory(self, data: bytes, name: str = "kernel memory") -> int:
        """Address of bytes of the kernel: what bpf_probe_read_kernel reads. ``objects.make`` lays out its structs."""
        return self.memory.map(bytearray(data), name)

    def hold(self, held: SimMap) -> SimMap:
        """One user more: a map lives as long as a handle or a program has it."""
        with self.lock:
            held.users += 1
        return held

    def release(self, held: SimMap) -> None:
        """One user less; the last one closes the map."""
        with self.lock:
            held.users -= 1
            if held.users == 0:
                self.map_at.pop(held.address, None)
                self.map_by_id.pop(held.id, None)
                held.close()
                self.memory.bury()

    def unload(self, program: Program) -> None:
        """The program goes, and with it the maps that nobody else holds."""
        with self.lock:
            if self.programs.pop(program.id, None) is not None:
                for held in program.maps.values():
                    self.release(held)

    def load(self, spec: ProgramSpec, maps: Mapping[str, SimMap] | None = None) -> Program:
        """Create the maps that ``maps`` does not give, and link. Nothing is verified here.

        Raises DecodeError for bytes that are no program, Unsupported for what the simulator cannot run.
        """
        image = replace(decode(spec.insns), lenient=follows_types(spec))
        image.check_simulated()
        used: dict[str, SimMap] = {}
        with self.lock:
            try:
                for one in spec.maps:
                    shared = (maps or {}).get(one.name)
                    used[one.name] = self.hold(shared) if shared is not None else self.create_map(one)
                image = image.link(lambda kind, index, offset: self._address(spec, used, kind, index, offset))
            except BaseException:
                for held in used.values():
                    self.release(held)
                raise
            program = Program(self, spec, image, used)
            self.programs[program.id] = program
        return program

    def _address(self, spec: ProgramSpec, maps: Mapping[str, SimMap], kind: str, index: int, offset: int) -> int:
        if not 0 <= index < len(spec.maps):
            raise SpecError(f"the program refers to map {index}, it has {len(spec.maps)}")
        found = maps[spec.maps[index].name]
        if kind in ("map", "map_idx"):
            return found.address
        if not isinstance(found, simmaps.Array) or found.per_cpu or found.spec.max_entries != 1:
            raise SpecError(f"map {found.spec.name!r}: only an array with one entry has a direct value address")
        return found.element(0, 0) + offset

    def run(self, program: Program, data: bytes = b"", *, ctx: bytes | Mapping[str, Any] = b"", repeat: int = 1,
            cpu: int = 0, tier: str = "auto", hook=None, budget: int | None = None, ifindex: int = 0,
            arrival: Arrival = TEST_RUN) -> Result:
        """Run a program as BPF_PROG_TEST_RUN does: ``repeat`` times on the same packet, which keeps its changes.

        ``ctx``: its context as bytes, or members by name (``abi.records``).
        ``tier``: interpreter, codegen, jit (needs llvmlite), or auto: codegen, and jit where it pays and is there.
        Raises Fault (instruction, registers, address), KernelError (EINVAL for a bad packet or context).
        """
        self.check_run(tier, cpu, repeat)
        with self.lock:
            input_ = Input(program.spec.type, self.memory, bytes(data), context(program.spec.type, ctx),
                           ifindex or LOOPBACK, self.sockets, arrival)
            try:
                return self.execute(program, input_, repeat, cpu, tier, hook, self.allowed(budget))
            finally:
                input_.close()
                self.memory.bury()

    def advance(self, ns: int, *, budget: int | None = None, hook=None) -> int:
        """Let ``ns`` of simulated time pass. Timers due meanwhile call back, the earliest first; how many calls.

        Raises Fault out of a callback, or when all of them together took more instructions than ``budget``.
        """
        with self.lock:
            return self.timers.advance(ns, self.allowed(budget), hook)

    def check_run(self, tier: str, cpu: int, repeat: int) -> None:
        """Raise SpecError for a run that cannot be asked for."""
        if tier not in TIERS:
            raise SpecError(f"unknown execution tier {tier!r}", hint="tiers: " + ", ".join(TIERS))
        if not 0 <= cpu < self.cpus:
            raise SpecError(f"CPU {cpu}: this machine has {self.cpus}, counted from 0")
        if repeat < 1:
            raise SpecError(f"repeat must be at least 1, not {repeat}")

    def allowed(self, budget: int | None) -> int:
        """The instructions that a run may take; machine code counts them in 64 bits."""
        return min(budget or self.budget, 1 << 62)

    def execute(self, program: Program, input_: Input, repeat: int, cpu: int, tier: str, hook, budget: int) -> Result:
        """The part of ``run`` between making the input and giving it back. The caller holds the lock."""
        if tier == "auto":
            tier = self.choose(program, repeat, hook)
        engine = self.engine(program, tier, hook)
        run = Run(self, program, input_, cpu, budget, engine)
        start = time.perf_counter_ns()
        r0 = engine.start(run, repeat)
        elapsed = time.perf_counter_ns() - start
        packet, out = input_.results()
        return Result(r0 & bits.U32, packet, out, r0, budget - run.budget, repeat, elapsed // repeat, run.redirect,
                      tier, input_.frame.meta if input_.xdp and input_.frame else 0, run.effects)

    def engine(self, program: Program, tier: str, hook=None):
        """What runs programs in a tier (not ``auto``)."""
        if tier == "jit":
            return self.jit()
        if tier == "codegen":
            return program.generated()
        from .interp import Interpreter

        return Interpreter(hook)

    def run_batch(self, program: Program, packets, **options):
        """Many packets, one after the other; see ``sim.batch.run_batch``. Needs numpy."""
        from .batch import run_batch

        return run_batch(program, packets, **options)

    def choose(self, program: Program, repeat: int, hook=None) -> str:
        """The tier that ``auto`` is."""
        if hook is not None:
            return "interpreter"
        from . import jit

        if repeat >= PROMOTED and self.memory.journal is None and jit.installed():
            return "jit"
        return "codegen"

    def jit(self):
        """The engine of the native tier. Raises Unsupported without llvmlite."""
        if self.memory.journal is not None:
            raise SpecError("the JIT tier keeps no history", hint="record with the interpreter or codegen tier")
        if self._jit is None:
            from .jit.engine import Engine

            self._jit = Engine(self)
        return self._jit
