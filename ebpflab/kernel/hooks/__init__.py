"""The kinds of hooks, one module a family; ``HOOKS`` is all of them by name."""

from __future__ import annotations

from ...errors import Unsupported
from .. import links
from . import cgroup, lwt, perf, socket, tc, tracing, xdp

HOOKS: dict[str, links.Hook] = {
    **xdp.HOOKS, **tc.HOOKS, **socket.HOOKS, **cgroup.HOOKS, **lwt.HOOKS, **perf.HOOKS, **tracing.HOOKS,
}


def find(where: dict, prog_type: int, guest: bool) -> links.Hook:
    """The hook that ``where`` names, if this program may go there. KernelError, or Unsupported on a machine that is
    no guest of ours."""
    hook = links.check(HOOKS, where, prog_type)
    if hook.guest and not guest:
        raise Unsupported(f"{where['kind']} sees the whole machine, so ebpflab attaches it only in a guest",
                          where=f"attach to {where['kind']}",
                          hint="take a guest kernel: %bpf_target qemu (or ebpflab.set_default('qemu'))")
    if hook.subject == "net" and where.get("net") is None and not guest:
        raise Unsupported(f"{where.get('dev') or 'a device'} is this machine's own, and ebpflab attaches to devices of "
                          "lab networks only", where=f"attach to {where['kind']}",
                          hint='net = target.net(); prog.attach(net, "lab0"); or take a guest: %bpf_target qemu')
    return hook
