"""Lightweight tunnels: packets that take one route. Since 4.10; ``seg6local`` since 4.18.

The program belongs to a route in a lab network: ``to`` is the network, ``via`` the neighbour that packets go to::

    ip route add 10.99.0.0/24 encap bpf out … via 10.77.0.2 dev lab0

``lwt_in`` sees packets that come in and are routed on, so forwarding is switched on in that namespace.
``lwt_seg6local`` sees IPv6 packets whose segment (``to``) ends here: action End.BPF.
"""

from __future__ import annotations

import struct
from functools import partial
from pathlib import Path

from ..links import Hook, Link, inside, undo, whole
from ..rtnetlink import NESTED, attr, route, text

_BPF, _SEG6_LOCAL = 6, 7                                   # enum lwtunnel_encap_types
_HEADROOM = 4                                              # LWT_BPF_XMIT_HEADROOM
_POINTS = {"lwt_in": 1, "lwt_out": 2, "lwt_xmit": 3}       # LWT_BPF_IN, _OUT, _XMIT
_ACTION, _SEG6_BPF, _END_BPF = 1, 8, 15                    # SEG6_LOCAL_ACTION, SEG6_LOCAL_BPF, …_ACTION_END_BPF


def _program(program) -> bytes:
    return attr(1, struct.pack("<I", program.fd)) + text(2, program.name or "bpf")   # …_PROG_FD (_PROG), …_PROG_NAME


def forward(family: str) -> None:
    """Let this thread's namespace pass packets on."""
    name = "ipv4/ip_forward" if family == "4" else "ipv6/conf/all/forwarding"
    Path("/proc/sys/net", name).write_text("1")


def _encap(point: int, program, where: dict) -> tuple[int, bytes]:
    body = attr(point | NESTED, _program(program))
    if where["kind"] == "lwt_xmit" and (room := whole(where, "headroom", 0, 0, 256)):
        body += attr(_HEADROOM, struct.pack("<I", room))
    return _BPF, body


def _seg6(program, where: dict) -> tuple[int, bytes]:
    return _SEG6_LOCAL, attr(_ACTION, struct.pack("<I", _END_BPF)) + attr(_SEG6_BPF | NESTED, _program(program))


def _make(encap, program, where: dict) -> Link:
    to, dev, via = where["to"], where.get("dev", ""), where.get("via", "")

    def put() -> None:
        if where["kind"] in ("lwt_in", "lwt_seg6local"):
            forward("6" if ":" in to else "4")
        route(to, dev, via, encap(program, where))

    inside(where, put)
    made = Link()
    made.undo.callback(undo, where, partial(route, to, dev, via, add=False))
    return made


_OPTIONS = {"net": "a lab network with addresses", "dev": "its device", "to": "a network, as 10.99.0.0/24",
            "via": "the next hop, as 10.77.0.2"}
_ABOUT = {"lwt_in": "packets that come in for a route", "lwt_out": "packets that leave by a route, before the "
          "neighbour is known", "lwt_xmit": "packets that leave by a route, just before the device"}
HOOKS = {
    **{name: Hook(_ABOUT[name], (name,), {**_OPTIONS, **({"headroom": "bytes to keep free in front"}
                                                         if name == "lwt_xmit" else {})},
                  partial(_make, partial(_encap, point)), subject="net", needs=("net", "to"), since="4.10")
       for name, point in _POINTS.items()},
    "lwt_seg6local": Hook("IPv6 packets whose segment ends here", ("lwt_seg6local",), _OPTIONS, partial(_make, _seg6),
                          subject="net", needs=("net", "to"), since="4.18"),
}
