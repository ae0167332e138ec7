"""Faults that all execution tiers raise alike."""

from __future__ import annotations

from ..errors import Fault
from ..isa import bits


def place(fault: Fault, pc: int, regs) -> Fault:
    """Say where a fault happened, unless that is known."""
    if fault.pc is None:
        fault.pc, fault.regs, fault.where = pc, tuple(regs), f"instruction {pc}"
    return fault


def out_of_budget() -> Fault:
    return Fault("the instruction budget is used up and the program has not ended",
                 hint="an endless loop? run(budget=…) or Machine(budget=…) allows more")


def too_deep() -> Fault:
    return Fault(f"more than {bits.MAX_CALL_FRAMES} frames of calls", hint="the kernel allows 8 frames of 512 bytes")


def misaligned(address: int, size: int) -> Fault:
    return Fault(f"atomic access of {size} bytes at {address:#x}, which is no multiple of {size}", address=address,
                 hint="atomics work on naturally aligned memory only")


def fell_off() -> Fault:
    return Fault("execution runs past the last instruction", hint="end every path with exit")
