"""Vagrant for real: a box built here comes up under libvirt, runs programs, is saved, shared, and destroyed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ebpflab import assemble
from ebpflab.errors import TargetError
from ebpflab.targets.base import AttachPoint
from ebpflab.targets.vagrant import open as open_vagrant
from ebpflab.vm import box, vagrant
from ebpflab.vm.machine import Machine
from ebpflab.vm.vagrant import VagrantMachine
from tests.vm.conftest import XDP_COUNT

from .conftest import needs_vagrant, virsh

FRAME = b"\xff" * 6 + b"\2\0\0\0\0\1" + b"\x08\0" + bytes(50)
VAGRANTFILE = Path(__file__).parents[2] / "vagrant" / "Vagrantfile"
NOTEBOOK = [
    "%load_ext ebpflab",
    "%bpf_target vagrant:lts",
    "%%bpf count --type xdp\n" + XDP_COUNT,
    """import threading, ebpflab
from ebpflab.stream import watch
from ebpflab.view.live import Chart
net = ebpflab.target().net()
count.attach(net, "lab1", mode="generic")
frame = b"\\xff" * 6 + b"\\2\\0\\0\\0\\0\\1" + b"\\x08\\0" + bytes(50)
thread = threading.Thread(target=lambda: net.send([frame], end="lab0", count=500, pps=100))
seen = []
stream = watch(count.maps["counts"].target_map, every=0.2)
chart = Chart(stream)
display(chart)
thread.start()
reader = stream.reader()
while thread.is_alive():
    seen += [int(batch.frame()["value"].sum()) for batch in reader.take(timeout=5)]
thread.join()
stream.close()
total = int(count.maps["counts"].frame()["value"].sum())
print("seen", len(set(seen)), total, seen == sorted(seen) and seen[-1] <= total)""",
    "import ebpflab; print('kernel', ebpflab.target().facts.kernel); ebpflab.close()",
]


@pytest.mark.vm
@pytest.mark.slow
def test_a_notebook_runs_a_program_in_it_and_charts_its_map(clean):
    """Load and attach from cells, stream the map into a chart, and leave nothing behind."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in NOTEBOOK])
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3").execute()
    printed = "".join(output.get("text", "") for cell in book.cells for output in cell.outputs)
    words = printed[printed.index("seen"):].split()
    assert int(words[1]) >= 4 and 500 <= int(words[2]) < 600 and words[3] == "True", printed
    assert "kernel 6.12." in printed
    shown = [output for output in book.cells[3].outputs if output.output_type == "display_data"]
    assert any({"text/html", "application/vnd.jupyter.widget-view+json"} & set(output.data) for output in shown)


@pytest.mark.vm
@pytest.mark.slow
def test_it_is_a_machine_with_a_kernel_of_its_own(clean):
    assert isinstance(clean, Machine) and clean.state == "running"
    with open_vagrant("lts") as target:
        facts = target.facts
        assert facts.kernel.startswith("6.12.") and facts.privileged and facts.jit and facts.btf
        assert facts.detail["release"] != os.uname().release
        with (target.load(assemble(XDP_COUNT, type="xdp", name="count")) as program, target.net() as net,
              program.attach(AttachPoint("xdp", {"net": net, "dev": "lab1", "mode": "native"}))):
            assert net.send([FRAME], end="lab0", count=100) == 100
            values = program.maps["counts"].read().values
            assert sum(int.from_bytes(values[at:at + 8], "little") for at in range(0, len(values), 8)) >= 100
    assert clean.state == "running", "a machine of Vagrant outlives the target"


@pytest.mark.vm
@pytest.mark.slow
def test_two_notebooks_on_one_machine_each_have_an_agent(clean, watcher):
    second = watcher
    with open_vagrant("lts") as first:
        assert first.session.agent["pid"] != second.session.agent["pid"]
        with first.load(assemble(XDP_COUNT, type="xdp")) as program:
            assert program.maps["counts"].id in second.session.ids("map")
            assert second.session.handles() == []


