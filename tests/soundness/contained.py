"""Does what a program really does lie inside what the verifier says of it?

The program runs in the simulator.  Before each instruction the place in the walk's tree of steps is found that goes
with it, and every register and stack byte is compared with what is claimed there.

Two walks are checked:

- without pruning (``unpruned``): every path is walked to its end, so each claim along *the* path must hold;
- the real one: where a path was cut because an earlier state admits it, the run goes on at that earlier state.  Numbers
  that no decision relied on may then differ (the kernel, too, ignores imprecise scalars), but pointers and
  their offsets must be as claimed, and each branch that is taken must have been walked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from ebpflab.isa.bits import U32, U64
from ebpflab.sim import Machine
from ebpflab.sim.maps.base import Element
from ebpflab.sim.memory import OFFSET, PAGE, PAGE_BITS
from ebpflab.spec import ProgramSpec
from ebpflab.verify import explore
from ebpflab.verify.cfg import Shape
from ebpflab.verify.log import Log
from ebpflab.verify.scalar import Scalar, s32, s64
from ebpflab.verify.state import EMPTY
from ebpflab.verify.value import (
    ADD_CONST,
    ADD_CONST32,
    BASE,
    CTX,
    MAP_PTR,
    MAP_VALUE,
    MAYBE_NULL,
    NOT_INIT,
    PKT,
    PKT_END,
    PKT_META,
    SCALAR,
    STACK,
    Reg,
)

LIMIT = 20_000


class Unsound(AssertionError):
    """A concrete value that the verifier says is impossible, or a path that it says is never taken."""


@contextmanager
def _unpruned() -> Iterator[None]:
    arrive = explore.prune.arrive
    explore.prune.arrive = lambda env, pc: False
    try:
        yield
    finally:
        explore.prune.arrive = arrive


class Walk:
    """The tree of steps of an accepted program: ``records`` are (pc, parent, kind, frames before it)."""

    def __init__(self, spec: ProgramSpec, *, prune: bool = True, limit: int = LIMIT):
        """Raises env.Stop if the walk takes more than ``limit`` instructions."""
        shape = Shape(spec.insns)
        run = explore.Run(spec, shape, Log(0, lambda pc: ""), limit, 2)
        run.prepare()
        with nullcontext() if prune else _unpruned():
            run.walk()
        self.pruned, self.live, self.records = prune, shape.live, run.steps
        self.children: dict[int, list[int]] = {}
        self.visits: dict[int, list[int]] = {}
        for index, (pc, parent, kind, _) in enumerate(self.records):
            if kind == "end":
                continue
            self.children.setdefault(parent, []).append(index)
            if kind == "insn":
                self.visits.setdefault(pc, []).append(index)

    def after(self, steps: set[int], pc: int) -> set[int]:
        """Steps at ``pc`` that may follow one of ``steps``."""
        found, queue = set(), [child for step in steps for child in self.children.get(step, ())
                               if self.records[child][0] == pc]
        while queue:
            step = queue.pop()
            if step in found:
                continue
            found.add(step)
            if self.records[step][2] == "pruned":
                queue += self.visits.get(pc, ())
            # a state split in two at one instruction (maybe_fork_scalars): the other half starts here again
            queue += [child for child in self.children.get(step, ()) if self.records[child][0] == pc
                      and self.records[step][2] == "insn"]
        return {step for step in found if self.records[step][2] == "insn"}


def fits(n: Scalar, word: int) -> str:
    """Why ``word`` (unsigned 64 bits) is not one of the numbers ``n``, "" if it is."""
    low = word & U32
    if word & ~n.mask & U64 != n.value:
        return f"bits ({n.value:#x}; {n.mask:#x})"
    if not n.umin <= word <= n.umax:
        return f"u64 [{n.umin}, {n.umax}]"
    if not n.smin <= s64(word) <= n.smax:
        return f"s64 [{n.smin}, {n.smax}]"
    if not n.u32_min <= low <= n.u32_max:
        return f"u32 [{n.u32_min}, {n.u32_max}]"
    if not n.s32_min <= s32(low) <= n.s32_max:
        return f"s32 [{n.s32_min}, {n.s32_max}]"
    return ""


def _offset(n: Scalar, off: int) -> str:
    """Pointers: 32-bit bounds are not kept for them."""
    word = off & U64
    if word & ~n.mask & U64 != n.value or not n.umin <= word <= n.umax or not n.smin <= off <= n.smax:
        return f"offset {off} is not in {n}"
    return ""


class Watch:
    """The interpreter's hook: follows one run through a walk."""

    def __init__(self, walk: Walk, machine: Machine, input_):
        self.walk, self.machine, self.input = walk, machine, input_
        self.at: set[int] = {-1}
        self.checked = 0

    def __call__(self, program, code, regs: list[int], depth: int) -> None:
        walk, pc = self.walk, code.pc
        candidates = walk.after(self.at, pc)
        if not candidates:
            raise Unsound(f"instruction {pc} is reached, the verifier says never (steps {sorted(self.at)[:9]})")
        why = ""
        good = set()
        for step in candidates:
            frames = walk.records[step][3]
            found = self.wrong(frames, depth, regs, walk.live[pc])
            if found:
                why = f"step {step}, instruction {pc}: {found}"
            else:
                good.add(step)
        if not good:
            raise Unsound(why)
        self.at = good
        self.checked += 1

    def wrong(self, frames: tuple, depth: int, regs: list[int], live: int) -> str:
        if len(frames) != depth + 1:
            return f"{depth + 1} frames, {len(frames)} claimed"
        claimed, stack = frames[-1]
        exact = not self.walk.pruned
        ids: dict[int, tuple[int, int]] = {}
        for number in range(11):
            reg = claimed[number]
            if reg.type != NOT_INIT and (exact or number == 10 or live >> number & 1):
                why = self.value(reg, regs[number], exact) or (exact and _linked(ids, reg, regs[number]))
                if why:
                    return f"r{number} = {regs[number]:#x}: {why}"
        if not exact:
            return ""
        memory = self.machine.stacks[depth]
        for index, slot in enumerate(stack):
            if slot.types == EMPTY.types:
                continue
            start = len(memory) - 8 * index - 8
            data = memory[start:start + 8]
            for byte, kind in enumerate(slot.types):
                if kind == "0" and data[7 - byte]:
                    return f"fp-{8 * index + 8} has {data.hex()}, claimed {slot.types}"
            if slot.types[7] == "r":
                size = slot.types.count("r")
                word = int.from_bytes(data[:size], "little")
                if size < 8:        # the low bytes of a number: the claim is of all eight
                    known = ~slot.reg.num.mask & (1 << size * 8) - 1
                    why = "known bits" if (word ^ slot.reg.num.value) & known else ""
                else:
                    why = self.value(slot.reg, word, exact) or _linked(ids, slot.reg, word)
                if why:
                    return f"fp-{8 * index + 8} = {word:#x}: {why}"
        return ""

    def value(self, reg: Reg, word: int, exact: bool) -> str:
        """Why ``reg`` does not admit ``word``."""
        if reg.type == SCALAR:
            return fits(reg.num, word) if exact else ""
        if reg.type & MAYBE_NULL and word == 0:
            return ""
        base, frame = reg.type & BASE, self.input.frame
        if base == CTX:
            return _offset(reg.num, word - self.input.address - reg.off)
        if base == STACK:
            return _offset(reg.num, word - self.machine.frame_pointers[reg.frameno] - reg.off)
        if base == PKT:
            why = _offset(reg.num, word - frame.data - reg.off)
            if not why and reg.data > 0 and word - reg.off + reg.data > frame.data_end:
                why = f"{reg.data} bytes proved, {frame.data_end - word + reg.off} are there"
            return why
        if base == PKT_META:
            return _offset(reg.num, word - frame.data_meta - reg.off)
        if base == PKT_END:
            return "" if word == frame.data_end else "not data_end"
        page, at = word >> PAGE_BITS, word & OFFSET
        if at > PAGE // 2:          # a little before the start of a region
            page, at = page + 1, at - PAGE
        owner = self.machine.memory.owners.get(page)
        if base == MAP_VALUE:
            if not isinstance(owner, Element) or owner.map.spec.name != reg.data.name:
                return f"points to {owner}, claimed a value of {reg.data.name}"
            return _offset(reg.num, at - reg.off)
        if base == MAP_PTR:
            return "" if self.machine.map_at[word].spec.name == reg.data.name else f"is {owner}"
        raise NotImplementedError(f"{reg} is not compared yet")


