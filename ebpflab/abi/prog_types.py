"""Program types: the kernel's number, since when, what context they get, how they are run."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class ProgType:
    """One row of ``enum bpf_prog_type``.

    name      ours and the kernel's lower-case name without ``BPF_PROG_TYPE_``
    number    value of the enum
    since     first Linux release
    context   C struct behind r1, "" if there is none that programs see
    test_run  does BPF_PROG_TEST_RUN execute it (kernel 6.18)
    sections  ELF section prefixes that libbpf gives this type
    """

    name: str
    number: int
    since: str
    context: str
    test_run: bool
    sections: tuple[str, ...] = ()


PROG_TYPES: tuple[ProgType, ...] = (
    ProgType("socket_filter", 1, "3.19", "__sk_buff", True, ("socket",)),
    ProgType("kprobe", 2, "4.1", "pt_regs", False, ("kprobe", "kretprobe", "uprobe", "uretprobe", "usdt")),
    ProgType("sched_cls", 3, "4.1", "__sk_buff", True, ("tc", "tcx", "classifier")),
    ProgType("sched_act", 4, "4.1", "__sk_buff", True, ("action",)),
    ProgType("tracepoint", 5, "4.7", "", False, ("tracepoint", "tp")),
    ProgType("xdp", 6, "4.8", "xdp_md", True, ("xdp",)),
    ProgType("perf_event", 7, "4.9", "bpf_perf_event_data", False, ("perf_event",)),
    ProgType("cgroup_skb", 8, "4.10", "__sk_buff", True, ("cgroup_skb", "cgroup/skb")),
    ProgType("cgroup_sock", 9, "4.10", "bpf_sock", False, ("cgroup/sock", "cgroup/post_bind")),
    ProgType("lwt_in", 10, "4.10", "__sk_buff", True, ("lwt_in",)),
    ProgType("lwt_out", 11, "4.10", "__sk_buff", True, ("lwt_out",)),
    ProgType("lwt_xmit", 12, "4.10", "__sk_buff", True, ("lwt_xmit",)),
    ProgType("sock_ops", 13, "4.13", "bpf_sock_ops", False, ("sockops",)),
    ProgType("sk_skb", 14, "4.14", "__sk_buff", False, ("sk_skb",)),
    ProgType("cgroup_device", 15, "4.15", "bpf_cgroup_dev_ctx", False, ("cgroup/dev",)),
    ProgType("sk_msg", 16, "4.17", "sk_msg_md", False, ("sk_msg",)),
    ProgType("raw_tracepoint", 17, "4.17", "bpf_raw_tracepoint_args", True, ("raw_tracepoint", "raw_tp")),
    ProgType("cgroup_sock_addr", 18, "4.17", "bpf_sock_addr", False, ("cgroup/bind", "cgroup/connect")),
    ProgType("lwt_seg6local", 19, "4.18", "__sk_buff", False, ("lwt_seg6local",)),
    ProgType("lirc_mode2", 20, "4.18", "", False, ("lirc_mode2",)),
    ProgType("sk_reuseport", 21, "4.19", "sk_reuseport_md", False, ("sk_reuseport",)),
    ProgType("flow_dissector", 22, "4.20", "__sk_buff", True, ("flow_dissector",)),
    ProgType("cgroup_sysctl", 23, "5.2", "bpf_sysctl", False, ("cgroup/sysctl",)),
    ProgType("raw_tracepoint_writable", 24, "5.2", "bpf_raw_tracepoint_args", True, ("raw_tp.w",)),
    ProgType("cgroup_sockopt", 25, "5.3", "bpf_sockopt", False, ("cgroup/getsockopt", "cgroup/setsockopt")),
    ProgType("tracing", 26, "5.5", "", True, ("fentry", "fexit", "fmod_ret", "iter", "tp_btf")),
    ProgType("struct_ops", 27, "5.6", "", False, ("struct_ops",)),
    ProgType("ext", 28, "5.6", "", False, ("freplace",)),
    ProgType("lsm", 29, "5.7", "", False, ("lsm",)),
    ProgType("sk_lookup", 30, "5.9", "bpf_sk_lookup", True, ("sk_lookup",)),
    ProgType("syscall", 31, "5.14", "", True, ("syscall",)),
    ProgType("netfilter", 32, "6.4", "bpf_nf_ctx", True, ("netfilter",)),
)
BY_NAME = MappingProxyType({row.name: row for row in PROG_TYPES})
BY_NUMBER = MappingProxyType({row.number: row for row in PROG_TYPES})
