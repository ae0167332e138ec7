"""From the walk's records to the trace that everybody reads: made step by step, only when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from ..asm import line as insn_line
from ..spec import ProgramSpec
from ..trace import Frame, Slot, State, Step, Trace, Value, Verdict
from .log import Log, reg_text
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
        range=max(reg.data, 0) if reg.type in PACKETS else 0, size=reg.data if base == MEM else 0,
        map=reg.data.name if base in (MAP_PTR, MAP_KEY, MAP_VALUE) else "",
    )


def _slot(at: int, slot: StackSlot, frame: int) -> Slot:
    return Slot(-8 * at - 8, slot.types, value(slot.reg, frame) if slot.spilled else None)


def state(snapshot: tuple) -> State:
    return State(tuple(
        Frame(number,
              {at: value(reg, number) for at, reg in enumerate(regs) if reg.type != NOT_INIT},
              {-8 * at - 8: _slot(at, slot, number) for at, slot in enumerate(stack) if slot.types != EMPTY.types})
        for number, (regs, stack) in enumerate(snapshot)
    ))


class Steps(Sequence[Step]):
    """The steps of a walk. A step is built when it is looked at."""

    def __init__(self, spec: ProgramSpec, records: list[StepRecord], rejected: bool):
        self._spec, self._rejected = spec, rejected
        # "end" records hold only the state after a path's last instruction
        self._at = [i for i, record in enumerate(records) if record[2] != "end"]
        self._records = records
        self._index = {record: index for index, record in enumerate(self._at)}

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
        if self._rejected and index == len(self) - 1:
            kind = "rejected"
        branch = ""
        if parent >= 0:
            previous = self._spec.insns[self._records[parent][0]]
            if previous.opcode & 7 in (5, 6) and previous.opcode & 0xF0 not in (0x00, 0x80, 0x90):
                branch = "fall" if pc == self._records[parent][0] + 1 else "taken"
        return Step(index, pc, insn_line(self._spec.insns, pc, syntax="kernel", maps=self._spec.maps),
                    state(before), state(after), self._index[parent] if parent >= 0 else None, kind,
                    branch=branch, source=self._spec.lines.get(pc))

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

    @log.setter
    def log(self, _: str) -> None:
        """The text comes from the events."""
