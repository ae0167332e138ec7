"""Helpers that send a packet elsewhere."""

from __future__ import annotations

import errno

from ...errors import Fault
from ..maps import References
from .frames import skb_frame
from .registry import helper

XDP_ABORTED, XDP_REDIRECT, TC_ACT_SHOT, TC_ACT_REDIRECT = 0, 4, 2, 7
#: maps to redirect to -> flags: the action where there is no entry; BPF_F_BROADCAST, BPF_F_EXCLUDE_INGRESS
TARGETS = {"devmap": 0x1B, "devmap_hash": 0x1B, "cpumap": 3, "xskmap": 3}


@helper()
def redirect(run, ifindex, flags):
    ifindex &= 0xFFFF_FFFF
    if run.program.spec.type == "xdp":
        if flags:
            return XDP_ABORTED
        run.redirect = ifindex
        return XDP_REDIRECT
    if flags & ~1:   # BPF_F_INGRESS
        return TC_ACT_SHOT
    run.redirect = ifindex
    return TC_ACT_REDIRECT


@helper()
def redirect_peer(run, ifindex, flags):
    """To the other end of the device's pair, which may be in another namespace."""
    if flags:
        return TC_ACT_SHOT
    run.redirect = ifindex & 0xFFFF_FFFF
    return TC_ACT_REDIRECT


@helper()
def redirect_neigh(run, ifindex, params, size, flags):
    """Out of the device, with the link-layer address of the neighbour or of the next hop in ``params``."""
    if flags or (size and size & 0xFFFF_FFFF < 20):   # sizeof(struct bpf_redir_neigh)
        return TC_ACT_SHOT
    run.memory.read(params, min(size & 0xFFFF_FFFF, 20))
    run.redirect = ifindex & 0xFFFF_FFFF
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
    return XDP_REDIRECT


@helper()
def clone_redirect(run, ctx, ifindex, flags):
    skb_frame(run, ctx)
    if flags & ~1 or ifindex & 0xFFFF_FFFF not in run.machine.routes.devices:
        return -errno.EINVAL
    run.effects.setdefault("clone_redirect", []).append(ifindex & 0xFFFF_FFFF)
    return 0
