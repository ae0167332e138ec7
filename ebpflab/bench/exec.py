"""``ebpflab bench exec``: the simulator's tiers beside this kernel's JIT."""

from __future__ import annotations

from functools import partial
from typing import Any

from .rows import ROUNDS, best, row

#: an xorshift generator: arithmetic where every instruction waits for the one before
ALU = """
    r0 = 0x12345
    r2 = 10000
loop:
    r3 = r0
    r3 <<= 13
    r0 ^= r3
    r3 = r0
    r3 >>= 7
    r0 ^= r3
    r3 = r0
    r3 <<= 17
    r0 ^= r3
    r0 += r2
    r2 += -1
    if r2 != 0 goto loop
    r0 &= 1
    exit
"""
#: Ethernet, IPv4 or one VLAN tag before it, UDP or TCP, ports; 46 instructions
PARSE = """
    r9 = *(u32 *)(r1 + 4)
    r6 = *(u32 *)(r1 + 0)
    r0 = 2
    r2 = r6
    r2 += 14
    if r2 > r9 goto out
    r3 = *(u16 *)(r6 + 12)
    r3 = be16 r3
    if r3 != 0x8100 goto network
    r2 = r6
    r2 += 18
    if r2 > r9 goto out
    r3 = *(u16 *)(r6 + 16)
    r3 = be16 r3
    r6 += 4
network:
    if r3 != 0x0800 goto out
    r6 += 14
    r2 = r6
    r2 += 20
    if r2 > r9 goto out
    r4 = *(u8 *)(r6 + 0)
    r5 = r4
    r5 >>= 4
    if r5 != 4 goto out
    r4 &= 15
    if r4 != 5 goto out
    r7 = *(u8 *)(r6 + 9)
    r8 = *(u32 *)(r6 + 12)
    r5 = *(u32 *)(r6 + 16)
    r8 ^= r5
    if r7 == 17 goto transport
    if r7 != 6 goto out
transport:
    r2 = r6
    r2 += 28
    if r2 > r9 goto out
    r3 = *(u16 *)(r6 + 20)
    r3 = be16 r3
    r4 = *(u16 *)(r6 + 22)
    r4 = be16 r4
    w8 *= 0x1b873593
    w8 ^= w3
    r0 = 1
    if r4 == 7 goto out
    r0 = 2
    r0 = r0
out:
    exit
"""
#: a look-up and an atomic addition in a hash map of flows
HASH = """
.map flows hash u32 u64 1024
    r2 = *(u32 *)(r1 + 4)
    r1 = *(u32 *)(r1 + 0)
    r3 = r1
    r3 += 34
    if r3 > r2 goto pass
    r3 = *(u32 *)(r1 + 26)
    *(u32 *)(r10 - 4) = r3
    r1 = flows ll
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0 goto new
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
    goto pass
new:
    *(u64 *)(r10 - 16) = 1
    r1 = flows ll
    r2 = r10
    r2 += -4
    r3 = r10
    r3 += -16
    r4 = 0
    call bpf_map_update_elem
pass:
    r0 = 2
    exit
"""
#: name, text, type, times the native tiers run it, times the source-code tier does
PROGRAMS = (("ALU loop", ALU, "socket_filter", 60, 2), ("parse", PARSE, "xdp", 200_000, 5_000),
            ("hash", HASH, "xdp", 200_000, 5_000))
BATCH = 20_000


class _Kernel:
    """This machine's kernel as the peer: programs run by BPF_PROG_TEST_RUN. ``why`` it is not there, else ""."""

    def __init__(self) -> None:
        from ..errors import EbpflabError
        from ..kernel.session import Session

        self.why = ""
        self.session: Any = None
        try:
            self.session = Session()
            if not self.session.facts()["jit"]:
                self.why = "its JIT is off"
            self.session.map_create(2, 4, 4, 1)
        except (EbpflabError, OSError) as error:
            self.why = str(getattr(error, "what", error))
        self.name = "kernel JIT" if not self.why else f"kernel JIT: not here ({self.why})"

    def seconds(self, spec, packet: bytes, repeat: int) -> float | None:
        """Seconds of one run."""
        if self.why:
            return None
        maps = [self.session.map_create(one.row.number, one.key_size, one.value_size, one.max_entries)["map"]
                for one in spec.maps]
        loaded = self.session.prog_load(spec.row.number, spec.bytes, maps)
        run = self.session.prog_run
        return best(lambda: run(loaded["prog"], packet, repeat=repeat)) / repeat

    def close(self) -> None:
        if self.session is not None:
            self.session.close_all()


