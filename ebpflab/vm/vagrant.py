"""Guests that Vagrant runs: boxes under libvirt, VirtualBox, VMware, Parallels or QEMU, spoken to over ssh.

A machine of Vagrant lives on when the notebook ends; ``ebpflab vm halt`` and ``destroy`` end it. Several notebooks
may use one at a time, each with an agent of its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from ..errors import TargetError
from ..kernel import wire
from . import box, hypervisor, image, ssh
from .machine import Progress, quiet

#: where the Vagrantfile is: beside the package in a checkout, inside it when installed
PLACES = (Path(__file__).parents[2] / "vagrant", Path(__file__).parent / "vagrant")
#: what Vagrant and its providers call a state -> what a Machine says; anything else is "off"
STATES = {"running": "running", "not_created": "absent"}
#: what ``up`` says -> how far it then is
STAGES = {"Creating domain": 0.1, "Importing base box": 0.1, "Starting domain": 0.2, "Booting VM": 0.2,
          "Waiting for domain to get an IP": 0.25, "Waiting for machine to boot": 0.4, "Machine booted": 0.9,
          "Inserting generated public key": 0.85, "Running provisioner": 0.9}
#: hints for what goes wrong most often: part of what Vagrant says -> what to do
HINTS = {
    "libvirt-sock": "start libvirt: sudo systemctl start libvirtd; without systemd: sudo virtlogd -d; sudo libvirtd -d",
    "Call to virConnectOpen failed": "start libvirt: sudo systemctl start libvirtd; without systemd: sudo virtlogd -d; "
                                     "sudo libvirtd -d",
    "not yet ready for SSH": "it is not up: ebpflab vm up --provider vagrant",
    "No usable default provider": "install one: sudo apt-get install vagrant-libvirt, or VirtualBox",
    "The provider '": "install it: on Debian sudo apt-get install vagrant-libvirt; vagrant plugin install elsewhere",
    "could not be found or": "there is no network to fetch a box: EBPFLAB_BOX=local builds one from Debian packages",
}
#: machine names that stand for another
ALIASES = {**image.ALIASES}
NAMES = (*image.RECIPES, "generator", "dut")


class VagrantMachine:
    """One machine of ``vagrant/Vagrantfile``; a ``Machine``. ``state`` may also be "off"."""

    def __init__(self, name: str = "", *, provider: str = "", boxes: str = "", home: Path | None = None):
        """``name`` as in the Vagrantfile ("6.1", "lts", "dut"). ``boxes``: "public" or "local" (made of Debian
        packages here), by default $EBPFLAB_BOX or what is to be had. ``home``: where Vagrant keeps its state."""
        self.name = ALIASES.get(name, name)
        if self.name not in NAMES:
            raise TargetError(f"the Vagrantfile has no machine {name!r}",
                              hint="it has " + ", ".join([*NAMES, *filter(None, ALIASES)]))
        self.kernel = self.name if self.name in image.RECIPES else image.ALIASES[""]
        self.provider, self.boxes = provider, boxes or os.environ.get("EBPFLAB_BOX", "") or _boxes()
        told = os.environ.get("EBPFLAB_VAGRANT_HOME")
        self.home = home or (Path(told) if told else platformdirs.user_state_path("ebpflab") / "vagrant")
        self._ssh: list[str] = []

    # Vagrant itself

    @property
    def environment(self) -> dict[str, str]:
        directory = next((place for place in PLACES if (place / "Vagrantfile").exists()), None)
        if directory is None:
            raise TargetError("ebpflab was installed without its Vagrantfile", hint="use a checkout of ebpflab")
        return {**os.environ, "VAGRANT_CWD": str(directory), "VAGRANT_DOTFILE_PATH": str(self.home),
                "EBPFLAB_BOX": self.boxes, "VAGRANT_CHECKPOINT_DISABLE": "1", "PATH": box.search_path(),
                **({"VAGRANT_DEFAULT_PROVIDER": self.provider} if self.provider else {})}

    def vagrant(self, *arguments: str, progress: Progress = quiet, **more: str) -> list[list[str]]:
        """Run a command of Vagrant; its answers as [target, type, data …]. ``more`` is added to the environment."""
        self._need()
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        answers: list[list[str]] = []
        with subprocess.Popen(["vagrant", *arguments, "--machine-readable"], env={**self.environment, **more},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace") as process:
            assert process.stdout
            try:
                for answer in _parsed(process.stdout):
                    answers.append(answer)
                    if answer[1] == "ui":
                        text = _plain(answer[-1], answer[0])
                        progress(text, next((far for words, far in STAGES.items() if words in text), None))
            except BaseException:
                process.terminate()            # Vagrant then undoes what it began
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(30)
                process.kill()
                raise
        if process.returncode:
            raise self._failed(arguments[0], answers)
        return answers

    def _need(self) -> None:
        if not shutil.which("vagrant", path=box.search_path()):
            raise TargetError("vagrant is not installed", where=f"vagrant:{self.name}",
                              hint="on Debian or Ubuntu: sudo apt-get install vagrant vagrant-libvirt")

    def _failed(self, verb: str, answers: list[list[str]]) -> TargetError:
        said = "\n".join(answer[-1] for answer in answers)
        words = next((answer[-1] for answer in answers if answer[1] == "error-exit"), said[-500:])
        hint = next((hint for part, hint in HINTS.items() if part in said), None)
        error = TargetError(f"vagrant {verb} failed: " + " ".join(words.split())[:400], where=f"vagrant:{self.name}",
                            hint=hint)
        error.add_note(said[-4000:])
        return error

    @property
    def state(self) -> str:
        return self.states(self.name).get(self.name, "absent")

    def states(self, *names: str) -> dict[str, str]:
        """The state of each machine (of ``names``, if any are given) that was ever made here."""
        if not any((self.home / "machines").glob("*/*/id")):
            return {}                          # Vagrant needs two seconds to say so
        answers = self.vagrant("status", *names)
        told = {answer[0]: STATES.get(answer[2], "off") for answer in answers if answer[1] == "state"}
        return {name: state for name, state in told.items() if state != "absent"}

    # up and down

    def up(self, progress: Progress = quiet) -> None:
        """Have it run; the first time from a box, which is built or fetched if need be."""
        self._ssh = []
        self._need()
        if self.boxes == "local" and self.state == "absent":
            box.add(self.kernel, progress)
        self.vagrant("up", self.name, progress=progress, EBPFLAB_DRIVER=self._driver(progress))
        progress("noting its host key", 0.97)
        self._learn()

    def _driver(self, progress: Progress) -> str:
        """kvm only where it runs a kernel: that /dev/kvm opens is not enough."""
        if told := os.environ.get("EBPFLAB_DRIVER"):
            return told
        if not os.access("/dev/kvm", os.R_OK | os.W_OK) or self.provider not in ("", "libvirt"):
            return "qemu"
        recipe = image.recipe(self.kernel)
        if not (image.missing() and image.examine(self.kernel)[0] != "ok"):
            found = hypervisor.accelerator(hypervisor.ARCHES[recipe.arch], image.ensure(recipe, progress).kernel)
            return "kvm" if found == "kvm" else "qemu"
        return "kvm"

    def halt(self) -> None:
        self._ssh = []
        self.vagrant("halt", self.name)

    def destroy(self) -> None:
        """Remove it with its disk, snapshots, key and host key."""
        self._ssh = []
        self.vagrant("destroy", "--force", self.name)
        for file in self.home.glob(f"known_hosts-{self.name}-*"):
            file.unlink()

    def snapshot(self, name: str) -> None:
        if not re.fullmatch(r"[\w.-]{1,60}", name):
            raise TargetError(f"{name!r} is no name for a snapshot", hint="letters, digits, '.', '-' and '_'")
        self.vagrant("snapshot", "save", "--force", self.name, name)

    def restore(self, name: str) -> None:
        if name not in self.snapshots():
            raise TargetError(f"{self.name} has no snapshot {name!r}",
                              hint=f"it has: {', '.join(self.snapshots()) or 'none'}")
        self._ssh = []
        self.vagrant("snapshot", "restore", "--no-provision", self.name, name)

    def snapshots(self) -> list[str]:
        answers = self.vagrant("snapshot", "list", self.name)
        told = {answer[-1].strip() for answer in answers if answer[1] == "ui"}
        return sorted(text for text in told if re.fullmatch(r"[\w.-]+", text))

    # ssh

    def ssh(self) -> list[str]:
        """ssh's command line for this machine: its own key, and its own host key checked."""
        if not self._ssh:
            config = self._config()
            known = self.home / f"known_hosts-{self.name}-{self._id()}"
            # The first contact is right after the machine was made here; from then on no other key will do.
            options = {"HostName": config["HostName"], "Port": config["Port"], "User": config["User"],
                       "IdentityFile": config["IdentityFile"], "IdentitiesOnly": "yes",
                       "UserKnownHostsFile": f'"{known}"', "GlobalKnownHostsFile": "/dev/null",
                       "HostKeyAlias": f"ebpflab-{self.name}", "CheckHostIP": "no", "UpdateHostKeys": "no",
                       "StrictHostKeyChecking": "yes" if known.exists() else "accept-new"}
            self._ssh = ssh.command(f"ebpflab-{self.name}", ["-F", os.devnull, *(
                part for key, value in options.items() for part in ("-o", f"{key}={value}"))])
        return self._ssh

    def _config(self) -> dict[str, str]:
        answers = self.vagrant("ssh-config", self.name)
        text = next((answer[-1] for answer in answers if answer[:2] == [self.name, "ssh-config"]), "")
        pairs = (line.strip().partition(" ") for line in text.splitlines())
        return {key: value.strip('"') for key, _, value in pairs if key}

    def _id(self) -> str:
        """Vagrant's id of the machine: another one after a destroy, so that its old host key is not asked for."""
        found = sorted((self.home / "machines" / self.name).glob("*/id"))
        if not found:
            raise TargetError(f"the machine {self.name} is not there", hint=f"ebpflab vm up --kernel {self.name}")
        return found[0].read_text().strip()

    def _learn(self) -> None:
        done = subprocess.run([*self.ssh(), "true"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise TargetError(f"ssh does not get in: {done.stderr.strip()}", where=f"vagrant:{self.name}")
        self._ssh = []

    def stream(self, *, timeout: float = 60.0) -> wire.Stream:
        """A stream on which an agent of its own has just been started."""
        return ssh.agent(self.ssh(), name=f"vagrant:{self.name}", timeout=timeout)

    # what it says

    def console(self) -> str:
        """The last messages of its kernel; "" if it is not to be reached."""
        with contextlib.suppress(TargetError):
            done = subprocess.run([*self.ssh(), "sudo -n dmesg"], stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, errors="replace")
            return done.stdout
        return ""

    def explain(self) -> str:
        with contextlib.suppress(TargetError):
            state = self.state
            return "" if state == "running" else f"the machine is {state}"
        return ""


def states() -> dict[str, str]:
    """name -> state of the machines that there are."""
    return VagrantMachine().states()


def _boxes() -> str:
    """Boxes from Debian packages where they can be made or are there, else public ones."""
    return "public" if box.missing() else "local"


def _parsed(lines) -> Iterator[list[str]]:
    """Vagrant's machine-readable lines (timestamp,target,type,data…) without the timestamp; other text as "text"."""
    for line in lines:
        fields = line.rstrip("\n").split(",")
        if len(fields) < 4 or not fields[0].isdigit():
            yield ["", "text", line.rstrip("\n")]
            continue
        yield [field.replace("%!(VAGRANT_COMMA)", ",").replace("\\n", "\n").replace("\\r", "")
               for field in fields[1:]]


def _plain(text: str, name: str) -> str:
    lines = text.strip().splitlines() or [""]
    return lines[0].replace(f"==> {name}:", "").strip()[:100]
