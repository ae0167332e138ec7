"""What a program's return value means, by program type (include/uapi/linux: bpf.h, pkt_cls.h, netfilter.h)."""

from types import MappingProxyType

_TC = {0xFFFF_FFFF: "TC_ACT_UNSPEC", **dict(enumerate(
    "TC_ACT_OK TC_ACT_RECLASSIFY TC_ACT_SHOT TC_ACT_PIPE TC_ACT_STOLEN TC_ACT_QUEUED TC_ACT_REPEAT TC_ACT_REDIRECT "
    "TC_ACT_TRAP".split()))}
_SK = {0: "SK_DROP", 1: "SK_PASS"}
_GATE = {0: "deny", 1: "allow"}
_LWT = {0: "BPF_OK", 2: "BPF_DROP", 7: "BPF_REDIRECT", 128: "BPF_LWT_REROUTE"}

#: program type -> return value (unsigned 32 bit) -> name. Cgroup hooks have no constants: the kernel asks for 0 or 1.
VERDICTS = MappingProxyType({
    "xdp": dict(enumerate("XDP_ABORTED XDP_DROP XDP_PASS XDP_TX XDP_REDIRECT".split())),
    "sched_cls": _TC, "sched_act": _TC,
    "lwt_in": _LWT, "lwt_out": _LWT, "lwt_xmit": _LWT, "lwt_seg6local": _LWT,
    "sk_skb": _SK, "sk_msg": _SK, "sk_reuseport": _SK, "sk_lookup": _SK,
    "cgroup_skb": _GATE, "cgroup_sock": _GATE, "cgroup_device": _GATE, "cgroup_sock_addr": _GATE,
    "cgroup_sysctl": _GATE, "cgroup_sockopt": _GATE,
    "flow_dissector": {0: "BPF_OK", 2: "BPF_DROP", 129: "BPF_FLOW_DISSECTOR_CONTINUE"},
    "netfilter": {0: "NF_DROP", 1: "NF_ACCEPT"},
})


def verdict(type: str, retval: int) -> str:
    """The name of ``retval`` for this program type, "" if it has none.

    A socket filter returns how many bytes to keep: "drop" or "keep 64".
    """
    if type == "socket_filter":
        return f"keep {retval}" if retval else "drop"
    return VERDICTS.get(type, {}).get(retval, "")
