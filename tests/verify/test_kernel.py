"""The same small programs put to this machine's kernel: the same verdict, and on Linux 6.18 the same log."""

import re

import pytest

from ebpflab.kernel import syscall
from ebpflab.verify import verify
from tests.verify.programs import PROGRAMS, STATES, program

pytestmark = pytest.mark.kernel


def words(log: str) -> list[str]:
    """A log without what depends on the run: times, addresses where ours has names of maps, and so columns."""
    lines = [line for line in log.splitlines() if not line.startswith(("verification time", "; "))]
    return [re.sub(r"(\(18\) r\d+ = )(?:map\[|0xffff)[^; ]*", r"\1…", " ".join(line.split())) for line in lines]


@pytest.mark.parametrize("text", [row[1] for row in PROGRAMS + STATES], ids=[row[0] for row in PROGRAMS + STATES])
def test_the_kernel_agrees(local, text):
    spec = program(text)
    theirs = local.verify(spec)
    ours = verify(spec)
    assert ours.verdict.result == theirs.verdict.result
    if syscall.version()[:2] == (6, 18):
        assert words(ours.log) == words(theirs.log)
