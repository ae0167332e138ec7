"""Puts the steps of a trace together while a log is read: states, parents, branches."""

from __future__ import annotations

import re
from dataclasses import replace

from ..isa.bits import U32
from ..spec import ProgramSpec, SourceLine
from . import unsaid
from .model import Frame, Slot, State, Step, Value
from .values import cells, constant, parse_slot, parse_value

_FRAME = re.compile(r" frame(\d+):")
_REFS = re.compile(r" refs=([\d,]+)")
_GOTO = re.compile(r"goto pc([+-]\d+)")
_CALL_NAME = re.compile(r"call (?:bpf_)?(\w+?)#")

_STORE = re.compile(r"\(\w\w\) \*\(u(\d+) \*\)\(r(\d+) ([+-]\d+)\) = ([rw]\d+|-?\d+)$")

_WRITES = re.compile(r"\(\w\w\) [rw](\d+) ")

_SETS = re.compile(r"\(\w\w\) ([rw])(\d+) = ([rw]\d+|-?\d+|0x[0-9a-f]+)$")

_EXIT, _CALL = "95", "85"
_LOADS_PACKET = {"20", "28", "30", "40", "48", "50"}    # LD_ABS, LD_IND
#: conditional jumps: classes JMP and JMP32 without ja, call, exit
_JUMPS = {f"{code | cls | src:02x}" for code in range(0x10, 0xE0, 0x10) if code not in (0x80, 0x90)
          for cls in (5, 6) for src in (0, 8)}


