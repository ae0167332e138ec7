"""Which earlier numbers a decision relied on (``__mark_chain_precision``, ``backtrack_insn``).

Numbers in a checkpoint start out *imprecise*: a later path with any other number there is considered equal.  When
a number decides something (a branch, an address, a size), the walk goes backwards along the history to all that
it was computed from, and marks those registers and slots of the checkpoints on the way as precise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache

from ..abi import HELPER_IDS
from ..isa import Insn, bits
from .cfg import Shape, is_call, target
from .env import EFAULT, Env, Stop
from .liveness import slots_text
from .log import Log
from .state import DST_IS_STACK, SRC_IS_STACK, STACK_ACCESS, Frame, Jump, State
from .value import SCALAR

_ARGS = 0x3E    # r1 to r5


class Wanted:
    """Registers and stack slots still to be traced back, a bit mask of each for every frame."""

    __slots__ = ("regs", "slots", "top")

    def __init__(self, frames: int):
        self.regs, self.slots = [0] * 8, [0] * 8
        self.top = frames - 1

    @property
    def empty(self) -> bool:
        found = 0
        for frame in range(self.top + 1):
            found |= self.regs[frame] | self.slots[frame]
        return not found

    def copy(self) -> Wanted:
        new = Wanted(self.top + 1)
        new.regs, new.slots = self.regs[:], self.slots[:]
        return new


class _TooHard(Exception):
    """The history cannot tell; everything must be taken as precise."""


class _Lost(Exception):
    """Where the kernel finds itself mistaken, and refuses the program (``verifier_bug``).

    No program is known that gets it there: arguments do not survive calls, and what a function reads it wrote before.
    """


def mark(env: Env, regno: int) -> None:
    """Register ``regno`` of the current state was relied on."""
    wanted = Wanted(len(env.state.frames))
    wanted.regs[wanted.top] = 1 << regno
    mark_chain(env, env.state, wanted)


def mark_slot(env: Env, frame: int, slot: int) -> None:
    wanted = Wanted(len(env.state.frames))
    wanted.slots[frame] = 1 << slot
    mark_chain(env, env.state, wanted)


def mark_chain(env: Env, start: State, wanted: Wanted) -> bool:
    """Trace ``wanted`` back from ``start`` through all checkpoints before it. True if a mark was new."""
    if wanted.empty:
        return False
    state: State | None = start
    first, last, after = start.first, start.insn, -1
    skip = True         # the instruction at which we start has not happened yet
    new = False
    log = env.log if env.level2 else None
    while state is not None:
        if last < 0:
            if log:
                log.write(_header(wanted, last, first, after))
            # the entry of a function that is verified by itself: its arguments come from nowhere
            regs, slots = wanted.regs[wanted.top], wanted.slots[wanted.top]
            if wanted.top or not state.frame.sub or slots or regs & ~_ARGS:
                raise _bug(env, f"backtracking func entry subprog {state.frames[0].sub} reg_mask {regs:x} "
                                f"stack_mask {slots:x}")
            arguments = wanted.regs[0] & _scalar_regs(state.frame)
            state.frame.precise |= arguments
            return new or arguments != 0
        jumps = state.jumps
        left = len(jumps)
        if log:
            log.later(_way_back, env, jumps, left, first, last, after, wanted.copy(), skip)
        try:
            after, done = _through(env, jumps, left, first, last, after, wanted, skip)
        except _TooHard:
            force_all(env, start)
            return True
        except _Lost as lost:
            raise _bug(env, str(lost)) from None
        skip = False
        if done:
            return new
        state = state.parent
        if state is None:
            break
        new |= _mark_checkpoint(state, wanted, log)
        if wanted.empty:
            return new
        after, last, first = first, state.last, state.first
    if not wanted.empty:
        force_all(env, start)
    return new


def _bug(env: Env, words: str) -> Stop:
    return env.reject(f"verifier bug: {words}", EFAULT)


def _through(env: Env, jumps: list[Jump], left: int, first: int, last: int, after: int, wanted: Wanted, skip: bool,
             told: list[str] | None = None) -> tuple[int, bool]:
    """Walk the instructions of one state backwards; True when nothing is wanted any more.

    ``left`` entries of ``jumps`` lie on the way from ``last`` to ``first``. ``told`` takes the log's lines.
    """
    regs, traced = wanted.regs, env.shape.traced
    pc = last
    at = jumps[left - 1][0] if left else -1
    while True:
        if skip:
            skip = False
        else:
            if told is not None and env.insns[pc].opcode:
                told.append(_before(wanted, pc, env.log))
            matters = traced[pc]
            if at == pc or matters < 0 or regs[wanted.top] & matters:
                _step_back(env, pc, after, jumps[left - 1] if at == pc else None, wanted)
                if not regs[wanted.top] and wanted.empty:
                    return after, True
        after = pc
        if pc == first and (left == 0 or (left == 1 and at == pc)):
            return after, False
        if at == pc:
            pc = jumps[left - 1][1]
            left -= 1
            at = jumps[left - 1][0] if left else -1
        else:
            pc -= 1
        if pc < 0:
            raise _Lost(f"backtracking idx {pc}")


def find_traced(shape: Shape) -> None:
    """For each instruction the registers that it must be looked at for when it is walked backwards; -1: for any."""
    shape.traced = [_traced(insn) for insn in shape.insns]
    for pc, insn in enumerate(shape.insns):
        if is_call(insn, bits.CALL_HELPER) and not shape.calls_callback[pc] and insn.imm != HELPER_IDS["tail_call"]:
            shape.traced[pc] = 0x3F


def _traced(insn: Insn) -> int:
    cls, code = insn.opcode & 7, insn.opcode & 0xF0
    if insn.opcode == 0:
        return 0        # second half of a wide load
    if cls in (bits.JMP, bits.JMP32):
        if code in (bits.CALL, bits.EXIT):
            return -1
        return 1 << insn.dst | 1 << insn.src if insn.opcode & bits.X else 0
    return -1 if cls == bits.LD and insn.opcode & 0xE0 != bits.IMM else 1 << insn.dst


# ---- the log's lines, rendered when they are read: the way back is walked once more

def _header(wanted: Wanted, last: int, first: int, after: int) -> str:
    return f"mark_precise: frame{wanted.top}: last_idx {last} first_idx {first} subseq_idx {after} \n"


def _before(wanted: Wanted, pc: int, log: Log) -> str:
    top = wanted.top
    return (f"mark_precise: frame{top}: regs={_names(wanted.regs[top])} stack={slots_text(wanted.slots[top])} "
            f"before {pc}: {log.line(pc)}\n")


def _way_back(env: Env, jumps: list[Jump], left: int, first: int, last: int, after: int, wanted: Wanted,
              skip: bool) -> str:
    told = [_header(wanted, last, first, after)]
    with suppress(_TooHard, _Lost):
        _through(env, jumps, left, first, last, after, wanted.copy(), skip, told)
    return "".join(told)


@lru_cache(maxsize=1 << 11)
def _names(regs: int) -> str:
    return ",".join([f"r{i}" for i in range(11) if regs >> i & 1])


def _mark_checkpoint(state: State, wanted: Wanted, log: Log | None) -> bool:
    new = False
    for number in range(wanted.top, -1, -1):
        frame = state.frames[number]
        regs = wanted.regs[number]
        if regs:
            found = _scalar_regs(frame, regs & ~frame.precise)
            frame.precise |= found
            wanted.regs[number] = found
            new |= found != 0
        slots = wanted.slots[number]
        if slots:
            found = _scalar_slots(frame, slots & ~frame.precise_slots)
            frame.precise_slots |= found
            wanted.slots[number] = found
            new |= found != 0
        if log:
            log.full(f"mark_precise: frame{number}: parent state regs={_names(wanted.regs[number])} "
                     f"stack={slots_text(wanted.slots[number])}: ", frame, state.refs)
    return new


def _scalar_regs(frame: Frame, among: int = 0x3FF) -> int:
    """Bit mask of the registers that hold numbers."""
    found = 0
    while among:
        lowest = among & -among
        if frame.regs[lowest.bit_length() - 1].type == SCALAR:
            found |= lowest
        among ^= lowest
    return found


def _scalar_slots(frame: Frame, among: int = -1) -> int:
    found = 0
    if among:
        for at, slot in enumerate(frame.stack):
            if among >> at & 1 and slot.spilled_scalar:
                found |= 1 << at
    return found


def scalars(state: State) -> Iterator[tuple[Frame, int, int]]:
    """Each frame with the masks of its registers and slots that hold numbers."""
    for frame in state.frames:
        yield frame, _scalar_regs(frame), _scalar_slots(frame)


def force_all(env: Env, start: State) -> None:
    """Take all numbers of all checkpoints as precise (``mark_all_scalars_precise``)."""
    if env.level2:
        env.log.write(f"mark_precise: frame{len(start.frames) - 1}: falling back to forcing all scalars precise\n")
    state = start.parent
    while state is not None:
        for frame, regs, slots in scalars(state):
            if env.level2:
                for i in range(10):
                    if regs & ~frame.precise & 1 << i:
                        env.log.write(f"force_precise: frame{frame.number}: forcing r{i} to be precise\n")
                for i in range(64):
                    if slots & ~frame.precise_slots & 1 << i:
                        env.log.write(f"force_precise: frame{frame.number}: forcing fp-{8 * i + 8} to be precise\n")
            frame.precise |= regs
            frame.precise_slots |= slots
        state = state.parent


def _sync_linked(wanted: Wanted, entry: Jump | None) -> None:
    """If one of several linked numbers is wanted where they learned from each other, all are."""
    if entry is None or not entry[3]:
        return
    if any((wanted.regs if is_reg else wanted.slots)[frame] >> number & 1 for frame, is_reg, number in entry[3]):
        for frame, is_reg, number in entry[3]:
            (wanted.regs if is_reg else wanted.slots)[frame] |= 1 << number


def _step_back(env: Env, pc: int, after: int, entry: Jump | None, wanted: Wanted) -> None:
    _sync_linked(wanted, entry)
    if _undo(env, env.insns[pc], pc, after, entry, wanted):
        _sync_linked(wanted, entry)


def _undo(env: Env, insn: Insn, pc: int, after: int, entry: Jump | None, wanted: Wanted) -> bool:
    """From what is wanted after an instruction to what is wanted before it; False to leave links alone."""
    regs, top = wanted.regs, wanted.top
    cls, code = insn.opcode & 7, insn.opcode & 0xF0
    dst, src = 1 << insn.dst, 1 << insn.src
    flags = entry[2] if entry else 0
    stack, frame, slot = flags & STACK_ACCESS, flags & 7, 1 << (flags >> 3 & 63)
    if cls in (bits.ALU, bits.ALU64):
        if not regs[top] & dst or code in (bits.END, bits.NEG):
            return False
        if code == bits.MOV:
            regs[top] &= ~dst
        if insn.opcode & bits.X and insn.src != 10:
            regs[top] |= src
    elif loaded := _loaded(insn):
        if not regs[top] & loaded:
            return False
        regs[top] &= ~loaded
        if not stack:
            return False        # numbers keep their precision only on the stack
        wanted.slots[frame] |= slot
    elif cls in (bits.STX, bits.ST):
        if regs[top] & dst:
            raise _TooHard      # a number used as an address: the difference of two pointers
        if not stack:
            return False
        if not wanted.slots[frame] & slot:
            return False
        wanted.slots[frame] &= ~slot
        if cls == bits.STX:
            regs[top] |= src
    elif cls in (bits.JMP, bits.JMP32):
        if code in (bits.CALL, bits.EXIT):
            _undo_call(env, insn, code, pc, after, wanted)
            return code == bits.CALL and insn.src != bits.CALL_LOCAL and wanted.top >= top
        if insn.opcode & bits.X:
            if not regs[top] & (dst | src):
                return False
            if not flags & SRC_IS_STACK:
                regs[top] |= src
            if not flags & DST_IS_STACK:
                regs[top] |= dst
    elif cls == bits.LD:
        if insn.opcode & 0xE0 == bits.IMM:
            regs[top] &= ~dst
        elif regs[top] & dst:
            raise _TooHard
        elif after != pc + 1:
            wanted.top += 1     # it left the function
        return False
    return True


def _loaded(insn: Insn) -> int:
    """Bit mask of the register that an instruction loads from memory, 0 if it does not."""
    if insn.opcode & 7 == bits.LDX:
        return 1 << insn.dst
    if insn.opcode & 0xE7 != bits.STX | bits.ATOMIC:
        return 0
    # 6.18 does not follow what other atomics fetch
    return 1 << insn.dst if insn.imm == bits.LOAD_ACQ else 0


def _undo_call(env: Env, insn: Insn, code: int, pc: int, after: int, wanted: Wanted) -> None:
    regs, top = wanted.regs, wanted.top
    if code == bits.EXIT:
        # back into a function that returned to ``after``
        result = regs[top] & 1 and after > 0 and is_call(env.insns[after - 1], bits.CALL_LOCAL)
        if after >= 0 and env.shape.calls_callback[after]:
            regs[top] &= ~_ARGS     # the helper made them
        _none(regs[top] & _ARGS, regs[top], "backtracking exit unexpected regs")
        regs[top] &= ~1
        wanted.top += 1
        if result:
            regs[wanted.top] |= 1
    elif insn.src == bits.CALL_LOCAL and env.signatures.is_global(env.shape.sub_at(target(insn, pc))):
        _none(regs[top] & _ARGS, regs[top], "global subprog unexpected regs")
        regs[top] &= ~1
    elif insn.src == bits.CALL_HELPER and env.shape.calls_callback[pc] and after != pc + 1:
        # back out of a callback into the function that called the helper
        _none(regs[top] & ~_ARGS, regs[top], "callback unexpected regs")
        _none(wanted.slots[top], wanted.slots[top], "callback leftover stack slots")
        regs[top] = 0
        wanted.top -= 1
    elif insn.src == bits.CALL_LOCAL:
        # back out of the function into its caller, which made the arguments
        _none(regs[top] & ~_ARGS, regs[top], "static subprog unexpected regs")
        _none(wanted.slots[top], wanted.slots[top], "static subprog leftover stack slots")
        regs[top - 1] |= regs[top] & _ARGS
        regs[top] = 0
        wanted.top -= 1
    else:
        regs[top] &= ~1
        _none(regs[top] & _ARGS, regs[top], "backtracking call unexpected regs")
        if insn.imm == HELPER_IDS["tail_call"] and after != pc + 1:
            wanted.top += 1     # it left the function


def _none(wrong: int, mask: int, words: str) -> None:
    if wrong:
        raise _Lost(f"{words} {mask:x}")


def propagate(env: Env, old: State, state: State) -> bool:
    """``state`` was found equal to ``old``: what ``old`` relied on, ``state`` relies on too."""
    wanted = Wanted(len(state.frames))
    for number in range(len(old.frames) - 1, -1, -1):
        frame = old.frames[number]
        regs, slots = _scalar_regs(frame, frame.precise & 0x3FF), _scalar_slots(frame, frame.precise_slots)
        wanted.regs[number], wanted.slots[number] = regs, slots
        if (regs or slots) and env.log.level:
            names = [f"r{i}" for i in range(10) if regs >> i & 1]
            names += [f"fp-{8 * i + 8}" for i in range(64) if slots >> i & 1]
            env.log.write((f"frame {number}: propagating {','.join(names)}" if env.level2 else "") + "\n")
    return mark_chain(env, state, wanted)
