"""Which program types may call which helpers: the ``*_func_proto`` functions of Linux 6.18.

A helper may still be refused for the attach type (``NO_RETVAL``, ``ONLY``) or be compiled out (``CONFIGURED``).
"""

from types import MappingProxyType

from .helper_ids import HELPER_IDS

# bpf_base_func_proto
BASE = frozenset("""
map_lookup_elem map_update_elem map_delete_elem ktime_get_ns trace_printk get_prandom_u32 get_smp_processor_id
tail_call get_current_pid_tgid get_current_uid_gid get_current_comm get_cgroup_classid perf_event_read
get_current_task current_task_under_cgroup get_numa_node_id perf_event_read_value get_current_cgroup_id
map_push_elem map_pop_elem map_peek_elem spin_lock spin_unlock strtol strtoul send_signal probe_read_user
probe_read_kernel probe_read_user_str probe_read_kernel_str send_signal_thread jiffies64 get_ns_current_pid_tgid
get_current_ancestor_cgroup_id ktime_get_boot_ns ringbuf_output ringbuf_reserve ringbuf_submit ringbuf_discard
ringbuf_query get_task_stack copy_from_user snprintf_btf per_cpu_ptr this_cpu_ptr task_storage_get
task_storage_delete get_current_task_btf for_each_map_elem snprintf timer_init timer_set_callback timer_start
timer_cancel task_pt_regs get_branch_snapshot trace_vprintk find_vma loop strncmp copy_from_user_task kptr_xchg
map_lookup_percpu_elem dynptr_from_mem ringbuf_reserve_dynptr ringbuf_submit_dynptr ringbuf_discard_dynptr
dynptr_read dynptr_write dynptr_data ktime_get_tai_ns user_ringbuf_drain cgrp_storage_get cgrp_storage_delete
""".split())

_SOCKET_CASTS = frozenset(name for name in HELPER_IDS if name.startswith("skc_to_"))
_COARSE = frozenset({"ktime_get_coarse_ns"})
_SK = BASE | _SOCKET_CASTS | _COARSE                                            # bpf_sk_base_func_proto
_CGROUP = BASE | {"get_local_storage", "get_retval", "set_retval", "perf_event_output"}     # cgroup_common_func_proto
_TRACING = BASE | {"get_func_ip", "probe_read", "probe_read_str", "probe_write_user"}       # bpf_tracing_func_proto
_STACKS = _TRACING | {"perf_event_output", "get_stackid", "get_stack", "get_attach_cookie"}

_FIND_SOCKET = frozenset("sk_lookup_tcp sk_lookup_udp sk_release skc_lookup_tcp".split())
_SYNCOOKIES = frozenset("""
tcp_check_syncookie tcp_gen_syncookie tcp_raw_gen_syncookie_ipv4 tcp_raw_gen_syncookie_ipv6
tcp_raw_check_syncookie_ipv4 tcp_raw_check_syncookie_ipv6
""".split())
_SK_STORAGE = frozenset({"sk_storage_get", "sk_storage_delete"})
_SOCKOPTS = frozenset({"setsockopt", "getsockopt"})
_READ_PACKET = frozenset("""
perf_event_output skb_load_bytes skb_load_bytes_relative get_socket_cookie get_socket_uid get_netns_cookie
""".split())
_CHANGE_PACKET = frozenset("""
skb_store_bytes l3_csum_replace l4_csum_replace clone_redirect redirect csum_update csum_level set_hash_invalid
skb_change_head skb_change_tail skb_get_tunnel_key skb_set_tunnel_key skb_get_tunnel_opt skb_set_tunnel_opt
""".split())
_ROUTED = frozenset("get_route_realm csum_diff skb_under_cgroup get_hash_recalc skb_pull_data".split())

_LWT = _SK | _ROUTED | {"perf_event_output", "skb_load_bytes"}
_SCHED = _SK | _READ_PACKET | _CHANGE_PACKET | _ROUTED | _FIND_SOCKET | _SYNCOOKIES | _SK_STORAGE | frozenset("""
skb_vlan_push skb_vlan_pop skb_change_proto skb_change_type set_hash skb_adjust_room skb_get_xfrm_state fib_lookup
skb_cgroup_id skb_ancestor_cgroup_id sk_fullsock tcp_sock skb_ecn_set_ce get_listener_sock sk_assign
skb_cgroup_classid redirect_neigh redirect_peer check_mtu skb_set_tstamp
""".split())
_BTF_TRACING = _STACKS | _SOCKET_CASTS | _SK_STORAGE | frozenset("""
get_socket_cookie skb_output xdp_output seq_printf seq_write d_path seq_printf_btf sock_from_file get_func_arg
get_func_ret get_func_arg_cnt xdp_get_buff_len
""".split())

