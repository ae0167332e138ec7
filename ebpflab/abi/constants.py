"""Named numbers for programs: return values, flags, protocols (include/uapi/linux: bpf.h, pkt_cls.h, if_ether.h, in.h).

``CONSTANTS`` has every name; ``names(type)`` those that a program of one type is likely to use, for completion.
"""

from __future__ import annotations

from types import MappingProxyType

from .structs import STRUCTS
from .verdicts import VERDICTS


def _count(text: str, start: int = 0) -> dict[str, int]:
    return {name: number for number, name in enumerate(text.split(), start)}


def _bits(text: str, start: int = 0) -> dict[str, int]:
    return {name: 1 << number for number, name in enumerate(text.split(), start)}


_MAPS = {
    **_count("BPF_ANY BPF_NOEXIST BPF_EXIST"), "BPF_F_LOCK": 4,
    **_bits("BPF_F_NO_PREALLOC BPF_F_NO_COMMON_LRU BPF_F_NUMA_NODE BPF_F_RDONLY BPF_F_WRONLY BPF_F_STACK_BUILD_ID "
            "BPF_F_ZERO_SEED BPF_F_RDONLY_PROG BPF_F_WRONLY_PROG BPF_F_CLONE BPF_F_MMAPABLE BPF_F_PRESERVE_ELEMS "
            "BPF_F_INNER_MAP BPF_F_LINK BPF_F_PATH_FD BPF_F_VTYPE_BTF_OBJ_FD BPF_F_TOKEN_FD BPF_F_SEGV_ON_FAULT "
            "BPF_F_NO_USER_CONV"),
    "BPF_LOCAL_STORAGE_GET_F_CREATE": 1, "BPF_F_TIMER_ABS": 1, "BPF_F_TIMER_CPU_PIN": 2,
    "BPF_F_INDEX_MASK": 0xFFFF_FFFF, "BPF_F_CURRENT_CPU": 0xFFFF_FFFF,
    "BPF_RB_NO_WAKEUP": 1, "BPF_RB_FORCE_WAKEUP": 2, **_count("BPF_RB_AVAIL_DATA BPF_RB_RING_SIZE BPF_RB_CONS_POS "
                                                             "BPF_RB_PROD_POS"),
}
_CLOCK = {"CLOCK_REALTIME": 0, "CLOCK_MONOTONIC": 1, "CLOCK_BOOTTIME": 7}
_PACKET = {
    "ETH_ALEN": 6, "ETH_HLEN": 14, "ETH_P_IP": 0x0800, "ETH_P_ARP": 0x0806, "ETH_P_8021Q": 0x8100,
    "ETH_P_IPV6": 0x86DD, "ETH_P_8021AD": 0x88A8, "ETH_P_MPLS_UC": 0x8847, "ETH_P_LLDP": 0x88CC,
    "IPPROTO_ICMP": 1, "IPPROTO_IGMP": 2, "IPPROTO_IPIP": 4, "IPPROTO_TCP": 6, "IPPROTO_UDP": 17, "IPPROTO_IPV6": 41,
    "IPPROTO_GRE": 47, "IPPROTO_ICMPV6": 58, "IPPROTO_SCTP": 132,
    "AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "SOCK_STREAM": 1, "SOCK_DGRAM": 2, "SOCK_RAW": 3,
}
_SKB = {
    **_bits("BPF_F_RECOMPUTE_CSUM BPF_F_INVALIDATE_HASH"), "BPF_F_HDR_FIELD_MASK": 0xF, "BPF_F_PSEUDO_HDR": 1 << 4,
    "BPF_F_MARK_MANGLED_0": 1 << 5, "BPF_F_MARK_ENFORCE": 1 << 6, "BPF_F_INGRESS": 1, "BPF_F_BROADCAST": 1 << 3,
    "BPF_F_EXCLUDE_INGRESS": 1 << 4, "BPF_F_TUNINFO_IPV6": 1, "BPF_F_ZERO_CSUM_TX": 2,
    "BPF_F_DONT_FRAGMENT": 4, "BPF_F_SEQ_NUMBER": 8,
    **_count("BPF_ADJ_ROOM_NET BPF_ADJ_ROOM_MAC"), **_count("BPF_HDR_START_MAC BPF_HDR_START_NET"),
}
_FIB = {**_bits("BPF_FIB_LOOKUP_DIRECT BPF_FIB_LOOKUP_OUTPUT BPF_FIB_LOOKUP_SKIP_NEIGH BPF_FIB_LOOKUP_TBID "
                "BPF_FIB_LOOKUP_SRC BPF_FIB_LOOKUP_MARK"),
        **_count("BPF_FIB_LKUP_RET_SUCCESS BPF_FIB_LKUP_RET_BLACKHOLE BPF_FIB_LKUP_RET_UNREACHABLE "
                 "BPF_FIB_LKUP_RET_PROHIBIT BPF_FIB_LKUP_RET_NOT_FWDED BPF_FIB_LKUP_RET_FWD_DISABLED "
                 "BPF_FIB_LKUP_RET_UNSUPP_LWT BPF_FIB_LKUP_RET_NO_NEIGH BPF_FIB_LKUP_RET_FRAG_NEEDED")}
