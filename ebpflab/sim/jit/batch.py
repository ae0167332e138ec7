"""Many XDP packets through one native loop, in place."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ...errors import Fault
from ..contexts import Input
from ..helpers import HELPERS
from ..machine import Program, Run
from ..memory import PACKET_PAGES
from . import state as s
from .driver import driver
from .emit import TAIL_CALL
from .engine import level_for

AT_ONCE = 1 << 16     # packets between two looks at Ctrl-C
DATA_END = 4          # of xdp_md


def fits(program: Program) -> bool:
    """Can the native loop run it? Only XDP programs that neither move the packet's ends nor tail call."""
    calls = [code for code in program.image.codes if code.kind == "call" and code.verb == "helper"]
    return program.spec.type == "xdp" and not any(
        code.imm == TAIL_CALL or (code.imm in HELPERS and HELPERS[code.imm].moves) for code in calls)


class PacketLoop:
    """One batch: numpy columns in, numpy columns out. ``base`` (uint8): the bytes of all packets, which the program
    may change; ``starts`` (uint64) and ``lengths`` (uint32): where each is. Filled: ``retvals`` (uint32), ``insns``
    (uint64), ``ticks`` (uint64, or None). The caller holds the machine's lock."""

    def __init__(self, program: Program, base, starts, lengths, retvals, insns, ticks):
        self.program, self.machine, self.engine = program, program.machine, program.machine.jit()
        self.base, self.starts, self.lengths = base, starts, lengths
        self.retvals, self.insns, self.ticks = retvals, insns, ticks
        self._bytes = memoryview(base).cast("B")
        self._began = (0, 0)      # number of a round, and the packet that it ran

    def run(self, cpu: int, budget: int, ifindex: int, failed: Callable[[int, Fault], None]) -> float:
        """Run all, telling ``failed`` of each packet that faults. Gives ns a tick."""
        engine, memory, count = self.engine, self.machine.memory, len(self.starts)
        self.input = Input("xdp", memory, bytes(self._packet(0)), b"", ifindex)
        run = Run(self.machine, self.program, self.input, cpu, budget, engine)
        try:
            engine.enter(run)
            engine.on_round = self._expose
            ticks, clock, at = driver().counter(), time.perf_counter_ns(), 0
            ahead = 0
            while at < count:
                upto = min(at + AT_ONCE, count) if at else 1
                done = self._loop(run, at, upto, level_for(self.program, self.program.spent + ahead))
                if done < upto:
                    self._expose()
                    fault = engine.failure(run)
                    if not isinstance(fault, Fault):
                        raise fault
                    failed(done, fault)
                    done += 1
                self.program.spent += int(self.insns[at:done].sum())
                ahead = (count - done) * int(self.insns[at])
                at = done
                memory.bury()
            return (time.perf_counter_ns() - clock) / max(driver().counter() - ticks, 1)
        finally:
            engine.leave()
            self.input.close()
            memory.bury()

    def _packet(self, number: int) -> memoryview:
        start = int(self.starts[number])
        return self._bytes[start:start + int(self.lengths[number])]

    def _loop(self, run: Run, at: int, upto: int, level: int) -> int:
        """Packets ``at`` to ``upto``; the number of the first that was not run to its end."""
        engine, state = self.engine, self.engine.state
        engine.level = level
        code = engine.native(self.program, engine.level).addresses[0]
        self._began = (state[s.ROUND] + 1, at)
        return driver().packets(
            engine.place, code, run.ctx, run.allowed, at, upto, self.base.ctypes.data, self.starts.ctypes.data,
            self.lengths.ctypes.data, PACKET_PAGES[0], state[s.CONTEXT] + DATA_END, self.retvals.ctypes.data,
            None if self.ticks is None else self.ticks.ctypes.data, self.insns.ctypes.data)

    def _expose(self) -> None:
        """Python is about to look: make the present packet the frame's window and its page's buffer."""
        number, packet = self._began
        view = self._packet(packet + self.engine.state[s.ROUND] - number)
        frame: Any = self.input.frame
        frame.window = self.machine.memory.views[PACKET_PAGES[0]] = view
