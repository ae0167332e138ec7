"""The stepping interpreter: one instruction at a time, with a hook before each.

It is the reference for the faster tiers and what the debugger runs on; clarity goes before speed.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import Fault
from ..isa import bits
from . import alu, faults
from .decode import FUNCTION_BASE, Code
from .helpers import call_helper, load_packet, tail_target
from .machine import ZERO_STACK, Program, Run

MAY_GOTO_LIMIT = 0xFFFF      # BPF_MAX_TIMED_LOOPS, where a kernel begins to look at the clock; it ends loops at 250 ms
#: hook(program, code, regs, depth), before the instruction runs; ``regs`` is the live list
Hook = Callable[[Program, Code, list[int], int], None]


def _second(code: Code, regs: list[int]) -> int:
    return regs[code.src] if code.op.source == "x" else code.value


def _alu(run: Run, code: Code, regs: list[int]) -> int:
    width = code.op.width
    mask = (1 << width) - 1
    if code.verb == "movsx":
        narrow = regs[code.src] & ((1 << code.op.fixed["off"]) - 1)
        result = alu.signed(narrow, code.op.fixed["off"])
    else:
        result = alu.BINARY[code.verb](regs[code.dst] & mask, _second(code, regs) & mask, width)
    regs[code.dst] = result & mask   # a 32-bit result clears the upper half
    return code.next


def _end(run: Run, code: Code, regs: list[int]) -> int:
    width, value = code.op.width, regs[code.dst]
    regs[code.dst] = value & ((1 << width) - 1) if code.verb == "le" else alu.byte_swap(value, width)
    return code.next


def _jmp(run: Run, code: Code, regs: list[int]) -> int:
    mask = (1 << code.op.width) - 1
    taken = alu.TAKEN[code.verb](regs[code.dst] & mask, _second(code, regs) & mask, code.op.width)
    return code.target if taken else code.next


def _ja(run: Run, code: Code, regs: list[int]) -> int:
    return code.target


def _lddw(run: Run, code: Code, regs: list[int]) -> int:
    regs[code.dst] = code.value
    return code.next


def _ldx(run: Run, code: Code, regs: list[int]) -> int:
    load = run.memory.load_lenient if run.program.image.lenient else run.memory.load
    value = load(regs[code.src] + code.off & bits.U64, code.op.bytes)
    regs[code.dst] = alu.signed(value, code.op.width) & bits.U64 if code.verb == "memsx" else value
    return code.next


def _store(run: Run, code: Code, regs: list[int]) -> int:
    run.memory.store(regs[code.dst] + code.off & bits.U64, code.op.bytes, _second(code, regs))
    return code.next


def _atomic(run: Run, code: Code, regs: list[int]) -> int:
    size, verb = code.op.bytes, code.verb
    address = regs[code.src if verb == "load_acquire" else code.dst] + code.off & bits.U64
    if address % size:
        raise faults.misaligned(address, size)
    if verb == "load_acquire":
        regs[code.dst] = run.memory.load(address, size)
    elif verb == "store_release":
        run.memory.store(address, size, regs[code.src])
    elif verb == "cmpxchg":
        old = run.memory.load(address, size)
        run.memory.store(address, size, regs[code.src] if old == regs[0] & ((1 << size * 8) - 1) else old)
        regs[0] = old
    else:
        old = run.memory.load(address, size)
        run.memory.store(address, size, alu.ATOMIC[verb.removeprefix("fetch_")](old, regs[code.src]))
        if verb == "xchg" or verb.startswith("fetch_"):
            regs[code.src] = old
    return code.next


STEP = {"alu": _alu, "end": _end, "jmp": _jmp, "ja": _ja, "lddw": _lddw, "ldx": _ldx, "st": _store, "stx": _store,
        "atomic": _atomic}


class Interpreter:
    """An engine (see ``Machine.execute``) that runs ``hook`` before every instruction."""

    def __init__(self, hook: Hook | None = None):
        self.hook = hook

    def start(self, run: Run, repeat: int) -> int:
        program, r0 = run.program, 0
        for _ in range(repeat):
            run.begin(program)
            r0 = self._function(run, program, 0, (run.ctx,), 0)
        return r0

    def callback(self, run: Run, address: int, arguments: tuple[int, ...]) -> int:
        program, depth = run.program, run.depth
        pc = (address - FUNCTION_BASE) // 8
        if pc not in program.image.functions or address != FUNCTION_BASE + pc * 8:
            raise Fault(f"{address:#x} is not the address of a function")
        result = self._function(run, program, pc, arguments, depth + 1)
        run.program, run.depth = program, depth
        return result

    def _function(self, run: Run, program: Program, pc: int, arguments: tuple[int, ...], depth: int) -> int:
        """Run one function to its exit; r0."""
        if depth >= bits.MAX_CALL_FRAMES:
            raise faults.too_deep()
        frame_pointer = run.machine.frame_pointers[depth]
        if run.memory.journal is None:
            run.machine.stacks[depth][:] = ZERO_STACK
        else:   # the history hears of it
            run.memory.clear(frame_pointer - bits.STACK_SIZE, bits.STACK_SIZE)
        regs = [0, *arguments, *[0] * (9 - len(arguments)), frame_pointer]
        codes, hook, loops = program.image.codes, self.hook, MAY_GOTO_LIMIT
        while True:
            try:
                code = codes[pc]
            except IndexError:
                raise faults.place(faults.fell_off(), pc - 1, regs) from None
            try:
                if run.budget <= 0:
                    raise faults.out_of_budget()
                run.budget -= 1
                if hook is not None:
                    hook(program, code, regs, depth)
                step = STEP.get(code.kind)
                if step is not None:
                    pc = step(run, code, regs)
                elif code.kind == "exit":
                    return regs[0]
                elif code.kind == "call" and code.verb == "local":
                    regs[0] = self._function(run, program, code.target, tuple(regs[1:6]), depth + 1)
                    pc = code.next
                elif code.kind == "call":
                    run.program, run.depth = program, depth
                    if code.imm == 12:   # bpf_tail_call does not come back, unless it cannot go
                        target = tail_target(run, *regs[1:4])
                        if target is not None:
                            return self._function(run, target, 0, (run.ctx,), depth)
                    else:
                        regs[0] = call_helper(run, code.imm, regs)
                    pc = code.next
                elif code.kind == "ld":
                    value = load_packet(run, code, regs[code.src] if code.verb == "ind" else 0)
                    if value is None:   # outside the packet: the program ends with 0
                        return 0
                    regs[0], pc = value, code.next
                else:   # may_goto: a bounded number of rounds, then the jump out
                    loops -= 1
                    pc = code.next if loops >= 0 else code.target
            except Fault as fault:
                raise faults.place(fault, code.pc, regs) from None
