"""The run of one verification: program, options, current state, what is still to be walked, log, counters.

Every rule of the verifier is a function that takes the ``Env`` (``struct bpf_verifier_env``), changes
``env.state`` and raises ``Stop`` when the program must be rejected.
"""

from __future__ import annotations

from copy import copy

from ..abi.helpers import Helper
from ..errors import Unsupported
from ..isa import Insn, Op, bits, op_of
from ..obj.btf import Btf
from ..spec import MapSpec, ProgramSpec
from .cfg import Shape
from .liveness import StackLiveness
from .log import Log
from .scalar import Scalar
from .signature import Signatures
from .special import LOCKS, OF_THEIR_MAP, special_fields
from .state import Frame, Jump, State
from .value import ANY, NOT_INIT, STACK, Reg

E2BIG, EACCES, EFAULT, EINVAL, ENOTSUPP = 7, 13, 14, 22, 524

# prog_flags of BPF_PROG_LOAD
STRICT_ALIGNMENT, ANY_ALIGNMENT, TEST_STATE_FREQ, SLEEPABLE = 1 << 0, 1 << 1, 1 << 3, 1 << 4
TEST_REG_INVARIANTS = 1 << 7

MAX_PENDING = 8192      # BPF_COMPLEXITY_LIMIT_JMP_SEQ
MAX_VAR_OFF = 1 << 29   # BPF_MAX_VAR_OFF


class Stop(Exception):
    """The program is rejected; the reason is in the log."""

    def __init__(self, errno: int):
        super().__init__(errno)
        self.errno = errno


class Map:
    """A map as the verifier needs it. Two maps are the same only if they are the same object.

    An inner map with timers differs from look-up to look-up of the outer one: ``told_apart`` gives it a number,
    ``uid``; ``base`` is the map without.
    """

    __slots__ = ("base", "content", "flags", "inner", "key_size", "locked", "max_entries", "name", "number", "numbered",
                 "spec", "special", "type", "typed", "uid", "value_size")

    def __init__(self, spec: MapSpec, name: str = "", btf: Btf | None = None):
        self.spec, self.name, self.type, self.number = spec, name, spec.type, spec.row.number
        self.key_size, self.value_size = spec.key_size, spec.value_size
        self.max_entries, self.flags = spec.max_entries, spec.flags
        self.inner = Map(spec.inner, "", btf) if spec.inner else None     # the kernel keeps no name for it
        self.typed = bool(spec.btf_key or spec.btf_value)       # does BTF describe it?
        #: fields that programs may not touch; is there a lock among them?
        self.special = special_fields(btf, spec.btf_value) if btf and spec.btf_value else ()
        self.locked = any(field.kind in LOCKS for field in self.special)
        #: bytes of the only value of a map that nobody can change any more, None otherwise
        self.content: bytes | None = None
        if spec.frozen and spec.flags & 1 << 7:
            self.content = spec.contents[0][1] if spec.contents else bytes(spec.value_size)
        self.base, self.uid = self, 0
        self.numbered: dict[int, Map] = {}

    def told_apart(self, uid: int) -> Map:
        """The map found by the look-up with this id (``map_uid``)."""
        if not any(field.kind in OF_THEIR_MAP for field in self.special):
            return self
        if uid not in self.numbered:
            made = copy(self)
            made.uid = uid
            self.numbered[uid] = made
        return self.numbered[uid]


class Pending:
    """A branch that was put aside."""

    __slots__ = ("log_length", "pc", "previous", "state", "step")

    def __init__(self, state: State, pc: int, previous: int, log_length: int, step: int):
        self.state, self.pc, self.previous, self.log_length, self.step = state, pc, previous, log_length, step