def _linked(ids: dict[int, tuple[int, int]], reg: Reg, word: int) -> str:
    """Numbers with one id are equal but for their distances."""
    if reg.type != SCALAR or not reg.id:
        return ""
    narrow = reg.id & ADD_CONST32
    base = word - (reg.off if reg.id & ADD_CONST else 0)
    if reg.id & ~ADD_CONST not in ids:
        ids[reg.id & ~ADD_CONST] = (base, narrow)
        return ""
    other, also_narrow = ids[reg.id & ~ADD_CONST]
    mask = U32 if narrow or also_narrow else U64
    return f"linked by id {reg.id & ~ADD_CONST}, but not equal" if (base ^ other) & mask else ""


def run(walks: list[Walk], spec: ProgramSpec, given: list) -> int:
    """Run an accepted program on ``given`` (packet, map contents) beside each walk; how many instructions were
    compared. Raises Unsound, or Fault if the program does what no accepted program may."""
    from ebpflab.sim.contexts import Input

    machine = Machine(cpus=1)
    program = machine.load(spec)
    checked = 0
    for packet, contents in given:
        for name, pairs in contents.items():
            if program.maps[name].spec.type == "hash":
                for key in list(program.maps[name].keys()):
                    program.maps[name].delete(key)
            for key, value in pairs:
                program.maps[name].update(key, value)
        with machine.lock:
            input_ = Input(spec.type, machine.memory, packet, b"", sockets=machine.sockets)
            watches = [Watch(walk, machine, input_) for walk in walks]

            def hook(*step, watches=watches) -> None:
                for watch in watches:
                    watch(*step)

            try:
                machine.execute(program, input_, 1, 0, "interpreter", hook, 100_000)
            finally:
                input_.close()
                machine.memory.bury()
        checked += sum(watch.checked for watch in watches)
    return checked
