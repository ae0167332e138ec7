"""Many generated programs against the local kernel and against the simulator; what was found, as numbers.

    python -m tests.soundness.campaign --first 0 --count 100000 --out found.jsonl

Programs of the seeds first … first + count - 1 are verified by us and by the kernel: verdict, last line, instructions
processed and the whole log must be equal (level 1, the path that fails; every tenth at level 2, all paths).  Those that
we accept then run in the simulator on a few packets, with every register compared with what is claimed of it.  Each
finding is one JSON line, with the program.
Progress is printed every 1,000 programs; Ctrl-C ends it with the numbers so far.
"""

from __future__ import annotations

import argparse
import collections
import json
import platform
import sys
import time
from contextlib import suppress

from ebpflab.errors import DecodeError, Fault, Unsupported
from ebpflab.kernel.session import Session
from ebpflab.spec import ProgramSpec
from ebpflab.verify.env import Stop

from .contained import Unsound, Walk, run
from .generate import inputs, program
from .oracle import TOO_LONG, Kernel, compare


def simulate(spec: ProgramSpec, seed: int, packets: int) -> tuple[str, int, str]:
    """Run an accepted program beside its walks -> outcome (``contained``, ``unsound``, ``fault``, ``not simulated``),
    instructions compared, what is wrong."""
    walks = [Walk(spec, limit=TOO_LONG)]
    with suppress(Stop):        # without pruning some programs have too many paths
        walks.append(Walk(spec, prune=False, limit=5_000))
    try:
        return "contained", run(walks, spec, inputs(seed, packets)), ""
    except Unsound as error:
        return "unsound", 0, str(error)
    except Fault as error:
        return "fault", 0, str(error)
    except (Unsupported, DecodeError) as error:     # an encoding that is wrong where no path leads is accepted
        return "not simulated", 0, str(error)


def campaign(first: int, count: int, packets: int, out, every: int = 1000) -> collections.Counter:
    """Numbers by name; findings go to ``out`` as they come."""
    numbers: collections.Counter = collections.Counter()
    start = time.thread_time()
    with Session() as session:
        kernel = Kernel(session)
        try:
            for seed in range(first, first + count):
                spec = program(seed)
                verdict, difference = compare(kernel, spec, 1 if seed % 10 else 2)
                numbers["programs"] += 1
                numbers[verdict] += 1
                numbers["instructions"] += len(spec.insns)
                if difference:
                    numbers[f"differs: {difference.kind}"] += 1
                    _tell(out, seed, spec, difference.kind, difference.ours, difference.theirs)
                if verdict == "accept" and packets:
                    outcome, checked, why = simulate(spec, seed, packets)
                    numbers[outcome] += 1
                    numbers["instructions compared with the simulator"] += checked
                    if outcome in ("unsound", "fault"):
                        _tell(out, seed, spec, outcome, why, "")
                if numbers["programs"] % every == 0:
                    print(f"{seed + 1 - first} programs, {time.thread_time() - start:.0f} s: {dict(numbers)}",
                          flush=True)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
    numbers["seconds of CPU"] = round(time.thread_time() - start)
    return numbers


def _tell(out, seed: int, spec: ProgramSpec, kind: str, ours: str, theirs: str) -> None:
    found = {"seed": seed, "kind": kind, "ours": ours, "theirs": theirs, "type": spec.type,
             "insns": spec.bytes.hex()}
    out.write(json.dumps(found) + "\n")
    out.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=100_000, help="how many programs")
    parser.add_argument("--packets", type=int, default=2, help="runs of each accepted program; 0: do not simulate")
    parser.add_argument("--out", default="campaign.jsonl", help="findings, one JSON object a line")
    given = parser.parse_args()
    with open(given.out, "w", encoding="utf-8") as out:
        numbers = campaign(given.first, given.count, given.packets, out)
    print(f"Linux {platform.release()}, seeds {given.first} … {given.first + given.count - 1}")
    for name, number in numbers.items():
        print(f"{name:44} {number:>12,}")
    wrong = any(name.startswith("differs") or name in ("unsound", "fault") for name in numbers)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