@pytest.mark.vm
@pytest.mark.slow
def test_kill_9_of_the_client_leaves_nothing_in_the_guest(clean, watcher):
    code = """
import sys, time
from ebpflab import assemble
from ebpflab.targets.vagrant import open
target = open("lts")
program = target.load(assemble(sys.stdin.read(), type="xdp"))
net = target.net()
print(program.id, flush=True)
time.sleep(600)
"""
    client = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    client.stdin.write(XDP_COUNT)
    client.stdin.close()
    number = int(client.stdout.readline())
    assert number in watcher.session.ids("prog")
    client.send_signal(signal.SIGKILL)
    client.wait()
    client.stdout.close()
    end = time.monotonic() + 20
    while number in watcher.session.ids("prog"):
        assert time.monotonic() < end, "the agent outlives its client"
        time.sleep(0.2)


@pytest.mark.vm
@pytest.mark.slow
def test_a_lost_connection_is_told_and_reconnect_mends_it(clean):
    with open_vagrant("lts") as target:
        program = target.load(assemble(XDP_COUNT, type="xdp"))
        target.session._stream.process.kill()                  # ssh dies, as when the network does
        with pytest.raises(TargetError, match="connection was lost"):
            for _ in range(100):
                target.session.ids("prog")
        assert not target.alive and "connection lost" in repr(target)
        target.reconnect()
        assert target.alive and target.session.handles() == []
        program.close()
        with target.load(assemble("r0 = 2; exit", type="xdp")) as again:
            assert again.run(FRAME).verdict == "XDP_PASS"


@pytest.mark.vm
@pytest.mark.slow
def test_another_host_key_is_refused(machine, home):
    """Somebody between, or another machine at that address: ssh does not even log in."""
    line = machine.ssh()
    assert any("StrictHostKeyChecking=yes" in part for part in line)
    known = next(home.glob("known_hosts-6.12-*"))
    right = known.read_text()
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(home / "other")], check=True)
    kind, key, *_ = (home / "other.pub").read_text().split()
    try:
        known.write_text(f"ebpflab-6.12 {kind} {key}\n")
        with pytest.raises(TargetError, match="ssh ended") as caught:
            machine.stream()
        assert "another machine than before" in caught.value.hint
    finally:
        known.write_text(right)
    machine.stream().close()


