"""``ebpflab bench verify``: our verifier with its full history beside this kernel's with a level-2 log.

Both walk the same programs, in this thread, and only programs that both walk through to the same count are compared.
The kernel writes its log as it walks; ours keeps every step and state and spells the log when it is read, which is a
row of its own.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from .rows import best, row

UNKNOWN = "call bpf_get_prandom_u32\n"
ROUNDS = 5
LEAST = 10_000      # instructions that the rounds of a short program walk together


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
    """Five instructions a round and one number that grows."""
    return f"r6 = 0\nr7 = 0\nl: {UNKNOWN}r0 &= 15\nr7 += r0\nr6 += 1\nif r6 < {rounds} goto l\nr0 = 0\nexit"


PROGRAMS = {"300 instructions, one path": arithmetic(300), "loop of 5,000 rounds": loop(5_000),
            "2,048 paths": branches(11), "140,000 instructions": loop(28_000)}


def measure() -> list[dict]:
    """Walked instructions a second, and milliseconds a program; whether it is the compiled build is in the name."""
    from ..asm import assemble
    from ..verify import verify

    build = _build()
    rows = []
    kernel, why = _kernel()
    peer = "kernel, log level 2" + (f": not here ({why})" if why else "")
    try:
        for name, text in PROGRAMS.items():
            spec = assemble(text)
            count = verify(spec).verdict.stats.processed or 0
            rounds = max(LEAST // count, ROUNDS) if count < 50_000 else 1
            ours = best(partial(verify, spec), rounds)
            theirs = min(_load(kernel, spec, count) for _ in range(rounds)) if kernel else None
            rows.append(row(f"verify {name}, {build}", count / ours, "insn/s", peer, theirs and count / theirs,
                            less=False))
            if count < 50_000:
                rows.append(row(f"verify {name}, {build}: a program", ours * 1e3, "ms", peer, theirs and theirs * 1e3,
                                less=True))
            log = min(_spelled(spec) for _ in range(rounds))
            rows.append(row(f"verify and spell the log, {name}, {build}", count / log, "insn/s", peer,
                            theirs and count / theirs, less=False))
    finally:
        if kernel:
            kernel.close_all()
    return rows


def _build() -> str:
    from ..verify import COMPILED

    return "compiled" if COMPILED else "pure Python"


def _kernel() -> tuple[Any, str]:
    """A session with this machine's kernel, or None and why not."""
    from ..errors import EbpflabError
    from ..kernel.session import Session

    try:
        session = Session()
    except (EbpflabError, OSError) as error:
        return None, str(getattr(error, "what", error))
    if session.facts()["privileged"]:
        return session, ""
    session.close_all()
    return None, "bpf(2) is not ours to use"


def _load(session: Any, spec, count: int) -> float:
    """Seconds of CPU in which the kernel verifies (and, for a small part, compiles) a program."""
    begin = time.thread_time()
    made = session.prog_load(spec.row.number, spec.bytes, [], log_level=2, log_size=1 << 27)
    seconds = time.thread_time() - begin
    if made["log_truncated"] or f"processed {count} insns" not in made["log"][-200:]:
        raise AssertionError(f"the kernel did not walk {count} instructions: {made['log'][-200:]}")
    session.close(made["prog"])
    return seconds


def _spelled(spec) -> float:
    from ..verify import verify

    begin = time.thread_time()
    assert verify(spec).log
    return time.thread_time() - begin
