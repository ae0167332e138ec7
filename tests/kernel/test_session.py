"""The session as a whole: facts, features, handles, and the contract that a wire relies on."""

import errno
import inspect
import os
import platform

import pytest

from ebpflab.errors import KernelError
from ebpflab.kernel import explain, syscall
from ebpflab.kernel.session import Session

from .programs import XDP, returns

pytestmark = pytest.mark.kernel


def test_calls_are_the_public_methods():
    methods = {name for name, _ in inspect.getmembers(Session, inspect.isfunction) if not name.startswith("_")}
    assert methods == set(Session.CALLS)


def test_facts(session, local_facts):
    assert local_facts["release"] == platform.release()
    assert local_facts["machine"] == platform.machine()
    assert local_facts["version"].split(".")[:2] == platform.release().split("-")[0].split(".")[:2]
    assert local_facts["online"] == len(os.sched_getaffinity(0)) or local_facts["online"] == os.cpu_count()
    assert local_facts["cpus"] >= local_facts["online"]
    assert local_facts["privileged"] is True and local_facts["denied"] == ""
    assert {"CAP_BPF", "CAP_SYS_ADMIN"} & set(local_facts["capabilities"])
    assert local_facts["jit"] == (session.prog_info(session.prog_load(XDP, returns(2))["prog"])["jited_len"] > 0)


def test_facts_and_features_are_plain_data(session, local_facts):
    plain = (type(None), bool, int, float, str, bytes)

    def check(value):
        if isinstance(value, dict):
            assert all(isinstance(key, str) for key in value)
            value = list(value.values())
        if isinstance(value, list):
            for each in value:
                check(each)
        else:
            assert isinstance(value, plain), value

    check(local_facts)
    check(session.features())


def test_features_agree_with_what_works(session):
    fds = len(os.listdir("/proc/self/fd"))
    found = session.features()
    assert len(os.listdir("/proc/self/fd")) == fds
    rows = {row["name"]: row for row in found["features"]}
    assert rows["bpf"]["ok"] and rows["test_run"]["ok"]
    assert all(row["ok"] == (not row["why"]) for kind in found.values() for row in kind)
    if syscall.version() >= (6, 9):
        assert [name for name, row in rows.items() if not row["ok"]] in ([], ["btf_vmlinux"])
    assert {row["number"]: row["ok"] for row in found["prog_types"]}[XDP]
    assert {row["number"] for row in found["map_types"] if not row["ok"]} <= {26, 33}
    assert session.handles() == []


def test_a_type_that_does_not_exist_is_not_found():
    from ebpflab.kernel import features

    assert features._probe_prog(999) and features._probe_map(999)


def test_handles(session):
    a = session.map_create(2, 4, 8, 1)
    b = session.prog_load(XDP, returns(1))
    assert session.handles() == [{"handle": a["map"], "kind": "map", "id": a["id"]},
                                 {"handle": b["prog"], "kind": "prog", "id": b["id"]}]
    session.close(a["map"])
    assert [row["handle"] for row in session.handles()] == [b["prog"]]
    for call in (lambda: session.close(a["map"]), lambda: session.map_read(a["map"]),
                 lambda: session.map_read(b["prog"]), lambda: session.prog_run(0, bytes(64))):
        with pytest.raises(KernelError, match="of this session"):
            call()
    assert session.map_create(2, 4, 8, 1)["map"] > b["prog"], "handles are not used again"


def test_ids(session):
    made = session.map_create(2, 4, 8, 1)["id"]
    assert made in session.ids("map") and session.ids("map") == sorted(session.ids("map"))
    with pytest.raises(KernelError, match="known: prog, map, btf, link"):
        session.ids("netns")


@pytest.mark.parametrize("call", ["PROG_LOAD", "unshare", "AF_PACKET", "netlink", "LINK_CREATE"])
def test_error_names_its_call(call):
    error = explain.error(call, errno.ENODEV, where="here")
    assert "ENODEV" in str(error) and str(error).startswith("here: ") and error.errno == errno.ENODEV


def test_every_errno_has_words():
    for number in errno.errorcode:
        assert len(str(explain.error("PROG_LOAD", number))) > 20
    assert "ENOTSUPP" in str(explain.error("PROG_LOAD", 524)) and "9999" in str(explain.error("PROG_LOAD", 9999))
