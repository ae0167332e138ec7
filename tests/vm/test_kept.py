"""Guests that outlive the command that started them, and targets that get their agent back."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from ebpflab import assemble
from ebpflab.errors import TargetError
from ebpflab.targets.qemu import open as open_qemu
from ebpflab.targets.registry import open_target
from ebpflab.vm import machine as machines
from ebpflab.vm.keeper import KeptMachine, is_keeper
from ebpflab.vm.machine import Machine
from ebpflab.vm.qemu import QemuMachine

from .conftest import XDP_COUNT, needs_qemu, running, until

pytestmark = pytest.mark.vm
TINY = assemble("r0 = 2; exit", type="xdp").bytes
XDP = assemble(XDP_COUNT, type="xdp", name="count")


def cli(*words: str, text: str | None = None) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "ebpflab", "vm", *words], capture_output=True, text=True, input=text)


@pytest.fixture
def kept(guest, monkeypatch, tmp_path):
    """A kept guest in a run-time directory of the test's own, so that a user's is left alone."""
    mine = tmp_path / "run"
    mine.mkdir(mode=0o700)
    if len(str(mine)) > 60:
        monkeypatch.setattr(machines.tempfile, "gettempdir", lambda: str(mine))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(mine))
    monkeypatch.setenv("TMPDIR", str(mine))
    made = KeptMachine()
    if made.state != "absent":
        pytest.skip("this user keeps a guest of that kernel")
    yield made
    made.halt()


def test_up_status_snapshot_restore_halt(kept):
    """The way of ``ebpflab vm``: each command is a process of its own."""
    assert isinstance(kept, Machine)
    assert cli("status").returncode == 1
    done = cli("up")
    assert done.returncode == 0 and "target vm:6.12" in done.stdout, done.stderr
    assert kept.state == "running" and cli("status").returncode == 0
    path, owner = kept._find()
    assert is_keeper(owner["pid"]) and owner["pid"] != os.getpid()
    assert cli("up").returncode == 0 and kept._find()[1]["pid"] == owner["pid"]
    row = next(row for row in json.loads(cli("list", "--json").stdout) if row["kernel"] == "6.12")
    assert row["state"] == "running" and row["image"].startswith("Linux 6.12.")

    with open_target("vm:6.12") as target, target.load(XDP):
        first = target.session.prog_load(6, TINY)["id"]
    assert cli("snapshot", "here").returncode == 0
    with open_target("vm") as target:
        assert target.session.map_create(1, 4, 4, 1)["id"]
        assert target.session.prog_load(6, TINY)["id"] == first + 1
    assert cli("restore", "here").returncode == 0
    with open_target("vm") as target:
        assert target.session.prog_load(6, TINY)["id"] == first + 1
    assert cli("restore", "nowhere").returncode == 2
    assert cli("halt").returncode == 0
    assert kept.state == "absent" and not path.exists() and not is_keeper(owner["pid"])
    assert kept.snapshots() == ["here"]
    assert cli("destroy").returncode == 0 and kept.snapshots() == []


def test_a_shell(kept):
    kept.up()
    done = cli("ssh", text="uname -r; echo id=$((6*7)); exit\n")
    assert done.returncode == 0 and "6.12." in done.stdout and "id=42" in done.stdout, (done.stdout, done.stderr)
    with open_target("vm") as target:                            # the agent's turn again
        assert target.facts.privileged


def test_a_second_client_is_told_and_the_first_goes_on(kept):
    """Two notebooks on one guest of QEMU: its port has room for one."""
    kept.up()
    with open_target("vm") as first:
        with pytest.raises(TargetError, match="one client at a time") as caught:
            kept.stream(timeout=2)
        assert "qemu:6.12" in caught.value.hint
        with first.load(XDP) as program:
            assert program.run(bytes(64)).verdict == "XDP_PASS"
    with open_target("vm") as second:
        assert second.facts.privileged


def test_kill_9_of_the_keeper_leaves_no_guest(kept):
    kept.up()
    path, owner = kept._find()
    qemu = kept.pid
    assert running(qemu)
    os.kill(owner["pid"], signal.SIGKILL)
    assert until(lambda: not running(qemu) and not path.exists())
    assert kept.state == "absent"


def test_up_from_two_commands_at_once_is_one_guest(kept):
    threads = [threading.Thread(target=cli, args=("up",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([1 for _, owner in machines.running() if owner["name"] == kept.name]) == 1


# targets come back

def test_reconnect_after_kill_9_of_the_agent(guest):
    """The guest is the same, its agent another: what was loaded is gone, what is loaded now works."""
    with open_qemu() as target:
        machine = target.machine
        program = target.load(XDP)
        pid, agent = machine.pid, target.session.agent["pid"]
        target.session._stream.hang_up()                         # the agent ends with its stream
        assert until(lambda: not target.alive)
        with pytest.raises(TargetError, match="connection was lost"):
            program.run(bytes(64))
        target.reconnect()
        assert machine.pid == pid and target.session.agent["pid"] != agent
        program.close()
        assert target.session.handles() == []
        with target.load(XDP) as again:
            assert again.run(bytes(64)).verdict == "XDP_PASS"
    assert machine.state == "absent"


def test_reconnect_after_kill_9_of_qemu_in_the_middle_of_a_stream(guest):
    """The stream ends and says why; a new guest takes its place."""
    from ebpflab.stream import watch
    from ebpflab.stream.maps import LabMap

    with open_qemu() as target:
        program = target.load(XDP)
        stream = watch(LabMap(program.maps["counts"]), every=0.02)
        reader = stream.reader()
        assert next(iter(reader.take(timeout=10))) is not None
        old = target.machine.pid
        os.kill(old, signal.SIGKILL)
        assert until(lambda: not stream.running, 20)
        assert isinstance(stream.error, TargetError) and "connection was lost" in stream.reason
        stream.close()
        target.reconnect()
        assert target.machine.pid != old
        with target.load(XDP) as again:
            assert again.run(bytes(64)).verdict == "XDP_PASS"


# trouble

@pytest.mark.parametrize("rows", [4096, 64], ids=["at once", "bit by bit"])
def test_a_guest_out_of_memory_says_so_and_lives(guest, rows):
    """Maps larger than the guest (1 GiB): ENOMEM; the agent goes on, and with the maps gone so do programs."""
    from ebpflab.errors import KernelError

    with open_qemu() as target:
        made = []
        with pytest.raises(KernelError) as caught:
            for _ in range(64):
                made.append(target.session.map_create(2, 4, 1 << 20, rows)["map"])
        assert caught.value.errno == 12 and "ENOMEM" in str(caught.value)
        assert bool(made) == (rows == 64)
        for handle in made:
            target.session.close(handle)
        with target.load(XDP) as program:
            assert program.run(bytes(64)).verdict == "XDP_PASS"


@pytest.mark.slow
def test_24_times_up_and_down_leave_nothing(guest):
    def left():
        return (len(list(machines._directories())), len(os.listdir("/proc/self/fd")), threading.active_count())

    machine = QemuMachine("test")
    with open_qemu() as target:                                   # whatever is made once is made now
        assert target.facts.privileged
    before, pids = left(), []
    for _ in range(24):
        machine.up()
        pids.append(machine.pid)
        machine.halt()
    assert left() == before
    assert len(set(pids)) == 24 and not any(map(running, pids))


@pytest.mark.slow
def test_1000_programs_loaded_and_unloaded_leave_no_id(guest):
    session = guest.session
    before = {kind: session.ids(kind) for kind in ("prog", "map", "link")}
    for _ in range(1000):
        session.close(session.prog_load(6, TINY, log_level=0)["prog"])
    assert session.handles() == []
    assert until(lambda: {kind: session.ids(kind) for kind in before} == before)


def test_what_needs_qemu_says_so():
    needs_qemu()
    with pytest.raises(TargetError, match="no recipe for kernel") as caught:
        open_target("qemu:4.19")
    assert "6.1" in caught.value.hint and "newest" in caught.value.hint
