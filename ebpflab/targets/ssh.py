"""A kernel on another machine that one may log in to: ``ssh:host`` or ``ssh:user@host``, as root or with sudo.

Your own ssh configuration is used (~/.ssh/config), and the host's key must be known already.
"""

from __future__ import annotations

from ..errors import TargetError
from ..vm import ssh
from ..vm.progress import shown
from .guest import GuestTarget

STRICT = ("-o", "StrictHostKeyChecking=yes")


def open(argument: str = "") -> GuestTarget:
    """The kernel of a host. TargetError if it cannot be reached, is not known, or does not let us be root."""
    if not argument or argument.startswith("-"):
        raise TargetError("target 'ssh' needs a host", hint="for instance ssh:lab@bench.example")
    name = f"ssh:{argument}"
    with shown(name) as progress:
        progress("starting the agent", None)
        return GuestTarget(name, lambda: ssh.agent(ssh.command(argument, STRICT), name=name))
