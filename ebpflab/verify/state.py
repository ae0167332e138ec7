"""The state of a program at one point of one path: frames with registers and stack, references, history.

``State`` is what the walk carries along and changes; a copy of it is put aside at a branch, or kept as a
*checkpoint* that later paths are compared with.  Copies are cheap: registers and stack slots are immutable and
shared, a frame's stack is a tuple that a write replaces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .value import SCALAR, STACK, UNINIT, Reg

MAIN = -1       # "callsite" of the outermost frame (BPF_MAIN_FUNC)
#: who enters a frame: a call of the program, a helper while it runs, the kernel some time later
FUNCTION, CALLBACK, ASYNC = range(3)


class Slot:
    """Eight bytes of stack.

    ``types`` has a letter a byte, highest address first, as the kernel keeps and prints them: ``?`` never
    written, ``r`` part of a spilled register, ``m`` misc, ``0`` zero, ``d`` dynptr, ``i`` iterator. The last
    letter is the byte at the slot's own offset. ``reg`` is the register that was spilled, or what is known of the
    dynptr::

        fp-8 = "mmmm????"      *(u32 *)(r10 - 4) was written
    """

    __slots__ = ("reg", "types")

    def __init__(self, types: str, reg: Reg = UNINIT):
        self.types, self.reg = types, reg

    @property
    def spilled(self) -> bool:
        return self.types[7] == "r"

    @property
    def spilled_scalar(self) -> bool:
        return self.types[7] == "r" and self.reg.type == SCALAR


EMPTY = Slot("????????")


class Frame:
    """One function's registers and stack.

    ``stack[i]`` are the eight bytes at ``fp - 8 * (i + 1)``. ``callsite`` is the call instruction that made the
    frame, ``sub`` the number of its subprogram. In a checkpoint ``precise`` and ``precise_slots`` are bit masks of
    the scalars whose exact value some later instruction relied on; the state that is being walked needs none.

    ``role`` says who entered it; a callback may return numbers in ``allowed``. ``rounds`` counts the callbacks that
    the current helper call has begun (``callback_depth``), ``entry`` the asynchronous callbacks that set up each other.
    """

    __slots__ = ("allowed", "callsite", "entry", "number", "precise", "precise_slots", "regs", "role", "rounds",
                 "stack", "sub")

    def __init__(self, number: int = 0, callsite: int = MAIN, sub: int = 0):
        self.regs: list[Reg] = [UNINIT] * 10 + [Reg(STACK, frameno=number)]
        self.stack: tuple[Slot, ...] = ()
        self.number, self.callsite, self.sub = number, callsite, sub
        self.precise = self.precise_slots = 0
        self.role, self.rounds, self.entry = FUNCTION, 0, 0
        self.allowed: tuple[int, int] = (0, 0)

    def copy(self) -> Frame:
        new = Frame.__new__(Frame)
        new.regs, new.stack = self.regs[:], self.stack
        new.number, new.callsite, new.sub = self.number, self.callsite, self.sub
        new.precise, new.precise_slots = self.precise, self.precise_slots
        new.role, new.rounds, new.entry, new.allowed = self.role, self.rounds, self.entry, self.allowed
        return new

    def grow(self, depth: int) -> None:
        """Make the stack at least ``depth`` bytes deep."""
        missing = (depth + 7) // 8 - len(self.stack)
        if missing > 0:
            self.stack += (EMPTY,) * missing

    def put(self, index: int, slot: Slot) -> None:
        self.stack = (*self.stack[:index], slot, *self.stack[index + 1:])


class Ref(NamedTuple):
    """Something that must be given back: its id, the instruction that took it, and the map if it is a lock in there."""

    id: int
    pc: int
    lock: Any = None


#: what happened at an instruction that backtracking must know: instruction, the one before it, stack access and
#: comparison flags, linked registers as (frame, is register, number)
Jump = tuple[int, int, int, tuple]

STACK_ACCESS, SRC_IS_STACK, DST_IS_STACK = 1 << 9, 1 << 10, 1 << 11    # flags; bits 0-2 frame, 3-8 slot


class State:
    """``struct bpf_verifier_state``.

    ``parent`` is the checkpoint this state was last continued from, ``jumps`` the history since then,
    ``first`` the instruction it began at. In a checkpoint ``branches`` counts the paths below that are not
    finished; at 0 it is known to be safe. ``callback_depth`` and ``goto_depth`` count callbacks and ``may_goto``
    on the way here: a state that differs in them is no endless loop.
    """

    __slots__ = ("branches", "callback_depth", "cleaned", "depth", "equal", "first", "frames", "goto_depth", "hits",
                 "insn", "jumps", "last", "misses", "parent", "refs", "retired")

    def __init__(self) -> None:
        self.frames: list[Frame] = [Frame()]
        self.refs: tuple[Ref, ...] = ()
        self.parent: State | None = None
        self.jumps: list[Jump] = []
        self.first = self.last = self.insn = 0
        self.branches = 1
        self.depth = self.goto_depth = self.callback_depth = 0
        self.equal: State | None = None     # the checkpoint that a loop's back edge was found equal to
        self.cleaned = False
        self.hits = self.misses = 0         # how often a comparison with this checkpoint succeeded and failed
        self.retired = False                # no longer compared with, kept for its children

    @property
    def frame(self) -> Frame:
        return self.frames[-1]

    def copy(self) -> State:
        new = State.__new__(State)
        new.frames = [frame.copy() for frame in self.frames]
        new.refs, new.parent, new.jumps = self.refs, self.parent, self.jumps[:]
        new.first, new.last, new.insn, new.branches = self.first, self.last, self.insn, self.branches
        new.depth, new.goto_depth, new.callback_depth = self.depth, self.goto_depth, self.callback_depth
        new.equal, new.cleaned = self.equal, self.cleaned
        new.hits = new.misses = 0
        new.retired = False
        return new

    def insn_of(self, frame: int) -> int:
        """The instruction at which a frame stands: the call it waits for, or the current one."""
        return self.insn if frame == len(self.frames) - 1 else self.frames[frame + 1].callsite

    def same_calls(self, other: State) -> bool:
        return len(self.frames) == len(other.frames) and all(
            a.callsite == b.callsite for a, b in zip(self.frames, other.frames, strict=True))


def each_reg(state: State, change: Callable[[Reg], Reg]) -> None:
    """Apply ``change`` to every register and every spilled one (``bpf_for_each_reg_in_vstate``)."""
    for frame in state.frames:
        regs = frame.regs
        for at in range(11):
            regs[at] = change(regs[at])
        for at, slot in enumerate(frame.stack):
            if slot.spilled:
                made = change(slot.reg)
                if made is not slot.reg:
                    frame.put(at, Slot(slot.types, made))
