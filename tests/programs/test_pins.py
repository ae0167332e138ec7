"""Pins: they outlive the process that made them, are found again by another, and are removed by name.

Each process here lives in a mount namespace of the test's own with a bpf file system in it; nothing is mounted
where others could see it.
"""

import os
import shutil
import subprocess
import sys
import textwrap

import pytest

from ebpflab.errors import KernelError
from ebpflab.spec import map_spec

pytestmark = pytest.mark.kernel

FIRST = """
from ebpflab.targets.registry import open_target
from ebpflab import assemble
from ebpflab.program import Program
target = open_target("local")
prog = Program(assemble('''
.map counts array u32 u64 4
    r1 = counts ll
    r0 = 2
    exit
''', type="xdp", name="lasting"), target)
prog["counts"][2] = 77
prog["counts"].target_map.pin("/sys/fs/bpf/lab/deep/counts")
prog.pin("/sys/fs/bpf/lab/prog")
group = target.cgroup()
print(prog.id, prog["counts"].target_map.id)
target.close()
"""
SECOND = """
from ebpflab.targets.registry import open_target
from ebpflab.errors import KernelError, SpecError
from ebpflab.spec import map_spec
target = open_target("local")
pins = {row["path"]: row for row in target.pins()}
assert set(pins) == {"/sys/fs/bpf/lab/deep/counts", "/sys/fs/bpf/lab/prog"}, pins
assert pins["/sys/fs/bpf/lab/prog"]["name"] == "lasting"
counts = target.get("/sys/fs/bpf/lab/deep/counts")
assert counts.spec.type == "array" and counts.spec.max_entries == 4
assert counts.lookup((2).to_bytes(4, "little")) == (77).to_bytes(8, "little")
prog = target.get("/sys/fs/bpf/lab/prog")
assert prog.kind == "prog" and prog.info["name"] == "lasting"
print(prog.id, counts.id)
from dataclasses import replace
again = target.map(replace(map_spec("counts", "array", "u32", "u64", 4), pin="/sys/fs/bpf/lab/deep/counts"))
assert again.id == counts.id and again.lookup((2).to_bytes(4, "little")) == (77).to_bytes(8, "little")
try:
    target.map(replace(map_spec("counts", "array", "u32", "u32", 4), pin="/sys/fs/bpf/lab/deep/counts"))
except SpecError as error:
    assert "differs in value_size" in str(error) and "unpin" in str(error), error
else:
    raise AssertionError("another map was taken for ours")
for path, words in (("/sys/fs/bpf/lab/deep/counts", "pinned here already"), ("/sys/fs/bpf/a.b", "no dot"),
                    ("/tmp/x", "not in a bpf file system")):
    try:
        counts.pin(path)
    except KernelError as error:
        assert words in str(error), error
    else:
        raise AssertionError(path)
new = target.map(replace(map_spec("mine", "hash", "u32", "u64", 4), pin="/sys/fs/bpf/mine"))
assert {row["path"] for row in target.pins()} == {"/sys/fs/bpf/mine", *pins}
target.unpin("/sys/fs/bpf/mine")
for path in pins:
    target.unpin(path)
assert target.pins() == []
import os
left = set(os.listdir("/sys/fs/bpf")) - {"progs.debug", "maps.debug"}    # these are the kernel's own
assert not left, left
try:
    target.get("/sys/fs/bpf/lab/prog")
except KernelError as error:
    assert "nothing is pinned here" in str(error), error
else:
    raise AssertionError("still there")
target.close()
"""
LINK = """
import os, sys
from ebpflab.targets.registry import open_target
from ebpflab import assemble
from ebpflab.program import Program
target = open_target("local")
net = target.net()
prog = Program(assemble("r0 = 1; exit", type="xdp", name="lasting"), target)
link = prog.attach(net, "lab1")
link.pin("/sys/fs/bpf/link")
listener = net.socket("packet", "lab1")
link.close()
net.send([bytes(64)], end="lab0")
assert listener.receive(seconds=0.1) == []          # the pin holds the attachment
target.unpin("/sys/fs/bpf/link")
for _ in range(100):                                # the kernel lets go of it after a grace period
    net.send([bytes(64)], end="lab0")
    if listener.receive(seconds=0.05):
        break
else:
    raise AssertionError("still attached")
target.close()
"""


@pytest.fixture(scope="module")
def namespace():
    """Runs Python text in a mount namespace that has a bpf file system; it lives as long as its first process."""
    if os.getuid() or not shutil.which("unshare") or not shutil.which("nsenter"):
        pytest.skip("mounting a bpf file system needs root, unshare and nsenter")
    holder = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c",
         "mount -t bpf bpf /sys/fs/bpf && echo ready && read _"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if holder.stdout.readline() != b"ready\n":
        holder.communicate()
        pytest.skip("a bpf file system cannot be mounted here")

    def run(*argv) -> str:
        done = subprocess.run(["nsenter", "--mount", "--target", str(holder.pid), "--", *argv],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield run
    holder.communicate(b"\n")
    holder.stdout.close()


def python(namespace, text: str) -> str:
    return namespace(sys.executable, "-c", textwrap.dedent(text))


def test_a_pin_outlives_its_process(namespace):
    ids = python(namespace, FIRST)
    assert "lasting" in namespace("bpftool", "prog", "show", "pinned", "/sys/fs/bpf/lab/prog") \
        if shutil.which("bpftool") else True
    assert python(namespace, SECOND) == ids


def test_a_pinned_link_keeps_the_attachment(namespace):
    python(namespace, LINK)


def test_without_a_bpf_file_system(kernel):
    with kernel.map(map_spec("counts", "array", "u32", "u64", 1)) as made, \
            pytest.raises(KernelError, match=r"not in a bpf file system\n.*(pin below|mount -t bpf bpf /sys/fs/bpf)"):
        made.pin("/proc/counts")
