"""A program's whole way through a guest: loaded, run, attached, counted, watched, gone."""

import socket
import threading
import time

import pytest

from ebpflab import assemble
from ebpflab.errors import KernelError, Rejected
from ebpflab.kernel.session import Session
from ebpflab.targets.base import AttachPoint
from ebpflab.vm import push

from .conftest import XDP_COUNT

pytestmark = pytest.mark.vm
FRAME = b"\xff" * 6 + b"\2\0\0\0\0\1" + b"\x08\0" + bytes(50)


@pytest.fixture(autouse=True)
def leaves_nothing(guest):
    """Whatever a test did, the guest's kernel has afterwards what it had before."""
    before = {kind: guest.session.ids(kind) for kind in ("prog", "map", "link")}
    yield
    assert guest.session.handles() == []
    # a program is freed after an RCU grace period
    end = time.monotonic() + 10
    while (after := {kind: guest.session.ids(kind) for kind in before}) != before and time.monotonic() < end:
        time.sleep(0.05)
    assert after == before


def per_cpu(snapshot) -> list[int]:
    """The sum over CPUs of each entry."""
    numbers = [int.from_bytes(snapshot.values[at:at + 8], "little") for at in range(0, len(snapshot.values), 8)]
    return [sum(numbers[at:at + snapshot.cpus]) for at in range(0, len(numbers), snapshot.cpus)]


def test_it_is_another_kernel_than_ours(guest):
    facts = guest.facts
    assert facts.kernel.startswith("6.12.") and facts.machine == "x86_64"
    assert facts.privileged and facts.jit and facts.btf and facts.cpus == guest.machine.cpus
    assert facts.detail["release"] == guest.machine.image.release
    with open("/proc/sys/kernel/osrelease") as file:
        assert facts.detail["release"] != file.read().strip()


def test_load_and_run(guest):
    with guest.load(assemble(XDP_COUNT, type="xdp", name="count")) as program:
        assert program.trace.ok and len(program.trace.steps) == 13
        assert program.trace.verdict.error == "" or program.trace.verdict.error is None
        done = program.run(FRAME, repeat=3)
        assert done.verdict == "XDP_PASS" and done.data == FRAME
        assert per_cpu(program.maps["counts"].read()) == [3, 0, 0, 0]


def test_a_rejection_comes_with_the_guests_log(guest):
    with pytest.raises(Rejected, match="R0 !read_ok") as caught:
        guest.load(assemble("exit", type="xdp"))
    assert not caught.value.trace.ok and "6.12" in str(caught.value)


def test_a_failed_call_has_its_errno(guest):
    with pytest.raises(KernelError) as caught:
        guest.session.map_create(1, 0, 8, 1)
    assert caught.value.errno == 22 and "BPF_MAP_CREATE" in caught.value.call


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_xdp_counts_real_frames(guest, mode):
    with (guest.load(assemble(XDP_COUNT, type="xdp", name="count")) as program, guest.net() as net,
          program.attach(AttachPoint("xdp", {"net": net, "dev": "lab1", "mode": mode}))):
        start = per_cpu(program.maps["counts"].read())[0]      # IPv6 says hello on a new link
        sent = net.send([FRAME], end="lab0", count=1000)
        counted = per_cpu(program.maps["counts"].read())[0] - start
        assert sent == 1000 and 1000 <= counted < 1100


def test_a_map_streams_out_while_traffic_runs(guest):
    """The stream's readings and the long call for traffic go over the same wire, from different threads."""
    from ebpflab.stream import watch

    with (guest.load(assemble(XDP_COUNT, type="xdp", name="count")) as program, guest.net() as net,
          program.attach(AttachPoint("xdp", {"net": net, "dev": "lab1", "mode": "native"}))):
        thread = threading.Thread(target=lambda: net.send([FRAME], end="lab0", count=2000, pps=1000))
        seen = []
        with watch(program.maps["counts"], every=0.05) as stream:
            thread.start()
            reader = stream.reader()
            while thread.is_alive():
                seen += [int(batch.frame()["value"].sum()) for batch in reader.take(timeout=2)]
        thread.join()
    assert len(set(seen)) >= 10, f"the count stood still: {seen}"
    assert seen == sorted(seen)


