"""A kernel in a guest that QEMU runs: ``qemu`` or ``qemu:6.12``."""

from __future__ import annotations

from ..vm.progress import shown
from ..vm.qemu import QemuMachine
from .kernel import KernelTarget
from .remote import RemoteSession


class QemuTarget(KernelTarget):
    """A KernelTarget with its ``machine``, which is switched off when the target is closed."""

    def __init__(self, session: RemoteSession, name: str, machine: QemuMachine):
        super().__init__(session, name)
        self.machine = machine

    def __repr__(self) -> str:
        return f"<target {self.name}: {self.by} in QEMU, {self.machine.state}>"


def open(argument: str = "") -> QemuTarget:
    """A guest with a Debian kernel ("6.12"; "" for the newest known), restored from its snapshot or booted.

    The first time its image is built (a minute). Raises TargetError if QEMU or what builds the image is missing.
    """
    name = f"qemu:{argument}" if argument else "qemu"
    machine = QemuMachine("qemu", kernel=argument)
    try:
        with shown(name) as progress:
            machine.up(progress)
            progress("starting the agent", None)
            session = RemoteSession(machine.stream(), name=name, explain=machine.explain, on_close=machine.halt)
    except BaseException:
        machine.halt()
        raise
    return QemuTarget(session, name, machine)
