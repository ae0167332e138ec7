"""An input that makes a rejected program do what the verifier feared, or the statement that none was found.

    found = witness(spec, trace)        # Witness or NoWitness
    if found: print(found.packet.hex(), found.what)

The program runs in the simulator with a shadow (``shadow``), first on plain inputs. From each run the branches passed
are known as conditions over the input; a solver (z3, or a search without it) asks for an input that follows the path of
the rejection further, then for one that makes an access go wrong. What is reported happened in the simulator.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from ..abi.contexts import CONTEXTS
from ..abi.returns import returns
from ..errors import EbpflabError, Fault
from ..sim import Machine
from ..sim.alu import signed
from ..sim.contexts import ETH_HLEN, Input
from ..sim.memory import PAGE_BITS
from ..spec import ProgramSpec
from ..trace import Trace
from . import symbols as s
from .catalogue import find
from .facts import rejected_step
from .shadow import Shadow
from .solve import solve
from .symbols import Condition

BUDGET = 20_000             # instructions of one run; more is called endless
LONGEST_PACKET = 1514
_MOST_ACCESSES = 20         # accesses at the end of the rejected path and after it that are tried to break
_MOST_PATH = 10_000         # steps of a rejected path that are followed


@dataclass(frozen=True, slots=True)
class Witness:
    """An input and what it does; all of it happened in the simulator.

    packet    the packet's bytes, b"" for program types without one
    context   (field, value) of context fields that matter
    maps      (map, key, value) of entries that must be there
    results   (slot, helper, result) of calls whose result matters; a str is memory that the call filled, in hex
    pc        the instruction that went wrong, ``what`` it did
    """

    packet: bytes
    context: tuple[tuple[str, int], ...]
    maps: tuple[tuple[str, bytes, bytes], ...]
    results: tuple[tuple[int, str, int | str], ...]
    pc: int
    what: str
    regs: tuple[int, ...] = ()
    runs: int = 0
    seconds: float = 0.0

    def __bool__(self) -> bool:
        return True

    def to_dict(self) -> dict:
        return {**asdict(self), "packet": self.packet.hex(), "found": True, "regs": list(self.regs),
                "context": [list(each) for each in self.context], "results": [list(each) for each in self.results],
                "maps": [[name, key.hex(), value.hex()] for name, key, value in self.maps]}

    def __str__(self) -> str:
        lines = [f"This input breaks it, at instruction {self.pc}: {self.what}"]
        if self.packet:
            shown = self.packet[:64].hex(" ")
            tail = " …" if len(self.packet) > 64 else ""
            shown = shown + tail if any(self.packet) else "all zero"
            lines.append(f"  packet   {len(self.packet)} bytes: {shown}")
        lines += [f"  context  {name} = {value:#x}" for name, value in self.context]
        lines += [f"  map      {name}[{key.hex()}] = {value.hex()}" for name, key, value in self.maps]
        for pc, helper, value in self.results:
            shown = f"gives {value:#x}" if isinstance(value, int) else f"fills memory with {value}"
            lines.append(f"  call     bpf_{helper} at {pc} {shown}")
        return "\n".join([*lines, f"  confirmed by the simulator, run {self.runs}"])


@dataclass(frozen=True, slots=True)
class NoWitness:
    """No input was found. ``proved``: none exists on the rejected path (within the bounds that ``why`` names)."""

    why: str
    proved: bool = False
    runs: int = 0
    seconds: float = 0.0

    def __bool__(self) -> bool:
        return False

    def to_dict(self) -> dict:
        return {**asdict(self), "found": False}

    def __str__(self) -> str:
        return f"No input found that breaks it: {self.why}"


@dataclass(slots=True)
class _Run:
    """One execution: its shadow, what went wrong, and the input."""

    shadow: Shadow
    values: dict[str, int]
    fault: Fault | None = None
    r0: int = 0
    base: dict[int, int] = field(default_factory=dict)      # page -> bytes mapped there when the run ended


def witness(spec: ProgramSpec, trace: Trace, *, seconds: float = 5.0) -> Witness | NoWitness:
    """Look for an input that makes the rejected program go wrong, for at most about ``seconds``.

    ``trace`` is the rejection (ours or a kernel's). A program that was accepted has nothing to be shown.
    """
    return _Search(spec, trace, seconds).go()


class _Search:
    def __init__(self, spec: ProgramSpec, trace: Trace, seconds: float):
        self.spec, self.trace = spec, trace
        self.start = time.monotonic()
        self.deadline = self.start + seconds
        match = find(trace.verdict.error_lines)
        self.harm = match.entry.harm if match is not None else "fault"
        self.runs = 0
        self.seen: set = set()
        self.queue: list = []
        self.dead_ends: list[str] = []
        self.unproved = False
        self.path: list[tuple[int, int]] = []

    def go(self) -> Witness | NoWitness:
        trace = self.trace
        if trace.verdict.result != "reject":
            return self._none("the program was not rejected.")
        if self.harm == "":
            return self._none("the rule is about the program's text or the verifier's own limits, not about what a "
                              "run does.")
        if " " in self.harm or self.harm == "leak":
            return self._none(f"a run in the simulator cannot show it ({self.harm}).")
        step = rejected_step(trace)
        if step is not None:
            steps = trace.path(step)[-_MOST_PATH:] if step.index < _MOST_PATH else []
            self.path = [(each.pc, len(each.before.frames) - 1) for each in steps if each.kind != "pruned"]
        try:
            for values in self._seeds():
                self._push(values, 1 << 20)
            while self.queue and time.monotonic() < self.deadline:
                run = self._run(heapq.heappop(self.queue)[2])
                if (found := self._broken(run)) is not None:
                    return found
                self.unproved = self.unproved or run.shadow.exact < len(self.path) - 1
                self._continue(run)
        except EbpflabError as error:
            return self._none(f"the simulator cannot run it: {error.what}.")
        return self._none(self._conclusion(), not self.queue and not self.unproved and bool(self.dead_ends))

    def _none(self, why: str, proved: bool = False) -> NoWitness:
        return NoWitness(why, proved, self.runs, round(time.monotonic() - self.start, 3))

    def _conclusion(self) -> str:
        bound = f"packets of {ETH_HLEN} to {LONGEST_PACKET} bytes, {BUDGET} instructions a run"
        if self.queue:
            return f"the time was used up after {self.runs} runs ({bound}). The verifier is too weak here, or the " \
                   "bound too small."
        if self.unproved or not self.dead_ends:
            return f"{self.runs} runs found none ({bound}). The verifier is too weak here, or the bound too small."
        return f"on the rejected path none exists ({self.dead_ends[-1]}; {bound}). The verifier is too weak here."

    # ---- inputs

    def _has_packet(self) -> bool:
        return self.spec.row.context in ("xdp_md", "__sk_buff")

    def _seeds(self) -> Iterator[dict[str, int]]:
        if not self._has_packet():
            yield {}
            yield {"*": 1}
            return
        for length in (64, ETH_HLEN, 128, LONGEST_PACKET, 34):
            yield {"len": length}
        yield {"len": 64, "packet:12": 8, "packet:14": 0x45, "packet:23": 6}
        yield {"len": 64, "*": 1}

    def _push(self, values: dict[str, int], priority: int) -> None:
        key = tuple(sorted(values.items()))
        if key not in self.seen:
            self.seen.add(key)
            heapq.heappush(self.queue, (priority, len(self.seen), values))

    # ---- one run

    def _run(self, values: dict[str, int]) -> _Run:
        self.runs += 1
        machine = Machine(cpus=1)
        values = dict(values)
        program = machine.load(self.spec)
        self._fill_maps(machine, program, values)
        data = bytes(values.get(f"packet:{at}", 0) for at in range(values.get("len", 0))) if self._has_packet() else b""
        memory = machine.memory
        with machine.lock:
            given = Input(self.spec.type, memory, data, b"")
            shadow = Shadow(machine, values)
            self._shadow_input(shadow, given, values)
            memory.journal = []
            run = _Run(shadow, values)
            try:
                from ..sim.interp import Interpreter
                from ..sim.machine import Run

                engine = Interpreter(shadow)
                run.r0 = engine.start(Run(machine, program, given, 0, BUDGET, engine), 1)
            except Fault as fault:
                run.fault = fault
            run.base = {page: len(view) for page, view in memory.views.items()}
            memory.journal = None
        return run

    def _fill_maps(self, machine: Machine, program, values: dict[str, int]) -> None:
        """Entries and bytes that the values ask for."""
        wanted: dict[tuple[str, str], dict[int, int]] = {}
        for name, value in values.items():
            kind, _, rest = name.partition(":")
            if kind == "has" and value:
                owner, key = rest.rsplit(":", 1)
                wanted.setdefault((owner, key), {})
            elif kind == "map":
                owner, key, at = rest.rsplit(":", 2)
                if not program.maps[owner].spec.type.endswith("hash") or values.get(f"has:{owner}:{key}"):
                    wanted.setdefault((owner, key), {})[int(at)] = value
        for spec in self.spec.maps:
            for key, value in spec.contents:
                program.maps[spec.name].put(key, value, 0)
        for (owner, key), content in wanted.items():
            held = program.maps[owner]
            value = bytearray(held.spec.value_size)
            for at, byte in content.items():
                value[at] = byte
            size = held.user_value_size if isinstance(held.user_value_size, int) else len(value)
            held.put(bytes.fromhex(key), bytes(value).ljust(size, b"\0"), 0)

    def _shadow_input(self, shadow: Shadow, given: Input, values: dict[str, int]) -> None:
        """Packet and context become variables; the context's bytes take the values that were asked for."""
        frame, spans = given.frame, CONTEXTS.get(self.spec.type)
        if frame is not None:
            shadow.packet = frame.data
            away = ETH_HLEN - len(frame.head[-ETH_HLEN:]) if given.l2 else ETH_HLEN     # bytes before the window
            shadow.ranges["len"] = (ETH_HLEN, LONGEST_PACKET)
            for at in range(len(frame.window)):
                shadow.memory[frame.address + at] = s.var(f"packet:{at + (0 if given.l2 else away)}", 8)
            length = s.binary("sub", s.zext(s.var("len", 16), 64), s.const(0 if given.l2 else away, 64))
            self._pointer(shadow, given, "data_end", s.binary("add", length, s.const(frame.data, 64)))
            if not given.xdp:
                self._pointer(shadow, given, "len", length)
        everything = values.get("*")
        for at in range(len(given.buffer)):
            span = spans.at(at) if spans is not None else None
            if given.address + at in shadow.memory or (spans is not None and (span is None or span.gives != "scalar")):
                continue
            name = f"context:{at}"
            if everything:
                values.setdefault(name, 0xFF)
            if name in values:
                given.buffer[at] = values[name]
            elif given.buffer[at]:
                continue    # what the machine itself fills in: kept until somebody asks for another value
            shadow.memory[given.address + at] = s.var(name, 8)

    @staticmethod
    def _pointer(shadow: Shadow, given: Input, name: str, term: s.Term) -> None:
        member = given.shape.member(name)
        for at in range(member.size):
            shadow.memory[given.address + member.offset + at] = s.extract(term, 8 * at, 8)

    # ---- what went wrong

    def _broken(self, run: _Run) -> Witness | None:
        shadow, fault = run.shadow, run.fault
        at = shadow.trail[-1][0] if shadow.trail else 0
        if fault is not None:
            endless = "budget" in fault.what
            if endless and self.harm != "loop":
                return None
            what = f"after {BUDGET} instructions the program has not ended" if endless else fault.what
            return self._witness(run, fault.pc if fault.pc is not None else at, what, tuple(fault.regs))
        if self.harm == "uninit" and shadow.unset is not None:
            pc, cell = shadow.unset
            return self._witness(run, pc, f"{cell} is read, and nothing was written to it")
        if self.harm == "return":
            allowed = returns(self.spec.type, self.spec.attach_type)
            r0 = signed(run.r0, 64)
            if allowed is not None and not allowed[0] <= r0 <= allowed[1]:
                return self._witness(run, at, f"the result is {r0}, and it must be in [{allowed[0]}, {allowed[1]}]")
        if self.harm == "leak-ref" and shadow.held:
            pc = next(iter(shadow.held.values()))
            return self._witness(run, at, f"the program ends and still holds what instruction {pc} acquired")
        return None

    def _witness(self, run: _Run, pc: int, what: str, regs: tuple[int, ...] = ()) -> Witness:
        values, context, maps = run.values, {}, {}
        spans = CONTEXTS.get(self.spec.type)
        for name, value in values.items():
            kind, _, rest = name.partition(":")
            if kind == "context" and value:
                span = spans.at(int(rest)) if spans is not None else None
                field, start = (span.name, span.offset) if span is not None else (f"byte {rest}", int(rest))
                context[field] = context.get(field, 0) | value << 8 * (int(rest) - start)
            elif kind in ("map", "has"):
                owner, key = rest.split(":")[0], rest.split(":")[1]
                size = self.spec.map(owner).value_size
                if kind == "has" and not value:
                    continue
                content = maps.setdefault((owner, key), bytearray(size))
                if kind == "map":
                    content[int(rest.split(":")[2])] = value
        data = bytes(values.get(f"packet:{at}", 0) for at in range(values.get("len", 0))) if self._has_packet() else b""
        entries = tuple((owner, bytes.fromhex(key), bytes(value)) for (owner, key), value in maps.items()
                        if not self.spec.map(owner).type.endswith("hash") or values.get(f"has:{owner}:{key}"))
        return Witness(data, tuple(context.items()), entries, tuple(run.shadow.used), pc, what, regs, self.runs,
                       round(time.monotonic() - self.start, 3))

    # ---- where to look next

    def _continue(self, run: _Run) -> None:
        """Inputs that follow the rejected path further, make its end go wrong, or take other branches."""
        shadow = run.shadow
        common = 0
        for mine, wanted in zip(shadow.trail, self.path, strict=False):
            if mine != wanted:
                break
            common += 1
        left = len(self.path) - common
        forks = shadow.forks
        if self.path and left == 0:
            self._break_end(run)
        for at, fork in enumerate(forks):
            turning = fork.at == common - 1
            if fork.at >= common and left:
                break       # past the place where the path was left
            key = (tuple((each.at, each.condition.truth) for each in forks[:at]), fork.at, shadow.trail[fork.at])
            if key in self.seen:
                continue
            self.seen.add(key)
            self._ask(run, [each.condition for each in forks[:at]] + [fork.condition.negated()],
                      left if turning else (1 << 16) + at, "its branches exclude each other" if turning else "")

    def _break_end(self, run: _Run) -> None:
        """The path was followed to its end and nothing happened: an input for which something does."""
        shadow, last = run.shadow, len(self.path) - 1
        for access in [each for each in shadow.accesses if each.at >= last][:_MOST_ACCESSES]:
            conditions = [fork.condition for fork in shadow.forks if fork.at < access.at]
            page = access.concrete >> PAGE_BITS
            length = self._length(run, page)
            if length is None:
                continue
            offset = s.binary("sub", access.address, s.const(page << PAGE_BITS, 64))
            end = s.binary("add", offset, access.size)
            for wrong in (Condition("jsgt", end, length), Condition("jslt", offset, s.const(0, 64))):
                self._ask(run, [*conditions, wrong], 0, "the access stays inside of its memory")
        if self.harm == "return" and shadow.result is not None:
            low, high = returns(self.spec.type, self.spec.attach_type) or (0, 0)
            conditions = [fork.condition for fork in shadow.forks]
            for verb, bound in (("jslt", low), ("jsgt", high)):
                self._ask(run, [*conditions, Condition(verb, shadow.result, s.const(bound, 64))], 0,
                          "the result stays in its range")

    def _length(self, run: _Run, page: int) -> s.Term | None:
        """Bytes of the region that starts at a page; of the packet a term over its length."""
        size = run.base.get(page)
        if size is None:
            return None
        if run.shadow.packet >> PAGE_BITS == page:
            skipped = 0 if self.spec.type in ("xdp", "sched_cls", "sched_act") else ETH_HLEN
            return s.binary("sub", s.zext(s.var("len", 16), 64), s.const(skipped, 64))
        return s.const(size, 64)

    def _ask(self, run: _Run, conditions: list[Condition], priority: int, dead_end: str) -> None:
        if time.monotonic() >= self.deadline:
            self.unproved = True
            return
        answer = solve(conditions, run.shadow.ranges, run.values, min(self.deadline, time.monotonic() + 2))
        if answer.values is not None:
            kept = {name: value for name, value in run.values.items() if name != "*"}
            self._push(kept | answer.values, priority)
        elif answer.proved:
            if dead_end:
                self.dead_ends.append(dead_end)
        else:
            self.unproved = True
