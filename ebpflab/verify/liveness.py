"""Which stack slots may still be read, learned during the walk (``kernel/bpf/liveness.c``).

Registers' liveness is static (``cfg.find_live``); the stack's is not, for a load may go through any pointer.  So
each instruction that was walked leaves what it read and what it surely wrote, kept apart by the chain of calls
that led to it.  When a path ends, the marks are carried backwards through the function::

    live before = live after  -  slots surely written  +  slots maybe read

and from a function's first instruction to the call in its caller.  Bit ``i`` of a mask is the slot at
``fp - 8 * (i + 1)`` of the frame in question.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from .cfg import Shape
from .state import State

Calls = tuple[int, ...]      # call instructions from the outermost frame, then the function's first instruction


class Marks:
    """The masks of one instruction for one frame."""

    __slots__ = ("live", "read", "written", "written_later")

    def __init__(self) -> None:
        self.read = self.written = 0        # here
        self.live = self.written_later = 0  # here or later


class Instance:
    """Marks of one function under one chain of calls, by frame and instruction."""

    __slots__ = ("calls", "count", "dropped", "frames", "stale", "start", "visited", "writers")

    def __init__(self, calls: Calls, count: int):
        self.calls, self.start, self.count = calls, calls[-1], count
        self.frames: list[list[Marks] | None] = [None] * len(calls)
        self.visited: set[int] = set()
        self.writers: set[int] = set()      # instructions with a ``written`` mask that is not 0
        self.stale = self.dropped = False

    def marks(self, frame: int, pc: int) -> Marks:
        table = self.frames[frame]
        if table is None:
            table = self.frames[frame] = [Marks() for _ in range(self.count)]
        return table[pc - self.start]

    def read(self, frame: int, pc: int, mask: int) -> None:
        marks = self.marks(frame, pc)
        if mask & ~marks.read and (mask | marks.read) & ~marks.live:
            self.stale = True
        marks.read |= mask

    def wrote(self, pc: int, masks: list[int]) -> None:
        """What every visit of ``pc`` writes: the first visit says, later ones can only take away."""
        first = pc not in self.visited
        for frame in range(len(self.calls)):
            mask = masks[frame]
            if mask == 0 and first:
                continue
            marks = self.marks(frame, pc)
            if not first:
                mask &= marks.written
            if marks.written != mask:
                self.dropped |= marks.written & ~mask != 0
                marks.written = mask
                self.stale = True
            if mask:
                self.writers.add(pc)
        self.visited.add(pc)

    def live(self, frame: int, pc: int) -> int:
        table = self.frames[frame]
        return table[pc - self.start].live if table else 0


class StackLiveness:
    """All instances of a verification. ``log`` is ``Log.later`` at log level 2, None below."""

    def __init__(self, shape: Shape, log: Callable[..., None] | None):
        self.shape, self.log = shape, log
        self.instances: dict[Calls, Instance] = {}
        self.current: Instance | None = None
        self.writes = [0] * 8       # of the instruction that is being walked, by frame
        self.wrote_some = False

    def _calls(self, state: State, frame: int) -> Calls:
        starts = self.shape.starts
        return (*[state.frames[i + 1].callsite for i in range(frame)], starts[state.frames[frame].sub])

    def _instance(self, calls: Calls) -> Instance:
        found = self.instances.get(calls)
        if found is None:
            sub = self.shape.sub_at(calls[-1])
            found = self.instances[calls] = Instance(calls, self.shape.end(sub) - calls[-1])
        return found

    def enter(self, state: State) -> None:
        """The walk continues in ``state``: after a call, a return, or at another branch."""
        self.current = self._instance(self._calls(state, len(state.frames) - 1))

    def read(self, frame: int, pc: int, mask: int) -> None:
        assert self.current is not None
        self.current.read(frame, pc, mask)

    def write(self, frame: int, mask: int) -> None:
        self.writes[frame] |= mask
        self.wrote_some = True

    def commit(self, instance: Instance | None, pc: int) -> None:
        """The instruction is done; ``write`` was called for all that it surely wrote."""
        assert instance is not None
        if self.wrote_some:
            instance.wrote(pc, self.writes)
            self.writes, self.wrote_some = [0] * 8, False
        elif pc in instance.writers:
            instance.wrote(pc, self.writes)
        else:
            instance.visited.add(pc)

    def update(self, state: State) -> None:
        """Carry marks backwards in every function of the chain of calls, innermost first."""
        for frame in range(len(state.frames) - 1, -1, -1):
            instance = self._instance(self._calls(state, frame))
            if instance.stale:
                self._settle(instance)
                instance.stale = instance.dropped = False

    def _settle(self, instance: Instance) -> None:
        if instance.dropped:
            for table in instance.frames:
                for marks in table or ():
                    marks.written_later = 0
        first, last = self.shape.orders[self.shape.starts.index(instance.start)]
        order = self.shape.postorder[first:last]
        rounds, changed = 0, True
        while changed:
            rounds, changed = rounds + 1, False
            for frame, table in enumerate(instance.frames):
                if table is not None:
                    changed |= self._carry(instance, frame, table, order)
        if self.log:
            self.log(_done_text, instance.calls, rounds)
        if len(instance.calls) > 1:
            self._to_caller(instance)

    def _carry(self, instance: Instance, frame: int, table: list[Marks], order: list[int]) -> bool:
        """Once backwards through the function; True if something is new."""
        start, changed = instance.start, False
        all_successors = self.shape.successors
        for pc in order:
            successors = all_successors[pc]
            if not successors:
                continue
            here, there = table[pc - start], table[successors[0] - start]
            live, written = there.live, there.written_later
            for goal in successors[1:]:
                there = table[goal - start]
                live |= there.live
                written &= there.written_later
            written |= here.written
            live = live & ~here.written | here.read
            if live == here.live and written == here.written_later:
                continue
            changed = True
            if self.log and (here.read or here.written or pc == start or self.shape.prune[pc]):
                if live != here.live:
                    self.log(_change_text, instance.calls, frame, pc, "live", here.live, live)
                if written != here.written_later:
                    self.log(_change_text, instance.calls, frame, pc, "written", here.written_later, written)
            here.live, here.written_later = live, written
        return changed

    def _to_caller(self, instance: Instance) -> None:
        outer_calls, callsite = instance.calls[:-2], instance.calls[-2]
        start = self.shape.starts[self.shape.sub_at(callsite)]
        outer = self._instance((*outer_calls, start))
        masks = [0] * 8
        for frame in range(len(instance.calls) - 1):
            if instance.frames[frame] is not None:
                marks = instance.marks(frame, instance.start)
                masks[frame] |= marks.written_later
                outer.read(frame, callsite, marks.live)
        outer.wrote(callsite, masks)

    def alive(self, state: State, frame: int) -> int:
        """Slots of a frame that may be read from ``state`` on."""
        top = len(state.frames) - 1
        live = self._instance(self._calls(state, top)).live(frame, state.insn)
        for outer in range(frame, top):
            callsite = state.frames[outer + 1].callsite
            at = callsite if self.shape.calls_callback[callsite] else callsite + 1
            live |= self._instance(self._calls(state, outer)).live(frame, at)
        return live


def _done_text(calls: Calls, rounds: int) -> str:
    return f"({','.join(map(str, calls))}) live stack update done in {rounds} iterations\n"


def _change_text(calls: Calls, frame: int, pc: int, word: str, old: int, new: int) -> str:
    line = f"({','.join(map(str, calls))}) frame {frame} insn {pc} "
    if new & ~old:
        line += f"+{word} {slots_text(new & ~old)} "
    if old & ~new:
        line += f"-{word} {slots_text(old & ~new)}"
    return line + "\n"


@lru_cache(maxsize=1 << 11)
def slots_text(mask: int) -> str:
    """``-8,-24`` for 0b101 (``bpf_fmt_stack_mask``)."""
    return ",".join([str(-8 * (i + 1)) for i in range(64) if mask >> i & 1])
