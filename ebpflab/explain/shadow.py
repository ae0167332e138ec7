"""A run in the simulator with a shadow: what each register and byte is as a term over the inputs.

The interpreter runs the program on real values; before each instruction the shadow follows it. The branches passed
become conditions, so that a solver can ask for an input that takes another side, and what must not happen is noted:
a register read that nothing wrote, a reference that is kept, an access whose address the input decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from ..abi import HELPER_NAMES
from ..isa import bits
from ..sim.alu import TAKEN
from ..sim.decode import Code
from ..sim.machine import Machine, Program
from ..sim.maps.base import Element
from ..sim.memory import OFFSET, PAGE_BITS, Write
from . import symbols as s
from .symbols import Condition, Term

#: helpers whose result the world decides -> bits of it
RESULTS = {
    "get_prandom_u32": 32, "ktime_get_ns": 64, "ktime_get_boot_ns": 64, "ktime_get_coarse_ns": 64,
    "ktime_get_tai_ns": 64, "jiffies64": 64, "get_current_pid_tgid": 64, "get_current_uid_gid": 64,
    "get_current_cgroup_id": 64, "skb_cgroup_id": 64, "get_socket_cookie": 64, "get_netns_cookie": 64,
    "get_attach_cookie": 64, "get_hash_recalc": 32, "get_socket_uid": 32, "get_route_realm": 32,
    "get_cgroup_classid": 32,
}
#: helpers that fill memory with what the program cannot know
FILLS = frozenset(("probe_read", "probe_read_kernel", "probe_read_user", "copy_from_user", "get_current_comm"))
ACQUIRES = frozenset(("ringbuf_reserve", "sk_lookup_tcp", "sk_lookup_udp", "skc_lookup_tcp"))
RELEASES = frozenset(("ringbuf_submit", "ringbuf_discard", "sk_release"))
NOWHERE = 1 << 40       # stands for the address of an entry that is not there
CALLER_SAVED = frozenset(range(1, 6))


@dataclass(slots=True)
class Frame:
    """One function's shadow: a term for each register (None: no input in it), and which registers were written."""

    terms: list[Term | None]
    ready: set[int]


@dataclass(frozen=True, slots=True)
class Access:
    """A use of memory: ``address`` and ``size`` as terms, ``at`` the index in the trail, ``concrete`` the address."""

    at: int
    address: Term
    size: Term
    concrete: int


@dataclass(frozen=True, slots=True)
class Fork:
    """A branch that was passed: its index in the trail, and the condition that held."""

    at: int
    condition: Condition


