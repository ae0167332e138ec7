"""Timers in map values (``kernel/bpf/helpers.c``); ``sim.timers`` runs them."""

from __future__ import annotations

import errno

from .registry import helper

CLOCKS = (0, 1, 7)                 # CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME: one clock here
F_ABS, F_CPU_PIN = 1, 2            # BPF_F_TIMER_*


@helper()
def timer_init(run, timer, map_, flags):
    if flags not in CLOCKS:
        return -errno.EINVAL
    timers, found = run.machine.timers, run.map(map_)
    if timers.at(timer) is not None:
        return -errno.EBUSY
    timers.make(timer, found)
    return 0


@helper()
def timer_set_callback(run, timer, callback):
    found = run.machine.timers.at(timer)
    if found is None:
        return -errno.EINVAL
    found.program, found.callback = run.program, callback
    return 0


@helper()
def timer_start(run, timer, ns, flags):
    if flags & ~(F_ABS | F_CPU_PIN):
        return -errno.EINVAL
    found = run.machine.timers.at(timer)
    if found is None or found.program is None:
        return -errno.EINVAL
    found.expires = ns if flags & F_ABS else run.machine.clock.read() + ns
    found.cpu = run.cpu
    return 0


@helper()
def timer_cancel(run, timer):
    """1 if it was armed. Its callback goes too: it has to be set again before it starts again."""
    timers = run.machine.timers
    found = timers.at(timer)
    if found is None:
        return -errno.EINVAL
    if found is timers.running:
        return -errno.EDEADLK
    was, found.expires, found.program = found.expires is not None, None, None
    return int(was)
