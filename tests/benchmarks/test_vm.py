"""How long until a guest answers: restored from its snapshot, beside a cold boot in the same run."""

import statistics
import time

import pytest

from ebpflab.targets.kernel import KernelTarget
from ebpflab.targets.remote import RemoteSession
from ebpflab.vm.qemu import QemuMachine

from ..vm.conftest import needs_qemu

pytestmark = [pytest.mark.benchmark, pytest.mark.vm]


def answering(machine: QemuMachine, *, cold: bool) -> float:
    """Seconds from nothing to the first answer of the guest's kernel."""
    begin = time.perf_counter()
    machine.up(cold=cold)
    session = RemoteSession(machine.stream(), name="bench", on_close=machine.halt)
    with KernelTarget(session, "bench") as target:
        assert target.facts.kernel
        seconds = time.perf_counter() - begin
    assert machine.how == ("booted" if cold else "restored")
    return seconds


def test_restore_beside_cold_boot(report):
    """The guest is gone between the runs; reading the saved state from disk is part of it."""
    needs_qemu()
    machine = QemuMachine("bench")
    answering(machine, cold=True)                      # builds the image, makes the snapshot
    restored, booted = [], []
    for _ in range(2):
        booted.append(answering(machine, cold=True))
        restored += [answering(machine, cold=False) for _ in range(2)]
    report("guest restored and answering", statistics.median(restored), "s", "cold boot", statistics.median(booted))


def test_a_call_over_the_wire_beside_one_at_home(report):
    """One map lookup: in the guest over virtio-serial, waiting for each, and many under way at a time."""
    needs_qemu()
    with QemuMachine("bench") as machine:
        machine.up()
        with RemoteSession(machine.stream(), name="bench") as session:
            handle = session.map_create(2, 4, 8, 16)["map"]
            turns, key = 300, bytes(4)
            begin = time.perf_counter()
            for _ in range(turns):
                session.map_lookup(handle, key)
            single = (time.perf_counter() - begin) / turns
            begin = time.perf_counter()
            for future in [session.submit("map_lookup", handle, key) for _ in range(turns)]:
                future.result()
            pipelined = (time.perf_counter() - begin) / turns
    report("lookup in a guest, pipelined", pipelined * 1e3, "ms", "one at a time", single * 1e3)
