"""The source-code tier: a program becomes Python functions, one for each of its functions.

It is the default tier, needs nothing but Python, and gives the interpreter's results.
"""

from __future__ import annotations

import itertools
import struct
import weakref
from typing import Any

from ...errors import EbpflabError, Fault
from ...isa import bits
from .. import alu, faults
from ..decode import FUNCTION_BASE, Code
from ..helpers import HELPERS, find, load_packet, tail_target
from ..interp import MAY_GOTO_LIMIT
from ..machine import ZERO_STACK, Program, Run
from ..maps import Array, Hash
from ..memory import PAGE_BITS
from . import expressions
from .blocks import Blocks
from .facts import State, flow

_serial = itertools.count(1)
_BY_FILE: weakref.WeakValueDictionary[str, Compiled] = weakref.WeakValueDictionary()
ACCESS_ERRORS = (KeyError, IndexError, TypeError, struct.error)

_big32, _little32 = struct.Struct(">I").unpack, struct.Struct("<I").pack
_big64, _little64 = struct.Struct(">Q").unpack, struct.Struct("<Q").pack
_COMMON = {
    **{f"u{1 << at}": struct.Struct("<" + letter).unpack_from for at, letter in enumerate("BHIQ")},
    **{f"s{1 << at}": struct.Struct("<" + letter).unpack_from for at, letter in enumerate("bhi")},
    **{f"p{1 << at}": struct.Struct("<" + letter).pack_into for at, letter in enumerate("BHIQ")},
    "swap32": lambda value: _big32(_little32(value))[0], "swap64": lambda value: _big64(_little64(value))[0],
    "sdiv": alu.sdiv, "smod": alu.smod, "ZERO": ZERO_STACK, "find": find, "load_packet": load_packet,
    "tail_target": tail_target, "misaligned": faults.misaligned, "out_of_budget": faults.out_of_budget,
    "too_deep": faults.too_deep, "fell_off": faults.fell_off,
}


def generate(program: Program) -> Compiled:
    """The program's Python form, compiled."""
    return Compiled(program)


