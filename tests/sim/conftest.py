"""The kernel as an oracle for the simulator: the same program, the same packet, TEST_RUN's answer."""

import os

import pytest

from ebpflab.errors import KernelError
from ebpflab.kernel.session import Session
from ebpflab.sim import jit

#: the tiers that this installation has; the first is the reference
TIERS = ("interpreter", "codegen", *(("jit",) if jit.installed() else ()))


class Oracle:
    """Loads a program and its maps into this machine's kernel, once each, and runs it on packets."""

    def __init__(self):
        self.session = Session()
        self.cpus = self.session.facts()["cpus"]

    def map(self, spec) -> int:
        inner = self.map(spec.inner) if spec.inner else 0
        return self.session.map_create(spec.row.number, spec.key_size, spec.value_size, spec.max_entries, spec.flags,
                                       spec.name, inner=inner)["map"]

    def load(self, spec, maps=None) -> int:
        handles = maps if maps is not None else [self.map(one) for one in spec.maps]
        done = self.session.prog_load(spec.row.number, spec.bytes, handles, spec.license, name=spec.name,
                                      attach_type=spec.attach_number)
        assert done["prog"], f"the kernel refused the test's program:\n{done['log'][-3000:]}"
        return done["prog"]

    def run(self, program: int, data: bytes, ctx: bytes = b"", repeat: int = 1):
        """(retval, data, ctx), or the errno."""
        try:
            done = self.session.prog_run(program, data, ctx, repeat)
        except KernelError as error:
            return error.errno
        return done["retval"], done["data"], done["ctx"]


@pytest.fixture(scope="session")
def oracle():
    """On one CPU, so that per-CPU maps are predictable."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no Linux kernel here to compare the simulator with")
    before = os.sched_getaffinity(0)
    try:
        found = Oracle()
        found.session.map_create(2, 4, 4, 1)
    except KernelError as error:
        pytest.skip(f"bpf(2) is not allowed here, so the simulator cannot be compared with the kernel: {error.what}")
    os.sched_setaffinity(0, {0})
    yield found
    os.sched_setaffinity(0, before)
    found.session.close_all()