@dataclass(slots=True)
class Shadow:
    """The hook (``sim.interp.Hook``) and what it saw.

    values    the input under test, by variable; ``defaults``: what variables are that nobody asks for
    trail     (slot, frame) of every instruction; ``forks`` and ``accesses`` are in its order
    unset     (slot, name) of the first read of what nothing wrote
    held      addresses acquired and not released, with the slot
    used      helper results that were forced: (slot, helper, value)
    exact     index in the trail up to which the terms say all that the input decides: to a helper without a model, or
              an access whose place the input decides
    """

    machine: Machine
    values: dict[str, int]
    trail: list[tuple[int, int]] = field(default_factory=list)
    forks: list[Fork] = field(default_factory=list)
    accesses: list[Access] = field(default_factory=list)
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    defaults: dict[str, int] = field(default_factory=dict)
    unset: tuple[int, str] | None = None
    exact: float = inf
    held: dict[int, int] = field(default_factory=dict)
    used: list[tuple[int, str, int | str]] = field(default_factory=list)
    result: Term | None = None
    frames: list[Frame] = field(default_factory=list)
    memory: dict[int, Term | None] = field(default_factory=dict)
    packet: int = 0
    pending: tuple[Code, int, tuple[int, ...]] | None = None
    calls: int = 0

    # ---- the hook

    def __call__(self, program: Program, code: Code, regs: list[int], depth: int) -> None:
        self._frames(regs, depth)
        if self.pending is not None:
            self._after_call(regs)
        self.machine.memory.journal.clear()
        self.trail.append((code.pc, depth))
        if self.unset is None:
            missing = _reads(code) - self.frames[-1].ready
            if missing and (code.kind != "exit" or depth == 0):
                self.unset = (code.pc, f"r{min(missing)}")
        act = getattr(self, f"_{code.kind}", None)
        if act is not None:
            act(code, regs, depth)

    def _frames(self, regs: list[int], depth: int) -> None:
        if depth >= len(self.frames):
            if not self.frames:
                self.frames.append(Frame([None] * 11, {1, 10}))
                return
            caller = self.frames[-1]
            self.frames.append(Frame([None, *caller.terms[1:6], *[None] * 5], {10} | caller.ready & CALLER_SAVED))
            base = self.machine.frame_pointers[depth] - bits.STACK_SIZE
            for address in range(base, base + bits.STACK_SIZE):
                self.memory.pop(address, None)
        while depth < len(self.frames) - 1:
            left = self.frames.pop()
            self.frames[-1].terms[0] = left.terms[0]
            self.frames[-1].ready = (self.frames[-1].ready | {0}) - CALLER_SAVED

    # ---- values

    def term(self, regs: list[int], register: int) -> Term:
        found = self.frames[-1].terms[register]
        return found if found is not None else s.const(regs[register], 64)

    def _second(self, code: Code, regs: list[int]) -> Term:
        return self.term(regs, code.src) if code.op.source == "x" else s.const(code.value, 64)

    def _set(self, register: int, term: Term | None) -> None:
        frame = self.frames[-1]
        frame.terms[register] = None if term is None or term.op == "const" else term
        frame.ready.add(register)

    def _byte(self, address: int) -> Term | None:
        """The term of a byte; None if no input decides it. Map values are inputs until something writes them."""
        if address in self.memory:
            return self.memory[address]
        owner = self.machine.memory.owners.get(address >> PAGE_BITS)
        view = self.machine.memory.views.get(address >> PAGE_BITS)
        if not isinstance(owner, Element) or view is None or address & OFFSET >= len(view):
            return None
        spec = owner.map.spec
        if spec.frozen or spec.flags & 1 << 7:
            return None
        found = self.memory[address] = s.var(f"map:{spec.name}:{owner.key.hex()}:{address & OFFSET}", 8)
        return found

    def load(self, address: int, size: int) -> Term | None:
        terms = [self._byte(address + at) for at in range(size)]
        if not any(terms):
            return None
        view = self.machine.memory.views.get(address >> PAGE_BITS)
        start = address & OFFSET
        if view is None or start + size > len(view):
            return None
        return s.concat([term if term is not None else s.const(view[start + at], 8) for at, term in enumerate(terms)])

    def store(self, address: int, size: int, term: Term | None) -> None:
        for at in range(size):
            self.memory[address + at] = None if term is None else s.extract(term, 8 * at, 8)

    # ---- instructions

    def _alu(self, code: Code, regs: list[int], depth: int) -> None:
        frame, width = self.frames[-1], code.op.width
        symbolic = frame.terms[code.dst] is not None or (code.op.source == "x" and frame.terms[code.src] is not None)
        if not symbolic or (code.verb in ("mov", "movsx") and code.op.source != "x"):
            self._set(code.dst, None)
            return
        second = self._second(code, regs)
        if code.verb == "movsx":
            narrow = s.extract(second, 0, code.op.fixed["off"])
            result = s.sext(narrow, width)
        elif code.verb == "mov":
            result = s.extract(second, 0, width)
        else:
            result = s.binary(code.verb, s.extract(self.term(regs, code.dst), 0, width), s.extract(second, 0, width))
        self._set(code.dst, s.zext(result, 64))

    def _end(self, code: Code, regs: list[int], depth: int) -> None:
        if self.frames[-1].terms[code.dst] is None:
            return
        low = s.extract(self.term(regs, code.dst), 0, code.op.width)
        if code.verb != "le":
            low = s.concat([s.extract(low, at, 8) for at in range(code.op.width - 8, -8, -8)])
        self._set(code.dst, s.zext(low, 64))

    def _lddw(self, code: Code, regs: list[int], depth: int) -> None:
        self._set(code.dst, None)

    def _jmp(self, code: Code, regs: list[int], depth: int) -> None:
        frame, width = self.frames[-1], code.op.width
        if frame.terms[code.dst] is None and (code.op.source != "x" or frame.terms[code.src] is None):
            return
        a, b = s.extract(self.term(regs, code.dst), 0, width), s.extract(self._second(code, regs), 0, width)
        mask = (1 << width) - 1
        second = regs[code.src] if code.op.source == "x" else code.value
        taken = TAKEN[code.verb](regs[code.dst] & mask, second & mask, width)
        self.forks.append(Fork(len(self.trail) - 1, Condition(code.verb, a, b, taken)))

    def _touch(self, regs: list[int], register: int, off: int, size: Term, *, reads: bool = False) -> None:
        address = s.binary("add", self.term(regs, register), s.const(off, 64))
        concrete = regs[register] + off & bits.U64
        self.accesses.append(Access(len(self.trail) - 1, address, size, concrete))
        decided = {str(term.data).partition(":")[0] for term in s.order([address]) if term.op == "var"}
        if decided - {"has"}:       # a looked-up entry lies in one place or nowhere, and that is a fork
            self._inexact()
        if reads and self.unset is None and size.op == "const":
            self._check_written(concrete, size.data)

    def _inexact(self) -> None:
        self.exact = min(self.exact, len(self.trail) - 1)

    def _check_written(self, address: int, size: int) -> None:
        """Bytes of the stack that nothing wrote: the simulator has zeros there, a kernel has what was left over."""
        for depth, top in enumerate(self.machine.frame_pointers[:len(self.frames)]):
            if top - bits.STACK_SIZE <= address and address + size <= top:
                if any(at not in self.memory for at in range(address, address + size)):
                    place = f"r10{address - top:+d}" + (f" of frame {depth}" if depth != len(self.frames) - 1 else "")
                    self.unset = (self.trail[-1][0], f"the stack at {place}")
                return

    def _ldx(self, code: Code, regs: list[int], depth: int) -> None:
        self._touch(regs, code.src, code.off, s.const(code.op.bytes, 64), reads=True)
        found = self.load(regs[code.src] + code.off & bits.U64, code.op.bytes)
        if found is not None:
            found = s.sext(found, 64) if code.verb == "memsx" else s.zext(found, 64)
        self._set(code.dst, found)

    def _stx(self, code: Code, regs: list[int], depth: int) -> None:
        self._touch(regs, code.dst, code.off, s.const(code.op.bytes, 64))
        self.store(regs[code.dst] + code.off & bits.U64, code.op.bytes,
                   self.frames[-1].terms[code.src] if code.kind == "stx" else None)

    _st = _stx

    def _atomic(self, code: Code, regs: list[int], depth: int) -> None:
        base = code.src if code.verb == "load_acquire" else code.dst
        self._touch(regs, base, code.off, s.const(code.op.bytes, 64))
        address = regs[base] + code.off & bits.U64
        if code.verb == "load_acquire":
            found = self.load(address, code.op.bytes)
            self._set(code.dst, None if found is None else s.zext(found, 64))
            return
        self.store(address, code.op.bytes, self.frames[-1].terms[code.src] if code.verb == "store_release" else None)
        if code.verb == "cmpxchg":
            self._set(0, None)
        elif code.verb == "xchg" or code.verb.startswith("fetch_"):
            self._set(code.src, None)

    def _ld(self, code: Code, regs: list[int], depth: int) -> None:
        self._set(0, None)
        self.frames[-1].ready -= CALLER_SAVED

    def _exit(self, code: Code, regs: list[int], depth: int) -> None:
        if depth == 0:
            self.result = self.frames[0].terms[0]

    def _call(self, code: Code, regs: list[int], depth: int) -> None:
        if code.verb == "local":
            return
        name = HELPER_NAMES.get(code.imm, "")
        self.calls += 1
        self.pending = (code, self.calls, tuple(regs))
        self._arguments(name, regs)

    def _arguments(self, name: str, regs: list[int]) -> None:
        """Memory that the helper will use, with its size."""
        from ..abi.helpers import HELPERS

        if name not in HELPERS:
            return
        args = HELPERS[name].args
        found = self.machine.map_at.get(regs[1])
        for at, arg in enumerate(args, 1):
            following = args[at].kind if at < len(args) else ""
            if arg.kind == "mem" and following.startswith("const_size"):
                self._touch(regs, at, 0, s.zext(s.extract(self.term(regs, at + 1), 0, 32), 64),
                            reads=not arg.flags & {"uninit", "write"})
            elif found is not None and arg.kind in ("map_key", "map_value"):
                size = found.spec.key_size if arg.kind == "map_key" else found.spec.value_size
                self._touch(regs, at, 0, s.const(size, 64), reads="uninit" not in arg.flags)

    def _after_call(self, regs: list[int]) -> None:
        """The helper has run: its result, what it wrote, what it clobbered."""
        code, number, before = self.pending
        self.pending = None
        name, frame = HELPER_NAMES.get(code.imm, ""), self.frames[-1]
        for event in self.machine.memory.journal:
            if isinstance(event, Write):
                self.store(event.address, len(event.new), None)
        for register in CALLER_SAVED:
            frame.terms[register] = None
        frame.ready -= CALLER_SAVED
        self._set(0, None)
        if name != "map_lookup_elem" and name not in RESULTS:
            self._inexact()
        if name in ACQUIRES and regs[0]:
            self.held[regs[0]] = code.pc
        elif name in RELEASES:
            self.held.pop(before[1], None)
        elif name == "map_lookup_elem":
            self._looked_up(before, regs)
        elif name in RESULTS:
            self._forced(f"call:{number}", RESULTS[name], code.pc, name, regs)
        elif name in FILLS and before[1] >> PAGE_BITS in self.machine.memory.views:
            self._filled(f"read:{number}", before[1], before[2] & bits.U32, code.pc, name, regs)
        elif name == "skb_load_bytes" and regs[0] == 0:
            for at in range(before[4] & bits.U32):
                self.memory[before[3] + at] = self.memory.get(self.packet + (before[2] & bits.U32) + at)

    def _looked_up(self, before: tuple[int, ...], regs: list[int]) -> None:
        found = self.machine.map_at.get(before[1])
        if found is None:
            return
        size = found.spec.key_size
        view = self.machine.memory.views.get(before[2] >> PAGE_BITS)
        start = before[2] & OFFSET
        key = bytes(view[start:start + size]) if view is not None else b""
        if found.spec.type in ("array", "percpu_array"):
            index = self.load(before[2], 4)
            if index is not None:
                inside = Condition("jlt", index, s.const(found.spec.max_entries, 32), regs[0] != 0)
                self.forks.append(Fork(len(self.trail) - 1, inside))
        elif found.spec.type in ("hash", "lru_hash", "percpu_hash", "lru_percpu_hash"):
            present = s.var(f"has:{found.spec.name}:{key.hex()}", 1)
            self._set(0, s.binary("and", s.sext(present, 64), s.const(regs[0] or NOWHERE, 64)))

    def _forced(self, name: str, width: int, pc: int, helper: str, regs: list[int]) -> None:
        value = self.values.get(name)
        if value is not None:
            regs[0] = value
            self.used.append((pc, helper, value))
        self._set(0, s.zext(s.var(name, width), 64))
        self.values.setdefault(name, regs[0] & ((1 << width) - 1))

    def _filled(self, name: str, address: int, size: int, pc: int, helper: str, regs: list[int]) -> None:
        memory = self.machine.memory
        data = bytes(self.values.get(f"{name}:{at}", 0) & 0xFF for at in range(size))
        memory.write(address, data)
        regs[0] = 0
        for at in range(size):
            self.memory[address + at] = s.var(f"{name}:{at}", 8)
        if any(data):
            self.used.append((pc, helper, data.hex()))


def _reads(code: Code) -> set[int]:
    """Registers that must hold something before the instruction."""
    kind, verb = code.kind, code.verb
    second = {code.src} if code.op.source == "x" else set()
    if kind == "alu":
        return second | (set() if verb in ("mov", "movsx") else {code.dst})
    if kind in ("end", "st"):
        return {code.dst}
    if kind == "jmp":
        return second | {code.dst}
    if kind == "ldx":
        return {code.src}
    if kind == "stx":
        return {code.dst, code.src}
    if kind == "atomic":
        return {code.src} if verb == "load_acquire" else {code.dst, code.src} | ({0} if verb == "cmpxchg" else set())
    if kind == "exit":
        return {0}
    if kind == "ld":
        return {6} | ({code.src} if verb == "ind" else set())
    if kind == "call" and verb != "local":
        from ..abi.helpers import HELPERS

        name = HELPER_NAMES.get(code.imm, "")
        return set(range(1, len(HELPERS[name].args) + 1)) if name in HELPERS else set()
    return set()
