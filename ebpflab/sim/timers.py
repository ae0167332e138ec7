"""The machine's ``bpf_timer``s: armed by programs, run when simulated time passes (``machine.advance``).

A value's 16 bytes hold the timer's number where the kernel has a pointer, so whatever overwrites, deletes or evicts
the value ends the timer too, as in Linux.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import Fault
from . import faults
from .maps import SimMap
from .memory import OFFSET, PAGE_BITS

if TYPE_CHECKING:
    from .machine import Machine, Program

FIRST = 0xFFFF_C900_0000_0000      # numbers that look like the kernel's pointers: no data is taken for one


class NoInput:
    """What a callback of the kernel's own has for a context: none."""

    address, frame, xdp, skb, buffer, socket = 0, None, False, False, b"", None


@dataclass(slots=True, eq=False)
class Timer:
    """One timer, ``address`` that of its struct bpf_timer; ``expires`` in ns, None while it is not armed."""

    number: int
    address: int
    map: SimMap
    program: Program | None = None
    callback: int = 0
    expires: int | None = None
    cpu: int = 0

    @property
    def value(self) -> int:
        """Address of the map value that holds it: a value starts a page."""
        return self.address & ~OFFSET


class Timers:
    """All timers of a machine, by number. ``running`` is the one whose callback runs."""

    def __init__(self, machine: Machine):
        self._machine = machine
        self._known: dict[int, Timer] = {}
        self._numbers = itertools.count(FIRST, 64)
        self.running: Timer | None = None

    def at(self, address: int) -> Timer | None:
        """The timer that a struct bpf_timer holds. Raises Fault."""
        return self._known.get(self._machine.memory.load(address, 8))

    def make(self, address: int, map_: SimMap) -> Timer:
        made = Timer(next(self._numbers), address, map_)
        self._machine.memory.store(address, 8, made.number)
        self._known[made.number] = made
        return made

    def armed(self) -> list[Timer]:
        """Those that wait, the next one first; those of values that are no more are forgotten."""
        for timer in [timer for timer in self._known.values() if not self._alive(timer)]:
            del self._known[timer.number]
        return sorted((timer for timer in self._known.values() if timer.expires is not None),
                      key=lambda timer: (timer.expires, timer.number))

    def _alive(self, timer: Timer) -> bool:
        view = self._machine.memory.views.get(timer.address >> PAGE_BITS)
        at = timer.address & OFFSET
        return view is not None and int.from_bytes(view[at:at + 8], "little") == timer.number

    def advance(self, ns: int, budget: int, hook=None) -> int:
        """Let ``ns`` pass and call back what is due meanwhile; how many calls. ``budget``: instructions of them all."""
        clock, calls = self._machine.clock, 0
        end = clock.now + ns
        self._machine.memory.bury()   # what user space deleted since the last program ended
        while (armed := self.armed()) and armed[0].expires <= end:
            timer = armed[0]
            clock.advance(max(timer.expires - clock.now, 0))
            timer.expires = None
            budget = self._call(timer, budget, hook)
            calls += 1
        clock.advance(max(end - clock.now, 0))
        return calls

    def _call(self, timer: Timer, budget: int, hook) -> int:
        """Run ``callback(map, key, value)``; what is left of the budget. Raises Fault, which names the timer."""
        from .interp import Interpreter
        from .machine import Run

        memory, owner = self._machine.memory, self._machine.memory.owners[timer.value >> PAGE_BITS]
        run = Run(self._machine, timer.program, NoInput(), timer.cpu, budget, Interpreter(hook))
        key = memory.map(bytearray(owner.key), f"a key of {timer.map.spec.name}")
        self.running, run.depth = timer, -1
        try:
            if run.budget <= 0:
                raise faults.out_of_budget()
            run.call(timer.callback, timer.map.address, key, timer.value)
        except Fault as fault:
            fault.where = f"timer callback of {owner}, {fault.where or 'before its first instruction'}"
            raise
        finally:
            self.running = None
            memory.retire(key)
            memory.bury()
        return run.budget
