"""The run's values inside what the verifier claims at the same step."""

import pytest

import ebpflab as lab
from ebpflab.debugger import debug
from ebpflab.debugger.claims import Walk, not_admitted, outside
from ebpflab.sim import Machine
from ebpflab.trace import Value
from ebpflab.trace.values import parse_value
from ebpflab.verify import verify
from tests.soundness.generate import inputs
from tests.soundness.generate import program as generated

from .test_debugger import TEXT, UDP


def test_every_step_has_a_claim_that_holds():
    dbg = lab.debug(TEXT, UDP)
    assert all(claim.sure and not claim.outside for claim in dbg.claims)
    assert [claim.step.pc for claim in dbg.claims] == [step.pc for step in dbg.history.steps]
    cells = {cell.name: cell for cell in dbg.go(6).cells()}
    assert cells["R2"].text == "17" and "umax32=255" in cells["R2"].claimed and not cells["R2"].outside
    assert "verifier: pkt(r=34)" in str(dbg)


@pytest.mark.parametrize(("claim", "word", "why"), [
    ("scalar(smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))", 256, "255"),
    ("scalar(smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))", 255, ""),
    ("scalar(smin=umin=smin32=umin32=8,smax=umax=smax32=umax32=16,var_off=(0x0; 0x18))", 9, "bits"),
    ("scalar(smax=-1)", 1, "s64"),
])
def test_numbers(claim, word, why):
    found = not_admitted(parse_value(claim), word)
    assert why in found and bool(found) == bool(why)


def test_pointers():
    claim = parse_value("pkt(off=14,r=34)")
    assert not outside(claim, Value("packet", "", off=14, size=50), 0)
    assert "34 bytes proved" in outside(claim, Value("packet", "", off=14, size=20), 0)
    assert "offset" in outside(claim, Value("packet", "", off=15, size=50), 0)
    assert "claimed pkt" in outside(claim, Value("ctx", "ctx()"), 0)
    assert not outside(parse_value("map_value_or_null(id=1,map=m,ks=4,vs=8)"), Value("scalar", "0"), 0)


def test_generated_programs():
    """Accepted programs of the soundness generator: along a path that was not cut short every claim holds."""
    followed = 0
    for seed in range(60):
        spec = generated(seed)
        (packet, _), = inputs(seed, 1)
        trace = verify(spec)
        if not trace.ok:
            continue
        program = Machine(cpus=1).load(spec)
        dbg = debug(program, packet, traces={program.id: trace})
        assert len(dbg.claims) == len(dbg)
        for step, claim in zip(dbg.history.steps, dbg.claims, strict=True):
            if claim is not None and claim.sure:
                assert not claim.outside, (seed, step.index, dict(claim.outside))
                followed += 1
    assert followed > 300


def test_a_wrong_claim_is_seen():
    program = Machine().load(lab.assemble("r0 = 2\nr1 = 5\nr0 += r1\nexit"))
    other = verify(lab.assemble("r0 = 2\nr1 = 6\nr0 += r1\nexit"))
    dbg = debug(program, UDP, traces={program.id: other})
    assert dbg.claims[2].outside == {"R1": "5 is not within 6 … 6 (u64)"}
    assert Walk(other).after({-1}, 0) == ({0}, True)
