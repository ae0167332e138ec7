"""Helpers on tunnel metadata: ``struct bpf_tunnel_key`` and options beside a packet (``net/core/filter.c``)."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from .frames import skb_frame
from .registry import helper

# struct bpf_tunnel_key: offsets of what follows the id
REMOTE, TOS, TTL, EXT, LABEL, LOCAL, SIZE = 4, 20, 21, 22, 24, 28, 44
REMOTE_IPV4_ONLY = 8                                       # the first struct had this size
SIZES = (REMOTE_IPV4_ONLY, EXT, LABEL, LOCAL, SIZE)        # what older headers had, and today's
IPV6, ZERO_CSUM, DONT_FRAGMENT, SEQ, NO_KEY = 1, 2, 4, 8, 16   # BPF_F_* of set
FLAGS = 1 << 4                                             # BPF_F_TUNINFO_FLAGS of get
OPTIONS_MAX = 255                                          # IP_TUNNEL_OPTS_MAX
# IP_TUNNEL_*_BIT
CSUM_BIT, KEY_BIT, SEQ_BIT, DONT_FRAGMENT_BIT, NOCACHE_BIT = 0, 2, 3, 8, 13
OPTIONS_PRESENT = 1 << 11 | 1 << 12 | 1 << 14 | 1 << 15    # GENEVE, VXLAN, ERSPAN, GTP
LABEL_MASK = 0xF_FFFF


@dataclass(slots=True)
class Tunnel:
    """``struct ip_tunnel_info``: ``source`` and ``target`` as programs write them, ``flags`` by IP_TUNNEL_*_BIT."""

    id: int
    tos: int
    ttl: int
    label: int
    source: bytes
    target: bytes
    ipv6: bool
    flags: int
    options: bytes = b""


@helper()
def skb_set_tunnel_key(run, ctx, key, size, flags):
    frame, size = skb_frame(run, ctx), size & 0xFFFF_FFFF
    if flags & ~(IPV6 | ZERO_CSUM | DONT_FRAGMENT | SEQ | NO_KEY) or size not in SIZES:
        return -errno.EINVAL
    data = run.memory.read(key, size).ljust(SIZE, b"\0")
    label = int.from_bytes(data[LABEL:LOCAL], "little")
    if (label and not flags & IPV6) or data[EXT:LABEL] != bytes(2):
        return -errno.EINVAL
    kept = 16 if flags & IPV6 else 4
    bits = (1 << NOCACHE_BIT | bool(flags & DONT_FRAGMENT) << DONT_FRAGMENT_BIT | (not flags & ZERO_CSUM) << CSUM_BIT
            | bool(flags & SEQ) << SEQ_BIT | (not flags & NO_KEY) << KEY_BIT)
    frame.headers.tunnel = Tunnel(int.from_bytes(data[:REMOTE], "little"), data[TOS], data[TTL], label & LABEL_MASK,
                                  data[LOCAL:LOCAL + kept], data[REMOTE:REMOTE + kept], bool(flags & IPV6), bits)
    return 0


def _refused(tunnel: Tunnel | None, size: int, flags: int) -> int:
    if tunnel is None or flags & ~(IPV6 | FLAGS):
        return -errno.EINVAL
    if tunnel.ipv6 != bool(flags & IPV6):
        return -errno.EPROTO
    return -errno.EINVAL if size not in SIZES or (size == REMOTE_IPV4_ONLY and tunnel.ipv6) else 0


@helper()
def skb_get_tunnel_key(run, ctx, key, size, flags):
    """What a program set comes back with the two ends exchanged: get reads as the receiver."""
    tunnel, size = skb_frame(run, ctx).headers.tunnel, size & 0xFFFF_FFFF
    if refused := _refused(tunnel, size, flags):
        run.memory.clear(key, size)
        return refused
    ext = (tunnel.flags & 0xFFFF).to_bytes(2, "big") if flags & FLAGS else bytes(2)
    data = b"".join((tunnel.id.to_bytes(4, "little"), tunnel.source.ljust(16, b"\0"), bytes([tunnel.tos, tunnel.ttl]),
                     ext, tunnel.label.to_bytes(4, "little"), tunnel.target.ljust(16, b"\0")))
    run.memory.write(key, data[:size])
    return 0


@helper()
def skb_set_tunnel_opt(run, ctx, options, size):
    tunnel, size = skb_frame(run, ctx).headers.tunnel, size & 0xFFFF_FFFF
    if tunnel is None or size % 4:
        return -errno.EINVAL
    if size > OPTIONS_MAX:
        return -errno.ENOMEM
    tunnel.options = run.memory.read(options, size)
    tunnel.flags |= OPTIONS_PRESENT
    return 0


@helper()
def skb_get_tunnel_opt(run, ctx, options, size):
    tunnel, size = skb_frame(run, ctx).headers.tunnel, size & 0xFFFF_FFFF
    refused = 0
    if tunnel is None or not tunnel.flags & OPTIONS_PRESENT:
        refused = -errno.ENOENT
    elif size < len(tunnel.options):
        refused = -errno.ENOMEM
    run.memory.clear(options, size)
    if refused:
        return refused
    run.memory.write(options, tunnel.options)
    return len(tunnel.options)
