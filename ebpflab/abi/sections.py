"""ELF section names and the program and attach types they stand for (libbpf's ``section_defs``)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SectionKind:
    """``prefix`` is the whole name, or what stands before a ``/`` when ``rest`` is True; ``sleepable`` for ``….s``."""

    prefix: str
    type: str
    attach_type: str = ""
    rest: bool = False
    sleepable: bool = False


def _both(prefix: str, type: str, attach_type: str = "") -> tuple[SectionKind, SectionKind]:
    return SectionKind(prefix, type, attach_type, True), SectionKind(prefix + ".s", type, attach_type, True, True)


_CGROUP = {
    "sock": ("cgroup_sock", "cgroup_inet_sock_create"), "sock_create": ("cgroup_sock", "cgroup_inet_sock_create"),
    "sock_release": ("cgroup_sock", "cgroup_inet_sock_release"),
    "post_bind4": ("cgroup_sock", "cgroup_inet4_post_bind"), "post_bind6": ("cgroup_sock", "cgroup_inet6_post_bind"),
    "dev": ("cgroup_device", "cgroup_device"), "skb": ("cgroup_skb", ""), "sysctl": ("cgroup_sysctl", "cgroup_sysctl"),
    "getsockopt": ("cgroup_sockopt", "cgroup_getsockopt"), "setsockopt": ("cgroup_sockopt", "cgroup_setsockopt"),
    **{f"{verb}{v}": ("cgroup_sock_addr", f"cgroup_inet{v}_{verb}")
       for v in "46" for verb in ("bind", "connect", "getpeername", "getsockname")},
    **{f"{verb}{v}": ("cgroup_sock_addr", f"cgroup_udp{v}_{verb}") for v in "46" for verb in ("sendmsg", "recvmsg")},
    **{f"{verb}_unix": ("cgroup_sock_addr", f"cgroup_unix_{verb}")
       for verb in ("connect", "sendmsg", "recvmsg", "getpeername", "getsockname")},
}

SECTIONS: tuple[SectionKind, ...] = (
    SectionKind("socket", "socket_filter", rest=True),
    SectionKind("sk_reuseport/migrate", "sk_reuseport", "sk_reuseport_select_or_migrate"),
    SectionKind("sk_reuseport", "sk_reuseport", "sk_reuseport_select"),
    *_both("kprobe", "kprobe"), *_both("kretprobe", "kprobe"),
    *_both("uprobe", "kprobe"), *_both("uretprobe", "kprobe"),
    *_both("kprobe.multi", "kprobe", "trace_kprobe_multi"), *_both("kretprobe.multi", "kprobe", "trace_kprobe_multi"),
    *_both("kprobe.session", "kprobe", "trace_kprobe_session"),
    *_both("uprobe.multi", "kprobe", "trace_uprobe_multi"), *_both("uretprobe.multi", "kprobe", "trace_uprobe_multi"),
    SectionKind("ksyscall", "kprobe", rest=True), SectionKind("kretsyscall", "kprobe", rest=True),
    *_both("usdt", "kprobe"),
    SectionKind("tc/ingress", "sched_cls", "tcx_ingress"), SectionKind("tc/egress", "sched_cls", "tcx_egress"),
    SectionKind("tcx/ingress", "sched_cls", "tcx_ingress"), SectionKind("tcx/egress", "sched_cls", "tcx_egress"),
    SectionKind("netkit/primary", "sched_cls", "netkit_primary"),
    SectionKind("netkit/peer", "sched_cls", "netkit_peer"),
    SectionKind("tc", "sched_cls", rest=True), SectionKind("classifier", "sched_cls", rest=True),
    SectionKind("action", "sched_act", rest=True),
    SectionKind("tracepoint", "tracepoint", rest=True), SectionKind("tp", "tracepoint", rest=True),
    SectionKind("raw_tracepoint.w", "raw_tracepoint_writable", rest=True),
    SectionKind("raw_tp.w", "raw_tracepoint_writable", rest=True),
    SectionKind("raw_tracepoint", "raw_tracepoint", rest=True), SectionKind("raw_tp", "raw_tracepoint", rest=True),
    SectionKind("tp_btf", "tracing", "trace_raw_tp", rest=True),
    *_both("fentry", "tracing", "trace_fentry"), *_both("fexit", "tracing", "trace_fexit"),
    *_both("fmod_ret", "tracing", "modify_return"), *_both("iter", "tracing", "trace_iter"),
    SectionKind("freplace", "ext", rest=True),
    *_both("lsm", "lsm", "lsm_mac"), SectionKind("lsm_cgroup", "lsm", "lsm_cgroup", rest=True),
    SectionKind("syscall", "syscall", sleepable=True),
    SectionKind("xdp.frags/devmap", "xdp", "xdp_devmap"), SectionKind("xdp/devmap", "xdp", "xdp_devmap"),
    SectionKind("xdp.frags/cpumap", "xdp", "xdp_cpumap"), SectionKind("xdp/cpumap", "xdp", "xdp_cpumap"),
    SectionKind("xdp.frags", "xdp", "xdp"), SectionKind("xdp", "xdp", "xdp", rest=True),
    SectionKind("perf_event", "perf_event", rest=True),
    SectionKind("lwt_in", "lwt_in", rest=True), SectionKind("lwt_out", "lwt_out", rest=True),
    SectionKind("lwt_xmit", "lwt_xmit", rest=True), SectionKind("lwt_seg6local", "lwt_seg6local", rest=True),
    SectionKind("sockops", "sock_ops", "cgroup_sock_ops"),
    SectionKind("sk_skb/stream_parser", "sk_skb", "sk_skb_stream_parser"),
    SectionKind("sk_skb/stream_verdict", "sk_skb", "sk_skb_stream_verdict"),
    SectionKind("sk_skb/verdict", "sk_skb", "sk_skb_verdict"), SectionKind("sk_skb", "sk_skb", rest=True),
    SectionKind("sk_msg", "sk_msg", "sk_msg_verdict"), SectionKind("lirc_mode2", "lirc_mode2", "lirc_mode2"),
    SectionKind("flow_dissector", "flow_dissector", "flow_dissector"),
    SectionKind("cgroup_skb/ingress", "cgroup_skb", "cgroup_inet_ingress"),
    SectionKind("cgroup_skb/egress", "cgroup_skb", "cgroup_inet_egress"),
    *(SectionKind(f"cgroup/{name}", type_, attach) for name, (type_, attach) in _CGROUP.items()),
    SectionKind("struct_ops", "struct_ops", rest=True),
    SectionKind("struct_ops.s", "struct_ops", rest=True, sleepable=True),
    SectionKind("sk_lookup", "sk_lookup", "sk_lookup"), SectionKind("netfilter", "netfilter", "netfilter"),
)


def kind_of(section: str) -> tuple[SectionKind, str] | None:
    """The row for a section name and what follows its prefix, None for a name that stands for nothing."""
    name = section.lstrip("?")  # libbpf: "?" only keeps a program from being loaded by itself
    for row in SECTIONS:
        if name == row.prefix:
            return row, ""
        if row.rest and name.startswith(row.prefix + "/"):
            return row, name[len(row.prefix) + 1:]
    return None
