"""What an unprivileged user is told. The child becomes nobody after its imports, whoever may read our files."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.kernel

CHILD = """
import json, os, sys
from ebpflab.errors import EbpflabError
from ebpflab.kernel import labnet, traffic
from ebpflab.kernel.session import Session
from ebpflab.targets import registry, local, kernel
import ebpflab.trace.klog, importlib.metadata
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
session, said = Session(), {}
facts = session.facts()
said["facts"] = {name: facts[name] for name in ("privileged", "denied", "capabilities", "uid")}
for name, call in {
    "map": lambda: session.map_create(1, 4, 4, 1),
    "prog": lambda: session.prog_load(6, bytes.fromhex("b700000002000000" "9500000000000000")),
    "net": lambda: session.net_create(),
    "send": lambda: traffic.Sender("lo"),
    "ids": lambda: session.ids("prog"),
    "target": lambda: registry.open_target("local"),
}.items():
    try:
        call()
        said[name] = None
    except EbpflabError as error:
        said[name] = [type(error).__name__, getattr(error, "errno", 0), str(error)]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said():
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_facts_say_why(said):
    assert said["facts"]["privileged"] is False and said["facts"]["capabilities"] == []
    assert said["facts"]["uid"] == 65534
    assert "uid 65534 lacks" in said["facts"]["denied"]


@pytest.mark.parametrize(("what", "needs"), [
    ("map", "CAP_BPF or CAP_SYS_ADMIN"), ("prog", "CAP_BPF or CAP_SYS_ADMIN"), ("net", "CAP_SYS_ADMIN"),
    ("send", "CAP_NET_RAW"), ("ids", "CAP_SYS_ADMIN")])
def test_the_capability_is_named_and_a_way_out(said, what, needs):
    kind, errno, text = said[what] or [None, 0, ""]
    if what == "map" and kind is None:
        pytest.fail("this kernel let nobody make a hash map: kernel.unprivileged_bpf_disabled is 0")
    assert (kind, errno) == ("KernelError", 1)
    assert needs in text and "EPERM" in text and "--target sim" in text


def test_the_sysctl_is_named(said):
    from ebpflab.kernel import explain

    if explain.unprivileged_bpf_disabled():
        assert "kernel.unprivileged_bpf_disabled is" in said["prog"][2]


def test_the_target_does_not_open(said):
    kind, _, text = said["target"]
    assert kind == "TargetError" and "may not use bpf(2)" in text
    assert "--target sim" in text and "qemu" in text and "sudo" in text


@pytest.mark.parametrize(("files", "words"), [
    ({"/proc/self/uid_map": "0 1000 1"}, "user namespace"),
    ({"/sys/kernel/security/lockdown": "none integrity [confidentiality]"}, r"locked down \(confidentiality\)"),
    ({"/proc/self/status": "Seccomp:\t2"}, "seccomp"),
    ({}, "configuration, a security module")])
def test_permission_with_every_capability(monkeypatch, files, words):
    """All capabilities and still EPERM: container, lockdown, seccomp, the rest. Only what /proc says is played."""
    import re

    from ebpflab.kernel import explain

    plain = {"/proc/self/uid_map": "0 0 4294967295", "/proc/thread-self/status": "CapEff: 1ffffffffff",
             "/proc/self/status": "Seccomp:\t0", "/sys/kernel/security/lockdown": "[none] integrity confidentiality"}
    monkeypatch.setattr(explain, "read", lambda path: {**plain, **files}.get(path, ""))
    text = str(explain.error("PROG_LOAD", 1))
    assert re.search(words, text) and "--target sim" in text
