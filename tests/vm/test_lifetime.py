"""Machines come, go, are saved, die, and leave nothing behind."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ebpflab import assemble
from ebpflab.errors import TargetError
from ebpflab.targets.qemu import open as open_qemu
from ebpflab.targets.remote import RemoteSession
from ebpflab.vm import machine as machines
from ebpflab.vm.machine import Machine
from ebpflab.vm.qemu import QemuMachine

from .conftest import open_fds, running, until

pytestmark = pytest.mark.vm
PROGRAM = assemble("r0 = 2; exit", type="xdp").bytes


def load(session) -> int:
    return session.prog_load(6, PROGRAM)["id"]


def session(machine) -> RemoteSession:
    return RemoteSession(machine.stream(), name=machine.name, explain=machine.explain)


def test_a_machine_is_a_machine(machine):
    assert isinstance(machine, Machine)
    assert machine.state == "absent" and machine.pid == 0 and machine.explain() == ""
    with pytest.raises(TargetError, match="not running"):
        machine.stream()


def test_up_and_halt_leave_nothing(machine):
    machine.up()
    fds = open_fds()
    with session(machine):
        pass
    machine.halt()
    for _ in range(2):
        machine.up()
        assert machine.state == "running" and machine.how == "restored"
        machine.up()                                                 # it is up already
        pid, directory, warden = machine.pid, machine._directory, machine._warden.pid
        with session(machine) as there:
            assert load(there)
        machine.halt()
        assert machine.state == "absent" and not running(pid) and not running(warden) and not directory.exists()
        machine.halt()
    assert open_fds() <= fds


def test_two_guests_at_once_are_two(guest, machine):
    machine.up()
    assert machine.pid != guest.machine.pid
    with session(machine) as there:
        load(there)
        for _ in range(5):
            there.map_create(1, 4, 4, 1)
        assert len(there.ids("map")) == 5 and guest.session.ids("map") == []


def test_a_snapshot_brings_the_moment_back(machine):
    """The kernel numbers programs upwards: after a restore it goes on from where the snapshot was."""
    machine.up()
    with session(machine) as there:
        saved = load(there)
    machine.snapshot("before")
    with session(machine) as there:
        assert load(there) == saved + 1 and load(there) == saved + 2
    assert machine.snapshots() == ["before"]
    machine.restore("before")
    with session(machine) as there:
        assert load(there) == saved + 1
    machine.halt()
    machine.restore("before")                                        # also when it is off
    with session(machine) as there:
        assert load(there) == saved + 1
        machine.snapshot("busy")                                     # with a client: it is another's guest afterwards
    machine.restore("busy")
    with session(machine) as there:
        assert load(there) == saved + 2
    machine.destroy()
    assert machine.snapshots() == []


@pytest.mark.parametrize("name", ["", "a/b", "..//x", "x" * 61])
def test_a_snapshot_has_a_plain_name(machine, name):
    with pytest.raises(TargetError, match="no name for a snapshot"):
        machine.restore(name)


def test_an_unknown_snapshot_is_told(machine):
    with pytest.raises(TargetError, match="no snapshot 'never'"):
        machine.restore("never")


@pytest.fixture
def own_cache(guest, tmp_path, monkeypatch):
    """A cache of its own that shares the images."""
    mine = tmp_path / "vm"
    mine.mkdir()
    for entry in machines.cache().iterdir():
        if entry.name != "snapshots":
            (mine / entry.name).symlink_to(entry)
    ready = machines.cache() / "snapshots" / "ready"
    monkeypatch.setattr(machines, "cache", lambda: mine)
    return mine, ready


def test_a_damaged_snapshot_means_a_cold_boot_and_a_new_snapshot(own_cache, caplog):
    mine, ready = own_cache
    source = max(ready.glob("*.state"), key=lambda path: path.stat().st_mtime)
    damaged = mine / "snapshots" / "ready" / source.name
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(source.read_bytes()[:1_000_000])
    with QemuMachine("test") as machine, caplog.at_level(logging.WARNING, "ebpflab.vm"):
        machine.up()
        assert machine.how == "booted"
        assert "cannot be restored" in caplog.text
        assert damaged.stat().st_size > 50_000_000
        machine.halt()
        machine.up()
        assert machine.how == "restored"


def test_a_full_disk_costs_the_snapshot_and_no_more(own_cache, caplog):
    """A small file system of our own is the disk."""
    mine, _ = own_cache
    with QemuMachine("test") as machine, caplog.at_level(logging.WARNING, "ebpflab.vm"):
        disk = mine / "snapshots"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "small", str(disk)], check=True)
        try:
            machine.up()
            assert machine.state == "running" and "no snapshot was kept" in caplog.text
            with session(machine) as there:
                assert there.facts()["version"].startswith("6.12.")
            with pytest.raises(TargetError, match="could not be saved") as caught:
                machine.snapshot("full")
            assert "disk full" in caught.value.hint
            with session(machine) as there:
                assert there.facts()
            assert machine.snapshots() == [] and not [path for path in disk.rglob("*") if path.is_file()]
        finally:
            subprocess.run(["umount", str(disk)], check=True)


def test_kill_9_of_the_client_leaves_no_qemu_and_no_file(guest):
    code = """
import json, time
from ebpflab.targets.qemu import open
target = open()
machine = target.machine
target.session.net_create()
print(json.dumps([machine.pid, machine._warden.pid, str(machine._directory)]), flush=True)
time.sleep(600)
"""
    client = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    qemu, warden, directory = json.loads(client.stdout.readline())
    assert running(qemu) and running(warden) and Path(directory).exists()
    client.kill()
    client.wait()
    client.stdout.close()
    assert until(lambda: not running(qemu) and not running(warden) and not Path(directory).exists())


def test_kill_9_of_a_client_with_a_forked_child_leaves_nothing_either(guest):
    """The child holds the pipe to the warden open: its end alone does not tell."""
    code = """
