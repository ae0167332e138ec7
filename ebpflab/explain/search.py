"""The search for an input that breaks a rejected program.

It runs in the simulator with a shadow (``shadow``), first on plain inputs. From each run the branches passed are known
as conditions over the input; a solver (z3, or a search without it) asks for an input that follows the path of the
rejection further, then for one that makes an access go wrong.
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, field

from ..abi.returns import returns
from ..errors import EbpflabError, Fault
from ..sim import Machine
from ..sim.alu import signed
from ..sim.contexts import ETH_HLEN, Input
from ..sim.interp import Interpreter
from ..sim.machine import Run
from ..sim.memory import PAGE_BITS
from ..spec import ProgramSpec
from ..trace import Trace
from . import inputs
from . import symbols as s
from .catalogue import find
from .facts import rejected_step
from .shadow import Shadow
from .solve import solve
from .symbols import Condition
from .witness import NoWitness, Progress, Witness

BUDGET = 20_000             # instructions of one run; more is called endless
_MOST_ACCESSES = 20         # accesses at the end of the rejected path and after it that are tried to break
_MOST_PATH = 10_000         # steps of a rejected path that are followed


@dataclass(slots=True)
class _Run:
    """One execution: its shadow, what went wrong, and the input."""

    shadow: Shadow
    values: dict[str, int]
    fault: Fault | None = None
    r0: int = 0
    base: dict[int, int] = field(default_factory=dict)     # page -> bytes that were mapped there at the end


class Search:
    """One search; ``go`` runs it.

    ``queue`` holds inputs to run, the most promising first; ``path`` is what the verifier walked to the rejection,
    as (slot, frame); ``dead_ends`` say why a solver found no input to go on; ``unproved``: something was left open.
    """

    def __init__(self, spec: ProgramSpec, trace: Trace | None, seconds: float, progress: Progress | None = None):
        self.spec, self.trace, self.progress = spec, trace, progress
        self.start, self.seconds = time.monotonic(), seconds
        self.deadline = self.start + seconds
        match = find(trace.verdict.error_lines) if trace is not None else None
        self.harm = match.entry.harm if match is not None else "fault"
        self.runs = 0
        self.seen: set = set()
        self.queue: list = []
        self.dead_ends: list[str] = []
        self.unproved = False
        self.path: list[tuple[int, int]] = []

    def go(self) -> Witness | NoWitness:
        if (why := self._pointless()) is not None:
            return self._none(why)
        self._find_path()
        try:
            for values in inputs.seeds(self.spec):
                self._push(values, 1 << 20)
            while self.queue and time.monotonic() < self.deadline:
                if self.progress:
                    self.progress(self.runs, (time.monotonic() - self.start) / self.seconds)
                run = self._run(heapq.heappop(self.queue)[2])
                if (found := self._broken(run)) is not None:
                    return found
                self.unproved = self.unproved or run.shadow.exact < len(self.path) - 1
                self._continue(run)
        except EbpflabError as error:
            return self._none(f"the simulator cannot run it: {error.what}.")
        except KeyboardInterrupt:
            return self._none(f"the search was interrupted after {self.runs} runs.")
        return self._none(self._conclusion(), not self.queue and not self.unproved and bool(self.dead_ends))

    def stop(self) -> None:
        """End ``go`` at its next look at the clock; for another thread."""
        self.deadline = self.start

    def _pointless(self) -> str | None:
        """Why no run could show anything."""
        if self.trace is not None and self.trace.verdict.result != "reject":
            return "the program was not rejected."
        if self.harm == "":
            return "the rule is about the program's text or the verifier's own limits, not about what a run does."
        if " " in self.harm or self.harm == "leak":
            return f"a run in the simulator cannot show it ({self.harm})."
        return None

    def _find_path(self) -> None:
        step = rejected_step(self.trace) if self.trace is not None else None
        if step is not None and step.index < _MOST_PATH:
            self.path = [(each.pc, len(each.before.frames) - 1) for each in self.trace.path(step)
                         if each.kind != "pruned"]
        self.unproved = not self.path or inputs.uses_metadata(self.spec)     # metadata of few lengths is tried

    def _none(self, why: str, proved: bool = False) -> NoWitness:
        return NoWitness(why, proved, self.runs, round(time.monotonic() - self.start, 3))

    def _conclusion(self) -> str:
        packets = f"packets of {ETH_HLEN} to {inputs.LONGEST_PACKET} bytes, " if inputs.has_packet(self.spec) else ""
        alone = ", maps that nobody else changes meanwhile" if self.spec.maps else ""
        bound = f"{packets}{BUDGET} instructions a run{alone}"
        if self.trace is None:
            return f"{self.runs} runs ended without a fault ({bound})."
        if self.queue:
            return f"the time was used up after {self.runs} runs ({bound}). The verifier is too weak here, or the " \
                   "bound too small."
        if self.trace is not None and self.trace.verdict.stats.processed == 0:
            return f"it was refused before any path was followed, and {self.runs} runs did nothing wrong ({bound}). " \
                   "What the verifier names may lie where no run comes."
        if self.unproved or not self.dead_ends:
            return f"{self.runs} runs found none ({bound}). The verifier is too weak here, or the bound too small."
        return f"on the rejected path none exists ({self.dead_ends[-1]}; {bound}). The verifier is too weak here."

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
        inputs.fill_maps(program, values)
        data, context = inputs.frame(self.spec, values)
        memory = machine.memory
        with machine.lock:
            given = Input(self.spec.type, memory, data, context)
            shadow = Shadow(machine, values)
            inputs.shadow_input(self.spec, shadow, given, values)
            memory.journal = []
            run = _Run(shadow, values)
            try:
                engine = Interpreter(shadow)
                run.r0 = engine.start(Run(machine, program, given, 0, BUDGET, engine), 1)
            except Fault as fault:
                run.fault = fault
            run.base = {page: len(view) for page, view in memory.views.items()}
            memory.journal = None
        return run

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
            allowed = returns(self.spec.type, self.spec.expected_attach)
            r0 = signed(run.r0, 64)
            if allowed is not None and not allowed[0] <= r0 <= allowed[1]:
                return self._witness(run, at, f"the result is {r0}, and it must be in [{allowed[0]}, {allowed[1]}]")
        if self.harm == "leak-ref" and shadow.held:
            pc = next(iter(shadow.held.values()))
            return self._witness(run, at, f"the program ends and still holds what instruction {pc} acquired")
        return None

    def _witness(self, run: _Run, pc: int, what: str, regs: tuple[int, ...] = ()) -> Witness:
        spec, values = self.spec, run.values
        return Witness(inputs.packet(spec, values), inputs.context(spec, run.shadow.defaults, values),
                       inputs.entries(spec, values), tuple(run.shadow.used), pc, what, regs, self.runs,
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
        if left == 0:
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
            low, high = returns(self.spec.type, self.spec.expected_attach) or (0, 0)
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
            extra = run.values.get("meta", 0) - inputs.skipped(self.spec)
            return s.binary("add", s.zext(s.var("len", 16), 64), s.const(extra, 64))
        return s.const(size, 64)

    def _ask(self, run: _Run, conditions: list[Condition], priority: int, dead_end: str) -> None:
        if time.monotonic() >= self.deadline:
            self.unproved = True
            return
        start = run.shadow.defaults | run.values
        answer = solve(conditions, run.shadow.ranges, start, min(self.deadline, time.monotonic() + 2))
        if answer.values is not None:
            self.unproved = self.unproved or priority == 0     # if it goes wrong as foreseen, the search ends there
            kept = {name: value for name, value in run.values.items() if name != "*"}
            self._push(kept | answer.values, priority)
        elif answer.proved:
            if dead_end:
                self.dead_ends.append(dead_end)
        else:
            self.unproved = True
