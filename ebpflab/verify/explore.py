"""The walk: one instruction after the other, one path after the other, in the kernel's order (``do_check``).

``verify`` runs the static passes, walks every path that ``prune`` does not cut, and gives a ``Trace`` whose steps
and log are made only when somebody looks at them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..abi import HELPER_NAMES
from ..abi.helpers import prototype
from ..asm import line as insn_line
from ..errors import SpecError, Unsupported
from ..isa import Insn, Op, bits, rows
from ..obj.btf import Btf
from ..spec import MapSpec, ProgramSpec
from ..trace import Stats, Verdict
from . import (
    alu,
    call,
    cfg,
    dead,
    depth,
    encoding,
    functions,
    helper,
    jump,
    lock,
    memory,
    precision,
    prune,
    reference,
    widen,
)
from .cfg import Refused, Shape
from .env import E2BIG, EINVAL, Env, Map, Pending, Stop
from .listen import listen
from .log import Log
from .result import LazyTrace, StepRecord
from .signature import Mismatch, Signatures
from .state import State
from .value import CTX, MAP_PTR, MAP_VALUE, Reg, constant
from .verdict import check_result

LIMIT = 1_000_000       # BPF_COMPLEXITY_LIMIT_INSNS
ON, CALLED, RETURNED, END = range(4)    # how the walk goes on after an instruction
NAME = "ebpflab"


def verify(spec: ProgramSpec, *, log_level: int = 2, limit: int = LIMIT, cpus: int = 2) -> LazyTrace:
    """Walk ``spec`` as Linux 6.18 does with all privileges.

    The verdict is ``accept``, ``reject`` with the kernel's last line, or ``unsupported`` with the name of what is
    not modelled. ``limit`` is how many instructions are walked at most, ``cpus`` how many the machine has. Ctrl-C
    ends the walk; the trace then holds what was walked so far and the verdict says so. Raises SpecError if there are
    no instructions: bpf(2) says E2BIG to that, before there is a verifier.
    """
    if not spec.insns:
        raise SpecError("there are no instructions", where=spec.name,
                        hint="the smallest program is: r0 = 0, and on the next line: exit")
    log = Log(log_level, lambda pc: _line(spec, pc))
    shape = Shape(spec.insns)
    run = Run(spec, shape, log, limit, cpus)
    result, error, errno = "accept", "", 0
    with _collector_paused():
        try:
            run.prepare()
            run.walk()
            run.finish()
        except Stop as stop:
            result, errno = "reject", stop.errno
        except Refused as refused:
            for line in refused.lines:
                run.say(line)
            result, errno = "reject", refused.errno
        except Unsupported as unsupported:
            result, error = "unsupported", unsupported.what
        except KeyboardInterrupt:
            result, error = "unsupported", "interrupted"
    return run.trace(result, error, errno)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """The walk makes many objects and no cycles; looking for cycles again and again takes a third of its time.

    What was made counts as old afterwards, or all of it would be looked through at once.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()
            gc.enable()


