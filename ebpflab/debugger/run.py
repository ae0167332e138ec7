"""A recorded run as a Trace: the same steps, registers and slots as a verification, but each with its one value.

So whatever shows, filters, slices or exports a trace does it with a run, too: the stepper, ``to_frame()``,
``trace.slice.backwards`` ("which steps made this value").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from ..abi.verdicts import verdict as verdict_name
from ..asm import line
from ..isa import Insn, op_of
from ..isa.bits import STACK_SIZE
from ..sim.history import History
from ..sim.history import Step as RunStep
from ..sim.machine import Program
from ..sim.memory import OFFSET, PAGE_BITS, Mapped, Unmapped, Write
from ..spec import ProgramSpec
from ..trace import Frame, Slot, State, Stats, Step, Trace, Value, Verdict
from . import concrete

ARGUMENTS = range(1, 6)
#: (step, register) -> does the verifier call it a number?
IsNumber = Callable[[int, int], bool]


def run_trace(history: History, is_number: IsNumber = lambda step, register: False) -> Trace:
    """The run as a trace. Its verdict is ``ended`` or, after a fault, ``fault``; ``processed`` counts instructions."""
    spec, bases = joined(history)
    states = list(_States(history, is_number).each())
    steps = []
    for step, state in zip(history.steps, states, strict=False):
        base = bases[step.program.id]
        after = states[step.index + 1] if step.index + 1 < len(states) else state
        own = step.program.spec
        culprit = history.fault is not None and step.index == len(history) - 1
        steps.append(Step(
            step.index, base + step.pc, line(own.insns, step.pc, syntax="kernel", maps=own.maps), state, after,
            step.index - 1 if step.index else None, kind="rejected" if culprit else "insn",
            branch=_branch(history, step.index), source=own.lines.get(step.pc)))
    return Trace(spec, _verdict(history), tuple(steps))


def _verdict(history: History) -> Verdict:
    stats = Stats(processed=len(history))
    if history.fault is not None:
        last = history.steps[-1] if history.steps else None
        return Verdict("fault", "the simulator", error=str(history.fault), error_lines=(str(history.fault),),
                       pc=None if last is None else joined(history)[1][last.program.id] + last.pc, stats=stats)
    assert history.result is not None
    r0 = history.result.retval
    name = verdict_name(history.program.spec.type, r0)
    return Verdict("ended", "the simulator", error=f"returned {r0}" + (f" ({name})" if name else ""), stats=stats)


def _branch(history: History, index: int) -> str:
    """``taken`` or ``fall`` on the first step after a conditional jump."""
    if not index:
        return ""
    before, now = history.steps[index - 1], history.steps[index]
    code = before.program.image.codes[before.pc]
    if code.kind != "jmp" or before.program is not now.program:
        return ""
    return "taken" if now.pc == code.target and code.target != code.next else "fall"


def joined(history: History) -> tuple[ProgramSpec, dict[int, int]]:
    """The programs of a run (more than one after tail calls) one after the other, and where each begins."""
    programs: dict[int, Program] = {}
    for program in (history.program, *(step.program for step in history.steps)):
        programs.setdefault(program.id, program)
    first, *others = programs.values()
    if not others:
        return first.spec, {first.id: 0}
    insns: list[Insn] = []
    maps: list = []
    lines, labels, functions, bases = {}, {}, {}, {}
    for program in programs.values():
        spec, base = program.spec, len(insns)
        bases[program.id] = base
        for table, found in ((spec.lines, lines), (spec.labels, labels), (spec.functions, functions)):
            found.update({base + pc: value for pc, value in table.items()})
        functions[base] = spec.name
        insns += [insn._replace(imm=insn.imm + len(maps)) if _names_map(insn) else insn for insn in spec.insns]
        maps += spec.maps
    return replace(first.spec, insns=tuple(insns), maps=tuple(maps), lines=lines, labels=labels,
                   functions=functions), bases


def _names_map(insn: Insn) -> bool:
    op = op_of(insn)
    return op is not None and op.kind == "lddw" and op.verb.startswith("map")


class _States:
    """The states before each step and, last, at the end; made going forward through what the run did to memory.

    A register is there from when it was given a value; what a caller leaves in R1 … R5 is gone after the call.
    """

    def __init__(self, history: History, is_number: IsNumber):
        self.history, self.is_number = history, is_number
        first = [region for region in history.regions if not region.born]
        self.memory: dict[int, bytearray] = {each.address >> PAGE_BITS: bytearray(each.first) for each in first}
        self.owners: dict[int, object] = {each.address >> PAGE_BITS: each.owner for each in first}
        self.frames: list[Frame] = []
        self.words: list[tuple[int, ...]] = []      # registers of each frame
        self.given: list[set[int]] = []             # those that have a value
        self.context = history.steps[0].regs[1] >> PAGE_BITS if history.steps else -1

    def each(self) -> Iterator[State]:
        steps = self.history.steps
        for step in steps:
            yield self._before(step)
            self._apply(step.events)
            given = self.given[step.depth]
            if step.program.image.codes[step.pc].kind == "call":
                given.difference_update(ARGUMENTS)
            given.update(step.sets)
        if steps:
            yield self._end(steps[-1])

    def value(self, word: int, depth: int, number: bool = False) -> Value:
        if number:
            return concrete.number(word)
        if word in concrete.FUNCTIONS:
            return concrete.function(word)
        found = concrete.nearest(self.memory, word)
        if found is None:
            return concrete.number(word)
        page, _ = found
        ctx = self.memory.get(self.context, b"")
        return concrete.pointer(self.owners[page], page << PAGE_BITS, len(self.memory[page]), word,
                                concrete.ends_of_packet(self.history.program.spec.type, bytes(ctx)), depth)

    def _before(self, step: RunStep) -> State:
        depth = step.depth
        for frames in (self.frames, self.words, self.given):
            del frames[depth + 1:]
        if len(self.frames) <= depth:
            self.frames.append(Frame(depth, {}, {}))
            self.words.append(())
            self.given.append({*ARGUMENTS, 10} if depth else {1, 10})
        self._registers(depth, step.regs, step.index)
        return State(tuple(self.frames))

    def _registers(self, depth: int, words: Sequence[int], index: int) -> None:
        """Values are made for the registers that changed; a packet that moved changes what others point at."""
        old, frame, given = self.words[depth], self.frames[depth], self.given[depth]
        if old == words and frame.regs.keys() == given:
            return
        regs: dict[int, Value] = {}
        for number in sorted(given):
            known, word, plain = frame.regs.get(number), words[number], self.is_number(index, number)
            same = known is not None and old[number] == word and (known.type == "scalar" or not plain)
            regs[number] = known if known is not None and same else self.value(word, depth, plain)
        self.words[depth] = tuple(words)
        self.frames[depth] = Frame(depth, regs, frame.stack)

    def _end(self, last: RunStep) -> State:
        """After the last step: r0 as the run left it."""
        if self.history.result is not None:
            words = list(last.regs)
            words[0] = self.history.result.r0
            self.given[last.depth].add(0)
            self._registers(last.depth, words, last.index)
        return State(tuple(self.frames))

    def _apply(self, events: Sequence) -> None:
        for event in events:
            page = getattr(event, "address", -1) >> PAGE_BITS
            if isinstance(event, Mapped):
                self.memory[page], self.owners[page] = bytearray(event.data), event.owner
            elif isinstance(event, Unmapped):
                self.memory.pop(page, None)
            elif isinstance(event, Write) and page in self.memory:
                at = event.address & OFFSET
                self.memory[page][at:at + len(event.new)] = event.new
                self._stack(page, at, len(event.new))

    def _stack(self, page: int, at: int, size: int) -> None:
        name = str(self.owners[page])
        if not name.startswith("stack of frame ") or size == STACK_SIZE:    # a whole one: made clean for a new frame
            return
        number = int(name.rsplit(" ", 1)[1])
        if number >= len(self.frames):
            return
        frame, data = self.frames[number], self.memory[page]
        slots: dict[int, Slot] = dict(frame.stack)
        for start in range(at // 8 * 8, at + size, 8):
            whole = at <= start and start + 8 <= at + size      # a pointer is stored in one piece
            value = self.value(int.from_bytes(data[start:start + 8], "little"), number, not whole)
            slots[start - STACK_SIZE] = Slot(start - STACK_SIZE, "rrrrrrrr", value)
        self.frames[number] = Frame(number, frame.regs, slots)
