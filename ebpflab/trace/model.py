"""The trace of a verification: what was known, step by step, and the verdict.

Two producers make it, our verifier (``ebpflab.verify``) and any kernel's log (``ebpflab.trace.klog``);
every view reads only this.  It is pure data and imports no producer.

A trace is a *tree* walked depth first: a step continues from its ``parent`` step, which is the
step before it unless the verifier came back to a branch it had put aside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..spec import ProgramSpec, SourceLine
from .diagnosis import Diagnosis


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of a register or a stack slot.

    ``type`` is the kernel's word (``reg_type_str``): ``scalar``, ``ctx``, ``fp``, ``map_ptr``, ``map_value``,
    ``map_value_or_null``, ``pkt``, ``pkt_end``, ``pkt_meta``, ``mem``, ``sock``, ``func`` …; ``not_init`` for nothing.
    ``text`` is the kernel's own spelling, for instance ``scalar(smin=0,smax=umax=255,var_off=(0x0; 0xff))``.

    Bounds are Python ints, always filled in for scalars and for pointers' variable part: signed ones in
    [-2^63, 2^63), unsigned ones in [0, 2^64), the 32-bit ones likewise. A bit set in ``mask`` is unknown;
    known bits are in ``value`` (a tnum, ``kernel/bpf/tnum.c``). ``off`` is a pointer's fixed offset in bytes;
    ``range`` how many packet bytes were proved; ``size`` bytes of a ``mem`` region or of a map's value; ``map`` the
    map's name. For a scalar ``off`` is the constant by which it differs from the others with its ``id``.
    ``frame`` is the number of the frame that a stack pointer points into, None for the one that holds it.
    """

    type: str
    text: str
    off: int = 0
    value: int = 0
    mask: int = 0
    umin: int = 0
    umax: int = 0
    smin: int = 0
    smax: int = 0
    u32_min: int = 0
    u32_max: int = 0
    s32_min: int = 0
    s32_max: int = 0
    id: int = 0
    ref_id: int = 0
    range: int = 0
    size: int = 0
    map: str = ""
    precise: bool = False
    frame: int | None = None

    @property
    def const(self) -> int | None:
        """The value as an unsigned 64-bit int if every bit of a scalar is known."""
        return self.value if self.type == "scalar" and self.mask == 0 else None


@dataclass(frozen=True, slots=True)
class Slot:
    """Eight bytes of stack at ``fp + off`` (off = -8, -16, …).

    ``bytes`` has one letter a byte, highest address first, as the kernel prints them: ``?`` never written,
    ``r`` spilled register, ``m`` misc, ``0`` zero, ``d`` dynptr, ``i`` iterator, ``f`` irq flag, ``p`` forgotten
    because nothing reads it (7.1 and later).
    ``value`` is what was spilled (or the dynptr or iterator), None for raw bytes. ``text`` is the kernel's spelling.
    """

    off: int
    bytes: str
    value: Value | None = None

    @property
    def text(self) -> str:
        if self.value is None:
            return self.bytes
        return self.bytes.rstrip("rdi") + self.value.text


@dataclass(frozen=True, slots=True)
class Frame:
    """One function's registers (number -> Value; absent: not initialised) and stack (offset -> Slot).

    ``callback`` is ``cb`` in a function that a helper calls, ``async_cb`` in one that it calls later, else "".
    """

    number: int = 0
    regs: Mapping[int, Value] = field(default_factory=dict)
    stack: Mapping[int, Slot] = field(default_factory=dict)
    callback: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """All frames, the innermost last; ``refs`` are ids of references that must be released."""

    frames: tuple[Frame, ...] = (Frame(),)
    refs: tuple[int, ...] = ()

    @property
    def frame(self) -> Frame:
        return self.frames[-1]

    def cells(self) -> Iterator[tuple[str, Value | Slot]]:
        """Every known cell of the innermost frame by its kernel name: ``R0`` … ``R10``, ``fp-8`` …"""
        for number in sorted(self.frame.regs):
            yield f"R{number}", self.frame.regs[number]
        for off in sorted(self.frame.stack, reverse=True):
            yield f"fp{off}", self.frame.stack[off]