@pytest.mark.vm
@pytest.mark.slow
def test_its_key_is_its_own(machine):
    """Vagrant's well-known key opens the box, and no machine once it is up."""
    private = next((machine.home / "machines" / machine.name).glob("*/private_key"))
    assert private.stat().st_mode & 0o077 == 0
    insecure = next(Path("/usr/share/rubygems-integration").glob("**/vagrant-*/keys/vagrant"))
    assert private.read_text() != insecure.read_text()
    copy = machine.home / "insecure"
    copy.write_bytes(insecure.read_bytes())
    copy.chmod(0o600)
    line = [part if not part.startswith("IdentityFile=") else f"IdentityFile={copy}" for part in machine.ssh()]
    done = subprocess.run([*line, "true"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 255 and "Permission denied" in done.stderr


@pytest.mark.vm
@pytest.mark.slow
def test_a_snapshot_brings_the_moment_back(machine):
    def run(*command: str) -> str:
        return subprocess.run([*machine.ssh(), *command], capture_output=True, text=True, check=True).stdout

    assert machine.snapshots() == []
    run("echo one > /tmp/word")
    machine.snapshot("first")
    run("echo two > /tmp/word")
    assert machine.snapshots() == ["first"]
    machine.restore("first")
    assert run("cat /tmp/word") == "one\n"
    with open_vagrant("lts") as target:
        assert target.facts.privileged
    with pytest.raises(TargetError, match="no snapshot 'never'"):
        machine.restore("never")


@pytest.mark.vm
@pytest.mark.slow
def test_the_command_line_sees_it(machine):
    def cli(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-m", "ebpflab", "vm", *words], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL)

    found = json.loads(cli("list", "--json").stdout)
    assert {"running"} == {row["state"] for row in found if (row["provider"], row["kernel"]) == ("vagrant", "6.12")}
    done = cli("ssh", "--provider", "vagrant", "--kernel", "lts", "--", "uname", "-r")
    assert done.returncode == 0 and done.stdout.startswith("6.12."), done.stderr
    done = cli("status", "--provider", "vagrant", "--kernel", "6.1")
    assert done.returncode == 1 and "absent" in done.stdout


@pytest.mark.vm
@pytest.mark.slow
def test_up_again_and_destroy_leave_nothing(machine, home):
    """The last test of the machine: it is gone afterwards."""
    begin = time.monotonic()
    machine.up()                                               # idempotent
    assert machine.state == "running"
    print(f"up of a running machine: {time.monotonic() - begin:.1f} s")
    prefix = os.environ["EBPFLAB_PREFIX"]
    assert f"{prefix}6.12" in virsh("list", "--name")
    machine.destroy()
    assert machine.state == "absent" and prefix not in virsh("list", "--all", "--name")
    assert prefix not in virsh("vol-list", "default")
    assert not list(home.glob("known_hosts-*")) and not list(home.glob("machines/*/*/private_key"))
    with pytest.raises(TargetError, match="not yet ready for SSH") as caught:
        machine.stream()
    assert "ebpflab vm up" in caught.value.hint


def test_the_vagrantfile_has_every_machine_and_is_valid(home):
    needs_vagrant()
    machine = VagrantMachine()
    machine.vagrant("validate", "--ignore-provider")
    answers = machine.vagrant("status")
    assert {answer[0] for answer in answers if answer[1] == "state"} == set(vagrant.NAMES)


def test_every_provider_has_a_box_for_both_architectures(home):
    """Read with Ruby itself: the table is data."""
    needs_vagrant()
    text = VAGRANTFILE.read_text()
    table = text[text.index("MACHINES ="):text.index("Vagrant.configure")]
    code = table + "require 'json'; puts({machines: MACHINES, public: PUBLIC}.to_json)"
    told = json.loads(subprocess.run(["ruby", "-e", code], capture_output=True, text=True, check=True).stdout)
    assert set(told["public"]) == {"libvirt", "qemu", "virtualbox", "vmware_desktop", "parallels"}
    assert all(row["amd64"] and row["arm64"] and "flavour" in row for row in told["public"].values())
    for name, recipe in vagrant.image.RECIPES.items():
        assert told["machines"][name]["suite"] == recipe.suite


def test_no_vagrant_is_one_sentence_with_the_fix(tmp_path, monkeypatch):
    monkeypatch.setattr(box, "search_path", lambda: str(tmp_path))
    with pytest.raises(TargetError, match="vagrant is not installed") as caught:
        VagrantMachine("6.1", home=tmp_path).up()
    assert "sudo apt-get install vagrant" in caught.value.hint


def test_an_unknown_machine_is_told(tmp_path):
    with pytest.raises(TargetError, match=r"no machine '4\.19'") as caught:
        VagrantMachine("4.19", home=tmp_path)
    assert "6.1" in caught.value.hint and "dut" in caught.value.hint


@pytest.mark.vm
def test_no_libvirt_is_one_sentence_with_the_fix(home, tmp_path):
    """A libvirt that is not there: as on a machine whose daemon was not started."""
    needs_vagrant()
    if box.missing():
        pytest.skip(f"building a box needs {' '.join(box.missing())}")
    machine = VagrantMachine("lts", boxes="local", home=tmp_path)
    box.add("lts")
    with pytest.raises(TargetError, match="vagrant up failed") as caught:
        machine.vagrant("up", "6.12", LIBVIRT_DEFAULT_URI="qemu+unix:///system?socket=/nowhere/libvirt-sock")
    assert "libvirtd -d" in caught.value.hint, caught.value.__notes__
