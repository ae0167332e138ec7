"""Sockets: a filter on what one receives (since 3.19), and programs of a sockmap that move data between them.

``socket_filter``  SO_ATTACH_BPF; the program returns how many bytes of a packet the socket gets, 0 for none.
``sk_skb``, ``sk_msg``  act for every socket in a sockmap or sockhash: ``verdict`` on what one receives, ``parser``
                   says where a message ends, ``msg`` on what one sends. They go with the map (BPF_PROG_ATTACH).
"""

from __future__ import annotations

import socket as sockets
import struct

from .. import syscall
from ..explain import error
from ..links import Hook, Link, bad, choose

_SO_ATTACH_BPF, _SO_DETACH_BPF = 50, 27
_STAGES = {"parser": 4, "verdict": 5, "skb_verdict": 38}      # BPF_SK_SKB_STREAM_PARSER, _STREAM_VERDICT, _VERDICT
_MSG_VERDICT = 7
_SOCKMAPS = (15, 18)                                          # sockmap, sockhash


def _filter(program, where: dict) -> Link:
    made, found = Link(), where["socket"]
    try:
        found.inner.setsockopt(sockets.SOL_SOCKET, _SO_ATTACH_BPF, struct.pack("i", program.fd))
    except OSError as failed:
        raise error("setsockopt", failed.errno or 0, where="SO_ATTACH_BPF") from failed
    made.undo.callback(_off, found)
    return made


def _off(found) -> None:
    if found.fd >= 0:
        found.inner.setsockopt(sockets.SOL_SOCKET, _SO_DETACH_BPF, struct.pack("i", 0))


def _on_map(program, where: dict, attach_type: int) -> Link:
    if where["map"].type not in _SOCKMAPS:
        raise bad(f"{where['kind']} is attached to a sockmap or sockhash, {where['map'].name!r} is neither")
    made, fields = Link(), {"attach_bpf_fd": program.fd, "attach_type": attach_type}
    syscall.bpf("PROG_ATTACH", where=where["map"].name, target_fd=where["map"].fd, **fields)
    made.undo.callback(_off_map, where["map"], program, attach_type)
    return made


def _off_map(map, program, attach_type: int) -> None:
    if map.fd >= 0 and program.fd >= 0:                       # else it went with one of them
        syscall.bpf("PROG_DETACH", target_fd=map.fd, attach_bpf_fd=program.fd, attach_type=attach_type)


HOOKS = {
    "socket_filter": Hook("what a socket receives", ("socket_filter",), {"socket": "a socket of a lab network"},
                          _filter, subject="socket", needs=("socket",), since="3.19"),
    "sk_skb": Hook("what the sockets of a sockmap receive", ("sk_skb",),
                   {"map": "a sockmap or sockhash", "stage": "verdict, parser or skb_verdict"},
                   lambda program, where: _on_map(program, where, choose(where, "stage", _STAGES, "verdict")),
                   subject="map", needs=("map",), since="4.14"),
    "sk_msg": Hook("what the sockets of a sockmap send", ("sk_msg",), {"map": "a sockmap or sockhash"},
                   lambda program, where: _on_map(program, where, _MSG_VERDICT),
                   subject="map", needs=("map",), since="4.17"),
}
