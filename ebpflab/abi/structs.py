"""Layouts of the C structs that programs see as context or through a socket pointer (``include/uapi/linux/bpf.h``).

Written in a short form: names in order, ``*N`` an array of N, ``:N`` the size of one element in bytes (default 4),
``=N`` a fixed offset (for unions). Natural alignment as in C; a name starting with ``_`` is padding.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Member:
    """A member: ``offset`` and ``size`` in bytes (the whole array), ``unit`` the size of one element."""

    name: str
    offset: int
    size: int
    unit: int

    @property
    def end(self) -> int:
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct with its size in bytes; ``member(name)`` and ``at(offset)`` find members."""

    name: str
    size: int
    members: tuple[Member, ...]

    def member(self, name: str) -> Member:
        return next(m for m in self.members if m.name == name)

    def at(self, offset: int) -> Member | None:
        """The member that holds the byte at ``offset``, None for padding or outside."""
        return next((m for m in self.members if m.offset <= offset < m.end and not m.name.startswith("_")), None)


_WORD = re.compile(r"(\w+)(?:\*(\d+))?(?::(\d+))?(?:=(\d+))?$")


def _struct(name: str, text: str) -> Struct:
    members, end, align = [], 0, 1
    for word in text.split():
        label, count, unit, fixed = _WORD.match(word).groups()
        unit, count = int(unit or 4), int(count or 1)
        align = max(align, unit)
        offset = int(fixed) if fixed is not None else -(-end // unit) * unit
        members.append(Member(label, offset, unit * count, unit))
        end = max(end, offset + unit * count)
    return Struct(name, -(-end // align) * align, tuple(members))


_PT_REGS = "r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss"
_PT_REGS_64 = " ".join(f"{name}:8" for name in _PT_REGS.split())

STRUCTS = MappingProxyType({s.name: s for s in (
    _struct("__sk_buff", """
        len pkt_type mark queue_mapping protocol vlan_present vlan_tci vlan_proto priority ingress_ifindex ifindex
        tc_index cb*5 hash tc_classid data data_end napi_id family remote_ip4 local_ip4 remote_ip6*4 local_ip6*4
        remote_port local_port data_meta flow_keys:8 tstamp:8 wire_len gso_segs sk:8 gso_size tstamp_type:1 _pad*3:1
        hwtstamp:8"""),
    _struct("xdp_md", "data data_end data_meta ingress_ifindex rx_queue_index egress_ifindex"),
    _struct("pt_regs", _PT_REGS_64),    # x86_64: arch/x86/include/asm/ptrace.h
    _struct("bpf_perf_event_data", _PT_REGS_64 + " sample_period:8 addr:8"),
    _struct("bpf_raw_tracepoint_args", "args*12:8"),
    _struct("bpf_sock", """
        bound_dev_if family type protocol mark priority src_ip4 src_ip6*4 src_port dst_port:2 _pad:2 dst_ip4 dst_ip6*4
        state rx_queue_mapping"""),
    _struct("bpf_tcp_sock", """
        snd_cwnd srtt_us rtt_min snd_ssthresh rcv_nxt snd_nxt snd_una mss_cache ecn_flags rate_delivered
        rate_interval_us packets_out retrans_out total_retrans segs_in data_segs_in segs_out data_segs_out lost_out
        sacked_out bytes_received:8 bytes_acked:8 dsack_dups delivered delivered_ce icsk_retransmits"""),
    _struct("bpf_xdp_sock", "queue_id"),
    _struct("bpf_flow_keys", """
        nhoff:2 thoff:2 addr_proto:2 is_frag:1 is_first_frag:1 is_encap:1 ip_proto:1 n_proto:2 sport:2 dport:2
        ipv4_src ipv4_dst ipv6_src*4=16 ipv6_dst*4 flags flow_label"""),
    _struct("bpf_sock_ops", """
        op args*4 reply=4 replylong*4=4 family remote_ip4 local_ip4 remote_ip6*4 local_ip6*4 remote_port local_port
        is_fullsock snd_cwnd srtt_us bpf_sock_ops_cb_flags state rtt_min snd_ssthresh rcv_nxt snd_nxt snd_una mss_cache
        ecn_flags rate_delivered rate_interval_us packets_out retrans_out total_retrans segs_in data_segs_in segs_out
        data_segs_out lost_out sacked_out sk_txhash bytes_received:8 bytes_acked:8 sk:8 skb_data:8 skb_data_end:8
        skb_len skb_tcp_flags skb_hwtstamp:8"""),
    _struct("bpf_sock_addr", """
        user_family user_ip4 user_ip6*4 user_port family type protocol msg_src_ip4 msg_src_ip6*4 sk:8"""),
    _struct("sk_msg_md", """
        data:8 data_end:8 family remote_ip4 local_ip4 remote_ip6*4 local_ip6*4 remote_port local_port size sk:8"""),
    _struct("sk_reuseport_md", "data:8 data_end:8 len eth_protocol ip_protocol bind_inany hash sk:8 migrating_sk:8"),
    _struct("bpf_cgroup_dev_ctx", "access_type major minor"),
    _struct("bpf_sysctl", "write file_pos"),
    _struct("bpf_sockopt", "sk:8 optval:8 optval_end:8 level optname optlen retval"),
    _struct("bpf_sk_lookup", """
        sk:8 family protocol remote_ip4 remote_ip6*4 remote_port:2 _pad:2 local_ip4 local_ip6*4 local_port
        ingress_ifindex"""),
    _struct("bpf_nf_ctx", "state:8 skb:8"),
)})
