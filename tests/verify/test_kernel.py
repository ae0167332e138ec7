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


@pytest.mark.parametrize("map_type", ["array", "hash"])
def test_every_access_to_a_map_itself(local, map_type):
    """The members of the kernel's struct bpf_map, at every offset, in every size."""
    if syscall.version()[:2] != (6, 18):
        pytest.skip("the struct differs from kernel to kernel; ours is that of Linux 6.18")
    verdicts = {"accept": 0, "reject": 0, "unsupported": 0}
    for off in range(156):
        for bits in (8, 16, 32, 64):
            spec = program(f".map m {map_type} u32 u64 4\nr1 = m ll\nr6 = *(u{bits} *)(r1 + {off})\nr0 = 0\nexit")
            ours = verify(spec)
            verdicts[ours.verdict.result] += 1
            if ours.verdict.result != "unsupported":
                theirs = local.verify(spec)
                assert (ours.verdict.result, words(ours.log)) == (theirs.verdict.result, words(theirs.log)), (off, bits)
    assert verdicts["accept"] > 200 and verdicts["reject"] > 200 and verdicts["unsupported"] < 30
