"""Helpers that send a packet elsewhere."""

from __future__ import annotations

import errno
from typing import NamedTuple

from ...errors import Fault
from ..contexts import get
from ..maps import References
from .frames import skb_frame
from .registry import helper

XDP_ABORTED, XDP_REDIRECT, TC_ACT_SHOT, TC_ACT_REDIRECT = 0, 4, 2, 7
#: maps to redirect to -> flags: the action where there is no entry; BPF_F_BROADCAST, BPF_F_EXCLUDE_INGRESS
TARGETS = {"devmap": 0x1B, "devmap_hash": 0x1B, "cpumap": 3, "xskmap": 3}
F_INGRESS = 1


class Clone(NamedTuple):
    """A copy of the packet that was sent elsewhere."""

    ifindex: int
    ingress: bool
    data: bytes
    mark: int = 0
    priority: int = 0

    def __repr__(self) -> str:
        return f"{len(self.data)} bytes {'into' if self.ingress else 'out of'} {self.ifindex}"


def _towards(run, way: str) -> None:
    """Note that a redirect does not leave by the device: into its stack, or into its peer's."""
    run.effects.pop("redirect", None)
    if way:
        run.effects["redirect"] = way


@helper()
def redirect(run, ifindex, flags):
    ifindex &= 0xFFFF_FFFF
    if run.program.spec.type == "xdp":
        if flags:
            return XDP_ABORTED
        run.redirect = ifindex
        return XDP_REDIRECT
    if flags & ~F_INGRESS:
        return TC_ACT_SHOT
    run.redirect = ifindex
    _towards(run, "ingress" if flags else "")
    return TC_ACT_REDIRECT


@helper()
def redirect_peer(run, ifindex, flags):
    """To the other end of the device's pair, which may be in another namespace."""
    if flags:
        return TC_ACT_SHOT
    run.redirect = ifindex & 0xFFFF_FFFF
    _towards(run, "peer")
    return TC_ACT_REDIRECT


@helper()
def redirect_neigh(run, ifindex, params, size, flags):
    """Out of the device, with the link-layer address of the neighbour or of the next hop in ``params``."""
    if flags or (size and size & 0xFFFF_FFFF < 20):   # sizeof(struct bpf_redir_neigh)
        return TC_ACT_SHOT
    run.memory.read(params, min(size & 0xFFFF_FFFF, 20))
    run.redirect = ifindex & 0xFFFF_FFFF
    _towards(run, "")
    return TC_ACT_REDIRECT


@helper()
def redirect_map(run, map_, index, flags):
    found, index = run.map(map_), index & 0xFFFF_FFFF
    if not isinstance(found, References) or found.spec.type not in TARGETS:
        raise Fault(f"bpf_redirect_map does not work on {found.spec.name}, a {found.spec.type} map")
    if flags & ~TARGETS[found.spec.type]:
        return XDP_ABORTED
    if found.at(index) is None and not flags & 8:
        return flags & 3
    run.redirect = (found.spec.name, index)
    if flags & ~3:
        run.effects["redirect_map"] = flags & ~3
    return XDP_REDIRECT


@helper()
def clone_redirect(run, ctx, ifindex, flags):
    frame = skb_frame(run, ctx)
    if flags & ~F_INGRESS or ifindex & 0xFFFF_FFFF not in run.machine.routes.devices:
        return -errno.EINVAL
    mark, priority = (get(run.input.shape, run.input.buffer, name) for name in ("mark", "priority"))
    run.effects.setdefault("clone_redirect", []).append(
        Clone(ifindex & 0xFFFF_FFFF, bool(flags), frame.packet(), mark, priority))
    return 0