class Run:
    """One verification from beginning to end."""

    def __init__(self, spec: ProgramSpec, shape: Shape, log: Log, limit: int, cpus: int):
        self.spec, self.shape, self.log, self.limit, self.cpus = spec, shape, log, limit, cpus
        self.env: Env | None = None
        self.signatures = Signatures(spec)
        self.early: list[str] = []
        self.steps: list[StepRecord] = []

    def say(self, line: str) -> None:
        self.early.append(line)
        self.log.write(line + "\n")

    def prepare(self) -> None:
        """The static passes, and what is known from them not to be modelled."""
        spec, shape = self.spec, self.shape
        encoding.check_supported(spec)
        cfg.find_functions(shape, self.signatures.exception_callback())
        if self.log.level >= 2:
            for sub, start in enumerate(shape.starts):
                self.log.write(f"func#{sub} @{start}\n")
        cfg.check_functions(shape)
        self.signatures.check(shape)
        btf = Btf(spec.btf) if spec.btf and any(_has_btf(each) for each in spec.maps) else None
        maps = tuple(Map(each, each.name, btf) for each in spec.maps)
        encoding.check(spec, maps)
        cfg.find_successors(shape)
        cfg.check_reachable(shape, self._sleeps)
        cfg.order(shape)
        encoding.check_sleepable(spec)
        cfg.find_loops(shape)
        cfg.find_live(shape, self._arity)
        precision.find_traced(shape)
        if self.log.level >= 2:
            self.log.later(_live_text, shape, self.log)
        self.env = Env(spec, shape, self.log, maps, self.signatures, self.limit, self.cpus)

    def _arity(self, number: int) -> int:
        """How many registers a helper reads; all five arguments if this program may not call it."""
        name = HELPER_NAMES.get(number, "")
        if not name or not helper.available(self.spec, name):
            return 5
        return len(prototype(name, self.spec.type, self.spec.expected_attach).args)

    def _sleeps(self, number: int) -> bool:
        name = HELPER_NAMES.get(number, "")
        return bool(name) and helper.available(self.spec, name) \
            and prototype(name, self.spec.type, self.spec.expected_attach).sleeps

    # ---- the walk

    def walk(self) -> None:
        """The program, then each global function that was called."""
        env, log = self.env, self.log
        assert env is not None
        if self.signatures.infos:
            with suppress(Mismatch):
                self.signatures.arguments(0, env.say)
        env.regs[1] = Reg(CTX)
        env.resume(env.state)
        self._walk(env)
        for sub in functions.waiting(env):
            functions.begin(env, sub)
            self._walk(env)
            name = self.signatures.name(sub)
            log.write(f"Func#{sub} ('{name}') is safe for any args that match its prototype\n")

    def _walk(self, env: Env) -> None:
        """All paths of one function."""
        env.touched, env.touched_slots = 0x7FF, -1
        log, insns, ops, steps = self.log, env.insns, env.ops, self.steps
        prune_points, jump_points = self.shape.prune, self.shape.jump
        liveness, logging = env.stack_liveness, log.level > 0
        came_back = False       # at a branch that was put aside, or in the caller after a return
        parent = pc = -1        # the step before, the instruction before
        while True:
            env.recorded = False
            env.previous, pc = pc, env.pc
            state = env.state
            env.processed += 1
            if not env.processed & 0xFF:
                listen()
            if env.processed > self.limit:
                raise env.reject(f"BPF program is too large. Processed {env.processed} insn", E2BIG)
            state.last, state.insn = env.previous, pc
            if prune_points[pc] and prune.arrive(env, pc):
                if logging:
                    log.write(f"\nfrom {env.previous} to {pc}: safe\n" if came_back else f"{pc}: safe\n")
                steps.append((pc, parent, "pruned", _snapshot(state)))
                outcome = END
            else:
                if jump_points[pc]:
                    env.record(0)
                snapshot = _snapshot(state)
                if came_back and env.level2:
                    log.full(f"\nfrom {env.previous} to {pc}:", state.frame, state.refs)
                    came_back = False
                if logging:
                    if env.touched or env.touched_slots:
                        log.changed(pc, state.frame, snapshot[-1][0], state.refs, env.touched, env.touched_slots)
                        env.touched = env.touched_slots = 0
                    log.insn(pc)
                env.step = len(steps)
                steps.append((pc, parent, "insn", snapshot))
                parent = env.step
                if env.messages:
                    env.messages.clear()
                instance = liveness.current
                outcome = self._execute(env, insns[pc], ops[pc])
                if outcome == ON:
                    liveness.commit(instance, pc)
                    continue
                if outcome == CALLED:
                    continue
                if outcome == RETURNED:
                    came_back = True
                    continue
                liveness.commit(instance, pc)
                steps.append((pc, parent, "end", _snapshot(env.state)))
            pending = self._next_path(env)
            if pending is None:
                if not env.level2:
                    log.cut(0)
                return
            came_back, parent, pc = True, pending.step, pending.previous

    def _execute(self, env: Env, insn: Insn, op: Op | None) -> int:
        """One instruction, by its kind. Sets ``env.pc`` to the next one."""
        pc = env.pc
        if op is None:
            raise self._reserved(env, insn)
        kind = op.kind
        if kind == "alu":
            alu.alu(env, insn, op)
        elif kind == "jmp":
            env.jumps += 1
            env.pc = jump.conditional(env, insn, op)
            if env.log.level:
                env.log.changed(pc, env.state.frame, env.regs[:], env.state.refs, env.touched, env.touched_slots)
                env.touched = env.touched_slots = 0
            return ON
        elif kind == "ldx":
            memory.load(env, insn, op)
        elif kind == "stx":
            memory.store(env, insn, op)
        elif kind == "st":
            memory.store_constant(env, insn, op)
        elif kind == "call":
            env.jumps += 1
            lock.may_call(env, insn)
            frames = len(env.state.frames)
            if insn.src == bits.CALL_LOCAL:
                env.pc = functions.call(env, insn)
            else:
                env.pc = call.leave(env) if helper.helper(env, insn) else pc + 1
            env.touched |= 1
            return ON if len(env.state.frames) == frames else CALLED
        elif kind == "ja":
            env.jumps += 1
            env.pc = cfg.target(insn, pc)
            return ON
        elif kind == "jcond":
            env.jumps += 1
            env.pc = widen.may_goto(env, insn)
            return ON
        elif kind == "exit":
            env.jumps += 1
            reference.none_left(env, "BPF_EXIT instruction in main prog", len(env.state.frames) == 1)
            if len(env.state.frames) > 1:
                env.pc = call.leave(env)
                return RETURNED
            check_result(env)
            return END
        elif kind == "lddw":
            self._wide_load(env, insn)
            env.pc = pc + 2
            return ON
        elif kind == "end":
            alu.swap_bytes(env, insn, op)
        elif kind == "atomic":
            memory.atomic(env, insn, op)
        elif kind == "ld":
            if memory.packet_load(env, insn, op):
                env.pc = call.leave(env)
                return CALLED
        else:
            raise env.unsupported(f"instruction {op.name}")
        env.pc = pc + 1
        return ON

    def _next_path(self, env: Env) -> Pending | None:
        """End this path and continue the one put aside last; None if there is none."""
        env.touched, env.touched_slots = 0x7FF, -1
        prune.path_done(env)
        env.stack_liveness.update(env.state)
        if not env.pending:
            return None
        pending = env.pending.pop()
        if not env.level2 and self.log.level:
            self.log.cut(pending.log_length)
        env.resume(pending.state)
        env.pc, env.previous = pending.pc, pending.previous
        return pending

    @staticmethod
    def _wide_load(env: Env, insn: Insn) -> None:
        env.target(insn.dst)
        if insn.src == 0:
            env.regs[insn.dst] = constant(insn.imm & 0xFFFF_FFFF | (env.insns[env.pc + 1].imm & 0xFFFF_FFFF) << 32)
            return
        if insn.src == bits.PSEUDO_FUNC:
            env.regs[insn.dst] = functions.address(env, insn)
            return
        bpf_map = env.maps[insn.imm]
        if insn.src == bits.PSEUDO_MAP_FD:
            env.regs[insn.dst] = Reg(MAP_PTR, data=bpf_map)
        else:
            env.regs[insn.dst] = Reg(MAP_VALUE, off=env.insns[env.pc + 1].imm, data=bpf_map)

    @staticmethod
    def _reserved(env: Env, insn: Insn) -> Stop:
        """An encoding that is no instruction, in the words that the kernel has for it."""
        cls, code = insn.opcode & 7, insn.opcode & 0xF0
        if cls in (bits.ALU, bits.ALU64):
            word = {bits.NEG: "BPF_NEG", bits.END: "BPF_END", bits.MOV: "BPF_MOV"}.get(code, "BPF_ALU")
        elif insn.opcode == bits.JMP | bits.JCOND:
            return env.reject(f"invalid may_goto imm {insn.imm}", EINVAL)
        elif cls in (bits.JMP, bits.JMP32):
            word = {bits.CALL: "BPF_CALL", bits.EXIT: "BPF_EXIT", bits.JA: "BPF_JA"}.get(code, "BPF_JMP/JMP32")
            if word == "BPF_JMP/JMP32":
                env.source(insn.dst)
        elif insn.opcode & 0xE7 == bits.STX | bits.ATOMIC:
            if any(row.fixed.get("imm") == insn.imm for row in rows(bits.STX | bits.ATOMIC | bits.DW)):
                return env.reject("invalid atomic operand size", EINVAL)
            return env.reject(f"BPF_ATOMIC uses invalid atomic opcode {insn.imm & 0xFFFF_FFFF:02x}", EINVAL)
        else:
            if insn.opcode & 0xE7 in (bits.LD | bits.ABS, bits.LD | bits.IND):
                memory.may_load_packet(env)
            wide = "BPF_LD_IMM64" if insn.opcode == 0x18 else "BPF_LD_[ABS|IND]"
            word = {bits.STX: "BPF_STX", bits.ST: "BPF_ST", bits.LD: wide}[cls]
        return env.reject(f"{word} uses reserved fields", EINVAL)

    # ---- after the walk

    def finish(self) -> None:
        """What is checked when all paths are done."""
        env = self.env
        assert env is not None
        env.messages.clear()
        depth.check(env)
        dead.check(env, {record[0] for record in self.steps})

    def trace(self, result: str, error: str, errno: int) -> LazyTrace:
        env = self.env
        messages = tuple(env.messages) if env and env.messages else tuple(self.early)
        stats = Stats(processed=env.processed, limit=LIMIT, max_states_per_insn=env.states_per_insn,
                      total_states=env.states_total, peak_states=env.states_peak, mark_read=0) if env else \
            Stats(processed=0, limit=LIMIT, max_states_per_insn=0, total_states=0, peak_states=0, mark_read=0)
        counts = (f"processed {stats.processed} insns (limit {LIMIT}) max_states_per_insn "
                  f"{stats.max_states_per_insn} total_states {stats.total_states} peak_states "
                  f"{stats.peak_states} mark_read {stats.mark_read}\n")
        if result == "reject" and messages:
            error = messages[-1]
        self.log.write(counts)
        verdict = Verdict(result, NAME, error, messages if result == "reject" else (),
                          self.steps[-1][0] if self.steps else None, errno, stats)
        return LazyTrace(self.spec, verdict, self.steps, self.log)