class Walk:
    """The state of the walk: the path now being followed, the open step, and what came out so far.

    ``path`` holds the steps from the program's start to here; going back to a branch cuts it off behind the
    step that put the branch aside, so each step enters and leaves it once.
    """

    def __init__(self, spec: ProgramSpec, *, old: bool = False, whole: bool = False):
        self.spec, self.old, self.whole = spec, old, whole
        self.steps: list[Step] = []
        self.path: list[int] = []
        self.taken: set[int] = set()        # branch steps whose other side was walked
        self.values: dict[str, Value] = {}
        self.slots: dict[tuple[str, str], Slot] = {}
        self.now = self.start("ctx()")
        self.source: SourceLine | None = None
        self.open: dict | None = None       # fields of the step that is not finished
        self.parent: int | None = None      # of the next step
        self.ended = True                   # the path came to its end
        self.returning = False              # a function just returned: "from" does not go back
        self.branch = ""
        self.live: dict[int, frozenset[int]] = {}       # instruction -> registers live before it (6.16 and later)
        self.sites: list[int] = []                      # instruction that called frame 1, 2, …

    def live_at(self, pc: int) -> tuple[frozenset[int] | None, ...]:
        """For each frame the registers that are live, None where the log does not say."""
        depth = len(self.now.frames)
        return (*(self.live.get(site) for site in self.sites[:depth - 1]), self.live.get(pc))

    def start(self, argument: str = "") -> State:
        """The state on entry: the frame pointer, and the context for the main program."""
        regs = {10: self.value("fp0")}
        return State((Frame(0, {1: self.value(argument), **regs} if argument else regs),))

    # ---- events of the log

    def insn(self, pc: int, text: str) -> None:
        self.close()
        if self.ended:
            self.go_back_unsaid(pc)
        before = self.now
        opcode = text[1:3]
        self.open = {"pc": pc, "text": text, "before": before, "source": self.source_of(pc), "notes": [],
                     "opcode": opcode, "branch": self.side(pc), "parent": self.parent, "told": False}
        self.returning = False
        if opcode == _CALL:
            self.call(text)
        elif opcode in _LOADS_PACKET:
            self.now = unsaid.clobber(before)
        elif self.whole and (match := _WRITES.match(text)):
            self.now = unsaid.known(before, int(match[1]), None)     # at level 1 nothing more is said

    def call(self, text: str) -> None:
        name = _CALL_NAME.search(text)
        if name and unsaid.changes_packet(name[1]):
            self.now = unsaid.void_packet(self.now, self.value("scalar()"))
        self.now = unsaid.clobber(self.now)

    def delta(self, text: str) -> None:
        """Cells that changed, of the innermost frame."""
        refs, step = self.now.refs, self.open
        self.now = self.changed(" " + text)
        if step is not None:
            step["told"] = True
            self.dead(step["text"], text)
        if step is not None and step["opcode"] in _JUMPS:
            self.now = unsaid.after_branch(step["before"], self.now, self.live_at(step["pc"]))
        elif refs != self.now.refs:
            for ref in refs:
                if ref not in self.now.refs:
                    self.now = unsaid.released(self.now, ref, self.value("scalar()"))
        if step is not None and _STORE.match(step["text"]):
            self.store(step)

    def dead(self, insn: str, text: str) -> None:
        """A register that was written and is not told of: no instruction reads it (7.1 and later forget it)."""
        match = _WRITES.match(insn)
        number = match[1] if match else "0" if _CALL_NAME.search(insn) else None
        if number is not None and not re.search(rf"(?:^|\s)R{number}(?:_\w+)?=", text):
            self.now = unsaid.known(self.now, int(number), None)

    def store(self, step: dict, own: bool = False) -> None:
        """A store through a pointer into a caller's frame: the log prints it nowhere. ``own``: into this frame."""
        size, base, off, source = _STORE.match(step["text"]).groups()
        regs, here = step["before"].frame.regs, len(self.now.frames) - 1
        pointer = regs.get(int(base))
        if pointer is None or pointer.type != "fp" or pointer.mask:
            return
        value = regs.get(int(source[1:])) if source[0] in "rw" else constant(int(source, 0))
        frame = here if pointer.frame is None else pointer.frame
        if value is not None and (frame < here or own):
            self.now = unsaid.stored(self.now, frame, pointer.off + int(off), int(size) // 8, value)

    def untold(self, step: dict) -> State:
        """What a step left behind whose state the log does not print, since the next one was pruned."""
        regs, text = step["before"].frame.regs, step["text"]
        if _STORE.match(text):
            self.store(step, own=True)
        elif match := _SETS.match(text):
            kind, number, source = match.groups()
            value = regs.get(int(source[1:])) if source[0] in "rw" else constant(int(source, 0))
            if kind == "w" and value is not None and value.umax > U32:
                value = constant(value.const & U32) if value.const is not None else None
            return unsaid.known(self.now, int(number), value)
        elif match := _WRITES.match(text):
            return unsaid.known(self.now, int(match[1]), None)
        return self.now

    def state_at(self, pc: int, text: str) -> None:
        """``N: R0=…`` on a line of its own: what changed, or all of it in old logs and at the start of a path."""
        if self.open is not None and self.open["opcode"] == _EXIT and not self.returning:
            self.close()
        if self.ended and self.open is None:
            self.go_back_unsaid(pc)
        if self.whole:
            self.now = self.replaced(self.now, text)
        else:
            self.delta(text[1:])

    def state_after(self, text: str) -> None:
        """A whole state that an instruction left behind."""
        self.now = self.replaced(self.now, text)

    def full(self, which: str, text: str) -> None:
        """The full state after ``caller:``, ``callee:``, ``returning from callee:`` or ``to caller at``."""
        if which == "to caller":
            self.now = replace(self.now, frames=self.now.frames[:-1] or self.now.frames)
            self.now = self.replaced(self.now, text)
            self.returning = True
        elif which == "callee:":
            self.sites[len(self.now.frames) - 1:] = [self.open["pc"] if self.open else 0]
            self.now = self.replaced(self.now, text)
        else:
            self.now = self.replaced(self.now, text)

    def back(self, came: int, pc: int, text: str) -> None:
        """``from X to Y``: the other side of a branch, or on after a return."""
        safe, on = text == " safe", self.returning
        self.close()
        if not on:
            self.pop(came, pc, None if safe else text)
        elif not safe:
            self.now = self.replaced(self.now, text)
        if safe:
            self.add_pruned(pc)

    def safe(self, pc: int) -> None:
        if self.open is not None and not self.open["told"]:
            self.now = self.untold(self.open)
        self.close()
        if self.ended:
            self.go_back_unsaid(pc)
        self.add_pruned(pc)

    def note(self, line: str) -> None:
        if self.open is not None:
            self.open["notes"].append(line)
        elif self.steps:
            last = self.steps[-1]
            self.steps[-1] = replace(last, notes=(*last.notes, line))

    def trailing(self, lines: list[str]) -> None:
        for line in lines:
            self.note(line)

    def new_function(self, line: str) -> None:
        self.note(line) if self.steps or self.open else None
        self.close()
        self.path.clear()
        self.parent, self.ended, self.now = None, False, self.start()

    def finish(self) -> None:
        self.close()

    # ---- steps

    def close(self) -> None:
        """Finish the open step."""
        step, self.open = self.open, None
        if step is None:
            return
        opcode, _ = step.pop("opcode"), step.pop("told")
        step["notes"] = tuple(step["notes"])
        self.add(Step(index=len(self.steps), after=self.now, **step))
        self.ended = opcode == _EXIT and not self.returning

    def add(self, step: Step) -> None:
        self.steps.append(step)
        self.path.append(step.index)
        self.parent = step.index
        self.branch = ""

    def add_pruned(self, pc: int) -> None:
        self.add(Step(len(self.steps), pc, "", self.now, self.now, self.parent, "pruned", (), self.side(pc),
                      self.source_of(pc)))
        self.ended, self.returning = True, False

    def reject(self, afterwards: bool, named: int | None, again: bool) -> int | None:
        """Mark the step at which the walk stopped; -> the instruction that the error speaks of.

        ``again``: it was about to be walked once more, and not printed for that.
        """
        if not self.steps or afterwards:
            return named
        last = self.steps[-1]
        if named is not None and (again or named != last.pc) and any(step.pc == named for step in self.steps):
            self.add(Step(len(self.steps), named, "", self.now, self.now, self.parent, "rejected", (),
                          self.side(named), self.source_of(named)))
            return named
        self.steps[-1] = replace(last, kind="rejected", after=last.before)
        return last.pc

    def side(self, pc: int) -> str:
        """Which side of a branch this step is on, "" if it does not follow one."""
        if self.branch:
            return self.branch
        if self.parent is None:
            return ""
        before = self.steps[self.parent]
        if before.text[1:3] not in _JUMPS:
            return ""
        return "fall" if pc == before.pc + 1 else "taken"

    def source_of(self, pc: int) -> SourceLine | None:
        return self.source or self.spec.lines.get(pc)

    # ---- going back

    def pop(self, came: int, pc: int, text: str | None) -> None:
        """Take up the branch that the last step at ``came`` on the path put aside."""
        found = self.find(lambda step: step.pc == came, pc, text)
        self.cut(found)
        base = self.steps[found].before if found is not None else State()
        self.now = base if text is None else self.replaced(base, text)
        if self.branch:
            self.now = unsaid.after_branch(base, self.now, self.live_at(came))
        self.ended = False

    def go_back_unsaid(self, pc: int) -> None:
        """The path ended and the log goes on at ``pc`` without saying from where (5.10 at level 2; the start)."""
        self.ended = False
        if not self.steps:
            return
        found = self.find(lambda step: pc in self.ways(step), pc, None)
        self.cut(found)
        if found is not None:
            self.now = self.steps[found].before

    def ways(self, step: Step) -> tuple[int, ...]:
        match = _GOTO.search(step.text)
        return (step.pc + 1, step.pc + 1 + int(match[1])) if match and step.text[1:3] in _JUMPS else ()

    def find(self, wanted, side: int, text: str | None) -> int | None:
        """The last step on the path that fits and whose other side was not walked; its state must agree."""
        first = None
        for index in reversed(self.path):
            step = self.steps[index]
            if index in self.taken or step.kind != "insn" or not wanted(step):
                continue
            if self.next_pc(index) == side and len(set(self.ways(step))) == 2:
                continue    # that side was the one walked first, so it cannot be the one put aside
            if text is None or self.agrees(step, text):
                return index
            first = index if first is None else first
        return first

    def next_pc(self, index: int) -> int | None:
        """The instruction that followed step ``index``."""
        return self.steps[index + 1].pc if index + 1 < len(self.steps) else None

    def agrees(self, step: Step, text: str) -> bool:
        """Could the state in ``text`` be the other side of this step? Calls and iterators change too much to tell."""
        if step.text[1:3] not in _JUMPS:
            return True
        told = self.replaced(step.before, text).frame
        touched = set(re.findall(r"\b[rw](\d+)\b", step.text))
        for number, value in step.before.frame.regs.items():
            other = told.regs.get(number)
            if str(number) in touched or (value.type == "scalar" and value.id):
                continue
            if other is None or (other.text != value.text and value.type == "scalar"):
                return False
        return True

    def cut(self, found: int | None) -> None:
        """Shorten the path to end with ``found``."""
        if found is None:
            self.path.clear()
        else:
            self.taken.add(found)
            while self.path[-1] != found:
                self.path.pop()
        self.parent = found
        self.branch = "taken" if found is not None and self.steps[found].text[1:3] in _JUMPS else ""

    # ---- states

    def value(self, text: str) -> Value:
        found = self.values.get(text)
        if found is None:
            found = self.values[text] = parse_value(text, self.old)
        return found

    def slot(self, name: str, text: str) -> Slot:
        key = name, text
        found = self.slots.get(key)
        if found is None:
            found = self.slots[key] = parse_slot(int(name[2:]), text, self.old)
        return found

    def changed(self, text: str) -> State:
        """The present state with the cells in ``text`` replaced."""
        number, regs, stack, refs, callback = self.read(text)
        frames = self.now.frames
        at = min(number, len(frames) - 1)
        frame = frames[at]
        if regs or stack:
            frame = Frame(frame.number, {**frame.regs, **regs} if regs else frame.regs,
                          {**frame.stack, **stack} if stack else frame.stack, callback or frame.callback)
            frames = (*frames[:at], frame, *frames[at + 1:])
        return State(frames, refs)

    def replaced(self, base: State, text: str) -> State:
        """``base`` with the frame in ``text`` instead of its own, and no frames above it."""
        number, regs, stack, refs, callback = self.read(text)
        frame = Frame(number, regs, stack, callback)
        return State((*base.frames[:number], frame), refs)

    def read(self, text: str) -> tuple[int, dict, dict, tuple[int, ...], str]:
        number = int(match[1]) if (match := _FRAME.match(text)) else 0
        regs, stack = {}, {}
        for name, value in cells(text):
            if name[0] == "R":
                regs[int(name[1:])] = self.value(value)
            else:
                slot = self.slot(name, value)
                stack[slot.off] = slot
        refs = tuple(map(int, match[1].split(","))) if (match := _REFS.search(text)) else ()
        callback = "async_cb" if text.endswith(" async_cb") else "cb" if text.endswith(" cb") else ""
        return number, regs, stack, refs, callback
