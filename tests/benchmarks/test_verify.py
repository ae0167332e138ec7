"""The verifier's speed, beside the kernel's with a level-2 log of the same programs in the same run."""

import time
import tracemalloc

import pytest

from ebpflab.asm import assemble
from ebpflab.kernel.session import Session
from ebpflab.verify import verify

pytestmark = [pytest.mark.benchmark, pytest.mark.kernel]

UNKNOWN = "call bpf_get_prandom_u32\n"


def arithmetic(count: int) -> str:
    """``count`` instructions, one path."""
    body = ["r0 += 3", "r0 *= 5", "r0 &= 0xffff", "r1 = r0", "r1 <<= 2", "*(u64 *)(r10 - 8) = r1",
            "r0 = *(u64 *)(r10 - 8)"]
    return UNKNOWN + "\n".join(body[i % len(body)] for i in range(count - 3)) + "\nr0 = 0\nexit"


def branches(bits: int) -> str:
    """Each path through ``bits`` decisions computes another number that matters at the end: no path can be cut."""
    steps = "".join(f"{UNKNOWN}if r0 > 7 goto +1\nr6 |= {1 << bit}\n" for bit in range(bits))
    return "r6 = 0\n" + steps + f"if r6 > {(1 << bits) - 1} goto +1\nr7 = 1\nr7 <<= r6\nr0 = 0\nexit"


def loop(rounds: int) -> str:
    return f"r6 = 0\nr7 = 0\nl: {UNKNOWN}r0 &= 15\nr7 += r0\nr6 += 1\nif r6 < {rounds} goto l\nr0 = 0\nexit"


PROGRAMS = {"300 instructions, one path": arithmetic(300), "loop of 5,000 rounds": loop(5_000),
            "2,048 paths": branches(11)}


@pytest.mark.parametrize("name", PROGRAMS)
def test_throughput_beside_the_kernel(report, name):
    spec = assemble(PROGRAMS[name])
    with Session() as session:
        if not session.facts()["privileged"]:
            pytest.skip("bpf(2) is not ours to use here")
        theirs = min(_kernel(session, spec) for _ in range(3))
    ours, count = min(_ours(spec) for _ in range(3))
    report(f"verify {name}", count / ours, "insn/s", "kernel, log level 2", count / theirs, faster="more")


def _kernel(session: Session, spec) -> float:
    begin = time.thread_time()
    made = session.prog_load(spec.row.number, spec.bytes, [], log_level=2, log_size=1 << 25)
    seconds = time.thread_time() - begin
    assert made["prog"] and not made["log_truncated"]
    session.close(made["prog"])
    return seconds


def _ours(spec) -> tuple[float, int]:
    begin = time.thread_time()
    trace = verify(spec)
    seconds = time.thread_time() - begin
    assert trace.verdict.result == "accept"
    return seconds, trace.verdict.stats.processed


def test_memory_of_a_long_walk(report):
    """140,000 walked instructions with all their states and the log's events."""
    spec = assemble(loop(28_000))
    tracemalloc.start()
    trace = verify(spec)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert trace.verdict.stats.processed > 139_000
    report("verify, memory for 140,000 instructions", peak / 2**20, "MiB", "allowed", 1024)