def _live_text(shape: Shape, log: Log) -> str:
    lines = ["Live regs before insn:\n"]
    pc = 0
    while pc < len(shape.insns):
        live = "".join([str(i) if shape.live[pc] >> i & 1 else "." for i in range(10)])
        loop = f"{shape.scc[pc]:3d} " if shape.scc[pc] else "    "
        lines.append(f"{loop}{pc:3d}: {live} {log.line(pc)}\n")
        pc += 2 if shape.insns[pc].opcode == 0x18 else 1
    return "".join(lines)


def _line(spec: ProgramSpec, pc: int) -> str:
    """An instruction as the verifier logs it; a function's address is not known yet, its distance is shown."""
    insn = spec.insns[pc]
    if cfg.is_function(insn):
        high = spec.insns[pc + 1].imm if pc + 1 < len(spec.insns) else 0
        return f"(18) r{insn.dst} = {insn.imm & 0xFFFF_FFFF | (high & 0xFFFF_FFFF) << 32:#x}"
    return insn_line(spec.insns, pc, syntax="kernel", maps=spec.maps)


def _snapshot(state: State) -> tuple:
    """All frames' registers and stack as they are now."""
    frames = state.frames
    if len(frames) == 1:
        return ((frames[0].regs[:], frames[0].stack),)
    return tuple([(frame.regs[:], frame.stack) for frame in frames])


def _has_btf(spec: MapSpec) -> bool:
    return bool(spec.btf_value) or (spec.inner is not None and _has_btf(spec.inner))
