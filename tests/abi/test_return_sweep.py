"""The range of r0 at exit, asked of the running kernel and of the table."""

import pytest

from ebpflab.abi import ATTACH_TYPES
from ebpflab.abi.prog_types import BY_NAME
from ebpflab.abi.returns import returns
from ebpflab.isa import Insn

from .loader import load, release, why_not

NEEDS_BTF = {"tracing", "struct_ops", "lsm", "ext"}
ATTACH = {
    "kprobe": ("", "trace_kprobe_multi", "trace_kprobe_session", "trace_uprobe_multi", "trace_uprobe_session"),
    "cgroup_sock": ("cgroup_inet_sock_create", "cgroup_inet4_post_bind", "cgroup_inet_sock_release"),
    "cgroup_sock_addr": tuple(name for name in ATTACH_TYPES if name.startswith((
        "cgroup_inet4_", "cgroup_inet6_", "cgroup_udp", "cgroup_unix")) and not name.endswith("post_bind")),
    "cgroup_sockopt": ("cgroup_getsockopt", "cgroup_setsockopt"),
    "cgroup_skb": ("cgroup_inet_ingress", "cgroup_inet_egress"),
    "sk_lookup": ("sk_lookup",), "netfilter": ("netfilter",), "xdp": ("", "xdp_devmap"),
    "sk_reuseport": ("sk_reuseport_select",),
}
FLAGS = {"syscall": 0x10}
OPTIONAL = {"lirc_mode2"}
CASES = [(name, attach) for name in BY_NAME if name not in NEEDS_BTF for attach in ATTACH.get(name, ("",))]
VALUES = (-4096, -1, 0, 1, 2, 3, 4, 77)

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize(("name", "attach"), CASES, ids=[f"{n}-{a}" if a else n for n, a in CASES])
def test_range_of_r0(name, attach):
    if why_not():
        pytest.skip(why_not())
    if release() < (6, 18):
        pytest.skip("the table holds the facts of Linux 6.18, this kernel is older")

    def kernel(value: int) -> bool:
        return load(BY_NAME[name].number, [Insn(0xB7, 0, 0, 0, value), Insn(0x95)], ATTACH_TYPES.get(attach, 0),
                    flags=FLAGS.get(name, 0))[0] == 0

    if not any(map(kernel, VALUES)) and name in OPTIONAL:
        pytest.skip(f"this kernel has no {name} programs")
    span = returns(name, attach)
    assert [kernel(v) for v in VALUES] == [span is None or span[0] <= v <= span[1] for v in VALUES]
