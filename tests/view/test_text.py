"""The text twin. ``recorded/NAME.txt`` is what a reader gets; read the difference before you renew it."""

from dataclasses import replace

import pytest

from ebpflab.trace import Verdict
from ebpflab.view.text import trace_text

from .programs import RECORDED, SOURCES, long_trace, recorded, spec


@pytest.mark.parametrize("name", SOURCES)
def test_text_is_as_recorded(name):
    assert trace_text(recorded(name)) == (RECORDED / f"{name}.txt").read_text()


@pytest.mark.parametrize("width", [72, 100, 140])
def test_lines_keep_the_width(width):
    for name in SOURCES:
        long = [line for line in trace_text(recorded(name), width=width).splitlines() if len(line) > width]
        # A word of the kernel's that is longer than a line stays whole.
        assert all(line.count(",") <= 1 for line in long), long


def test_the_caret_is_below_the_instruction():
    lines = trace_text(recorded("unlimited")).splitlines()
    caret = next(i for i, line in enumerate(lines) if "^~~" in line)
    insn = lines[caret - 1]
    assert insn.strip() == "14: (79) r1 = *(u64 *)(r0 +0)"
    assert insn[lines[caret].index("^"):] == "r1 = *(u64 *)(r0 +0)"
    assert len(insn) == len(lines[caret])
    assert lines[caret + 1].strip() == "R0 max value is outside of the allowed memory range"


def test_chosen_steps_say_what_is_left_out():
    text = trace_text(recorded("counted"), steps=[0, 5])
    assert "… 4 steps left out" in text and "… 16 steps left out" in text
    assert "5: (71) r3" in text and "6: (57)" not in text


def test_a_long_trace_shows_its_last_part():
    text = trace_text(long_trace(100))
    assert "… 1101 steps left out" in text
    assert text.count("\n") < 1200


def test_a_rejection_without_steps_shows_the_instruction():
    trace = replace(recorded("counted"), steps=(),
                    verdict=Verdict("reject", "Linux", "jump out of range from insn 4 to 99", pc=4))
    text = trace_text(trace)
    assert "    4: (2d) if r8 > r6 goto pc+14\n            ^~~" in text
    assert "A jump or a call leads to a place that" in text and "[flow-range]" in text
    assert spec("counted").lines[4].text.strip() in text


def test_unsupported_is_neither_yes_nor_no():
    trace = replace(recorded("counted"), verdict=Verdict("unsupported", "ebpflab", "spin locks"))
    text = trace_text(trace)
    assert text.startswith("? not supported  counted (xdp), by ebpflab\n  spin locks\n")
    assert "neither yes nor no" in text


def test_colours_are_only_added():
    import re

    plain, coloured = trace_text(recorded("unlimited")), trace_text(recorded("unlimited"), color=True)
    assert "\x1b[" in coloured and "\x1b[" not in plain
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in stripped.splitlines()] == plain.splitlines()
