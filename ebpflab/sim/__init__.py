"""The simulator: runs programs without a kernel, root or Linux.

    machine = Machine(cpus=4, seed=0)
    program = machine.load(spec)                  # nothing is verified here; ebpflab.targets.sim does that first
    program.run(packet)                           # Result; raises Fault
    history.record(program, packet)               # every step, to be walked back and forth

    program.run(packet, tier="jit")               # machine code; ``auto`` takes it for many repetitions
    machine.run_batch(program, packets)           # many packets, arrays or a capture; columns (needs numpy)

A program is decoded once (``decode``) and run by one of three tiers with the same results: ``interp``, which steps
and tells a hook, ``codegen``, which turns it into Python functions, and ``jit``, which makes machine code of it
(llvmlite, the extra ``jit``). All work on ``memory``: byte-addressed regions where every access is checked.
``packets`` makes frames, ``pcap`` reads and writes captures.

What differs from a kernel on purpose: time, chance, CPU and the current process are the machine's and reproducible;
memory that a kernel leaves undefined (stack of a new frame, registers of a new function) is zero; LRU maps evict in
exact order and only when full; a Bloom filter has no false positives; a perf buffer is open on every CPU; XDP frames
have one buffer; one program runs at a time, so atomics and locks never contend. Routes, neighbours and sockets are the
machine's own: a socket carries no traffic, and one namespace is all there is.
"""

from .machine import BUDGET, Clock, Machine, Program, Result, Task, available_tiers

__all__ = ["BUDGET", "Clock", "Machine", "Program", "Result", "Task", "available_tiers"]
