"""A kernel in a guest that QEMU runs: ``qemu:6.1``, one's own, or ``vm:6.1``, that ``ebpflab vm up`` keeps."""

from __future__ import annotations

from ..vm.keeper import KeptMachine
from ..vm.qemu import QemuMachine
from .guest import GuestTarget, start


def open(argument: str = "") -> GuestTarget:
    """A guest with a Debian kernel ("5.10" … "newest", "" for the LTS one), restored from its snapshot or booted.

    The first time its image is built (a minute). It is gone when the target is closed, or this process.
    Raises TargetError if QEMU or what builds the image is missing.
    """
    return start(f"qemu:{argument}" if argument else "qemu", QemuMachine("qemu", kernel=argument), kept=False)


def open_kept(argument: str = "") -> GuestTarget:
    """The guest of that kernel that ``ebpflab vm up`` keeps, brought up if it does not run.

    It goes on running when the target is closed; what the target loaded is gone then. TargetError if another client
    uses it.
    """
    return start(f"vm:{argument}" if argument else "vm", KeptMachine(argument), kept=True)
