"""A measurement as a row: ``{"name", "value", "unit", "peer", "peer_value", "ratio"}``.

A ratio above 1 means better than the peer, which was measured in the same run. A peer that is not to be had is named
with the reason; its value and the ratio are None. Times are CPU times, the best of several.
"""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Callable

ROUNDS = 7


def row(name: str, value: float, unit: str, peer: str, peer_value: float | None, *, less: bool) -> dict:
    """One measurement; ``less``: a smaller value is the better one."""
    ratio = None if not peer_value or not value else peer_value / value if less else value / peer_value
    return {"name": name, "value": value, "unit": unit, "peer": peer, "peer_value": peer_value, "ratio": ratio}


def best(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Seconds of CPU of this thread in the quickest round of ``work()``."""
    found = []
    for _ in range(rounds):
        start = time.thread_time()
        work()
        found.append(time.thread_time() - start)
    return min(found)


def child(*command: str, rounds: int = 3) -> float:
    """Seconds of CPU of a command, start-up included, in its quickest run. Raises CalledProcessError."""
    def used() -> float:
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        return spent.ru_utime + spent.ru_stime

    found = []
    for _ in range(rounds):
        before = used()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found.append(used() - before)
    return min(found)
