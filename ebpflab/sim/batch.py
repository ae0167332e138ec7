"""Many packets through one program: from lists, numpy arrays or captures, to columns. Needs numpy.

    batch = run_batch(program, packets)         # packets: frames as bytes, a 2-D uint8 array, or a capture's path
    batch.retvals, batch.lengths, batch.insns   # one number a packet
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..errors import Fault, KernelError, SpecError, Unsupported
from . import pcap
from .contexts import ETH_HLEN, LOOPBACK, PAGE_SIZE, Input
from .frame import XDP_HEADROOM, XDP_TAILROOM
from .machine import Program, Run
from .maps.base import Columns

NATIVE_FROM = 200      # packets from which machine code pays
#: maps whose contents before and after a batch are kept
COMPARED = frozenset({"array", "percpu_array", "hash", "percpu_hash", "lru_hash", "lru_percpu_hash", "lpm_trie"})
LONGEST = PAGE_SIZE - XDP_HEADROOM - XDP_TAILROOM


@dataclass(slots=True)
class Batch:
    """One row a packet, as numpy arrays: ``retvals`` uint32 (0 where it faulted), ``lengths`` uint32 of the packet
    afterwards, ``insns`` uint64, ``ns`` float64 or None if not asked for. ``faults``: packet number -> Fault.

    ``data`` and ``starts``: the packets afterwards, ``packet(number)`` is one of them. ``maps``: name -> contents
    before and after. ``seconds``: wall time of the whole. ``tier``: what ran it; ``jit, packet by packet`` means
    that only the program itself was native, not the loop around it.
    """

    retvals: Any
    lengths: Any
    insns: Any
    ns: Any
    tier: str
    seconds: float
    packet: Callable[[int], bytes]
    faults: dict[int, Fault] = field(default_factory=dict)
    maps: dict[str, tuple[Columns, Columns]] = field(default_factory=dict)


def frames(packets, copy: bool = True) -> tuple[Any, Any, Any]:
    """(bytes uint8, starts uint64, lengths uint32) of packets in any of the forms.

    Without ``copy`` an array in C order is taken as it is, and programs write into it.
    """
    import numpy as np

    if isinstance(packets, (str, os.PathLike)):
        packets = pcap.read(packets)
    if isinstance(packets, np.ndarray):
        if packets.ndim != 2 or packets.dtype != np.uint8:
            raise SpecError(f"packets as an array: two dimensions (packets, bytes) of uint8, not {packets.ndim} of "
                            f"{packets.dtype}")
        count, size = packets.shape
        if not packets.flags.writeable:
            copy = True
        return (np.array(packets, order="C", copy=copy or None).reshape(-1),
                np.arange(count, dtype=np.uint64) * np.uint64(size),
                np.full(count, size, dtype=np.uint32))
    if not isinstance(packets, Iterable) or isinstance(packets, (bytes, bytearray)):
        raise SpecError(f"{type(packets).__name__} is not a list of packets", hint="one packet: run(); several: a list")
    whole = [bytes(one) for one in packets]
    lengths = np.fromiter(map(len, whole), dtype=np.uint32, count=len(whole))
    starts = np.zeros(len(whole), dtype=np.uint64)
    np.cumsum(lengths[:-1], out=starts[1:], dtype=np.uint64)
    return np.frombuffer(bytearray(b"".join(whole)), dtype=np.uint8), starts, lengths


def run_batch(program: Program, packets, *, cpu: int = 0, budget: int | None = None, ifindex: int = 0,
              tier: str = "auto", timing: bool = False, errors: str = "raise", copy: bool = True) -> Batch:
    """Run every packet once, in order, maps and time going on from one to the next.

    ``tier`` as in ``Machine.run``. ``timing``: measure each packet (by the processor's counter; some ns are the
    measuring's own). ``errors``: ``raise`` the first Fault, naming the packet, or ``keep`` them in ``faults``.
    ``copy``: leave a given array as it is, though the program may write to packets.
    """
    import numpy as np

    if errors not in ("raise", "keep"):
        raise SpecError(f"errors={errors!r}", hint="raise or keep")
    machine = program.machine
    machine.check_run(tier, cpu, 1)
    base, starts, lengths = frames(packets, copy)
    count = len(starts)
    retvals, insns = np.zeros(count, np.uint32), np.zeros(count, np.uint64)
    ns, faults = (np.zeros(count) if timing else None), {}

    def failed(number: int, fault: Fault) -> None:
        fault.where = f"packet {number}, {fault.where or program.spec.name}"
        if errors == "raise":
            raise fault
        faults[number] = fault

    from . import jit

    if tier == "auto":
        tier = "jit" if count >= NATIVE_FROM and jit.installed() and machine.memory.journal is None else "codegen"
    whole = True
    after: dict[int, bytes] = {}
    with machine.lock:
        before = {name: one.read() for name, one in program.maps.items() if one.spec.type in COMPARED}
        start = time.perf_counter()
        if tier == "jit" and count and _in_place(program, lengths):
            from .jit.batch import PacketLoop

            ticks = np.zeros(count, np.uint64) if timing else None
            each = PacketLoop(program, base, starts, lengths, retvals, insns, ticks).run(
                cpu, machine.allowed(budget), ifindex or LOOPBACK, failed)
            if ns is not None and ticks is not None:
                ns[:] = ticks * each
        else:
            whole = False
            _one_by_one(program, base, starts, lengths, retvals, insns, ns, after,
                        (cpu, machine.allowed(budget), ifindex or LOOPBACK, tier), failed)
        seconds = time.perf_counter() - start
        maps = {name: (old, program.maps[name].read()) for name, old in before.items()}

    def packet(number: int) -> bytes:
        if number in after:
            return after[number]
        return base[int(starts[number]):int(starts[number]) + int(lengths[number])].tobytes()

    return Batch(retvals, lengths, insns, ns, "jit, packet by packet" if tier == "jit" and not whole else tier, seconds,
                 packet, faults, maps)


def _in_place(program: Program, lengths) -> bool:
    from .jit.batch import fits

    if not fits(program):
        return False
    if int(lengths.min()) < ETH_HLEN:
        at = int((lengths < ETH_HLEN).argmax())
        raise KernelError(f"packet {at} has {int(lengths[at])} bytes, an Ethernet header needs {ETH_HLEN}", errno=22,
                          call="BPF_PROG_TEST_RUN", where=f"packet {at}")
    if int(lengths.max()) > LONGEST:
        at = int((lengths > LONGEST).argmax())
        raise Unsupported(f"packet {at} has {int(lengths[at])} bytes; XDP frames of several buffers are not simulated",
                          hint=f"a frame has at most {LONGEST} bytes")
    return True


def _one_by_one(program, base, starts, lengths, retvals, insns, ns, after, how, failed) -> None:
    """For programs that move packets or have another context than xdp_md."""
    machine = program.machine
    cpu, budget, ifindex, tier = how
    engine = machine.engine(program, tier)
    bytes_ = memoryview(base)
    for number in range(len(starts)):
        start = int(starts[number])
        data = bytes(bytes_[start:start + int(lengths[number])])
        try:
            input_ = Input(program.spec.type, machine.memory, data, b"", ifindex, machine.sockets)
        except (KernelError, Unsupported) as error:
            error.where = f"packet {number}"
            raise
        try:
            run = Run(machine, program, input_, cpu, budget, engine)
            began = time.perf_counter_ns()
            r0 = engine.start(run, 1)
            if ns is not None:
                ns[number] = time.perf_counter_ns() - began
            retvals[number], insns[number] = r0 & 0xFFFF_FFFF, budget - run.budget
            result = input_.results()[0]
            if result != data:
                after[number] = result
                lengths[number] = len(result)
        except Fault as fault:
            failed(number, fault)
        finally:
            input_.close()
            machine.memory.bury()
