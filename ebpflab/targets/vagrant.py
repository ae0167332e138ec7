"""A kernel in a guest that Vagrant runs: ``vagrant``, ``vagrant:lts``, ``vagrant:6.1``, ``vagrant:dut``."""

from __future__ import annotations

from ..vm.progress import shown
from ..vm.vagrant import VagrantMachine
from .kernel import KernelTarget
from .remote import RemoteSession


class VagrantTarget(KernelTarget):
    """A KernelTarget with its ``machine``, which goes on running when the target is closed."""

    def __init__(self, session: RemoteSession, name: str, machine: VagrantMachine):
        super().__init__(session, name)
        self.machine = machine

    def __repr__(self) -> str:
        return f"<target {self.name}: {self.by} in a Vagrant machine>"


def open(argument: str = "") -> VagrantTarget:
    """A machine of the Vagrantfile, brought up if it does not run (a minute or two). Leaving it running is on purpose:
    ``ebpflab vm halt --provider vagrant`` ends it."""
    name = f"vagrant:{argument}" if argument else "vagrant"
    machine = VagrantMachine(argument)
    with shown(name) as progress:
        if machine.state != "running":
            machine.up(progress)
        progress("starting the agent", None)
        session = RemoteSession(machine.stream(), name=name, explain=machine.explain)
    return VagrantTarget(session, name, machine)
