"""Control groups: what the processes and sockets of a cgroup v2 may do. Since 4.10, as a bpf_link since 5.7.

A program answers 1 to allow and 0 to refuse (EPERM), cgroup_skb 0 to drop.  Before 5.7 BPF_PROG_ATTACH is used;
the attachment then goes with the cgroup, which is ours.
"""

from __future__ import annotations

import errno as E
from functools import partial

from ...errors import KernelError
from .. import syscall
from ..links import Hook, Link, bpf_link, choose

_ALLOW_MULTI = 2
_SKB = {"ingress": 0, "egress": 1}
_SOCK = {"create": 2, "release": 34, "post_bind4": 12, "post_bind6": 13}
_ADDR = {"bind4": 8, "bind6": 9, "connect4": 10, "connect6": 11, "sendmsg4": 14, "sendmsg6": 15, "recvmsg4": 19,
         "recvmsg6": 20, "getpeername4": 29, "getpeername6": 30, "getsockname4": 31, "getsockname6": 32}
_SOCKOPT = {"get": 21, "set": 22}


def _make(option: str, table: dict, default: str, program, where: dict) -> Link:
    attach_type = choose(where, option, table, default) if option else table[default]
    group = where["cgroup"]
    try:
        return bpf_link(program, attach_type, group.fd, where)
    except KernelError as error:
        if error.errno != E.EINVAL or syscall.version() >= (5, 7, 0):
            raise
    syscall.bpf("PROG_ATTACH", where=where["kind"], target_fd=group.fd, attach_bpf_fd=program.fd,
                attach_type=attach_type, attach_flags=_ALLOW_MULTI)
    made = Link()
    made.undo.callback(_off, group, program, attach_type)
    return made


def _off(group, program, attach_type: int) -> None:
    if group.fd >= 0 and program.fd >= 0:
        syscall.bpf("PROG_DETACH", target_fd=group.fd, attach_bpf_fd=program.fd, attach_type=attach_type)


def _hook(about: str, since: str, option: str, table: dict, default: str, type_: str) -> Hook:
    options = {"cgroup": "a cgroup of the target's", **({option: ", ".join(table)} if option else {})}
    return Hook(about, (type_,), options, partial(_make, option, table, default), subject="cgroup",
                needs=("cgroup",), since=since)


HOOKS = {
    "cgroup_skb": _hook("packets of a cgroup's sockets", "4.10", "direction", _SKB, "ingress", "cgroup_skb"),
    "cgroup_sock": _hook("sockets that a cgroup's processes make", "4.10", "event", _SOCK, "create", "cgroup_sock"),
    "cgroup_device": _hook("device files that a cgroup's processes open or make", "4.15", "", {"": 6}, "",
                           "cgroup_device"),
    "sock_ops": _hook("the life of a cgroup's TCP connections", "4.13", "", {"": 3}, "", "sock_ops"),
    "cgroup_sock_addr": _hook("addresses that a cgroup's sockets use", "4.17", "event", _ADDR, "connect4",
                              "cgroup_sock_addr"),
    "cgroup_sysctl": _hook("sysctls that a cgroup's processes read or write", "5.2", "", {"": 18}, "",
                           "cgroup_sysctl"),
    "cgroup_sockopt": _hook("socket options of a cgroup's processes", "5.3", "event", _SOCKOPT, "get",
                            "cgroup_sockopt"),
}
