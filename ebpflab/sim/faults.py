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


def of_access(memory, code, regs) -> Fault | None:
    """Why the load, store or atomic ``code`` cannot be, with these registers; None if it can."""
    atomic, loads = code.kind == "atomic", code.kind == "ldx" or code.verb == "load_acquire"
    address = regs[code.src if loads else code.dst] + code.off & bits.U64
    if atomic and address % code.op.bytes:
        return misaligned(address, code.op.bytes)
    try:
        if loads or (atomic and code.verb != "store_release"):
            memory.check(address, code.op.bytes, "read")
        if not loads:
            memory.check(address, code.op.bytes, "write")
    except Fault as fault:
        return fault
    return None


def fell_off() -> Fault:
    return Fault("execution runs past the last instruction", hint="end every path with exit")