class Compiled:
    """An engine (see ``Machine.execute``). ``source`` is the Python text, ``functions`` slot -> callable,
    ``slots`` the slot of each line of the text."""

    def __init__(self, program: Program):
        self.program = program
        self.machine, self.codes = program.machine, program.image.codes
        self.file = f"<ebpflab {program.spec.name} {next(_serial)}>"
        self.slots: list[int] = [0]
        text: list[str] = []
        self.names: dict[str, Any] = {
            **_COMMON, "mem": self.machine.memory.views, "lenient": self.machine.memory.lenient,
            "PROGRAM": self.program, "STACKS": self._stacks(),
            "FP": self.machine.frame_pointers, "CODES": self.codes}
        for start in program.image.functions:
            for indent, line, pc in self._function(start):
                text.append("    " * indent + line)
                self.slots.append(pc)
        self.source = "\n".join(text) + "\n"
        exec(compile(self.source, self.file, "exec"), self.names)
        self.functions = {start: self.names[f"f{start}"] for start in program.image.functions}
        _BY_FILE[self.file] = self

    def _stacks(self) -> list[tuple]:
        views = [memoryview(stack) for stack in self.machine.stacks]
        return [(stack, view.cast("H"), view.cast("I"), view.cast("Q"))
                for stack, view in zip(self.machine.stacks, views, strict=True)]

    # -- generating ---------------------------------------------------------------------------

    def _function(self, start: int):
        main = start == 0
        context = "" if not main else "xdp" if self.program.spec.type == "xdp" else "ctx"
        blocks = Blocks(self.codes, start, flow(self.codes, start, context), self._emit, self._condition)
        body = blocks.lines()
        used = sorted({number for pc in blocks.states for number in self._registers(self.codes[pc])} | {0})
        yield 0, f"def f{start}(run, r1, r2, r3, r4, r5, d):", start
        yield 1, "n = run.budget", start
        if main:
            yield 1, "cx = run.input.buffer", start
        clear = [f"r{number}" for number in used if number in (0, 6, 7, 8, 9)]
        yield 1, " = ".join([*clear, "0"]), start
        if 10 in used:
            yield 1, "r10 = FP[d]; sb, sh, sw, sq = STACKS[d]; sb[:] = ZERO", start
        if any(self.codes[pc].kind == "jcond" for pc in blocks.states):
            yield 1, f"loops = {MAY_GOTO_LIMIT}", start
        yield from body

    @staticmethod
    def _registers(code: Code) -> set[int]:
        if code.kind == "call":
            return {0}
        return {code.dst, code.src} if code.kind != "lddw" else {code.dst}

    @staticmethod
    def _condition(code: Code, state: State) -> str:
        if code.kind == "jcond":
            return "(loops := loops - 1) < 0"
        return expressions.condition(code, state)

    def _emit(self, code: Code, state: State, count: int) -> tuple[list[str], bool]:
        if code.kind == "ldx":
            return expressions.load(code, state, self.program.image.lenient), False
        if code.kind in expressions.STRAIGHT:
            return expressions.STRAIGHT[code.kind](code, state), False
        if code.kind == "ld":
            index = f"r{code.src}" if code.verb == "ind" else "0"
            return [f"t = load_packet(run, CODES[{code.pc}], {index})",
                    f"if t is None: run.budget = n - {count}; return 0", "r0 = t"], False
        if code.verb == "local":
            return [f"if d >= {bits.MAX_CALL_FRAMES - 1}: raise too_deep()", f"run.budget = n - {count}",
                    f"r0 = f{code.target}(run, r1, r2, r3, r4, r5, d + 1)",
                    "n = run.budget"], True
        if code.imm == 12:
            return ["t = tail_target(run, r1, r2, r3)",
                    f"if t is not None: run.budget = n - {count}; return t.generated().enter(run, t, d)"], False
        found = HELPERS.get(code.imm)
        if found is None:
            return [f"find({code.imm})"], False
        if code.imm == 1 and (text := self._look_up(state)):
            return [text], False
        self.names[f"h_{found.name}"] = found.function
        arguments = ", ".join(["run", *[f"r{number}" for number in range(1, found.arity + 1)]])
        call = f"r0 = h_{found.name}({arguments}) & {expressions.M}"
        if not found.calls_back:
            return [call], False
        return [f"run.program = PROGRAM; run.depth = d; run.budget = n - {count}", call, "n = run.budget"], True

    def _look_up(self, state: State) -> str | None:
        """bpf_map_lookup_elem on a map and a key on the stack that are known here."""
        (kind, address), (where, off) = state[1], state[2]
        found = self.machine.map_at.get(address) if kind == "k" else None
        at = bits.STACK_SIZE + off
        if found is None or where != "fp" or not 0 <= at <= bits.STACK_SIZE - found.spec.key_size:
            return None
        name, cpu = f"m{found.id}", "run.cpu" if found.per_cpu else "0"
        if isinstance(found, Array):
            key = f"sw[{at // 4}]" if expressions.LITTLE and at % 4 == 0 else f"u4(sb, {at})[0]"
            if (pages := found.first_pages()) is not None:
                first = f"{name}[run.cpu]" if found.per_cpu else str(pages[0])
                self.names[name] = pages
                return f"r0 = (t + {first}) << {PAGE_BITS} if (t := {key}) < {found.spec.max_entries} else 0"
            self.names[name] = found.element
            return f"r0 = {name}({key}, {cpu})"
        self.names[f"k{found.spec.key_size}"] = struct.Struct(f"{found.spec.key_size}s").unpack_from
        key = f"k{found.spec.key_size}(sb, {at})[0]"
        if type(found) is Hash:
            self.names[name] = found.cells.get
            return f"r0 = t.addresses[{cpu}] if (t := {name}({key})) is not None else 0"
        self.names[name] = found.pointer
        return f"r0 = {name}({key}, {cpu})"

    # -- running ------------------------------------------------------------------------------

    def start(self, run: Run, repeat: int) -> int:
        main, program, begin, ctx = self.functions[0], self.program, run.begin, run.ctx
        r0 = 0
        try:
            for _ in range(repeat):
                begin(program)
                r0 = main(run, ctx, 0, 0, 0, 0, 0)
                if run.budget < 0:
                    raise faults.out_of_budget()
        except Exception as error:
            raise self._explain(error, run) from None
        return r0

    def enter(self, run: Run, program, depth: int) -> int:
        """Run from the first instruction; ``program`` is ours."""
        run.program = program
        return self.functions[0](run, run.ctx, 0, 0, 0, 0, depth)

    def callback(self, run: Run, address: int, arguments: tuple[int, ...]) -> int:
        program, depth = run.program, run.depth
        if depth + 1 >= bits.MAX_CALL_FRAMES:
            raise faults.too_deep()
        pc, rest = divmod(address - FUNCTION_BASE, 8)
        function = program.generated().functions.get(pc) if not rest else None
        if function is None:
            raise Fault(f"{address:#x} is not the address of a function")
        result = function(run, *arguments, *[0] * (5 - len(arguments)), depth + 1)
        run.program, run.depth = program, depth
        if run.budget < 0:
            raise faults.out_of_budget()
        return result

    @staticmethod
    def _explain(error: Exception, run: Run) -> Exception:
        """The Fault behind an exception out of generated code, with instruction and registers.

        Anything that is not a program's doing is given back as it is."""
        frame = None
        at = error.__traceback__
        while at is not None:
            if at.tb_frame.f_code.co_filename in _BY_FILE:
                frame, last = at, at.tb_next is None
            at = at.tb_next
        if frame is None:
            return error
        compiled = _BY_FILE[frame.tb_frame.f_code.co_filename]
        pc = compiled.slots[frame.tb_lineno]
        names = dict(frame.tb_frame.f_locals)
        names.setdefault("r10", run.machine.frame_pointers[names["d"]])
        regs = tuple([names.get(f"r{number}", 0) for number in range(11)])
        if isinstance(error, Fault):
            return faults.place(error, pc, regs)
        if isinstance(error, EbpflabError) or not isinstance(error, ACCESS_ERRORS) or not last:
            return error
        fault = faults.of_access(run.memory, compiled.codes[pc], regs)
        return error if fault is None else faults.place(fault, pc, regs)