def changed(before: State, after: State) -> tuple[str, ...]:
    """Names of the innermost frame's cells that differ in text, registers first."""
    old, new = dict(before.cells()), dict(after.cells())
    names = [*new, *(n for n in old if n not in new)]
    return tuple(n for n in names if n not in old or n not in new or old[n].text != new[n].text)


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction looked at once.

    index    position in ``Trace.steps``
    pc       slot of the instruction
    text     the kernel's disassembly with its opcode, ``(b7) r0 = 2``
    before   state on entry; ``after`` the state on leaving (for a branch: on its fall-through side)
    parent   index of the step this one continues, None for the first
    kind     ``insn``; ``pruned`` (an equal or weaker state was already proved safe here); ``rejected``
    notes    further log lines that belong to this step (precision marking, call frames), verbatim
    branch   on the first step after a branch: ``taken`` or ``fall``; else ""
    """

    index: int
    pc: int
    text: str
    before: State = field(repr=False)
    after: State = field(repr=False)
    parent: int | None
    kind: str = "insn"
    notes: tuple[str, ...] = ()
    branch: str = ""
    source: SourceLine | None = None

    @property
    def changed(self) -> tuple[str, ...]:
        return changed(self.before, self.after)


@dataclass(frozen=True, slots=True)
class Stats:
    """The numbers at the end of a kernel log; None where the producer does not know."""

    processed: int | None = None
    limit: int = 1_000_000
    max_states_per_insn: int | None = None
    total_states: int | None = None
    peak_states: int | None = None
    mark_read: int | None = None
    usec: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who said what. ``result`` is ``accept``, ``reject`` or ``unsupported`` (never a guess); of a recorded run
    (``ebpflab.debugger``) it is ``ended`` or ``fault``.

    ``error`` is the last, deciding line of a rejection (or what is unsupported), ``error_lines`` all of them;
    ``pc`` the instruction it speaks of; ``by`` for instance ``Linux 6.18.0`` or ``ebpflab``. ``diagnoses`` are the
    kernel's own, from Linux 7.3 on.
    """

    result: str
    by: str
    error: str = ""
    error_lines: tuple[str, ...] = ()
    pc: int | None = None
    errno: int = 0
    stats: Stats = Stats()
    diagnoses: tuple[Diagnosis, ...] = ()

    @property
    def ok(self) -> bool:
        return self.result in ("accept", "ended")


@dataclass(frozen=True, slots=True)
class Trace:
    """A verification from first step to verdict. ``log`` is the kernel-format text (ours or the kernel's)."""

    program: ProgramSpec
    verdict: Verdict
    steps: Sequence[Step] = ()
    log: str = ""
    truncated: bool = False

    @property
    def ok(self) -> bool:
        return self.verdict.ok

    def visits(self, pc: int) -> list[Step]:
        """Every step at one instruction, in the order the verifier took them."""
        return [step for step in self.steps if step.pc == pc]

    def path(self, step: Step | int) -> list[Step]:
        """The steps from the start of the program to ``step``, along parents."""
        at: int | None = step if isinstance(step, int) else step.index
        found = []
        while at is not None:
            found.append(self.steps[at])
            at = self.steps[at].parent
        return found[::-1]

    def outline(self) -> Iterable[tuple[int, int | None, str, str]]:
        """(pc, parent, kind, branch) of every step, also where steps are made only when they are looked at."""
        told = getattr(self.steps, "outline", None)
        return told() if told else ((step.pc, step.parent, step.kind, step.branch) for step in self.steps)

    def hits(self) -> dict[int, int]:
        """How often each instruction was processed."""
        return dict(Counter(pc for pc, *_ in self.outline()))

    def to_records(self) -> list[dict]:
        """One flat dict a step: step, pc, insn, kind, parent, branch, changed, and R0 … R10, fp-8 … as text."""
        return [
            {"step": s.index, "pc": s.pc, "insn": s.text, "kind": s.kind, "parent": s.parent, "branch": s.branch,
             "changed": " ".join(s.changed), **{name: cell.text for name, cell in s.after.cells()}}
            for s in self.steps
        ]

    def to_frame(self):
        """The same as a pandas DataFrame."""
        import pandas

        return pandas.DataFrame(self.to_records())

    def __str__(self) -> str:
        v = self.verdict
        what = {"accept": "accepted", "reject": "rejected", "unsupported": "not supported", "ended": "run",
                "fault": "stopped by a fault"}[v.result]
        tail = f": {v.error}" if v.error else ""
        return f"{self.program.name}: {what} by {v.by} after {len(self.steps)} steps{tail}"
