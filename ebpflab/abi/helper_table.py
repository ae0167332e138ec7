"""Prototypes of the helpers, facts of Linux 6.18 (``struct bpf_func_proto``), and the release that brought each.

A line is ``name since flags result arguments``. A word is the kernel's ``ARG_*`` or ``RET_*`` in lower case without
``ptr_to_``; what follows a dot are its ``MEM_*`` and other flags, what follows a colon a size in bytes or a BTF type.
Flags: g for programs with a GPL-compatible licence only, p takes packet pointers as memory (``pkt_access``),
f keeps r1–r5 if the program says so (``allow_fastcall``), s sleeps, c voids packet pointers, - none.
"""

TABLE = """
map_lookup_elem 3.19 p map_value.null const_map_ptr map_key
map_update_elem 3.19 p integer const_map_ptr map_key map_value anything
map_delete_elem 3.19 p integer const_map_ptr map_key
probe_read 4.1 g integer mem.uninit.write const_size_or_zero anything
ktime_get_ns 4.1 - integer
trace_printk 4.1 g integer mem.rdonly const_size
get_prandom_u32 4.1 - integer
get_smp_processor_id 4.1 - integer
skb_store_bytes 4.1 c integer ctx anything mem.rdonly const_size anything
l3_csum_replace 4.1 c integer ctx anything anything anything anything
l4_csum_replace 4.1 c integer ctx anything anything anything anything
tail_call 4.2 c void ctx const_map_ptr anything
clone_redirect 4.2 c integer ctx anything anything
get_current_pid_tgid 4.2 - integer
get_current_uid_gid 4.2 - integer
get_current_comm 4.2 - integer mem.uninit.write const_size
get_cgroup_classid 4.3 - integer
skb_vlan_push 4.3 c integer ctx anything anything
skb_vlan_pop 4.3 c integer ctx
skb_get_tunnel_key 4.3 - integer ctx mem.uninit.write const_size anything
skb_set_tunnel_key 4.3 - integer ctx mem.rdonly const_size anything
perf_event_read 4.3 g integer const_map_ptr anything
redirect 4.4 - integer anything anything
get_route_realm 4.4 - integer ctx
perf_event_output 4.4 g integer ctx const_map_ptr anything mem.rdonly const_size_or_zero
skb_load_bytes 4.5 - integer ctx anything mem.uninit.write const_size
get_stackid 4.6 g integer ctx const_map_ptr anything
csum_diff 4.6 p integer mem.null.rdonly const_size_or_zero mem.null.rdonly const_size_or_zero anything
skb_get_tunnel_opt 4.6 - integer ctx mem.uninit.write const_size
skb_set_tunnel_opt 4.6 - integer ctx mem.rdonly const_size
skb_change_proto 4.8 c integer ctx anything anything
skb_change_type 4.8 - integer ctx anything
skb_under_cgroup 4.8 - integer ctx const_map_ptr anything
get_hash_recalc 4.8 - integer ctx
get_current_task 4.8 g integer
probe_write_user 4.8 g integer anything mem.rdonly const_size
current_task_under_cgroup 4.9 - integer const_map_ptr anything
skb_change_tail 4.9 c integer ctx anything anything
skb_pull_data 4.9 c integer ctx anything
csum_update 4.9 - integer ctx anything
set_hash_invalid 4.9 - integer ctx
get_numa_node_id 4.10 - integer
skb_change_head 4.10 c integer ctx anything anything
xdp_adjust_head 4.10 c integer ctx anything
probe_read_str 4.11 g integer mem.uninit.write const_size_or_zero anything
get_socket_cookie 4.12 - integer ctx
get_socket_uid 4.12 - integer ctx
set_hash 4.13 - integer ctx anything
setsockopt 4.13 - integer ctx anything anything mem.rdonly const_size
skb_adjust_room 4.13 c integer ctx anything anything anything
redirect_map 4.14 - integer const_map_ptr anything anything
sk_redirect_map 4.14 - integer ctx const_map_ptr anything anything
sock_map_update 4.14 p integer ctx const_map_ptr map_key anything
xdp_adjust_meta 4.15 c integer ctx anything
perf_event_read_value 4.15 g integer const_map_ptr anything mem.uninit.write const_size
perf_prog_read_value 4.15 g integer ctx mem.uninit.write const_size
getsockopt 4.15 - integer ctx anything anything mem.uninit.write const_size
override_return 4.16 g integer ctx anything
sock_ops_cb_flags_set 4.16 - integer ctx anything
msg_redirect_map 4.17 - integer ctx const_map_ptr anything anything
msg_apply_bytes 4.17 - integer ctx anything
msg_cork_bytes 4.17 - integer ctx anything
msg_pull_data 4.17 c integer ctx anything anything anything
bind 4.17 - integer ctx mem.rdonly const_size
xdp_adjust_tail 4.18 c integer ctx anything
skb_get_xfrm_state 4.18 - integer ctx anything mem.uninit.write const_size anything
get_stack 4.18 g integer ctx mem.uninit.write const_size_or_zero anything
skb_load_bytes_relative 4.18 - integer ctx anything mem.uninit.write const_size anything
fib_lookup 4.18 g integer ctx mem.write const_size anything
sock_hash_update 4.18 p integer ctx const_map_ptr map_key anything
msg_redirect_hash 4.18 - integer ctx const_map_ptr map_key anything
sk_redirect_hash 4.18 - integer ctx const_map_ptr map_key anything
lwt_push_encap 4.18 c integer ctx anything mem.rdonly const_size
lwt_seg6_store_bytes 4.18 c integer ctx anything mem.rdonly const_size
lwt_seg6_adjust_srh 4.18 c integer ctx anything anything
lwt_seg6_action 4.18 c integer ctx anything mem.rdonly const_size
rc_repeat 4.18 g integer ctx
rc_keydown 4.18 g integer ctx anything anything anything
skb_cgroup_id 4.18 - integer ctx
get_current_cgroup_id 4.18 - integer
get_local_storage 4.19 - map_value const_map_ptr anything
sk_select_reuseport 4.19 - integer ctx const_map_ptr map_key anything
skb_ancestor_cgroup_id 4.19 - integer ctx anything
sk_lookup_tcp 4.20 p socket.null ctx mem.rdonly const_size_or_zero anything anything
sk_lookup_udp 4.20 p socket.null ctx mem.rdonly const_size_or_zero anything anything
sk_release 4.20 - integer btf_id_sock_common.release
map_push_elem 4.20 p integer const_map_ptr map_value anything
map_pop_elem 4.20 - integer const_map_ptr map_value.uninit.write
map_peek_elem 4.20 - integer const_map_ptr map_value.uninit.write
msg_push_data 4.20 c integer ctx anything anything anything
msg_pop_data 5.0 c integer ctx anything anything anything
rc_pointer_rel 5.0 g integer ctx anything anything
spin_lock 5.1 - void spin_lock
spin_unlock 5.1 - void spin_lock
sk_fullsock 5.1 - socket.null sock_common
tcp_sock 5.1 - tcp_sock.null sock_common
skb_ecn_set_ce 5.1 - integer ctx
get_listener_sock 5.1 - socket.null sock_common
skc_lookup_tcp 5.2 p sock_common.null ctx mem.rdonly const_size_or_zero anything anything
tcp_check_syncookie 5.2 gp integer btf_id_sock_common mem.rdonly const_size mem.rdonly const_size
sysctl_get_name 5.2 - integer ctx mem.write const_size anything
sysctl_get_current_value 5.2 - integer ctx mem.uninit.write const_size
sysctl_get_new_value 5.2 - integer ctx mem.uninit.write const_size
sysctl_set_new_value 5.2 - integer ctx mem.rdonly const_size
strtol 5.2 - integer mem.rdonly const_size anything mem.aligned.fixed.uninit.write:8
strtoul 5.2 - integer mem.rdonly const_size anything mem.aligned.fixed.uninit.write:8
sk_storage_get 5.2 - map_value.null const_map_ptr btf_id_sock_common map_value.null anything
sk_storage_delete 5.2 - integer const_map_ptr btf_id_sock_common
send_signal 5.3 - integer anything
tcp_gen_syncookie 5.4 gp integer btf_id_sock_common mem.rdonly const_size mem.rdonly const_size
skb_output 5.5 g integer btf_id:sk_buff const_map_ptr anything mem.rdonly const_size_or_zero
probe_read_user 5.5 g integer mem.uninit.write const_size_or_zero anything
probe_read_kernel 5.5 g integer mem.uninit.write const_size_or_zero anything
probe_read_user_str 5.5 g integer mem.uninit.write const_size_or_zero anything
probe_read_kernel_str 5.5 g integer mem.uninit.write const_size_or_zero anything
tcp_send_ack 5.6 - integer btf_id:tcp_sock anything
send_signal_thread 5.6 - integer anything
jiffies64 5.6 - integer
read_branch_records 5.7 g integer ctx mem.null.write const_size_or_zero anything
get_ns_current_pid_tgid 5.7 - integer anything anything mem.uninit.write const_size
xdp_output 5.7 g integer btf_id:xdp_buff const_map_ptr anything mem.rdonly const_size_or_zero
get_netns_cookie 5.7 - integer ctx.null
get_current_ancestor_cgroup_id 5.7 - integer anything
sk_assign 5.7 - integer ctx btf_id_sock_common anything
ktime_get_boot_ns 5.8 - integer
seq_printf 5.8 g integer btf_id:seq_file mem.rdonly const_size mem.null.rdonly const_size_or_zero
seq_write 5.8 g integer btf_id:seq_file mem.rdonly const_size_or_zero
sk_cgroup_id 5.8 - integer btf_id_sock_common
sk_ancestor_cgroup_id 5.8 - integer btf_id_sock_common anything
ringbuf_output 5.8 - integer const_map_ptr mem.rdonly const_size_or_zero anything
ringbuf_reserve 5.8 - ringbuf_mem.null const_map_ptr const_alloc_size_or_zero anything
ringbuf_submit 5.8 - void ringbuf_mem.release anything
ringbuf_discard 5.8 - void ringbuf_mem.release anything
ringbuf_query 5.8 - integer const_map_ptr anything
csum_level 5.8 - integer ctx anything
skc_to_tcp6_sock 5.9 - btf_id.null:tcp6_sock btf_id_sock_common
skc_to_tcp_sock 5.9 - btf_id.null:tcp_sock btf_id_sock_common
skc_to_tcp_timewait_sock 5.9 - btf_id.null:tcp_timewait_sock btf_id_sock_common
skc_to_tcp_request_sock 5.9 - btf_id.null:tcp_request_sock btf_id_sock_common
skc_to_udp6_sock 5.9 - btf_id.null:udp6_sock btf_id_sock_common
get_task_stack 5.9 - integer btf_id:task_struct mem.uninit.write const_size_or_zero anything
load_hdr_opt 5.10 - integer ctx mem.write const_size anything
store_hdr_opt 5.10 c integer ctx mem.rdonly const_size anything
reserve_hdr_opt 5.10 - integer ctx anything anything
inode_storage_get 5.10 - map_value.null const_map_ptr btf_id.null:inode map_value.null anything
inode_storage_delete 5.10 - integer const_map_ptr btf_id.null:inode
d_path 5.10 - integer btf_id:path mem.write const_size_or_zero
copy_from_user 5.10 s integer mem.uninit.write const_size_or_zero anything
snprintf_btf 5.10 - integer mem.write const_size mem.rdonly const_size anything
seq_printf_btf 5.10 g integer btf_id:seq_file mem.rdonly const_size_or_zero anything
skb_cgroup_classid 5.10 - integer ctx
redirect_neigh 5.10 - integer anything mem.null.rdonly const_size_or_zero anything
per_cpu_ptr 5.10 - mem_or_btf_id.null.rdonly percpu_btf_id anything
this_cpu_ptr 5.10 - mem_or_btf_id.rdonly percpu_btf_id
redirect_peer 5.10 - integer anything anything
task_storage_get 5.11 - map_value.null const_map_ptr btf_id.null:task_struct map_value.null anything
task_storage_delete 5.11 - integer const_map_ptr btf_id.null:task_struct
get_current_task_btf 5.11 g btf_id.trusted:task_struct
bprm_opts_set 5.11 - integer btf_id:linux_binprm anything
ktime_get_coarse_ns 5.11 - integer
ima_inode_hash 5.11 s integer btf_id:inode mem.uninit.write const_size
sock_from_file 5.11 - btf_id.null:socket btf_id:file
check_mtu 5.12 g integer ctx anything mem.aligned.fixed.write:4 anything anything
for_each_map_elem 5.13 - integer const_map_ptr func stack.null anything
snprintf 5.13 g integer mem.null.write const_size_or_zero const_str mem.null.rdonly const_size_or_zero
sys_bpf 5.14 - integer anything mem.rdonly const_size
btf_find_by_name_kind 5.14 - integer mem.rdonly const_size anything anything
sys_close 5.14 - integer anything
timer_init 5.15 g integer timer const_map_ptr anything
timer_set_callback 5.15 g integer timer func
timer_start 5.15 g integer timer anything anything
timer_cancel 5.15 g integer timer
get_func_ip 5.15 g integer ctx
get_attach_cookie 5.15 - integer ctx
task_pt_regs 5.15 g btf_id:pt_regs btf_id:task_struct
get_branch_snapshot 5.16 g integer mem.uninit.write const_size_or_zero
trace_vprintk 5.16 g integer mem.rdonly const_size mem.null.rdonly const_size_or_zero
skc_to_unix_sock 5.16 - btf_id.null:unix_sock btf_id_sock_common
kallsyms_lookup_name 5.16 - integer mem.rdonly const_size_or_zero anything mem.aligned.fixed.uninit.write:8
find_vma 5.17 - integer btf_id:task_struct anything func stack.null anything
loop 5.17 - integer anything func stack.null anything
strncmp 5.17 - integer mem.rdonly const_size const_str
get_func_arg 5.17 - integer ctx anything mem.aligned.fixed.uninit.write:8
get_func_ret 5.17 - integer ctx mem.aligned.fixed.uninit.write:8
get_func_arg_cnt 5.17 - integer ctx
get_retval 5.18 - integer
set_retval 5.18 - integer anything
xdp_get_buff_len 5.18 - integer ctx
xdp_load_bytes 5.18 - integer ctx anything mem.uninit.write const_size
xdp_store_bytes 5.18 - integer ctx anything mem.rdonly const_size
copy_from_user_task 5.18 gs integer mem.uninit.write const_size_or_zero anything btf_id:task_struct anything
skb_set_tstamp 5.18 - integer ctx anything anything
ima_file_hash 5.18 s integer btf_id:file mem.uninit.write const_size
kptr_xchg 5.19 - btf_id.null kptr_xchg_dest btf_id.null.release
map_lookup_percpu_elem 5.19 p map_value.null const_map_ptr map_key anything
skc_to_mptcp_sock 5.19 - btf_id.null:mptcp_sock sock_common
dynptr_from_mem 5.19 - integer mem.uninit.write const_size_or_zero anything dynptr.local.uninit.write
ringbuf_reserve_dynptr 5.19 - integer const_map_ptr anything anything dynptr.ringbuf.uninit.write
ringbuf_submit_dynptr 5.19 - void dynptr.release.ringbuf anything
ringbuf_discard_dynptr 5.19 - void dynptr.release.ringbuf anything
dynptr_read 5.19 - integer mem.uninit.write const_size_or_zero dynptr.rdonly anything anything
dynptr_write 5.19 - integer dynptr.rdonly anything mem.rdonly const_size_or_zero anything
dynptr_data 5.19 - dynptr_mem.null dynptr.rdonly anything const_alloc_size_or_zero
tcp_raw_gen_syncookie_ipv4 6.0 gp integer mem.fixed.rdonly:20 mem.rdonly const_size_or_zero
tcp_raw_gen_syncookie_ipv6 6.0 gp integer mem.fixed.rdonly:40 mem.rdonly const_size_or_zero
tcp_raw_check_syncookie_ipv4 6.0 gp integer mem.fixed.rdonly:20 mem.fixed.rdonly:20
tcp_raw_check_syncookie_ipv6 6.0 gp integer mem.fixed.rdonly:40 mem.fixed.rdonly:20
ktime_get_tai_ns 6.1 - integer
user_ringbuf_drain 6.1 - integer const_map_ptr func stack.null anything
cgrp_storage_get 6.2 - map_value.null const_map_ptr btf_id.null:cgroup map_value.null anything
cgrp_storage_delete 6.2 - integer const_map_ptr btf_id.null:cgroup
"""