import json, os, time
from ebpflab.vm.qemu import QemuMachine
machine = QemuMachine("test")
machine.up()
child = os.fork()
if child:
    print(json.dumps([machine.pid, machine._warden.pid, child]), flush=True)
time.sleep(60)
"""
    client = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    qemu, warden, child = json.loads(client.stdout.readline())
    client.kill()
    client.wait()
    client.stdout.close()
    try:
        assert running(child)
        assert until(lambda: not running(qemu) and not running(warden))
    finally:
        os.kill(child, signal.SIGKILL)


def test_kill_9_of_the_warden_ends_qemu_and_the_next_sweep_cleans(machine):
    machine.up()
    pid, directory = machine.pid, machine._directory
    os.kill(machine._warden.pid, signal.SIGKILL)
    assert until(lambda: not running(pid))
    assert machine.state == "lost"
    assert directory.exists()
    assert directory in machines.sweep() and not directory.exists()


def test_a_sweep_leaves_living_machines_alone(guest):
    directory = guest.machine._directory
    assert directory not in machines.sweep() and (directory / "agent.sock").exists()
    assert guest.session.facts()


def test_kill_9_of_qemu_is_told_to_who_waits(guest):
    target = open_qemu()
    net = target.session.net_create()["net"]
    waiting = target.session.submit("net_send", net, "lab0", [bytes(60)], 100_000, 100)
    os.kill(target.machine.pid, signal.SIGKILL)
    with pytest.raises(TargetError, match="connection was lost"):
        waiting.result(10)
    assert until(lambda: target.machine.state == "lost")
    with pytest.raises(TargetError, match="connection was lost") as caught:
        target.load(assemble("r0 = 2; exit", type="xdp"))
    assert "QEMU ended" in str(caught.value)
    target.close()
    target.close()
    assert target.machine._directory is None


def test_a_panic_is_told_in_the_guests_own_words(guest):
    target = open_qemu()
    directory = target.machine._directory
    with target.machine._qmp() as qmp:
        qmp.execute("inject-nmi")                                    # unknown_nmi_panic is on
    assert until(lambda: target.machine.state == "lost")
    with pytest.raises(TargetError) as caught:
        target.session.facts()
    assert "kernel panicked" in str(caught.value) and "NMI" in str(caught.value)
    target.close()
    assert "NMI" in target.machine.explain()                         # still known afterwards
    assert not directory.exists()


def test_a_guest_that_panics_at_boot_is_tried_twice(own_cache, caplog):
    machine = QemuMachine("test", append="rdinit=/nowhere root=/dev/nowhere")
    with caplog.at_level(logging.WARNING, "ebpflab.vm"), pytest.raises(TargetError, match=r"panicked: .*Kernel panic"):
        machine.up()
    assert caplog.text.count("trying once more") == 1
    assert machine.state == "lost" and "Kernel panic" in machine.explain()
    directory = machine._directory
    machine.halt()
    assert not directory.exists() and "Kernel panic" in machine.explain()


def test_a_guest_that_panics_once_comes_up_all_the_same(own_cache, caplog, monkeypatch):
    machine = QemuMachine("test")
    appends = iter(["rdinit=/nowhere root=/dev/nowhere"])
    command = machine.command

    def once_wrong():
        machine.append = next(appends, "")
        return command()

    monkeypatch.setattr(QemuMachine, "key", "this-test")
    monkeypatch.setattr(machine, "command", once_wrong)
    with machine, caplog.at_level(logging.WARNING, "ebpflab.vm"):
        machine.up()
        assert machine.how == "booted" and "Kernel panic" in caplog.text


def test_ctrl_c_at_the_terminal_does_not_reach_the_guest(guest):
    """The warden and QEMU live in a session of their own: an interrupt of the notebook's group passes them by."""
    assert os.getsid(guest.machine.pid) != os.getsid(0)
    assert os.getsid(guest.machine._warden.pid) != os.getsid(0)


def test_no_qemu_is_one_clear_error(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(TargetError, match="qemu-system-x86_64 is not installed") as caught:
        open_qemu()
    assert "apt-get install" in caught.value.hint or "brew install" in caught.value.hint


def test_an_unknown_kernel_is_one_clear_error():
    with pytest.raises(TargetError, match=r"no recipe for kernel '2\.4'") as caught:
        open_qemu("2.4")
    assert "6.12" in caught.value.hint


def test_console_keeps_the_end_of_a_flood(tmp_path):
    """The warden's ring: much output, little disk, and the last line is there."""
    directory = tmp_path / "m"
    directory.mkdir()
    flood = [sys.executable, "-c", "for n in range(60000): print('line', n, 'x' * 40)"]
    warden = subprocess.Popen([sys.executable, "-I", "-S", str(Path(machines.__file__).with_name("warden.py")),
                               str(directory), *flood], stdin=subprocess.PIPE)
    assert until(lambda: (directory / "exit").exists(), 30)
    assert (directory / "exit").read_text() == "0"
    size = sum((directory / name).stat().st_size for name in ("console.log", "console.log.old"))
    assert 256 * 1024 <= size <= 1024 * 1024
    assert "line 59999" in (directory / "console.log").read_text()
    warden.stdin.close()
    assert warden.wait(10) == 0 and not directory.exists()


def test_cache_can_be_removed_at_any_time(own_cache):
    mine, _ = own_cache
    with QemuMachine("test") as machine:
        machine.up()
        shutil.rmtree(mine / "snapshots")
        machine.halt()
        machine.up()
        assert machine.how == "booted"
