"""How long until something is there: the import, and a cell from text to view. Both beside a peer in the same run."""

import statistics
import subprocess
import sys
import time

import pytest


def _python(code: str, runs: int = 7) -> float:
    """Median CPU seconds of ``python -c code``."""
    import resource

    taken = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(taken)


@pytest.mark.benchmark
def test_import(report):
    bare, ours, numpy = _python("pass"), _python("import ebpflab"), _python("import numpy")
    report("import ebpflab", (ours - bare) * 1e3, "ms over bare Python", "import numpy", (numpy - bare) * 1e3)


def program(count: int) -> str:
    """``count`` instructions that a verifier has to follow: arithmetic on a packet byte, stack traffic, a branch."""
    body = ["r2 = *(u32 *)(r1 + 4)", "r1 = *(u32 *)(r1 + 0)", "r3 = r1", "r3 += 14", "if r3 > r2 goto out",
            "r4 = *(u8 *)(r1 + 12)"]
    while len(body) < count - 4:
        body += ["r4 += 3", "r4 &= 255", "*(u64 *)(r10 - 8) = r4", "r5 = *(u64 *)(r10 - 8)"]
    return "\n".join([*body[:count - 4], "r0 = 2", "exit", "out:", "r0 = 1", "exit"])


@pytest.mark.benchmark
@pytest.mark.kernel
def test_cell_to_view(report, local):
    """Assemble, verify on this kernel, and render a 50-instruction program; the peer is the bare load with its log."""
    from ebpflab import assemble
    from ebpflab.view.stepper import Stepper

    text = program(50)
    spec = assemble(text, type="xdp")
    assert len(spec.insns) == 50 and local.verify(spec).ok

    def whole():
        Stepper(local.verify(assemble(text, type="xdp")))

    def bare():
        local.verify(spec)

    times = {}
    for what in (whole, bare):
        taken = []
        for _ in range(15):
            start = time.thread_time()
            what()
            taken.append(time.thread_time() - start)
        times[what] = statistics.median(taken) * 1e3
    report("assemble, verify, view of 50 instructions", times[whole], "ms", "verify alone", times[bare])
