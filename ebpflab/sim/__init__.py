"""The simulator: runs programs without a kernel, root or Linux.

    machine = Machine(cpus=4, seed=0)
    program = machine.load(spec)                  # nothing is verified here; ebpflab.targets.sim does that first
    program.run(packet)                           # Result; raises Fault
    history.record(program, packet)               # every step, to be walked back and forth

A program is decoded once (``decode``) and run by one of two tiers with the same results: ``interp``, which steps and
tells a hook, and ``codegen``, which turns it into Python functions. Both work on ``memory``: byte-addressed regions
where every access is checked.

What differs from a kernel on purpose: time, chance, CPU and the current process are the machine's and reproducible;
memory that a kernel leaves undefined (stack of a new frame, registers of a new function) is zero; LRU maps evict in
exact order and only when full; a Bloom filter has no false positives; a perf buffer is open on every CPU; XDP frames
have one buffer; one program runs at a time, so atomics and locks never contend.
"""

from .machine import BUDGET, Clock, Machine, Program, Result, Task

__all__ = ["BUDGET", "Clock", "Machine", "Program", "Result", "Task"]
