"""Two verifications side by side: what counts as the same, and where they part."""

from dataclasses import replace

import pytest

from ebpflab.trace import klog
from ebpflab.trace.compare import compare, same_value, state_difference
from ebpflab.trace.values import parse_value

from .test_klog import AGES, SPEC


def trace(age: str, change=lambda text: text):
    return klog.parse(change(AGES[age]), SPEC, ok=True, by=f"Linux {age}")


@pytest.mark.parametrize("a", AGES)
@pytest.mark.parametrize("b", AGES)
def test_spelling_does_not_count(a, b):
    assert compare(trace(a), trace(b)) is None


def test_a_bound_that_differs_is_found_where_it_arose():
    found = compare(trace("6.18"), trace("6.18", lambda text: text.replace("umax32=7,", "umax32=6,", 1)))
    assert (found.kind, found.step, found.pc_a) == ("cells", 1, 1)
    assert [cell.name for cell in found.cells] == ["R2"]
    assert "R2" in str(found.cells[0])


def test_other_path_other_length_other_verdict():
    full = trace("6.18")
    assert compare(full, replace(full, steps=full.steps[:4])).kind == "length"
    turned = (*full.steps[:2], replace(full.steps[2], pc=4), *full.steps[3:])
    assert (lambda d: (d.kind, d.pc_a, d.pc_b))(compare(full, replace(full, steps=turned))) == ("path", 2, 4)
    pruned = (*full.steps[:4], replace(full.steps[4], kind="pruned"), *full.steps[5:])
    assert compare(full, replace(full, steps=pruned)).kind == "pruned"
    refused = replace(full, verdict=replace(full.verdict, result="reject"))
    assert compare(full, refused).kind == "verdict"


def test_ids_count_up_to_renaming():
    before = trace("6.18").steps[2].after
    frame = before.frame
    renamed = {n: replace(v, id=9) if v.id else v for n, v in frame.regs.items()}
    assert state_difference(before, replace(before, frames=(replace(frame, regs=renamed),))) == ()
    split = {**renamed, 0: replace(renamed[0], id=8)}
    assert state_difference(before, replace(before, frames=(replace(frame, regs=split),)))[0].fields == ("id",)


def test_values_that_say_the_same():
    assert same_value(parse_value("scalar(umax=255,var_off=(0x0; 0xff))", old=True),
                      parse_value("scalar(smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))")) == ()
    assert "umax" in same_value(parse_value("scalar(umax=7)"), parse_value("scalar(umax=8)"))
    assert same_value(parse_value("P5"), parse_value("5")) == ()
    assert "off" in same_value(parse_value("fp-8"), parse_value("fp-16"))
