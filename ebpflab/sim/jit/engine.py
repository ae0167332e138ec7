"""The JIT tier's engine: compiles programs, runs them, and is what native code calls back.

One engine a machine. A program is compiled quickly first (``llvm.FAST``) and again with all optimisations once it has
run ``HOT_AFTER`` instructions.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from typing import Any

from ...errors import EbpflabError, Fault
from ...isa import bits
from .. import faults
from ..decode import FUNCTION_BASE
from ..helpers import find, load_packet, tail_target
from ..machine import Machine, Program, Run
from ..memory import PAGE_BITS
from . import state as s
from .driver import driver
from .emit import LENIENT, Emitter, facts
from .index import Index
from .llvm import FAST, HOT, Module

HOT_AFTER = 100_000            # instructions run for each of the program's: about what -O2 takes to compile
LEAST_HOT = 2_000_000
CHUNK = 1 << 22                # instructions between two looks at Ctrl-C
_number = ctypes.c_uint64
_REACH = ctypes.CFUNCTYPE(_number, ctypes.c_void_p, _number, _number, _number)
_CALL = ctypes.CFUNCTYPE(_number, ctypes.c_void_p, *[_number] * 7)
_FUNCTION = ctypes.CFUNCTYPE(_number, ctypes.c_void_p, *[_number] * 6)


def level_for(program: Program, insns: int) -> int:
    """HOT for a program that runs so many instructions in all."""
    return HOT if insns > max(LEAST_HOT, HOT_AFTER * len(program.image.codes)) else FAST


class Native:
    """A program's machine code. ``text`` is its IR, ``level`` FAST or HOT."""

    def __init__(self, engine: Engine, program: Program, level: int):
        self.states = facts(program)
        emitter = Emitter(program, self.states, engine.callbacks, engine.index)
        self.text = emitter.text()
        self._module = Module(self.text, level)
        self.level = level
        self.addresses = {start: self._module.address(f"f{start}") for start in program.image.functions}
        self.functions = {start: _FUNCTION(address) for start, address in self.addresses.items()}


