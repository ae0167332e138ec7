"""A trace as JSON text: for files, for notebooks, for another machine.

    text = to_json(trace)      from_json(text) == trace, step by step

Values, slots, texts, sources and notes are written once and numbered. A state is written as the change from the one
before it in the file::

    values   "scalar(umax=7,…)", or [text, {field: …}] where the text does not say all
    slots    [offset, letters, value or -1]
    states   [base state or -1, changes, frames or 0, references or 0]
             changes  frame, n, cell, frame, n, cell … : n >= 0 is register n with a value (-1: unknown now),
                      n < 0 stack slot n with a slot
    steps    [pc, text, before, after, parent or -1, kind, branch, source or -1, notes]
"""

from __future__ import annotations

import json
from dataclasses import fields

from ..errors import EbpflabError
from .model import Frame, Slot, State, Step, Trace, Value
from .plain import from_plain, to_plain
from .values import parse_value

FORMAT = "ebpflab trace 1"
KINDS = ("insn", "pruned", "rejected")
BRANCHES = ("", "fall", "taken")
_FIELDS = [(field.name, field.default) for field in fields(Value)][2:]


class _Table:
    """Things in the order of their first use, each once."""

    def __init__(self) -> None:
        self.numbers: dict = {}
        self.rows: list = []

    def number(self, thing, row=None) -> int:
        found = self.numbers.get(thing)
        if found is None:
            found = self.numbers[thing] = len(self.rows)
            self.rows.append(thing if row is None else row(thing))
        return found


def _value(value: Value):
    text = ("P" if value.precise else "") + value.text
    try:
        if parse_value(text) == value:
            return text
    except ValueError:
        pass
    kept = {name: getattr(value, name) for name, default in _FIELDS if getattr(value, name) != default}
    return [value.text, value.type, kept]


def _read_value(row) -> Value:
    return parse_value(row) if isinstance(row, str) else Value(row[1], row[0], **row[2])


class _Writer:
    def __init__(self) -> None:
        self.values, self.slots, self.texts, self.sources, self.notes = (_Table() for _ in range(5))
        self.states: list = []
        self.last: State | None = None

    def state(self, state: State) -> int:
        """The number of a state; it is written if it differs from the last one."""
        if state is self.last:
            return len(self.states) - 1
        changes = self.changes(self.last, state)
        shape = [[frame.number, frame.callback] for frame in state.frames]
        before = [] if self.last is None else [[frame.number, frame.callback] for frame in self.last.frames]
        refs = () if self.last is None else self.last.refs
        if self.last is None or changes or shape != before or refs != state.refs:
            self.states.append([len(self.states) - 1, changes, 0 if shape == before else shape,
                                0 if refs == state.refs else list(state.refs)])
        self.last = state
        return len(self.states) - 1

    def changes(self, old: State | None, new: State) -> list[int]:
        found: list[int] = []
        for at, frame in enumerate(new.frames):
            was = old.frames[at] if old and at < len(old.frames) else Frame()
            if was is frame:
                continue
            for have, want, table, row in ((was.regs, frame.regs, self.values, _value),
                                           (was.stack, frame.stack, self.slots, self.slot)):
                if have is want:
                    continue
                for n, cell in want.items():
                    other = have.get(n)
                    if other is not cell and other != cell:
                        found += (at, n, table.number(cell, row))
                for n in have:
                    if n not in want:
                        found += (at, n, -1)
        return found

    def slot(self, slot: Slot):
        return [slot.off, slot.bytes, -1 if slot.value is None else self.values.number(slot.value, _value)]

    def step(self, step: Step) -> list:
        return [step.pc, self.texts.number(step.text), self.state(step.before), self.state(step.after),
                -1 if step.parent is None else step.parent, KINDS.index(step.kind), BRANCHES.index(step.branch),
                -1 if step.source is None else self.sources.number(step.source),
                [self.notes.number(note) for note in step.notes]]


def to_json(trace: Trace, *, log: bool = True) -> str:
    """The trace as one line of JSON; ``log=False`` leaves the log's text out (notes of steps stay)."""
    writer = _Writer()
    steps = [writer.step(step) for step in trace.steps]
    return json.dumps({
        "format": FORMAT, "program": to_plain(trace.program), "verdict": to_plain(trace.verdict),
        "truncated": trace.truncated, "log": trace.log if log else "",
        "values": writer.values.rows, "slots": writer.slots.rows, "texts": writer.texts.rows,
        "sources": [to_plain(source) for source in writer.sources.rows], "notes": writer.notes.rows,
        "states": writer.states, "count": len(steps), "steps": steps,
    }, separators=(",", ":"), ensure_ascii=False)


def from_json(text: str | bytes) -> Trace:
    """The trace that ``to_json`` wrote. Raises EbpflabError if the text is none."""
    try:
        data = json.loads(text)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise EbpflabError("this is no trace of ebpflab", hint=f"a trace file starts with {FORMAT!r}")
        values = [_read_value(row) for row in data["values"]]
        slots = [Slot(off, letters, None if at < 0 else values[at]) for off, letters, at in data["slots"]]
        states = _read_states(data["states"], values, slots)
        texts, notes = data["texts"], data["notes"]
        sources = [from_plain(row) for row in data["sources"]]
        steps = tuple(
            Step(index, pc, texts[what], states[before], states[after], None if parent < 0 else parent, KINDS[kind],
                 tuple(notes[at] for at in said), BRANCHES[branch], None if source < 0 else sources[source])
            for index, (pc, what, before, after, parent, kind, branch, source, said) in enumerate(data["steps"]))
        if len(steps) != data["count"]:
            raise ValueError(f"{len(steps)} of {data['count']} steps are there")
        return Trace(from_plain(data["program"]), from_plain(data["verdict"]), steps, data["log"], data["truncated"])
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise EbpflabError(f"this trace cannot be read: {error}", hint="the file is damaged or cut off") from error


def _read_states(rows: list, values: list[Value], slots: list[Slot]) -> list[State]:
    states: list[State] = []
    for base, changes, shape, refs in rows:
        old = states[base] if base >= 0 else State((), ())
        frames = list(old.frames)
        if shape:
            frames = [Frame(number, frames[at].regs if at < len(frames) else {},
                            frames[at].stack if at < len(frames) else {}, callback)
                      for at, (number, callback) in enumerate(shape)]
        for at in {*changes[::3]}:
            frame = frames[at]
            regs, stack = dict(frame.regs), dict(frame.stack)
            for where, n, cell in zip(changes[::3], changes[1::3], changes[2::3], strict=True):
                if where != at:
                    continue
                cells, table = (regs, values) if n >= 0 else (stack, slots)
                if cell < 0:
                    del cells[n]
                else:
                    cells[n] = table[cell]
            frames[at] = Frame(frame.number, regs, stack, frame.callback)
        states.append(State(tuple(frames), tuple(refs) if refs != 0 else old.refs))
    return states