_TRACE = {"BPF_F_SKIP_FIELD_MASK": 0xFF, "BPF_F_USER_STACK": 1 << 8, "BPF_F_FAST_STACK_CMP": 1 << 9,
          "BPF_F_REUSE_STACKID": 1 << 10, "BPF_F_USER_BUILD_ID": 1 << 11}
_SOCK_OPS = {
    **_count("BPF_SOCK_OPS_VOID BPF_SOCK_OPS_TIMEOUT_INIT BPF_SOCK_OPS_RWND_INIT BPF_SOCK_OPS_TCP_CONNECT_CB "
             "BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB BPF_SOCK_OPS_NEEDS_ECN "
             "BPF_SOCK_OPS_BASE_RTT BPF_SOCK_OPS_RTO_CB BPF_SOCK_OPS_RETRANS_CB BPF_SOCK_OPS_STATE_CB "
             "BPF_SOCK_OPS_TCP_LISTEN_CB BPF_SOCK_OPS_RTT_CB BPF_SOCK_OPS_PARSE_HDR_OPT_CB "
             "BPF_SOCK_OPS_HDR_OPT_LEN_CB BPF_SOCK_OPS_WRITE_HDR_OPT_CB"),
    **_bits("BPF_SOCK_OPS_RTO_CB_FLAG BPF_SOCK_OPS_RETRANS_CB_FLAG BPF_SOCK_OPS_STATE_CB_FLAG "
            "BPF_SOCK_OPS_RTT_CB_FLAG BPF_SOCK_OPS_PARSE_ALL_HDR_OPT_CB_FLAG "
            "BPF_SOCK_OPS_PARSE_UNKNOWN_HDR_OPT_CB_FLAG BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG"),
    **_count("BPF_TCP_ESTABLISHED BPF_TCP_SYN_SENT BPF_TCP_SYN_RECV BPF_TCP_FIN_WAIT1 BPF_TCP_FIN_WAIT2 "
             "BPF_TCP_TIME_WAIT BPF_TCP_CLOSE BPF_TCP_CLOSE_WAIT BPF_TCP_LAST_ACK BPF_TCP_LISTEN BPF_TCP_CLOSING "
             "BPF_TCP_NEW_SYN_RECV", 1),
}
_DEVICE = {**_bits("BPF_DEVCG_ACC_MKNOD BPF_DEVCG_ACC_READ BPF_DEVCG_ACC_WRITE"),
           **_bits("BPF_DEVCG_DEV_BLOCK BPF_DEVCG_DEV_CHAR")}
_LWT = _count("BPF_LWT_ENCAP_SEG6 BPF_LWT_ENCAP_SEG6_INLINE BPF_LWT_ENCAP_IP")
_COMMON = {**_MAPS, **_CLOCK}
_FAMILIES = (
    (("xdp",), {**_PACKET, **_FIB}),
    (("socket_filter", "cgroup_skb", "flow_dissector", "netfilter"), _PACKET),
    (("sched_cls", "sched_act"), {**_PACKET, **_SKB, **_FIB}),
    (("sk_skb", "sk_msg", "sk_lookup", "sk_reuseport"), {**_PACKET, **_SKB}),
    (("lwt_in", "lwt_out", "lwt_xmit", "lwt_seg6local"), {**_PACKET, **_SKB, **_LWT}),
    (("kprobe", "tracepoint", "perf_event", "raw_tracepoint", "raw_tracepoint_writable", "tracing", "lsm"), _TRACE),
    (("sock_ops",), {**_PACKET, **_SOCK_OPS}),
    (("cgroup_sock", "cgroup_sock_addr", "cgroup_sockopt"), _PACKET),
    (("cgroup_device",), _DEVICE),
)
_VERDICTS = {
    type_: {name: number - (1 << 32 if number >> 31 else 0) for number, name in table.items() if name.isupper()}
    for type_, table in VERDICTS.items()
}
_OFFSETS = {f"{struct.name}.{member.name}": member.offset
            for struct in STRUCTS.values() for member in struct.members if not member.name.startswith("_")}


def names(type: str) -> dict[str, int]:
    """Constants for programs of one type, its return values first; ``struct.member`` names are offsets in bytes."""
    found = {**_VERDICTS.get(type, {}), **_COMMON}
    for types, table in _FAMILIES:
        if type in types:
            found |= table
    return found


#: every name -> number; ``xdp_md.data`` and the like are offsets of context members in bytes
CONSTANTS = MappingProxyType({
    **_COMMON, **{name: value for _, table in _FAMILIES for name, value in table.items()},
    **{name: value for table in _VERDICTS.values() for name, value in table.items()}, **_OFFSETS,
})
