"""Types and objects: how fast they are read, beside bpftool and clang in the same run."""

import resource
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from ebpflab.obj import btf, btf_c, core
from ebpflab.obj.compile import compile_c
from ebpflab.obj.objects import read_object

VMLINUX = Path("/sys/kernel/btf/vmlinux")


def best(function, runs=3):
    """Least CPU seconds of a few runs."""
    taken = []
    for _ in range(runs):
        before = time.thread_time()
        function()
        taken.append(time.thread_time() - before)
    return min(taken)


def peer(*command, runs=3):
    """Least CPU seconds of a command, its output thrown away."""
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    taken = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(taken)


@pytest.fixture(scope="module")
def vmlinux():
    if not VMLINUX.exists():
        pytest.skip("this kernel has no BTF")
    return VMLINUX.read_bytes()


@pytest.mark.benchmark
def test_every_type_of_a_kernel(report, vmlinux):
    def opened():
        return btf.Btf(vmlinux)

    def by_name():
        return opened().names

    def everything():
        return sum(1 for _ in opened())

    raw = peer("bpftool", "btf", "dump", "file", str(VMLINUX), "format", "raw")
    report("open vmlinux BTF", best(opened), "s", "bpftool dumps it raw", raw)
    report("vmlinux BTF by name", best(by_name), "s", "bpftool dumps it raw", raw)
    report("decode every type of vmlinux", best(everything), "s", "bpftool dumps it raw", raw)


@pytest.mark.benchmark
def test_vmlinux_h(report, vmlinux):
    c = peer("bpftool", "btf", "dump", "file", str(VMLINUX), "format", "c")
    report("vmlinux.h", best(lambda: btf_c.header(btf.Btf(vmlinux)), 2), "s", "bpftool's format c", c)


@pytest.mark.benchmark
def test_an_object_with_relocations(report, vmlinux, tmp_path):
    from ..obj.test_core import KERNEL

    blob = compile_c(KERNEL, flags=("-Wno-everything",)).data
    (tmp_path / "k.o").write_bytes(blob)
    target = btf.Btf(vmlinux)
    candidates = core.Candidates(target)
    used = peer("bpftool", "gen", "min_core_btf", str(VMLINUX), str(tmp_path / "out.btf"), str(tmp_path / "k.o"))
    report("read and relocate an object", best(lambda: core.relocate(read_object(blob).program(), target, candidates)),
           "s", "bpftool gen min_core_btf", used)
