"""Traffic control over rtnetlink: the clsact queueing discipline and BPF filters and actions on it.

The fixed part of these messages is struct tcmsg (include/uapi/linux/rtnetlink.h)::

     0      1    4          8        12        16     20
    +------+----+----------+--------+---------+------+
    |family| -- | ifindex  | handle | parent  | info |     info: priority << 16 | protocol (network order)
    +------+----+----------+--------+---------+------+
"""

from __future__ import annotations

import errno as E
import socket
import struct

from ..errors import KernelError
from .rtnetlink import ACK, CREATE, EXCL, attr, request, text

_NEWQDISC, _DELQDISC, _NEWTFILTER, _DELTFILTER = 36, 37, 44, 45
_KIND, _OPTIONS = 1, 2
_CLSACT, _CLSACT_HANDLE = 0xFFFF_FFF1, 0xFFFF_0000
_PARENT = {"ingress": 0xFFFF_FFF2, "egress": 0xFFFF_FFF3}
_BPF_FD, _BPF_NAME, _BPF_FLAGS, _DIRECT_ACTION = 6, 7, 8, 1            # TCA_BPF_*
_MATCHALL_ACT = 2                                                      # TCA_MATCHALL_ACT
_ACT_KIND, _ACT_OPTIONS, _ACT_PARMS, _ACT_FD, _ACT_NAME = 1, 2, 2, 5, 6  # TCA_ACT_*, TCA_ACT_BPF_*
_ACT_PIPE = 3
_ETH_P_ALL = 3


def _tcmsg(index: int, handle: int, parent: int, info: int = 0) -> bytes:
    return struct.pack("<BxxxiIII", socket.AF_UNSPEC, index, handle, parent, info)


def clsact(index: int) -> bool:
    """Give a device the clsact discipline; False if it has it already."""
    body = _tcmsg(index, _CLSACT_HANDLE, _CLSACT) + text(_KIND, "clsact")
    try:
        request(_NEWQDISC, ACK | CREATE | EXCL, body, "clsact")
    except KernelError as error:
        if error.errno == E.EEXIST:
            return False
        raise
    return True


def _absent_is_fine(type_: int, body: bytes, what: str) -> None:
    try:
        request(type_, ACK, body, what)
    except KernelError as error:
        if error.errno not in (E.ENOENT, E.EINVAL, E.ENODEV):
            raise


def remove_clsact(index: int) -> None:
    """Take clsact away, with every filter on it."""
    _absent_is_fine(_DELQDISC, _tcmsg(index, _CLSACT_HANDLE, _CLSACT), "clsact")


def _add(index: int, direction: str, priority: int, handle: int, kind: str, options: bytes) -> None:
    info = priority << 16 | socket.htons(_ETH_P_ALL)
    body = _tcmsg(index, handle, _PARENT[direction], info) + text(_KIND, kind) + attr(_OPTIONS, options)
    request(_NEWTFILTER, ACK | CREATE | EXCL, body, f"{kind} filter")


def add_filter(index: int, direction: str, priority: int, handle: int, fd: int, name: str) -> None:
    """A BPF classifier whose return value is the action."""
    _add(index, direction, priority, handle, "bpf", attr(_BPF_FD, struct.pack("<I", fd)) + text(_BPF_NAME, name)
         + attr(_BPF_FLAGS, struct.pack("<I", _DIRECT_ACTION)))


def add_action(index: int, direction: str, priority: int, handle: int, fd: int, name: str) -> None:
    """A filter that matches every packet, with a BPF action; TC_ACT_UNSPEC from the program means go on (pipe)."""
    # struct tc_act_bpf { u32 index, capab; int action, refcnt, bindcnt; }
    options = attr(_ACT_PARMS, struct.pack("<IIiii", 0, 0, _ACT_PIPE, 0, 0)) + \
        attr(_ACT_FD, struct.pack("<I", fd)) + text(_ACT_NAME, name)
    _add(index, direction, priority, handle, "matchall",
         attr(_MATCHALL_ACT, attr(1, text(_ACT_KIND, "bpf") + attr(_ACT_OPTIONS, options))))


add_filter.kind, add_action.kind = "bpf", "matchall"        # type: ignore[attr-defined]


def remove_filter(index: int, direction: str, priority: int, handle: int, kind: str) -> None:
    info = priority << 16 | socket.htons(_ETH_P_ALL)
    _absent_is_fine(_DELTFILTER, _tcmsg(index, handle, _PARENT[direction], info) + text(_KIND, kind), f"{kind} filter")