class Env:
    """See the module. ``regs`` are the registers of the innermost frame of ``state``."""

    def __init__(self, spec: ProgramSpec, shape: Shape, log: Log, maps: tuple[Map, ...], signatures: Signatures,
                 limit: int, cpus: int):
        self.spec, self.shape, self.log, self.maps, self.signatures = spec, shape, log, maps, signatures
        self.limit, self.cpus = limit, cpus
        self.insns: tuple[Insn, ...] = spec.insns
        # nothing checks the offset of an exit
        self.ops: list[Op | None] = [op_of(insn._replace(off=0) if insn.opcode == bits.JMP | bits.EXIT else insn)
                                     for insn in spec.insns]
        self.type, self.attach = spec.type, spec.expected_attach
        self.prototypes: dict[int, Helper] = {}             # helpers that were found callable
        flags = spec.flags
        self.strict = bool(flags & STRICT_ALIGNMENT) and not flags & ANY_ALIGNMENT
        self.every_state = bool(flags & TEST_STATE_FREQ)
        self.invariants = bool(flags & TEST_REG_INVARIANTS)
        self.level2 = log.level >= 2
        self.stack_liveness = StackLiveness(shape, log.later if self.level2 else None)
        self.depths = [0] * len(shape.starts)               # how deep each function's stack gets, in bytes
        self.pointer_types = [NOT_INIT] * len(spec.insns)   # what each load and store was used with so far
        exception = {shape.exception} if shape.exception else set()
        self.called: set[int] = set(exception)              # global functions
        self.later: set[int] = set(exception)               # functions that run as asynchronous callbacks
        self.inlined: dict[int, int] = {}                   # see callback.enter

        self.state = State()
        self.regs = self.state.frame.regs
        self.pending: list[Pending] = []
        self.pc, self.previous = 0, -1
        self.recorded = False           # has this instruction a place in the history already?
        self.touched, self.touched_slots = 0, 0     # registers and slots to print
        self.step = -1                  # index of the step that is being walked
        self.messages: list[str] = []   # lines about the current instruction, the rejection's among them

        self.ids = 0
        self.processed = self.jumps = 0
        self.processed_before = self.jumps_before = 0       # at the last checkpoint
        self.states_total = self.states_now = self.states_retired = 0
        self.states_peak = self.states_per_insn = self.backedges = 0
        self.buckets: list[list[State]]
        self.visits: dict               # see prune.Visit
        self.forget_states()

    # ---- saying things

    def say(self, line: str) -> None:
        self.messages.append(line)
        self.log.write(line + "\n")

    def reject(self, line: str, errno: int = EACCES) -> Stop:
        """Log why and give the exception to raise."""
        self.say(line)
        return Stop(errno)

    def reject_without_newline(self, line: str, errno: int = EACCES) -> Stop:
        """Some of the kernel's messages lack the line's end; what is printed next is part of the line."""
        self.messages.append(line)
        self.log.write(line)
        return Stop(errno)

    def unsupported(self, feature: str) -> Unsupported:
        return Unsupported(feature)

    # ---- state

    @property
    def frame(self) -> Frame:
        return self.state.frames[-1]

    def new_id(self) -> int:
        self.ids += 1
        return self.ids

    def resume(self, state: State) -> None:
        self.state = state
        self.regs = state.frames[-1].regs
        self.stack_liveness.enter(state)

    def push(self, pc: int, previous: int) -> State:
        """Put a copy of the state aside, to be continued at ``pc`` (``push_stack``)."""
        other = self.state.copy()
        self.pending.append(Pending(other, pc, previous, len(self.log.events), self.step))
        if len(self.pending) > MAX_PENDING:
            raise self.reject(f"The sequence of {len(self.pending)} jumps is too complex.", E2BIG)
        if other.parent:
            other.parent.branches += 1
        return other

    def push_async(self, pc: int, previous: int) -> State:
        """Put a state aside that knows nothing of this one (``push_async_cb``)."""
        other = State()
        self.pending.append(Pending(other, pc, previous, len(self.log.events), self.step))
        if len(self.pending) > MAX_PENDING:
            raise self.reject(f"The sequence of {len(self.pending)} jumps is too complex for async cb.", E2BIG)
        return other

    def bucket(self, pc: int) -> list[State]:
        """The checkpoints that the current state is compared with at ``pc``, newest first."""
        return self.buckets[(pc ^ self.state.frame.callsite & 0xFFFF_FFFF) % len(self.buckets)]

    def forget_states(self) -> None:
        """Another function is verified by itself: the checkpoints of the last one say nothing of it."""
        self.buckets = [[] for _ in self.insns]
        self.visits = {}

    def record(self, flags: int, linked: tuple = ()) -> None:
        """Remember this instruction for walking backwards (``push_jmp_history``)."""
        jumps = self.state.jumps
        if self.recorded:
            pc, previous, before, _ = jumps[-1]
            jumps[-1] = (pc, previous, before | flags, linked)
            return
        entry: Jump = (self.pc, self.previous, flags, linked)
        jumps.append(entry)
        self.recorded = True

    # ---- operands

    def source(self, regno: int) -> Reg:
        """A register that is read (``check_reg_arg`` with SRC_OP)."""
        if regno > 10:
            raise self.reject(f"R{regno} is invalid", EINVAL)
        self.touched |= 1 << regno
        reg = self.regs[regno]
        if reg.type == NOT_INIT:
            raise self.reject(f"R{regno} !read_ok")
        return reg

    def target(self, regno: int) -> None:
        """A register that is about to be written."""
        if regno > 10:
            raise self.reject(f"R{regno} is invalid", EINVAL)
        self.touched |= 1 << regno
        if regno == 10:
            raise self.reject("frame pointer is read only")

    def forget(self, regno: int) -> None:
        self.regs[regno] = ANY

    def sane(self, reg: Reg, what: str) -> Reg:
        """The register, or one about which nothing is known if its views contradict each other."""
        n = reg.num
        if not n.bad:
            return reg
        self.say(f"verifier bug: REG INVARIANTS VIOLATION ({what}): {n.bad} {_views(n)}")
        if self.invariants:
            raise Stop(EFAULT)
        return reg.number(_unbounded(n))

    def stack_of(self, reg: Reg) -> Frame:
        assert reg.type == STACK
        return self.state.frames[reg.frameno]


def _views(n: Scalar) -> str:
    def u64(word: int) -> str:
        return f"{word & 0xFFFF_FFFF_FFFF_FFFF:#x}"

    def u32(word: int) -> str:
        return f"{word & 0xFFFF_FFFF:#x}"

    return (f"u64=[{u64(n.umin)}, {u64(n.umax)}] s64=[{u64(n.smin)}, {u64(n.smax)}] "
            f"u32=[{u32(n.u32_min)}, {u32(n.u32_max)}] s32=[{u32(n.s32_min)}, {u32(n.s32_max)}] "
            f"var_off=({u64(n.value)}, {u64(n.mask)})")


def _unbounded(n: Scalar) -> Scalar:
    from .scalar import UNKNOWN, raw

    return raw(n.value, n.mask, *UNKNOWN.key[2:])
