"""A session with this machine's kernel; and what is still there of ids after things were closed."""

import time

import pytest

from ebpflab.kernel.session import Session


@pytest.fixture(scope="session")
def local_facts():
    with Session() as session:
        return session.facts()


@pytest.fixture
def session(local_facts):
    if not local_facts["privileged"]:
        pytest.skip(f"bpf(2) is not ours to use here: {local_facts['denied']}")
    with Session() as opened:
        yield opened


@pytest.fixture
def gone():
    """``gone(kind, ids)``: wait until the kernel has none of them (it frees after a grace period); what stays."""
    def wait(kind: str, ids, seconds: float = 5.0) -> set:
        with Session() as observer:
            until = time.monotonic() + seconds
            while (left := set(ids) & set(observer.ids(kind))) and time.monotonic() < until:
                time.sleep(0.02)
            return left
    return wait
