"""From the walk's records to the trace that everybody reads: made step by step, only when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from ..asm import line as insn_line
from ..spec import ProgramSpec
from ..trace import Frame, Slot, State, Step, Trace, Value, Verdict
from .log import Log, dynptr_text, reg_text, second_of_dynptr
from .state import EMPTY
from .state import Slot as StackSlot
from .value import ADD_CONST, BASE, MAP_KEY, MAP_PTR, MAP_VALUE, MEM, NOT_INIT, PACKETS, Reg, type_name

#: instruction, parent step (-1: none), kind, frames as (registers, stack) before it
StepRecord = tuple[int, int, str, tuple]


def value(reg: Reg, frame: int) -> Value:
    """A register as the trace model has it."""
    n, base = reg.num, reg.type & BASE
    return Value(
        type=type_name(reg.type), text=reg_text(reg, frame), off=reg.off, value=n.value, mask=n.mask,
        umin=n.umin, umax=n.umax, smin=n.smin, smax=n.smax, u32_min=n.u32_min, u32_max=n.u32_max,
        s32_min=n.s32_min, s32_max=n.s32_max, id=reg.id & ~ADD_CONST, ref_id=reg.ref,
        range=max(reg.data, 0) if reg.type in PACKETS else 0, size=_size(reg, base),
        map=reg.data.name if base in (MAP_PTR, MAP_KEY, MAP_VALUE) else "",
    )


def _dynptr(reg: Reg) -> Value:
    """What the first slot of a dynptr holds."""
    return Value(type=f"dynptr_{reg.data.kind}", text=dynptr_text(reg), id=reg.id, ref_id=reg.ref)


def _size(reg: Reg, base: int) -> int:
    """Bytes of the region, where its size is known."""
    return reg.size if base == MEM else reg.data.value_size if base == MAP_VALUE else 0


class States:
    """Snapshots of the walk as states of the trace model. What snapshots share is made once, so that readers see by
    identity what did not change."""

    _MOST = 20_000      # values kept; the walk's records keep their registers alive, so that an id stays theirs

    def __init__(self) -> None:
        self._values: dict[tuple[int, int], Value] = {}
        self._slots: dict[tuple[int, int, int], Slot] = {}
        self._last: list[tuple[tuple, State]] = []      # the two states made last: the one left is entered next

    def of(self, snapshot: tuple) -> State:
        for made, state in self._last:
            if made is snapshot:
                return state
        state = State(tuple(self._frame(number, regs, stack) for number, (regs, stack) in enumerate(snapshot)))
        self._last = [*self._last[-1:], (snapshot, state)]
        return state

    def _frame(self, number: int, regs: Sequence[Reg], stack: Sequence[StackSlot]) -> Frame:
        return Frame(number, {at: self._value(reg, number) for at, reg in enumerate(regs) if reg.type != NOT_INIT},
                     {-8 * at - 8: self._slot(at, slot, number) for at, slot in enumerate(stack)
                      if slot.types != EMPTY.types and not second_of_dynptr(slot)})

    def _value(self, reg: Reg, frame: int) -> Value:
        key = id(reg), frame
        found = self._values.get(key)
        if found is None:
            if len(self._values) >= self._MOST:
                self._values.clear()
            found = self._values[key] = value(reg, frame)
        return found

    def _slot(self, at: int, slot: StackSlot, frame: int) -> Slot:
        key = id(slot), at, frame
        found = self._slots.get(key)
        if found is None:
            if len(self._slots) >= self._MOST:
                self._slots.clear()
            held = self._value(slot.reg, frame) if slot.spilled else None
            if slot.types[7] == "d":
                held = _dynptr(slot.reg)
            found = self._slots[key] = Slot(-8 * at - 8, slot.types, held)
        return found


class Steps(Sequence[Step]):
    """The steps of a walk. A step is built when it is looked at; ``outline`` tells of all without building any."""

    def __init__(self, spec: ProgramSpec, records: list[StepRecord], rejected: bool):
        self._spec, self._rejected = spec, rejected
        # "end" records hold only the state after a path's last instruction
        self._at = [i for i, record in enumerate(records) if record[2] != "end"]
        self._records = records
        self._index = {record: index for index, record in enumerate(self._at)}
        self._states = States()
        self._texts: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._at)

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Step]: ...

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if index < 0:
            index += len(self)
        at = self._at[index]
        pc, parent, kind, before = self._records[at]
        following = self._records[at + 1] if at + 1 < len(self._records) else None
        after = following[3] if kind == "insn" and following and following[1] == at else before
        return Step(index, pc, self._text(pc), self._states.of(before), self._states.of(after),
                    self._index[parent] if parent >= 0 else None, self._kind(index, kind),
                    branch=self._branch(pc, parent), source=self._spec.lines.get(pc))

    def outline(self) -> Iterator[tuple[int, int | None, str, str]]:
        """(pc, parent, kind, branch) of every step."""
        for index, at in enumerate(self._at):
            pc, parent, kind, _ = self._records[at]
            yield (pc, self._index[parent] if parent >= 0 else None, self._kind(index, kind), self._branch(pc, parent))

    def _kind(self, index: int, kind: str) -> str:
        return "rejected" if self._rejected and index == len(self) - 1 else kind

    def _branch(self, pc: int, parent: int) -> str:
        if parent < 0:
            return ""
        before = self._records[parent][0]
        opcode = self._spec.insns[before].opcode
        if opcode & 7 in (5, 6) and opcode & 0xF0 not in (0x00, 0x80, 0x90):
            return "fall" if pc == before + 1 else "taken"
        return ""

    def _text(self, pc: int) -> str:
        text = self._texts.get(pc)
        if text is None:
            text = self._texts[pc] = insn_line(self._spec.insns, pc, syntax="kernel", maps=self._spec.maps)
        return text

    def __iter__(self) -> Iterator[Step]:
        for index in range(len(self)):
            yield self[index]


class LazyTrace(Trace):
    """A ``Trace`` whose log is rendered when it is read."""

    _log: Log
    _text: str | None

    def __init__(self, program: ProgramSpec, verdict: Verdict, records: list[StepRecord], log: Log):
        object.__setattr__(self, "_log", log)
        object.__setattr__(self, "_text", None)
        super().__init__(program, verdict, Steps(program, records, verdict.result == "reject"))

    @property
    def log(self) -> str:
        text = self._text
        if text is None:
            text = self._log.text()
            object.__setattr__(self, "_text", text)
        return text

    def log_tail(self, size: int) -> tuple[str, bool]:
        """The last whole lines of the log, up to ``size`` characters, and are they all of it?"""
        return self._log.tail(size)

    @log.setter
    def log(self, _: str) -> None:
        """The text comes from the events."""
