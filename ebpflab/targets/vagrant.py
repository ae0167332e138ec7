"""A kernel in a guest that Vagrant runs: ``vagrant``, ``vagrant:lts``, ``vagrant:6.1``, ``vagrant:dut``."""

from __future__ import annotations

from ..vm.vagrant import VagrantMachine
from .guest import GuestTarget, start


def open(argument: str = "") -> GuestTarget:
    """A machine of the Vagrantfile, brought up if it does not run (a minute or two).

    It goes on running when the target is closed: ``ebpflab vm halt --provider vagrant`` ends it.
    """
    return start(f"vagrant:{argument}" if argument else "vagrant", VagrantMachine(argument), kept=True)
