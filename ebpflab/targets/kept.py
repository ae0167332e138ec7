"""A kernel in a guest that ``ebpflab vm up`` started and keeps: ``vm`` or ``vm:6.1``."""

from __future__ import annotations

from ..vm.keeper import KeptMachine
from ..vm.progress import shown
from .qemu import QemuTarget
from .remote import RemoteSession


def open(argument: str = "") -> QemuTarget:
    """The guest of that kernel, brought up if it does not run. It goes on running when the target is closed, so that
    what is there survives a notebook; what the notebook loaded does not. TargetError if another client has it."""
    name = f"vm:{argument}" if argument else "vm"
    machine = KeptMachine(argument)
    with shown(name) as progress:
        machine.up(progress)
        progress("starting the agent", None)
        session = RemoteSession(machine.stream(), name=name, explain=machine.explain)
    return QemuTarget(session, name, machine)
