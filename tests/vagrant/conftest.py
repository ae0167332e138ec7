"""A real Vagrant machine for the tests of this folder: box, libvirt and all, in a home of its own."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from ebpflab.vm import box
from ebpflab.vm.vagrant import VagrantMachine

LIBVIRT = Path("/run/libvirt/libvirt-sock")


def needs_vagrant() -> None:
    if not shutil.which("vagrant", path=box.search_path()):
        pytest.skip("vagrant is not installed")
    if not Path("/usr/sbin/libvirtd").exists():
        pytest.skip("libvirt is not installed")


@pytest.fixture(scope="session")
def libvirt():
    """libvirtd; where nothing started it (no systemd in a container), it is ours, and ended by us."""
    needs_vagrant()
    ours = []
    if not answers():
        if os.getuid():
            pytest.skip("libvirtd does not run, and only root may start it")
        silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        # without -d: children of ours, that we can end by their pids
        ours = [subprocess.Popen([f"/usr/sbin/{name}"], start_new_session=True, **silent)
                for name in ("virtlogd", "libvirtd")]
        end = time.monotonic() + 60
        while not answers():
            assert time.monotonic() < end, "libvirtd does not come up"
            time.sleep(0.2)
    yield
    for process in reversed(ours):
        process.terminate()
        process.wait(30)


def answers() -> bool:
    return LIBVIRT.exists() and virsh("version", check=False) != ""


def virsh(*command: str, check: bool = True) -> str:
    done = subprocess.run(["virsh", "-q", "-c", "qemu:///system", *command], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    if check:
        assert not done.returncode, done.stderr
    return done.stdout if not done.returncode else ""


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """Vagrant's state of the tests, apart from the user's; also for what they start."""
    path = tmp_path_factory.mktemp("vagrant")
    patch = pytest.MonkeyPatch()
    patch.setenv("EBPFLAB_VAGRANT_HOME", str(path))
    patch.setenv("EBPFLAB_BOX", "local")
    patch.setenv("EBPFLAB_PREFIX", f"ebpflab-test{os.getpid()}-")
    patch.setenv("VAGRANT_HOME", str(path / "vagrant.d"))
    yield path
    patch.undo()


@pytest.fixture(scope="session")
def machine(libvirt, home):
    """One that is up; destroyed at the end."""
    if box.missing():
        pytest.skip(f"building a box needs {' '.join(box.missing())}")
    made = VagrantMachine("lts")
    before = set(virsh("vol-list", "default", check=False).split())
    try:
        made.up(lambda text, fraction: print(f"{time.strftime('%T')} {text}", flush=True))
        yield made
    finally:
        made.destroy()
        # the copy of the box that vagrant-libvirt keeps for the next machine
        for volume in set(virsh("vol-list", "default").split()) - before:
            if volume.startswith("ebpflab-VAGRANTSLASH"):
                virsh("vol-delete", "--pool", "default", volume)


@pytest.fixture(scope="module")
def watcher(machine):
    """An agent of our own that looks at what the others leave."""
    from ebpflab.targets.vagrant import open as open_vagrant

    with open_vagrant("lts") as target:
        yield target


@pytest.fixture
def clean(machine, watcher):
    """The guest's kernel has afterwards what it had before."""
    def ids():
        return {kind: watcher.session.ids(kind) for kind in ("map", "link")}

    before = ids()
    yield machine
    end = time.monotonic() + 15
    while (after := ids()) != before and time.monotonic() < end:
        time.sleep(0.2)
    assert after == before
