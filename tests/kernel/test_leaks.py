"""Nothing stays in the kernel: after close, after an exception, after kill -9. The kernel itself is asked, by id."""

import contextlib
import gc
import glob
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest

from ebpflab.errors import KernelError
from ebpflab.kernel import rtnetlink
from ebpflab.kernel.session import Session

from .programs import XDP, returns

pytestmark = pytest.mark.kernel

_NEWNSID, _GETNSID, _DUMP = 88, 90, 0x300
_NSID, _NSFD = 1, 3


def everything(session) -> dict:
    """Some of each: maps, a map in a map, programs, a network, links. -> kind -> ids in the kernel"""
    inner = session.map_create(2, 4, 8, 1, name="inner")
    outer = session.map_create(12, 4, 4, 2, name="outer", inner=inner["map"])
    session.map_update(outer["map"], bytes(4), struct.pack("<I", inner["map"]))
    counts = session.map_create(6, 4, 8, 1, name="counts")
    load = bytes.fromhex("1811000000000000" "0000000000000000") + returns(2)
    prog = session.prog_load(XDP, load, [counts["map"]], name="leak")
    net = session.net_create()["net"]
    links = [session.attach(prog["prog"], {"kind": "xdp", "net": net, "dev": dev, "mode": mode})
             for dev, mode in (("lab0", "generic"), ("lab1", "native"))]
    session.net_send(net, "lab0", [bytes(64)], count=10)
    return {"map": [inner["id"], outer["id"], counts["id"]], "prog": [prog["id"]], "link": [row["id"] for row in links]}


def present(made: dict) -> dict:
    with Session() as observer:
        return {kind: sorted(set(ids) & set(observer.ids(kind))) for kind, ids in made.items()}


def mark_namespace(fd: int, nsid: int) -> None:
    """Give a namespace an id in ours (RTM_NEWNSID); the kernel drops the id when it destroys the namespace."""
    body = struct.pack("<Bxxx", 0) + rtnetlink.attr(_NSID, struct.pack("<i", nsid)) + \
        rtnetlink.attr(_NSFD, struct.pack("<I", fd))
    rtnetlink.request(_NEWNSID, 4, body, "nsid")


def marked() -> set:
    """All namespace ids of ours that are alive."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.bind((0, 0))
        netlink.send(struct.pack("<IHHIIBxxx", 20, _GETNSID, 1 | _DUMP, 1, 0, 0))
        found = set()
        while True:
            data = netlink.recv(1 << 16)
            while data:
                length, kind = struct.unpack_from("<IH", data)
                if kind == 3:
                    return found
                found.add(struct.unpack("<i", rtnetlink._attrs(data[20:length])[_NSID])[0])
                data = data[(length + 3) // 4 * 4:]


def unmarked(nsids, seconds=10.0) -> set:
    until = time.monotonic() + seconds
    while (left := set(nsids) & marked()) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def fresh_nsids(count: int) -> list:
    taken = marked()
    return [n for n in range(os.getpid() * 8 % 1_000_000, 2_000_000) if n not in taken][:count]


def test_close(session, gone):
    made = everything(session)
    assert present(made) == {kind: sorted(ids) for kind, ids in made.items()}
    net = next(row["handle"] for row in session.handles() if row["kind"] == "net")
    nsids = fresh_nsids(2)
    for namespace, nsid in zip(session._things[net].thing.namespaces.values(), nsids, strict=True):
        mark_namespace(namespace.fd, nsid)
    assert set(nsids) <= marked()
    session.close_all()
    assert session.handles() == []
    for kind, ids in made.items():
        assert not gone(kind, ids), kind
    assert not unmarked(nsids)


def test_each_thing_alone(session, gone):
    made = everything(session)
    for row in session.handles():       # in the order they were made: maps before programs, the network before links
        session.close(row["handle"])
    for kind, ids in made.items():
        assert not gone(kind, ids), kind


def test_exception(local_facts, gone):
    with pytest.raises(RuntimeError), Session() as session:
        made = everything(session)
        raise RuntimeError("the user's mistake")
    for kind, ids in made.items():
        assert not gone(kind, ids), kind


def test_failure_half_way(session, monkeypatch):
    """A network whose second end does not come up leaves no namespace behind."""
    held = []

    def fail(end):
        held.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        if end == "lab1":
            raise KernelError("played", errno=5)

    monkeypatch.setattr(rtnetlink, "up", fail)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(KernelError, match="played"):
        session.net_create()
    nsids = fresh_nsids(2)
    for fd, nsid in zip(held, nsids, strict=True):
        mark_namespace(fd, nsid)
        os.close(fd)
    assert session.handles() == [] and len(os.listdir("/proc/self/fd")) == before
    assert not unmarked(nsids)


CHILD = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from kernel.test_leaks import everything
from ebpflab.kernel.session import Session
session = Session()
made = everything(session)
fds = [ns.fd for entry in session._things.values() if entry.kind == "net" for ns in entry.thing.namespaces.values()]
print(json.dumps({"made": made, "fds": fds}), flush=True)
time.sleep(60)
"""


def test_kill_9(local_facts, gone):
    tests = os.path.dirname(os.path.dirname(__file__))
    child = subprocess.Popen([sys.executable, "-c", CHILD, tests], stdout=subprocess.PIPE, text=True)
    try:
        said = json.loads(child.stdout.readline())
        made, nsids = said["made"], fresh_nsids(2)
        assert present(made) == {kind: sorted(ids) for kind, ids in made.items()}
        inodes = []
        for number, nsid in zip(said["fds"], nsids, strict=True):
            fd = os.open(f"/proc/{child.pid}/fd/{number}", os.O_RDONLY)
            inodes.append(os.fstat(fd).st_ino)
            mark_namespace(fd, nsid)
            os.close(fd)
        assert set(nsids) <= marked()
        assert [holders(inode) for inode in inodes] == [{child.pid}] * 2
        os.kill(child.pid, signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    for kind, ids in made.items():
        assert not gone(kind, ids), kind
    assert not unmarked(nsids), "a namespace outlived its process"
    assert not any(holders(inode) for inode in inodes)


def holders(inode: int) -> set:
    """Processes that are in a network namespace or hold a descriptor of it (an older lsns sees only the first)."""
    found = set()
    for link in [*glob.glob("/proc/[0-9]*/ns/net"), *glob.glob("/proc/[0-9]*/fd/*")]:
        with contextlib.suppress(OSError):
            if os.readlink(link) == f"net:[{inode}]":
                found.add(int(link.split("/")[2]))
    return found


def test_200_load_cycles_keep_the_descriptors(session, gone):
    session.prog_load(XDP, returns(2))
    before = sorted(os.listdir("/proc/self/fd"))
    ids = []
    for number in range(200):
        values = session.map_create(2, 4, 8, 1)
        made = session.prog_load(XDP, returns(number % 5), [values["map"]], log_level=2)
        rejected = session.prog_load(XDP, bytes.fromhex("9500000000000000"), [values["map"]], log_level=2)
        ids.append(made["id"])
        assert not rejected["prog"]
        session.close(made["prog"])
        session.close(values["map"])
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert not gone("prog", ids)


def test_20_networks_keep_the_descriptors(session):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        net = session.net_create()["net"]
        session.net_send(net, "lab1", [bytes(64)])
        session.close(net)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_forgotten_session_closes_itself(gone):
    session = Session()
    made = everything(session)
    del session
    gc.collect()
    for kind, ids in made.items():
        assert not gone(kind, ids), kind