def test_a_large_map_arrives_whole(guest):
    rows = 50_000
    keys = b"".join(number.to_bytes(4, "little") for number in range(rows))
    values = b"".join((number * 3).to_bytes(8, "little") for number in range(rows))
    session = guest.session
    handle = session.map_create(1, 4, 8, rows, name="big")["map"]
    try:
        assert session.map_write(handle, keys, values) == rows
        got = session.map_read(handle)
    finally:
        session.close(handle)
    assert got["count"] == rows and got["lost"] == 0
    pairs = {got["keys"][n * 4:n * 4 + 4]: got["values"][n * 8:n * 8 + 8] for n in range(rows)}
    assert all(pairs[n.to_bytes(4, "little")] == (n * 3).to_bytes(8, "little") for n in range(rows))


@pytest.mark.parametrize("type", ["kprobe", "tracepoint", "perf_event", "raw_tracepoint", "sched_act", "cgroup_skb"])
def test_other_types_load(guest, type):
    with guest.load(assemble("r0 = 0; exit", type=type, name="other")) as program:
        assert program.id in guest.session.ids("prog")


def test_what_the_guest_runs_is_the_code_of_here(guest):
    """The zip holds what the guest may import and nothing else, and every call of a Session is served."""
    assert guest.session.agent["calls"] == list(Session.CALLS)
    code, _ = push.agent_code()
    import io
    import zipfile
    names = zipfile.ZipFile(io.BytesIO(code)).namelist()
    tops = {name.split("/")[1].removesuffix(".py") for name in names}
    assert tops == {"__init__", "errors", "layout", "spec", "isa", "abi", "kernel"}
    assert len(code) < 300_000


def test_nothing_listens_on_the_network(guest):
    """QEMU's sockets are Unix ones, in a directory that only its owner can enter."""
    import os
    from pathlib import Path

    inodes = {os.readlink(fd).split("[")[1][:-1] for fd in Path(f"/proc/{guest.machine.pid}/fd").iterdir()
              if os.readlink(fd).startswith("socket:")}
    assert inodes
    for table in ("tcp", "tcp6", "udp", "udp6", "raw", "packet"):
        lines = Path(f"/proc/{guest.machine.pid}/net/{table}").read_text().splitlines()[1:]
        assert not inodes & {field for line in lines for field in line.split()}, table
    directory = Path(f"/proc/{guest.machine.pid}/cwd").resolve()
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / "agent.sock").is_socket()


def test_a_client_that_vanishes_leaves_nothing_in_the_guest(machine):
    """Hang up in the middle of everything; the next client finds an empty kernel."""
    from ebpflab.targets.remote import RemoteSession

    machine.up()
    with RemoteSession(machine.stream(), name="first") as first:
        clean = {kind: first.ids(kind) for kind in ("prog", "map", "link")}
    session = RemoteSession(machine.stream(), name="second")
    net = session.net_create()["net"]
    spec = assemble(XDP_COUNT, type="xdp")
    made = session.map_create(6, 4, 8, 4)["map"]
    program = session.prog_load(6, spec.bytes, [made])["prog"]
    session.attach(program, {"kind": "xdp", "net": net, "dev": "lab1", "mode": "native"})
    sending = session.submit("net_send", net, "lab0", [FRAME], 10_000, 500)
    time.sleep(0.2)
    assert not sending.done()
    session._stream.hang_up()                         # as a kill -9 would
    with RemoteSession(machine.stream(), name="third") as third:
        end = time.monotonic() + 10
        while (now := {kind: third.ids(kind) for kind in clean}) != clean and time.monotonic() < end:
            time.sleep(0.05)
        assert now == clean
    session.disconnect()


def test_rubbish_on_the_port_does_not_stop_the_next_client(machine):
    from ebpflab.targets.remote import RemoteSession

    machine.up()
    machine.stream().close()
    for rubbish in (b"\xff" * 5000, push.MAGIC + b'{"nonce": 1}\n', push.MAGIC + b"{\n" * 50,
                    push.message(nonce="x", sha="0" * 64, size=1 << 40, time=0, seed="00")):
        with socket.socket(socket.AF_UNIX) as port:
            port.connect(str(machine._directory / "agent.sock"))
            port.sendall(rubbish)
            time.sleep(0.1)
    with RemoteSession(machine.stream(), name="after") as session:
        assert session.facts()["version"].startswith("6.12.")