def measure() -> list[dict]:
    """The simulator's tiers beside this kernel's JIT, the same program on the same packet; batches; compiling."""
    from ..asm import assemble
    from ..sim import Machine, jit, packets

    kernel, rows, packet = _Kernel(), [], packets.udp(b"x" * 22)
    try:
        for name, text, type_, many, few in PROGRAMS:
            spec = assemble(text, type=type_)
            program = Machine().load(spec)
            insns = program.run(packet).insns
            peer = kernel.seconds(spec, packet, many)
            for tier, times in (("jit", many), ("codegen", few), ("interpreter", max(few // 20, 1))):
                if tier == "jit" and not jit.installed():
                    rows.append(row(f"{name}, jit: not here (llvmlite is not installed)", 0, "ns", kernel.name,
                                    peer and peer * 1e9, less=True))
                    continue
                program.run(packet, tier=tier, repeat=times)
                run = partial(program.run, packet, tier=tier, repeat=times)
                mean = best(run, ROUNDS if tier == "jit" else 3) / times
                rows.append(row(f"{name}, {tier}, a run", mean * 1e9, "ns", kernel.name, peer and peer * 1e9,
                                less=True))
                rows.append(row(f"{name}, {tier}", insns / mean / 1e6, "M insn/s", kernel.name,
                                peer and insns / peer / 1e6, less=False))
        if jit.installed():
            rows += _batches(kernel, packet) + _compiling()
    finally:
        kernel.close()
    return rows


def _batches(kernel: _Kernel, packet: bytes) -> list[dict]:
    """Packets a second through the native loop, packets in a numpy array."""
    from importlib.util import find_spec

    from ..asm import assemble
    from ..sim import Machine

    if find_spec("numpy") is None:
        return [row("batch: not here (numpy is not installed)", 0, "M packet/s", kernel.name, None, less=False)]
    import numpy as np

    rows = []
    for name, text in (("parse", PARSE), ("hash", HASH)):
        spec = assemble(text, type="xdp")
        machine = Machine()
        program = machine.load(spec)
        array = np.tile(np.frombuffer(packet, np.uint8), (BATCH, 1))
        for _ in range(10):
            machine.run_batch(program, array, tier="jit")
        rate = BATCH / best(partial(machine.run_batch, program, array, tier="jit", copy=False), 20) / 1e6
        peer = kernel.seconds(spec, packet, 200_000)
        rows.append(row(f"{name}, batch of {len(spec.insns)} insns", rate, "M packet/s", kernel.name,
                        peer and 1e-6 / peer, less=False))
    return rows


def _compiling() -> list[dict]:
    """Milliseconds for 100 instructions, of a program of 1,000 (every third a jump) whose values nothing is known
    of; peer: Python source code."""
    from ..asm import assemble
    from ..sim import Machine
    from ..sim.jit import FAST, HOT

    body = "\n".join(f"r{at % 5} += {at}\nif r{at % 5} > {at * 7} goto +1\nr{at % 5} ^= r{(at + 1) % 5}"
                     for at in range(333))
    head = "\n".join(f"r{reg} = *(u32 *)(r1 + {reg * 4})" for reg in (0, 2, 3, 4, 1))
    spec = assemble(head + "\n" + body + "\nexit", type="socket_filter")
    machine = Machine()
    per = 1e3 / (len(spec.insns) / 100)
    codegen = best(lambda: machine.load(spec).generated(), 3) * per
    def compile_(level: int) -> None:
        machine.jit().native(machine.load(spec), level)

    rows = []
    for name, level in (("jit fast", FAST), ("jit -O2", HOT)):
        taken = best(partial(compile_, level), 3) * per
        rows.append(row(f"compile 100 insns, {name}", taken, "ms", "codegen", codegen, less=True))
    return rows
