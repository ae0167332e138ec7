"""Programs that were loaded for their place, or name it: BPF_RAW_TRACEPOINT_OPEN. In a guest only.

``fentry`` and ``fexit`` (since 5.5) and ``lsm`` (since 5.7) were verified for one function, found in the kernel's
BTF when they were loaded, so nothing is left to say here; ``raw_tracepoint`` (since 4.17) is given by name.
"""

from __future__ import annotations

import errno as E

from ...errors import KernelError
from .. import syscall
from ..links import Hook, Link, bad


def _open(program, name: str) -> Link:
    raw = name.encode() + b"\0" if name else b""
    return Link(syscall.bpf("RAW_TRACEPOINT_OPEN", where=name or None, prog_fd=program.fd, name=syscall.address(raw)))


def _raw(program, where: dict) -> Link:
    try:
        return _open(program, where["name"])
    except KernelError as error:
        if error.errno != E.ENOENT:
            raise
        raise bad(f"there is no tracepoint {where['name']!r}",
                  "a raw tracepoint has no category: sched_switch, not sched:sched_switch", E.ENOENT) from error


HOOKS = {
    "raw_tracepoint": Hook("a place that the kernel marks, with its arguments as they are",
                           ("raw_tracepoint", "raw_tracepoint_writable"), {"name": "event, without category"}, _raw,
                           subject="name", guest=True, needs=("name",), since="4.17"),
    "tracing": Hook("the function that it was loaded for (fentry, fexit, fmod_ret, tp_btf)", ("tracing",), {},
                    lambda program, where: _open(program, ""), guest=True, since="5.5"),
    "lsm": Hook("the security hook that it was loaded for", ("lsm",), {},
                lambda program, where: _open(program, ""), guest=True, since="5.7"),
}