ALLOWED = MappingProxyType({
    "socket_filter": _SK | _READ_PACKET,
    "kprobe": _STACKS | {"override_return"},
    "sched_cls": _SCHED, "sched_act": _SCHED,
    "tracepoint": _STACKS,
    "xdp": _SK | _FIND_SOCKET | _SYNCOOKIES | frozenset("""
        redirect perf_event_output csum_diff xdp_adjust_head redirect_map xdp_adjust_meta xdp_adjust_tail fib_lookup
        check_mtu xdp_get_buff_len xdp_load_bytes xdp_store_bytes""".split()),
    "perf_event": _STACKS | {"perf_prog_read_value", "read_branch_records"},
    "cgroup_skb": _SK | _CGROUP | _READ_PACKET | _FIND_SOCKET | _SK_STORAGE | frozenset("""
        skb_cgroup_id skb_ancestor_cgroup_id sk_fullsock tcp_sock skb_ecn_set_ce get_listener_sock sk_cgroup_id
        sk_ancestor_cgroup_id""".split()),
    "cgroup_sock": _CGROUP | _COARSE | {"get_socket_cookie", "sk_storage_get", "get_netns_cookie"},
    "lwt_in": _LWT | {"lwt_push_encap"},
    "lwt_out": _LWT,
    "lwt_xmit": _LWT | _CHANGE_PACKET | {"lwt_push_encap"},
    "sock_ops": _SK | _CGROUP | _SOCKOPTS | _SK_STORAGE | frozenset("""
        get_socket_cookie sock_map_update sock_ops_cb_flags_set sock_hash_update tcp_sock get_netns_cookie
        load_hdr_opt store_hdr_opt reserve_hdr_opt""".split()),
    "sk_skb": _SK | _FIND_SOCKET | frozenset("""
        skb_store_bytes perf_event_output skb_load_bytes skb_change_tail skb_pull_data skb_change_head
        get_socket_cookie get_socket_uid skb_adjust_room sk_redirect_map sk_redirect_hash""".split()),
    "cgroup_device": _CGROUP,
    "sk_msg": _SK | _SK_STORAGE | frozenset("""
        perf_event_output msg_redirect_map msg_apply_bytes msg_cork_bytes msg_pull_data msg_redirect_hash
        msg_push_data msg_pop_data get_netns_cookie""".split()),
    "raw_tracepoint": _STACKS, "raw_tracepoint_writable": _STACKS,
    "cgroup_sock_addr": _SK | _CGROUP | _SOCKOPTS | _FIND_SOCKET | _SK_STORAGE | {
        "get_socket_cookie", "bind", "get_netns_cookie"},
    "lwt_seg6local": _LWT | {"lwt_seg6_store_bytes", "lwt_seg6_adjust_srh", "lwt_seg6_action"},
    "lirc_mode2": frozenset("""
        rc_repeat rc_keydown rc_pointer_rel map_lookup_elem map_update_elem map_delete_elem map_push_elem map_pop_elem
        map_peek_elem ktime_get_ns ktime_get_boot_ns tail_call get_prandom_u32 trace_printk""".split()),
    "sk_reuseport": BASE | _COARSE | frozenset("""
        skb_load_bytes skb_load_bytes_relative get_socket_cookie sk_select_reuseport""".split()),
    "flow_dissector": _SK | {"skb_load_bytes"},
    "cgroup_sysctl": _CGROUP | _COARSE | frozenset("""
        sysctl_get_name sysctl_get_current_value sysctl_get_new_value sysctl_set_new_value""".split()),
    "cgroup_sockopt": _CGROUP | _SOCKOPTS | _SK_STORAGE | {"tcp_sock", "get_netns_cookie"},
    "tracing": _BTF_TRACING,
    "struct_ops": BASE | {"tcp_send_ack"},
    "lsm": _BTF_TRACING | _SOCKOPTS | frozenset("""
        inode_storage_get inode_storage_delete bprm_opts_set ima_inode_hash ima_file_hash get_local_storage
        get_retval set_retval""".split()),
    "sk_lookup": _SK | {"perf_event_output", "sk_release", "sk_assign"},
    "syscall": (_BTF_TRACING | {"sys_bpf", "btf_find_by_name_kind", "sys_close", "kallsyms_lookup_name"}) - {
        "seq_printf", "seq_write", "seq_printf_btf", "get_func_arg", "get_func_ret", "get_func_arg_cnt",
        "get_attach_cookie"},
    "netfilter": BASE,
})

_NAMES = ("getpeername", "getsockname")
#: attach types in which a system call's return value is out of reach (``cgroup_common_func_proto``)
NO_RETVAL = frozenset({
    "cgroup_inet_ingress", "cgroup_inet_egress", "cgroup_sock_ops", "cgroup_udp4_recvmsg", "cgroup_udp6_recvmsg",
    "cgroup_unix_recvmsg", *(f"cgroup_{family}_{what}" for family in ("inet4", "inet6", "unix") for what in _NAMES)})
#: (program type, helper) -> the only attach types that may call it
ONLY = MappingProxyType({
    ("cgroup_sock_addr", "bind"): frozenset({"cgroup_inet4_connect", "cgroup_inet6_connect"}),
    ("cgroup_sockopt", "setsockopt"): frozenset({"cgroup_setsockopt"}),
    ("cgroup_sockopt", "getsockopt"): frozenset({"cgroup_setsockopt"}),
})
#: helpers that a kernel may lack: why
CONFIGURED = MappingProxyType({
    "override_return": "needs CONFIG_BPF_KPROBE_OVERRIDE",
    "probe_write_user": "needs a kernel that is not locked down",
    "tcp_send_ack": "needs a congestion control program",
})
