"""What a program may return (``check_return_code``)."""

from __future__ import annotations

from . import precision
from .env import EINVAL, Env
from .value import SCALAR, type_name

#: program type -> range of r0 at exit by attach type; "" is any other
RANGES: dict[str, dict[str, tuple[int, int]]] = {
    "cgroup_sock": {"": (0, 1)}, "sock_ops": {"": (0, 1)}, "cgroup_device": {"": (0, 1)},
    "cgroup_sysctl": {"": (0, 1)}, "cgroup_sockopt": {"": (0, 1)}, "sk_lookup": {"": (0, 1)},
    "netfilter": {"": (0, 1)},
    "cgroup_skb": {"": (0, 1), "cgroup_inet_egress": (0, 3)},
    "cgroup_sock_addr": {
        "": (0, 1), "cgroup_inet4_bind": (0, 3), "cgroup_inet6_bind": (0, 3),
        **{f"cgroup_{family}": (1, 1) for family in (
            "udp4_recvmsg", "udp6_recvmsg", "unix_recvmsg", "inet4_getpeername", "inet6_getpeername",
            "unix_getpeername", "inet4_getsockname", "inet6_getsockname", "unix_getsockname")},
    },
    "kprobe": {"trace_kprobe_session": (0, 1), "trace_uprobe_session": (0, 1)},
}


def check_result(env: Env) -> None:
    """r0 is readable, and in the program type's range if it has one."""
    reg = env.source(0)
    table = RANGES.get(env.type)
    if table is None:
        return
    allowed = table.get(env.attach, table.get(""))
    if allowed is None:
        return
    if reg.type != SCALAR:
        raise env.reject(f"At program exit the register R0 is not a known value ({type_name(reg.type)})", EINVAL)
    precision.mark(env, 0)
    low, high = allowed
    n = reg.num
    if low <= n.smin and n.smax <= high:
        return
    raise env.reject(f"At program exit the register R0 has {invalid_range(n, low, high)}", EINVAL)


def invalid_range(n, low: int, high: int) -> str:
    """``smin=2 smax=2 should have been in [0, 1]`` (``verbose_invalid_scalar``)."""
    parts = []
    if n.smin > -(1 << 63):
        parts.append(f"smin={n.smin} ")
    if n.smax < (1 << 63) - 1:
        parts.append(f"smax={n.smax} ")
    if not parts:
        parts.append("unknown scalar value ")
    return "".join(parts) + f"should have been in [{low}, {high}]"