class Engine:
    """See ``Machine.execute`` for what an engine is."""

    def __init__(self, machine: Machine):
        self.state = s.new_state(machine.stacks, machine.frame_pointers)
        self.table = s.PageTable(machine.memory, self.state)
        self.place = ctypes.addressof(self.state)
        self._keep = (_REACH(self._reach), _CALL(self._helper), _CALL(self._tail), _CALL(self._load_packet))
        self.callbacks = {name: ctypes.cast(function, ctypes.c_void_p).value or 0 for name, function in
                          zip(("reach", "helper", "tail", "packet"), self._keep, strict=True)}
        self.run: Any = None          # the Run that callbacks work on
        self.error: BaseException | None = None
        self._programs: weakref.WeakValueDictionary[int, Program] = weakref.WeakValueDictionary()
        self.level, self._round = FAST, 0
        self._window: object = None
        self._meta = 0
        #: called when a helper is called in a round that it was not called in before
        self.on_round: Callable[[], None] | None = None

    # -- compiling ----------------------------------------------------------------------------

    def index(self, found) -> Index:
        """The map's index, kept by the map from now on."""
        if found.index is None:
            found.index = Index(found)
        return found.index

    def native(self, program: Program, level: int = FAST) -> Native:
        """The program's code, of this level at least."""
        have = program.native
        if have is None or have.level < level:
            program.native = have = Native(self, program, level)
            self._programs[program.id] = program
        return have

    # -- running ------------------------------------------------------------------------------

    def start(self, run: Run, repeat: int) -> int:
        """``repeat`` rounds; r0 of the last."""
        self.enter(run)
        program, state, done = run.program, self.state, 0
        r0 = _number()
        try:
            while done < repeat:
                spent = program.spent
                ahead = (repeat - done) * max(run.allowed - run.budget, 1) if done else 0
                level = level_for(program, spent + ahead)
                native, self.level = self.native(program, level), level
                chunk = 1 if not done else min(repeat - done, max(CHUNK // max(run.allowed - run.budget, 1), 1))
                count = driver().repeat(self.place, native.addresses[0], run.ctx, run.allowed, chunk, ctypes.byref(r0))
                run.budget = self.left()
                program.spent = spent + chunk * (run.allowed - run.budget)
                if count < chunk:
                    raise self.failure(run)
                done += chunk
            if state[s.ROUND] != self._round:   # no helper was called in the last round
                budget = run.budget
                run.begin(program)
                run.budget = budget
            run.program = program
            return r0.value
        finally:
            self.leave()

    def enter(self, run: Run) -> None:
        """Make ``run`` the one that callbacks work on."""
        state, input_ = self.state, run.input
        self.run, self.error, self._round = run, None, state[s.ROUND]
        state[s.FAULT], state[s.CPU], state[s.OUTSIDE] = 0, run.cpu, 0
        state[s.CONTEXT], state[s.CONTEXT_LENGTH] = s.host_address(input_.buffer), len(input_.buffer)
        self._window = None
        state[s.PACKET], state[s.PACKET_LENGTH], state[s.PACKET_ADDRESS] = 0, 0, 0
        self._packet()

    def leave(self) -> None:
        self.run = self.error = self._window = self.on_round = None

    def left(self) -> int:
        return ctypes.c_int64(self.state[s.BUDGET]).value

    def _packet(self) -> None:
        """Tell native code where the packet is, if that changed."""
        frame = self.run.frame
        if frame is None or (frame.window is self._window and frame.meta == self._meta):
            return
        self._window, self._meta = frame.window, frame.meta
        self.state[s.PACKET] = s.host_address(frame.window) + frame.meta
        self.state[s.PACKET_LENGTH], self.state[s.PACKET_ADDRESS] = frame.length, frame.data

    def callback(self, run: Run, address: int, arguments: tuple[int, ...]) -> int:
        """A helper calls a function of the program."""
        program, depth = run.program, run.depth
        if depth + 1 >= bits.MAX_CALL_FRAMES:
            raise faults.too_deep()
        pc, rest = divmod(address - FUNCTION_BASE, 8)
        if rest or pc not in program.image.functions:
            raise Fault(f"{address:#x} is not the address of a function")
        self._packet()
        function = self.native(program).functions[pc]
        result = function(self.place, *arguments, *[0] * (5 - len(arguments)), depth + 1)
        run.program, run.depth = program, depth
        if self.state[s.FAULT] or self.left() < 0:
            raise self.failure(run)
        return result

    def failure(self, run: Run) -> BaseException:
        """The error behind a fault in the state, which is cleared."""
        state = self.state
        word, error, left = state[s.FAULT], self.error, self.left()
        state[s.FAULT], self.error = 0, None
        kind, pc = word >> s.KIND_AT, word & s.PENDING_MASK
        left -= word >> s.PENDING_AT & s.PENDING_MASK
        regs = tuple(state[s.REGISTERS:s.REGISTERS + 11])
        if error is not None and not isinstance(error, EbpflabError):
            return error
        if left < 0 or kind == s.ENDLESS:
            fault = faults.out_of_budget()
            return faults.place(fault, pc, regs) if word else fault
        if kind == s.CALLED:
            assert error is not None
            return faults.place(error, pc, regs) if isinstance(error, Fault) else error
        if kind == s.TOO_DEEP:
            return faults.place(faults.too_deep(), pc, regs)
        if kind == s.FELL_OFF:
            return faults.place(faults.fell_off(), pc, regs)
        code = self._programs[state[s.PROGRAM]].image.codes[pc]
        found = faults.of_access(run.memory, code, regs)
        assert found is not None, f"native code refused {code}, which memory allows"
        return faults.place(found, pc, regs)

    # -- called by native code ----------------------------------------------------------------

    def _begin(self, where: int) -> Run:
        """The run, on its present round; ``where``: program id and depth."""
        run: Run = self.run
        if self.state[s.ROUND] != self._round:
            self._round = self.state[s.ROUND]
            run.begin(run.program)
            if self.on_round is not None:
                self.on_round()
        run.depth = where & 0xFF
        run.program = self._programs[where >> 8]
        return run

    def _fails(self, error: BaseException) -> int:
        if self.error is None:
            self.error = error
        self.state[s.FAULT] = 1
        return 0

    def _reach(self, _state, address: int, size: int, way: int) -> int:
        try:
            return self.table.reach_lenient(address, size) if way == LENIENT else self.table.reach(address, size, way)
        except BaseException as error:   # Ctrl-C: nothing may pass through native frames
            return self._fails(error)

    def _helper(self, _state, number: int, where: int, *arguments: int) -> int:
        try:
            run, found = self._begin(where), find(number)
            r0 = found.function(run, *arguments[:found.arity]) & bits.U64
            self._packet()
            if number == 1 and r0:
                self.table.fill(r0 >> PAGE_BITS)
            return r0
        except BaseException as error:
            return self._fails(error)

    def _tail(self, _state, _zero: int, where: int, *arguments: int) -> int:
        """bpf_tail_call: where to go, 0 to stay."""
        try:
            run = self._begin(where)
            target = tail_target(run, *arguments[:3])
            if target is None:
                return 0
            run.program = target
            return self.native(target, self.level).addresses[0]
        except BaseException as error:
            return self._fails(error)

    def _load_packet(self, _state, pc: int, where: int, *arguments: int) -> int:
        """LD_ABS, LD_IND that are not simply inside the packet."""
        try:
            run = self._begin(where)
            code = run.program.image.codes[pc]
            value = load_packet(run, code, arguments[0])
            self.state[s.OUTSIDE] = value is None
            return value or 0
        except BaseException as error:
            return self._fails(error)
