"""This machine's kernel."""

from __future__ import annotations

import sys

from ..errors import KernelError, TargetError
from .kernel import KernelTarget

_ELSE = "use --target sim, which needs no permission and runs anywhere, or a VM: --target qemu"


def open(argument: str = "") -> KernelTarget:
    """The kernel we run on. TargetError if this is not Linux, or we may not use bpf(2), with what would help."""
    if argument:
        raise TargetError(f"target 'local' takes no argument, not {argument!r}")
    if sys.platform != "linux":
        raise TargetError(f"this machine runs {sys.platform}, not Linux", hint=_ELSE)
    from ..kernel.session import Session

    session = Session()
    try:
        facts = session.facts()
    except KernelError as error:
        raise TargetError(f"bpf(2) cannot be used here: {error.what}", hint=_ELSE) from error
    if not facts["privileged"] and facts["unprivileged_bpf_disabled"] != 0:
        raise TargetError(f"this process may not use bpf(2): {facts['denied']}", where="target local",
                          hint=f"run it as root (sudo), or {_ELSE}")
    return KernelTarget(session, "local")
