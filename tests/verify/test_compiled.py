"""The compiled verifier says what the pure one says, byte for byte. Run as a module it prints what it says, as JSON."""

import hashlib
import json
import signal
import sys

from ebpflab.asm import assemble
from ebpflab.bench.verify import PROGRAMS as LONG
from ebpflab.verify import COMPILED, verify

from ..compiled import run
from ..soundness import generate
from .programs import PROGRAMS, program
from .test_trace import LONG as ENDLESS

GENERATED = 150


def said() -> dict[str, list]:
    """Verdict, last line, counters, digest of log and steps, by program."""
    specs = {name: program(text) for name, text, _ in PROGRAMS}
    specs |= {name: assemble(text) for name, text in LONG.items() if name != "140,000 instructions"}
    specs |= {f"generated {seed}": generate.program(seed) for seed in range(GENERATED)}
    return {name: _said(spec) for name, spec in specs.items()}


def _said(spec) -> list:
    trace = verify(spec)
    steps = "".join(repr(trace.steps[at]) for at in range(0, len(trace.steps), max(1, len(trace.steps) // 10)))
    verdict = trace.verdict
    return [verdict.result, verdict.error, verdict.errno, repr(verdict.stats), len(trace.steps),
            hashlib.sha256(trace.log.encode()).hexdigest(), hashlib.sha256(steps.encode()).hexdigest()]


def test_compiled_and_pure_say_the_same():
    theirs = run("tests.verify.test_compiled")
    assert theirs.pop("compiled") is True and not COMPILED
    ours = said()
    assert {name: (ours[name], theirs.get(name)) for name in ours if ours[name] != theirs.get(name)} == {}


def test_compiled_can_be_interrupted():
    assert run("tests.verify.test_compiled", "interrupt") == {"compiled": True, "error": "interrupted"}


def _interrupted() -> str:
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    return verify(program(ENDLESS), log_level=0).verdict.error


if __name__ == "__main__":
    found = {"error": _interrupted()} if "interrupt" in sys.argv else said()
    json.dump({"compiled": COMPILED, **found}, sys.stdout)
