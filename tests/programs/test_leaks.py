"""Attachments of every kind are gone after close, after an exception, after kill -9, and after a thousand times."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ebpflab.kernel.session import Session

from .sources import counting, frame, load

pytestmark = pytest.mark.kernel


def everything(kernel) -> dict:
    """One of each kind of attachment that a host takes, and what they hang on. -> ids and paths"""
    net, group = kernel.net(ip=4), kernel.cgroup()
    progs, links = [], []

    def attach(type, verdict, place, *args, attach_type="", **options):
        progs.append(counting(kernel, type, verdict, attach_type=attach_type))
        kernel.own(progs[-1])
        links.append(progs[-1].attach(place, *args, **options))

    attach("xdp", 2, net, "lab1", mode="native")
    attach("sched_cls", 0, net, "lab1", kind="tcx")
    attach("sched_cls", 0, net, "lab0", kind="clsact", direction="egress")
    attach("socket_filter", 0, net.socket("packet", "lab1"))
    attach("lwt_out", 0, net, "lab0", to="10.99.0.0/24", via="10.77.0.2")
    attach("cgroup_skb", 1, group, direction="egress")
    attach("cgroup_sock", 1, group, attach_type="cgroup_inet_sock_create")
    attach("cgroup_device", 1, group)
    attach("sock_ops", 1, group)
    socks = load(kernel, ".map socks sockmap u32 u32 2\nr1 = socks ll\nr0 = 1\nexit", "sk_skb",
                 attach_type="sk_skb_stream_verdict")
    progs.append(kernel.own(socks))
    links.append(socks.attach(socks["socks"]))
    client, server = net.connection()
    socks["socks"][0] = server
    events = load(kernel, f".map events perf_event_array u32 u32 {kernel.facts.cpus}\nr1 = events ll\nr0 = 2\nexit",
                  "xdp")
    progs.append(kernel.own(events))
    events["events"].target_map.ring_open()
    net.send([frame()], end="lab0", count=3)
    client.send(b"something")
    maps = [each.target_map.id for prog in progs for each in prog.maps.values()]
    return {"prog": [prog.id for prog in progs], "map": maps, "link": [link.id for link in links if link.id],
            "cgroup": group.path}


def gone(made: dict, seconds: float = 10.0) -> dict:
    """What is still there of it."""
    with Session() as observer:
        until = time.monotonic() + seconds
        while True:
            left = {kind: sorted(set(made[kind]) & set(observer.ids(kind))) for kind in ("prog", "map", "link")}
            left["cgroup"] = [made["cgroup"]] if Path(made["cgroup"]).exists() else []
            if not any(left.values()) or time.monotonic() > until:
                return {kind: ids for kind, ids in left.items() if ids}
            time.sleep(0.05)


def fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_close(kernel):
    before = fds()
    made = everything(kernel)
    assert len(made["link"]) >= 6 and set(gone(made, 0)) == {"prog", "map", "link", "cgroup"}
    for thing in reversed(list(kernel)):
        thing.close()
    assert gone(made) == {} and fds() == before


def test_close_in_the_order_of_making(kernel):
    """Networks, cgroups and maps before what is attached to them: nothing fails, nothing stays."""
    before = fds()
    made = everything(kernel)
    for row in kernel.session.handles():
        kernel.session.close(row["handle"])
    assert gone(made) == {} and fds() == before


def test_exception(kernel):
    with pytest.raises(ZeroDivisionError), counting(kernel, "cgroup_skb", 1) as prog, kernel.cgroup() as group:
        link = prog.attach(group)
        made = {"prog": [prog.id], "map": [], "link": [link.id], "cgroup": group.path}
        1 / 0  # noqa: B018 (the user's mistake)
    assert gone(made) == {}


CHILD = """
import json, sys, threading, time
sys.path.insert(0, sys.argv[1])
from ebpflab.targets.registry import open_target
from programs.test_leaks import everything
target = open_target("local")
made = everything(target)
group = target.cgroup()
threading.Thread(target=lambda: group.command(["sleep", "50"], seconds=55), daemon=True).start()
for _ in range(500):
    if group.processes():
        break
    time.sleep(0.01)
print(json.dumps({**made, "sleeper": group.processes()[0], "other": group.path}), flush=True)
time.sleep(60)
"""


def test_kill_9(kernel):
    tests = os.path.dirname(os.path.dirname(__file__))
    child = subprocess.Popen([sys.executable, "-c", CHILD, tests], stdout=subprocess.PIPE, text=True)
    try:
        made = json.loads(child.stdout.readline())
        assert set(gone(made, 0)) == {"prog", "map", "link", "cgroup"}
        os.kill(child.pid, signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert gone(made) == {}
    until = time.monotonic() + 10
    while (Path(made["other"]).exists() or _alive(made["sleeper"])) and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(made["other"]).exists() and not _alive(made["sleeper"])


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_thousand_cycles(kernel):
    """Load, attach, run, detach, unload: no descriptor, handle or id is left."""
    with kernel.net() as net:
        load(kernel, "r0 = 2; exit", "xdp").close()
        before, ids = sorted(os.listdir("/proc/self/fd")), []
        for number in range(1000):
            with counting(kernel, "sched_cls", 0) as prog, \
                    prog.attach(net, "lab1", kind=("tcx", "clsact")[number % 2]):
                ids.append(prog.id)
        assert sorted(os.listdir("/proc/self/fd")) == before
    assert gone({"prog": ids, "map": [], "link": [], "cgroup": "/nowhere"}) == {}
    assert len(set(ids)) == 1000