#: ``name@program types (/attach type) flags result arguments`` where those differ
VARIANTS = """
get_smp_processor_id@kprobe,sched_cls,sched_act,tracepoint,xdp,perf_event,lwt_in,lwt_out,lwt_xmit,raw_tracepoint,raw_tracepoint_writable,\
lwt_seg6local,tracing,lsm,syscall f integer
get_cgroup_classid@sched_cls,sched_act,lwt_in,lwt_out,lwt_xmit,lwt_seg6local - integer ctx
get_stackid@perf_event - integer ctx const_map_ptr anything
get_socket_cookie@sk_reuseport,tracing,lsm,syscall - integer btf_id_sock_common.null
setsockopt@cgroup_sockopt,lsm - integer btf_id_sock_common anything anything mem.rdonly const_size
getsockopt@cgroup_sockopt,lsm - integer btf_id_sock_common anything anything mem.uninit.write const_size
sk_lookup_tcp@cgroup_sock_addr - socket.null ctx mem.rdonly const_size_or_zero anything anything
sk_lookup_udp@cgroup_sock_addr - socket.null ctx mem.rdonly const_size_or_zero anything anything
skc_lookup_tcp@cgroup_sock_addr - sock_common.null ctx mem.rdonly const_size_or_zero anything anything
sk_storage_get@tracing,syscall - map_value.null const_map_ptr btf_id.null:sock_common map_value.null anything
sk_storage_get@cgroup_sock - map_value.null const_map_ptr ctx map_value.null anything
sk_storage_delete@tracing,syscall - integer const_map_ptr btf_id.null:sock_common
sk_assign@sk_lookup - integer ctx socket.null anything
get_func_ip@kprobe/trace_kprobe_multi,kprobe/trace_kprobe_session,kprobe/trace_uprobe_multi,\
kprobe/trace_uprobe_session - integer ctx
xdp_get_buff_len@tracing,lsm,syscall - integer btf_id:xdp_buff
"""
