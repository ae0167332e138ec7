"""What a program may return: the range that the verifier asks of r0 at exit (``check_return_code``, Linux 6.18).

    returns("xdp")                                   -> None, any value
    returns("cgroup_skb", "cgroup_inet_egress")      -> (0, 3)
"""

from __future__ import annotations

from types import MappingProxyType

_ONE = (1, 1)
_BOOL = (0, 1)
_ZERO = (0, 0)
_ERRNO = (-4095, 0)

#: program type -> (smallest, largest) for all its attach types but those in BY_ATTACH; not listed: any value
BY_TYPE = MappingProxyType({
    "cgroup_skb": _BOOL, "cgroup_sock": _BOOL, "cgroup_sock_addr": _BOOL, "sock_ops": _BOOL, "cgroup_device": _BOOL,
    "cgroup_sysctl": _BOOL, "cgroup_sockopt": _BOOL, "sk_lookup": _BOOL, "netfilter": _BOOL,
    "lsm": _ERRNO,      # hooks that answer yes or no: (0, 1); without a result: any
})

#: (program type, attach type) -> range, None for any value
BY_ATTACH = MappingProxyType({
    ("cgroup_skb", "cgroup_inet_egress"): (0, 3),       # 2 and 3: congestion notification
    ("cgroup_sock_addr", "cgroup_inet4_bind"): (0, 3), ("cgroup_sock_addr", "cgroup_inet6_bind"): (0, 3),
    **{("cgroup_sock_addr", attach): _ONE for attach in (
        "cgroup_udp4_recvmsg", "cgroup_udp6_recvmsg", "cgroup_unix_recvmsg", "cgroup_inet4_getpeername",
        "cgroup_inet6_getpeername", "cgroup_unix_getpeername", "cgroup_inet4_getsockname",
        "cgroup_inet6_getsockname", "cgroup_unix_getsockname")},
    ("kprobe", "trace_kprobe_session"): _BOOL, ("kprobe", "trace_uprobe_session"): _BOOL,
    ("tracing", "trace_fentry"): _ZERO, ("tracing", "trace_fexit"): _ZERO, ("tracing", "trace_iter"): _BOOL,
    ("raw_tracepoint", "trace_raw_tp"): _ZERO,          # with a BTF target
    ("lsm", "lsm_cgroup"): _BOOL,
})


def returns(prog_type: str, attach: str = "") -> tuple[int, int] | None:
    """The signed range (smallest, largest) that r0 must lie in at exit; None if any value will do.

    ``attach`` is the expected attach type ("" for none).
    """
    if (prog_type, attach) in BY_ATTACH:
        return BY_ATTACH[prog_type, attach]
    return BY_TYPE.get(prog_type)
