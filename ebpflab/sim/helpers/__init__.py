"""Helper functions of the simulator: importing a module registers its helpers."""

from __future__ import annotations

from ...isa import bits
from . import (  # noqa: F401
    cgroups,
    checksums,
    dynptr,
    maps,
    messages,
    redirects,
    room,
    routes,
    skb,
    sockets,
    sockopts,
    storage,
    system,
    tasks,
    tcp_options,
    timers,
    tracing,
    tunnels,
    vlan,
    xdp,
)
from .frames import load_packet
from .registry import HELPERS, Helper, find
from .system import tail_target


def call_helper(run, number: int, regs) -> int:
    """Call helper ``number`` with r1 … of ``regs``; the value for r0. Raises Fault, Unsupported."""
    found = find(number)
    return found.function(run, *regs[1:1 + found.arity]) & bits.U64


__all__ = ["HELPERS", "Helper", "call_helper", "find", "load_packet", "tail_target"]
