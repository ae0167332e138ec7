"""Programs in C: functions and callbacks, and objects with a life of their own (locks, maps, timers).

Each file in ``c/`` is one object; the comment before a program is what the verifier says last of it.
"""

import re
from functools import cache
from pathlib import Path

import pytest

from ebpflab.kernel import syscall
from ebpflab.obj.compile import compile_c
from ebpflab.obj.objects import read_object
from ebpflab.verify import verify
from tests.verify.test_kernel import words

SOURCES = sorted((Path(__file__).parent / "c").glob("*.c"))
_PROGRAM = re.compile(r'^//= (.*)\n(?:on_\w+\(\w+\)\n)?SEC\("[^"]+"\) (?:__\w+ )*int (\w+)\(', re.M)
PROGRAMS = [pytest.param(source, name, expected, id=f"{source.stem}-{name}")
            for source in SOURCES for expected, name in _PROGRAM.findall(source.read_text())]


@cache
def compiled(source: Path):
    return read_object(compile_c(source.read_text(), file=source.name).data)


@pytest.mark.parametrize(("source", "name", "expected"), PROGRAMS)
def test_ours(source, name, expected):
    verdict = verify(compiled(source).programs[name]).verdict
    assert (verdict.error or "accept") == expected
    assert verdict.result == ("accept" if expected == "accept" else "reject")


@pytest.mark.kernel
@pytest.mark.parametrize(("source", "name", "expected"), PROGRAMS)
def test_the_kernel_agrees(local, source, name, expected):
    spec = compiled(source).programs[name]
    theirs = local.verify(spec)
    assert (theirs.verdict.error or "accept") == expected
    if syscall.version()[:2] == (6, 18):
        assert words(verify(spec).log) == words(theirs.log)


def test_every_program_says_what_is_expected_of_it():
    for source in SOURCES:
        assert set(compiled(source).programs) == {name for _, name in _PROGRAM.findall(source.read_text())}
