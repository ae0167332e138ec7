"""Generated programs: what we accept does no wrong, and the kernel thinks the same of each."""

import random
import tomllib
from pathlib import Path

import pytest

import ebpflab as lab
from ebpflab.asm import assemble
from ebpflab.verify import bounds, compare, explore, memory, precision, verify

from ..verify import programs as rules
from ..verify.programs import PROGRAMS
from .campaign import simulate
from .contained import Unsound, Walk, run
from .generate import program
from .mutate import change
from .oracle import Kernel, kernel_log
from .oracle import compare as compared

CASES = {name: case for path in sorted(Path(__file__).with_name("cases").glob("*.toml"))
         for name, case in tomllib.loads(path.read_text()).items()}
BATCH = 250


def accepted(seeds):
    for seed in seeds:
        spec = program(seed)
        if verify(spec, log_level=0, limit=30_000).ok:
            yield seed, spec


@pytest.mark.parametrize("first", range(0, 1500, BATCH))
def test_accepted_programs_stay_inside_what_is_claimed(first):
    compared = left_out = 0
    for seed, spec in accepted(range(first, first + BATCH)):
        outcome, checked, why = simulate(spec, seed, packets=3)
        assert outcome in ("contained", "not simulated"), f"seed {seed}: {why}"
        compared += checked
        left_out += outcome == "not simulated"
    assert compared > 50 * BATCH and left_out < BATCH / 50


@pytest.fixture(scope="module")
def kernel(request):
    from ebpflab.errors import TargetError
    from ebpflab.targets.registry import open_target

    try:
        target = open_target("local")
    except TargetError as error:
        pytest.skip(error.what)
    with target:
        facts = target.session.facts()
        if not facts["version"].startswith("6.18."):
            pytest.skip(f"our verifier follows Linux 6.18, this kernel is {facts['version']}")
        yield Kernel(target.session)


@pytest.mark.kernel
@pytest.mark.parametrize("first", range(50_000, 52_000, BATCH))
def test_the_kernel_says_the_same_and_prints_the_same(kernel, first):
    verdicts = set()
    for seed in range(first, first + BATCH):
        verdict, difference = compared(kernel, program(seed), 2 if seed % 2 else 1)
        assert difference is None, f"seed {seed}"
        verdicts.add(verdict)
    assert {"accept", "reject"} <= verdicts


@pytest.mark.kernel
@pytest.mark.parametrize("first", range(0, len(PROGRAMS), 25))
def test_changed_programs_too(kernel, first):
    """The programs of ``tests/verify``, each changed eight times."""
    verdicts = set()
    for name, text, _ in PROGRAMS[first:first + 25]:
        for number in range(8):
            kernel.forget()         # an array of programs takes on the type of the first program that uses it
            verdict, difference = compared(kernel, change(rules.program(text), random.Random(f"{name} {number}")))
            assert difference is None, f"{name} {number}"
            verdicts.add(verdict)
    assert {"accept", "reject"} <= verdicts


def case(name):
    one = CASES[name]
    return one, assemble(one["program"], type=one["type"])


@pytest.mark.parametrize("name", CASES)
def test_what_was_found_stays_found(name):
    one, spec = case(name)
    trace = verify(spec, log_level=one["level"])
    assert trace.verdict.result == one["verdict"], trace.log
    assert one["shows"] in trace.log


@pytest.mark.kernel
@pytest.mark.parametrize("name", CASES)
def test_what_was_found_is_what_the_kernel_says(kernel, name):
    one, spec = case(name)
    for level in (1, 2):
        ok, log = kernel.log(spec, level)
        assert ok == (one["verdict"] == "accept")
        assert kernel_log(verify(spec, log_level=level).log) == log


@pytest.mark.parametrize("name", [name for name, one in CASES.items() if "unsound" in one])
def test_where_linux_claims_too_much_a_run_shows_it(name):
    """Our verifier follows Linux into a mistake; the comparison of runs with claims finds it."""
    one, spec = case(name)
    packet = bytes(one["packet"])
    with pytest.raises(Unsound, match=one["unsound"]):
        run([Walk(spec, prune=False)], spec, [(packet, {})])
    assert lab.load(spec).run(packet).retval == one["returns"]


@pytest.mark.kernel
@pytest.mark.parametrize("name", [name for name, one in CASES.items() if "unsound" in one])
def test_linux_runs_into_it_too(kernel, name):
    one, spec = case(name)
    with lab.load(spec, target="local") as program:
        assert program.run(bytes(one["packet"])).retval == one["returns"]


# ---- would it be noticed? a verifier with one mistake, and the same programs

def _lost_constant(a, b, narrow):
    """Adding a small constant is overlooked."""
    return a if not b.mask and b.value < 64 and not narrow else bounds.add(a, b, narrow)


def _kept_sign(a, b, narrow):
    """Signed shift taken for an unsigned one."""
    return bounds.rsh(a, b, narrow)


def _half_or(a, b, narrow):
    """The unknown bits of the second operand are overlooked."""
    return a if b.mask and a.mask and not narrow else bounds.or_(a, b, narrow)


def _always_learns(verb, a, b, *how):
    """Less or equal taken for less."""
    return compare.learn({"jle": "jlt", "jge": "jgt"}.get(verb, verb), a, b, *how)


def _unchecked(*_, **__):
    """Nothing is looked at, or noted."""


WRONG = {
    "add": (bounds.OPERATORS, "add", _lost_constant), "arsh": (bounds.OPERATORS, "arsh", _kept_sign),
    "or": (bounds.OPERATORS, "or", _half_or), "learn": (explore.jump, "learn", _always_learns),
    "region": (memory, "inside_region", _unchecked), "packet": (memory, "inside_packet", _unchecked),
    "precision": (precision, "mark", _unchecked),
}


@pytest.mark.parametrize("name", WRONG)
def test_one_mistake_in_the_verifier_is_noticed(name, monkeypatch):
    where, key, wrong = WRONG[name]
    if isinstance(where, dict):
        monkeypatch.setitem(where, key, wrong)
    else:
        monkeypatch.setattr(where, key, wrong)
    for seed in range(3_000):
        spec = program(seed, wrong=0.6)
        if verify(spec, log_level=0, limit=30_000).ok and simulate(spec, seed, packets=4)[0] in ("unsound", "fault"):
            return
    pytest.fail("no generated program showed it")
