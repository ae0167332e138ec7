"""One guest for all tests of a run; tests that need to harm a guest start another, restored from its snapshot."""

import os
import time
from pathlib import Path

import pytest

from ebpflab.errors import TargetError
from ebpflab.targets.registry import open_target
from ebpflab.vm import hypervisor, image
from ebpflab.vm.qemu import QemuMachine

XDP_COUNT = """
.map counts percpu_array u32 u64 4
    r1 = 0
    *(u32 *)(r10 - 4) = r1
    r2 = r10
    r2 += -4
    r1 = counts ll
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    r1 = *(u64 *)(r0 + 0)
    r1 += 1
    *(u64 *)(r0 + 0) = r1
out:
    r0 = 2
    exit
"""


def needs_qemu() -> None:
    """Skip where QEMU is not installed, or where an image is neither there nor can be built."""
    try:
        hypervisor.binary(hypervisor.ARCHES[image.recipe().arch])
    except TargetError as error:
        pytest.skip(str(error))
    status, what, fix = image.examine()
    if status != "ok":
        pytest.skip(f"{what}: {fix}")


@pytest.fixture(scope="session")
def guest():
    """A target in a guest; tests leave it as they found it."""
    needs_qemu()
    target = open_target("qemu")
    yield target
    target.close()


@pytest.fixture
def machine(guest):
    """A machine of one's own (not yet up), beside the shared guest."""
    made = QemuMachine("test")
    yield made
    made.destroy()


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(condition, seconds: float = 10.0) -> bool:
    """Does ``condition()`` come true in time?"""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))
