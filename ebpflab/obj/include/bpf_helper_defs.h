/* SPDX-License-Identifier: GPL-2.0-only */
/* Every helper of Linux 6.18, made by ebpflab/obj/helper_header.py from the tables in ebpflab/abi. */
#pragma once

struct bpf_dynptr;
struct bpf_sock;
struct bpf_spin_lock;
struct bpf_tcp_sock;
struct bpf_timer;
struct cgroup;
struct file;
struct inode;
struct linux_binprm;
struct mptcp_sock;
struct path;
struct seq_file;
struct sk_buff;
struct socket;
struct task_struct;
struct tcp6_sock;
struct tcp_request_sock;
struct tcp_sock;
struct tcp_timewait_sock;
struct udp6_sock;
struct unix_sock;
struct xdp_buff;

/* pointer to the value of a key in a map, NULL if it is absent. Since Linux 3.19. */
static void *(* const bpf_map_lookup_elem)(void *, const void *) = (void *) 1;

/* write the value of a key; flags choose any, only-new (1) or only-existing (2). Since Linux 3.19. */
static long (* const bpf_map_update_elem)(void *, const void *, const void *, __u64) = (void *) 2;

/* remove a key from a map. Since Linux 3.19. */
static long (* const bpf_map_delete_elem)(void *, const void *) = (void *) 3;

/* copy memory from any address, user or kernel (old kernels; prefer the _user and _kernel forms). Since Linux
 * 4.1. */
static long (* const bpf_probe_read)(void *, __u32, const void *) = (void *) 4;

/* nanoseconds since boot, not counting suspend. Since Linux 4.1. */
static __u64 (* const bpf_ktime_get_ns)(void) = (void *) 5;

/* print up to three values to trace_pipe, for debugging. Since Linux 4.1. */
static long (* const bpf_trace_printk)(const void *, __u32, ...) = (void *) 6;

/* pseudo-random 32-bit number. Since Linux 4.1. */
static __u32 (* const bpf_get_prandom_u32)(void) = (void *) 7;

/* number of the CPU that runs the program. Since Linux 4.1. */
static __u32 (* const bpf_get_smp_processor_id)(void) = (void *) 8;

/* write bytes into the packet at an offset; voids packet pointers. Since Linux 4.1. */
static long (* const bpf_skb_store_bytes)(void *, __u64, const void *, __u32, __u64) = (void *) 9;

/* patch the IP header checksum after a field changed. Since Linux 4.1. */
static long (* const bpf_l3_csum_replace)(void *, __u64, __u64, __u64, __u64) = (void *) 10;

/* patch the TCP or UDP checksum after a field or address changed. Since Linux 4.1. */
static long (* const bpf_l4_csum_replace)(void *, __u64, __u64, __u64, __u64) = (void *) 11;

/* go on in another program of a program array; does not return if it succeeds. Since Linux 4.2. */
static long (* const bpf_tail_call)(void *, void *, __u32) = (void *) 12;

/* send a copy of the packet out of a device. Since Linux 4.2. */
static long (* const bpf_clone_redirect)(void *, __u64, __u64) = (void *) 13;

/* process id in the upper, thread id in the lower 32 bits. Since Linux 4.2. */
static __u64 (* const bpf_get_current_pid_tgid)(void) = (void *) 14;

/* gid in the upper, uid in the lower 32 bits. Since Linux 4.2. */
static __u64 (* const bpf_get_current_uid_gid)(void) = (void *) 15;

/* copy the name of the current task. Since Linux 4.2. */
static long (* const bpf_get_current_comm)(void *, __u32) = (void *) 16;

/* net_cls class of the packet's or the task's cgroup. Since Linux 4.3. */
static __u32 (* const bpf_get_cgroup_classid)(void *) = (void *) 17;

/* add a VLAN tag to the packet. Since Linux 4.3. */
static long (* const bpf_skb_vlan_push)(void *, __u64, __u64) = (void *) 18;

/* remove the packet's VLAN tag. Since Linux 4.3. */
static long (* const bpf_skb_vlan_pop)(void *) = (void *) 19;

/* read the tunnel metadata that the packet came with. Since Linux 4.3. */
static long (* const bpf_skb_get_tunnel_key)(void *, void *, __u32, __u64) = (void *) 20;

/* set the tunnel metadata for the packet's way out. Since Linux 4.3. */
static long (* const bpf_skb_set_tunnel_key)(void *, const void *, __u32, __u64) = (void *) 21;

/* read a hardware or software counter from a perf event array. Since Linux 4.3. */
static __u64 (* const bpf_perf_event_read)(void *, __u64) = (void *) 22;

/* send the packet on to a device by its index. Since Linux 4.4. */
static long (* const bpf_redirect)(__u64, __u64) = (void *) 23;

/* realm of the route that the packet takes. Since Linux 4.4. */
static __u32 (* const bpf_get_route_realm)(void *) = (void *) 24;

/* send a record to user space through a perf event array. Since Linux 4.4. */
static long (* const bpf_perf_event_output)(void *, void *, __u64, const void *, __u64) = (void *) 25;

/* copy bytes of the packet to the stack. Since Linux 4.5. */
static long (* const bpf_skb_load_bytes)(void *, __u64, void *, __u32) = (void *) 26;

/* walk a stack and store it in a stack trace map, giving its id. Since Linux 4.6. */
static long (* const bpf_get_stackid)(void *, void *, __u64) = (void *) 27;

/* checksum difference between two pieces of memory. Since Linux 4.6. */
static __s64 (* const bpf_csum_diff)(const void *, __u32, const void *, __u32, __u64) = (void *) 28;

/* read tunnel options of the packet. Since Linux 4.6. */
static long (* const bpf_skb_get_tunnel_opt)(void *, void *, __u32) = (void *) 29;

/* set tunnel options for the packet. Since Linux 4.6. */
static long (* const bpf_skb_set_tunnel_opt)(void *, const void *, __u32) = (void *) 30;

/* turn the packet from IPv4 into IPv6 or back. Since Linux 4.8. */
static long (* const bpf_skb_change_proto)(void *, __u64, __u64) = (void *) 31;

/* change the packet type (to host, broadcast, …). Since Linux 4.8. */
static long (* const bpf_skb_change_type)(void *, __u64) = (void *) 32;

/* does the packet's socket belong to a cgroup of a cgroup array. Since Linux 4.8. */
static long (* const bpf_skb_under_cgroup)(void *, void *, __u64) = (void *) 33;

/* flow hash of the packet, computed if need be. Since Linux 4.8. */
static __u32 (* const bpf_get_hash_recalc)(void *) = (void *) 34;

/* address of the current task_struct as a number. Since Linux 4.8. */
static __u64 (* const bpf_get_current_task)(void) = (void *) 35;

/* write to user memory of the current task, for experiments. Since Linux 4.8. */
static long (* const bpf_probe_write_user)(void *, const void *, __u32) = (void *) 36;

/* does the current task belong to a cgroup of a cgroup array. Since Linux 4.9. */
static long (* const bpf_current_task_under_cgroup)(void *, __u64) = (void *) 37;

/* make the packet shorter or longer at its end. Since Linux 4.9. */
static long (* const bpf_skb_change_tail)(void *, __u64, __u64) = (void *) 38;

/* make the first bytes of the packet directly readable and writable. Since Linux 4.9. */
static long (* const bpf_skb_pull_data)(void *, __u64) = (void *) 39;

/* add a checksum difference to the packet's complete checksum. Since Linux 4.9. */
static __s64 (* const bpf_csum_update)(void *, __u64) = (void *) 40;

/* make the packet's flow hash be computed anew. Since Linux 4.9. */
static long (* const bpf_set_hash_invalid)(void *) = (void *) 41;

/* number of the NUMA node that runs the program. Since Linux 4.10. */
static long (* const bpf_get_numa_node_id)(void) = (void *) 42;

/* make room before the packet. Since Linux 4.10. */
static long (* const bpf_skb_change_head)(void *, __u64, __u64) = (void *) 43;

/* move the packet's start forwards or back. Since Linux 4.10. */
static long (* const bpf_xdp_adjust_head)(void *, __s32) = (void *) 44;

/* copy a string from any address (old kernels; prefer the _user_str and _kernel_str forms). Since Linux 4.11. */
static long (* const bpf_probe_read_str)(void *, __u32, const void *) = (void *) 45;

/* number that names a socket for its whole life. Since Linux 4.12. */
static __u64 (* const bpf_get_socket_cookie)(void *) = (void *) 46;

/* owner of the packet's socket. Since Linux 4.12. */
static __u32 (* const bpf_get_socket_uid)(void *) = (void *) 47;

/* set the packet's flow hash. Since Linux 4.13. */
static long (* const bpf_set_hash)(void *, __u64) = (void *) 48;

/* set a socket option of the socket at hand. Since Linux 4.13. */
static long (* const bpf_setsockopt)(void *, __u64, __u64, const void *, __u32) = (void *) 49;

/* grow or shrink the room for headers inside the packet. Since Linux 4.13. */
static long (* const bpf_skb_adjust_room)(void *, __s32, __u64, __u64) = (void *) 50;

/* send the packet to the device, CPU or socket at an index of a map. Since Linux 4.14. */
static long (* const bpf_redirect_map)(void *, __u64, __u64) = (void *) 51;

/* send the packet to a socket of a sockmap. Since Linux 4.14. */
static long (* const bpf_sk_redirect_map)(void *, void *, __u64, __u64) = (void *) 52;

/* put the socket at hand into a sockmap. Since Linux 4.14. */
static long (* const bpf_sock_map_update)(void *, void *, const void *, __u64) = (void *) 53;

/* move the start of the metadata before the packet. Since Linux 4.15. */
static long (* const bpf_xdp_adjust_meta)(void *, __s32) = (void *) 54;

/* read a counter with its enabled and running times. Since Linux 4.15. */
static long (* const bpf_perf_event_read_value)(void *, __u64, void *, __u32) = (void *) 55;

/* read the counter of the event that triggered the program. Since Linux 4.15. */
static long (* const bpf_perf_prog_read_value)(void *, void *, __u32) = (void *) 56;

/* read a socket option of the socket at hand. Since Linux 4.15. */
static long (* const bpf_getsockopt)(void *, __u64, __u64, void *, __u32) = (void *) 57;

/* skip the probed function and return a value of choice. Since Linux 4.16. */
static long (* const bpf_override_return)(void *, __u64) = (void *) 58;

/* choose which TCP events call the program. Since Linux 4.16. */
static long (* const bpf_sock_ops_cb_flags_set)(void *, __u64) = (void *) 59;

/* send the message to a socket of a sockmap. Since Linux 4.17. */
static long (* const bpf_msg_redirect_map)(void *, void *, __u64, __u64) = (void *) 60;

/* let the verdict hold for so many further bytes. Since Linux 4.17. */
static long (* const bpf_msg_apply_bytes)(void *, __u64) = (void *) 61;

/* wait for so many bytes before the program is called again. Since Linux 4.17. */
static long (* const bpf_msg_cork_bytes)(void *, __u64) = (void *) 62;

/* make a range of the message directly readable. Since Linux 4.17. */
static long (* const bpf_msg_pull_data)(void *, __u64, __u64, __u64) = (void *) 63;

/* bind the connecting socket to a source address. Since Linux 4.17. */
static long (* const bpf_bind)(void *, const void *, __u32) = (void *) 64;

/* move the packet's end forwards or back. Since Linux 4.18. */
static long (* const bpf_xdp_adjust_tail)(void *, __s32) = (void *) 65;

/* read the IPsec state that the packet came through. Since Linux 4.18. */
static long (* const bpf_skb_get_xfrm_state)(void *, __u64, void *, __u32, __u64) = (void *) 66;

/* copy the user or kernel stack trace into a buffer. Since Linux 4.18. */
static long (* const bpf_get_stack)(void *, void *, __u32, __u64) = (void *) 67;

/* copy bytes of the packet, counted from its MAC or IP header. Since Linux 4.18. */
static long (* const bpf_skb_load_bytes_relative)(void *, __u64, void *, __u32, __u64) = (void *) 68;

/* look up the route and neighbour for a packet. Since Linux 4.18. */
static long (* const bpf_fib_lookup)(void *, void *, __u32, __u64) = (void *) 69;

/* put the socket at hand into a sockhash. Since Linux 4.18. */
static long (* const bpf_sock_hash_update)(void *, void *, const void *, __u64) = (void *) 70;

/* send the message to a socket of a sockhash. Since Linux 4.18. */
static long (* const bpf_msg_redirect_hash)(void *, void *, const void *, __u64) = (void *) 71;

/* send the packet to a socket of a sockhash. Since Linux 4.18. */
static long (* const bpf_sk_redirect_hash)(void *, void *, const void *, __u64) = (void *) 72;

/* put an outer header before the packet. Since Linux 4.18. */
static long (* const bpf_lwt_push_encap)(void *, __u64, const void *, __u32) = (void *) 73;

/* write bytes into the packet's segment routing header. Since Linux 4.18. */
static long (* const bpf_lwt_seg6_store_bytes)(void *, __u64, const void *, __u32) = (void *) 74;

/* grow or shrink the segment routing header's options. Since Linux 4.18. */
static long (* const bpf_lwt_seg6_adjust_srh)(void *, __u64, __u64) = (void *) 75;

/* do a segment routing action on the packet. Since Linux 4.18. */
static long (* const bpf_lwt_seg6_action)(void *, __u64, const void *, __u32) = (void *) 76;

/* report that the last infrared key is held. Since Linux 4.18. */
static long (* const bpf_rc_repeat)(void *) = (void *) 77;

/* report an infrared key press. Since Linux 4.18. */
static long (* const bpf_rc_keydown)(void *, __u64, __u64, __u64) = (void *) 78;

/* cgroup id of the packet's socket. Since Linux 4.18. */
static __u64 (* const bpf_skb_cgroup_id)(void *) = (void *) 79;

/* cgroup id of the current task. Since Linux 4.18. */
static __u64 (* const bpf_get_current_cgroup_id)(void) = (void *) 80;

/* pointer to the program's storage in its cgroup. Since Linux 4.19. */
static void *(* const bpf_get_local_storage)(void *, __u64) = (void *) 81;

/* choose the socket of a reuseport group that gets the packet. Since Linux 4.19. */
static long (* const bpf_sk_select_reuseport)(void *, void *, const void *, __u64) = (void *) 82;

/* id of an ancestor of the packet's cgroup at a level. Since Linux 4.19. */
static __u64 (* const bpf_skb_ancestor_cgroup_id)(void *, __u64) = (void *) 83;

/* find a TCP socket by addresses and ports; must be released. Since Linux 4.20. */
static struct bpf_sock *(* const bpf_sk_lookup_tcp)(void *, const void *, __u32, __u64, __u64) = (void *) 84;

/* find a UDP socket by addresses and ports; must be released. Since Linux 4.20. */
static struct bpf_sock *(* const bpf_sk_lookup_udp)(void *, const void *, __u32, __u64, __u64) = (void *) 85;

/* give back a socket that a look-up found. Since Linux 4.20. */
static long (* const bpf_sk_release)(void *) = (void *) 86;

/* add a value to a queue, stack or bloom filter. Since Linux 4.20. */
static long (* const bpf_map_push_elem)(void *, const void *, __u64) = (void *) 87;

/* take a value from a queue or stack. Since Linux 4.20. */
static long (* const bpf_map_pop_elem)(void *, void *) = (void *) 88;

/* read the next value of a queue or stack, or ask a bloom filter. Since Linux 4.20. */
static long (* const bpf_map_peek_elem)(void *, void *) = (void *) 89;

/* insert room into the message. Since Linux 4.20. */
static long (* const bpf_msg_push_data)(void *, __u64, __u64, __u64) = (void *) 90;

/* remove bytes from the message. Since Linux 5.0. */
static long (* const bpf_msg_pop_data)(void *, __u64, __u64, __u64) = (void *) 91;

/* report a movement of an infrared pointer. Since Linux 5.0. */
static long (* const bpf_rc_pointer_rel)(void *, __u64, __u64) = (void *) 92;

/* take the lock inside a map value. Since Linux 5.1. */
static void (* const bpf_spin_lock)(struct bpf_spin_lock *) = (void *) 93;

/* release the lock inside a map value. Since Linux 5.1. */
static void (* const bpf_spin_unlock)(struct bpf_spin_lock *) = (void *) 94;

/* the full socket of a common one, NULL if there is none. Since Linux 5.1. */
static struct bpf_sock *(* const bpf_sk_fullsock)(struct bpf_sock *) = (void *) 95;

/* the TCP part of a socket, NULL if it is not TCP. Since Linux 5.1. */
static struct bpf_tcp_sock *(* const bpf_tcp_sock)(struct bpf_sock *) = (void *) 96;

/* mark the packet as having met congestion. Since Linux 5.1. */
static long (* const bpf_skb_ecn_set_ce)(void *) = (void *) 97;

/* the listening socket of a socket, NULL if there is none. Since Linux 5.1. */
static struct bpf_sock *(* const bpf_get_listener_sock)(struct bpf_sock *) = (void *) 98;

/* find a TCP socket of any state; must be released. Since Linux 5.2. */
static struct bpf_sock *(* const bpf_skc_lookup_tcp)(void *, const void *, __u32, __u64, __u64) = (void *) 99;

/* is this ACK the answer to a SYN cookie. Since Linux 5.2. */
static long (* const bpf_tcp_check_syncookie)(void *, const void *, __u32, const void *, __u32) = (void *) 100;

/* copy the name of the sysctl being accessed. Since Linux 5.2. */
static long (* const bpf_sysctl_get_name)(void *, void *, __u32, __u64) = (void *) 101;

/* copy the sysctl's present value. Since Linux 5.2. */
static long (* const bpf_sysctl_get_current_value)(void *, void *, __u32) = (void *) 102;

/* copy the value that is being written to the sysctl. Since Linux 5.2. */
static long (* const bpf_sysctl_get_new_value)(void *, void *, __u32) = (void *) 103;

/* replace the value that is being written to the sysctl. Since Linux 5.2. */
static long (* const bpf_sysctl_set_new_value)(void *, const void *, __u32) = (void *) 104;

/* read a signed number from text. Since Linux 5.2. */
static long (* const bpf_strtol)(const void *, __u32, __u64, void *) = (void *) 105;

/* read an unsigned number from text. Since Linux 5.2. */
static long (* const bpf_strtoul)(const void *, __u32, __u64, void *) = (void *) 106;

/* pointer to the program's storage in a socket, made on demand. Since Linux 5.2. */
static void *(* const bpf_sk_storage_get)(void *, void *, void *, __u64) = (void *) 107;

/* remove the program's storage from a socket. Since Linux 5.2. */
static long (* const bpf_sk_storage_delete)(void *, void *) = (void *) 108;

/* send a signal to the current process. Since Linux 5.3. */
static long (* const bpf_send_signal)(__u64) = (void *) 109;

/* make a SYN cookie for a SYN packet. Since Linux 5.4. */
static long (* const bpf_tcp_gen_syncookie)(void *, const void *, __u32, const void *, __u32) = (void *) 110;

/* send a record with packet bytes through a perf event array, from a tracing program. Since Linux 5.5. */
static long (* const bpf_skb_output)(struct sk_buff *, void *, __u64, const void *, __u64) = (void *) 111;

/* copy memory from a user address. Since Linux 5.5. */
static long (* const bpf_probe_read_user)(void *, __u32, const void *) = (void *) 112;

/* copy memory from a kernel address. Since Linux 5.5. */
static long (* const bpf_probe_read_kernel)(void *, __u32, const void *) = (void *) 113;

/* copy a string from a user address. Since Linux 5.5. */
static long (* const bpf_probe_read_user_str)(void *, __u32, const void *) = (void *) 114;

/* copy a string from a kernel address. Since Linux 5.5. */
static long (* const bpf_probe_read_kernel_str)(void *, __u32, const void *) = (void *) 115;

/* send a TCP acknowledgement, from a congestion control program. Since Linux 5.6. */
static long (* const bpf_tcp_send_ack)(struct tcp_sock *, __u64) = (void *) 116;

/* send a signal to the current thread. Since Linux 5.6. */
static long (* const bpf_send_signal_thread)(__u64) = (void *) 117;

/* the kernel's 64-bit tick count. Since Linux 5.6. */
static __u64 (* const bpf_jiffies64)(void) = (void *) 118;

/* copy the branch records of the event's sample. Since Linux 5.7. */
static long (* const bpf_read_branch_records)(void *, void *, __u32, __u64) = (void *) 119;

/* process and thread id as a pid namespace sees them. Since Linux 5.7. */
static long (* const bpf_get_ns_current_pid_tgid)(__u64, __u64, void *, __u32) = (void *) 120;

/* send a record with XDP packet bytes through a perf event array, from a tracing program. Since Linux 5.7. */
static long (* const bpf_xdp_output)(struct xdp_buff *, void *, __u64, const void *, __u64) = (void *) 121;

/* number that names a network namespace. Since Linux 5.7. */
static __u64 (* const bpf_get_netns_cookie)(void *) = (void *) 122;

/* id of an ancestor of the current task's cgroup at a level. Since Linux 5.7. */
static __u64 (* const bpf_get_current_ancestor_cgroup_id)(__u64) = (void *) 123;

/* give the packet to a socket. Since Linux 5.7. */
static long (* const bpf_sk_assign)(void *, void *, __u64) = (void *) 124;

/* nanoseconds since boot, counting suspend. Since Linux 5.8. */
static __u64 (* const bpf_ktime_get_boot_ns)(void) = (void *) 125;

/* print formatted text into an iterator's output. Since Linux 5.8. */
static long (* const bpf_seq_printf)(struct seq_file *, const void *, __u32, const void *, __u32) = (void *) 126;

/* write bytes into an iterator's output. Since Linux 5.8. */
static long (* const bpf_seq_write)(struct seq_file *, const void *, __u32) = (void *) 127;

/* cgroup id of a socket. Since Linux 5.8. */
static __u64 (* const bpf_sk_cgroup_id)(void *) = (void *) 128;

/* id of an ancestor of a socket's cgroup at a level. Since Linux 5.8. */
static __u64 (* const bpf_sk_ancestor_cgroup_id)(void *, __u64) = (void *) 129;

/* copy a record into a ring buffer. Since Linux 5.8. */
static long (* const bpf_ringbuf_output)(void *, const void *, __u64, __u64) = (void *) 130;

/* reserve room in a ring buffer, NULL if it is full; must be submitted or discarded. Since Linux 5.8. */
static void *(* const bpf_ringbuf_reserve)(void *, __u64, __u64) = (void *) 131;

/* hand a reserved record to user space. Since Linux 5.8. */
static void (* const bpf_ringbuf_submit)(void *, __u64) = (void *) 132;

/* drop a reserved record. Since Linux 5.8. */
static void (* const bpf_ringbuf_discard)(void *, __u64) = (void *) 133;

/* fill level or positions of a ring buffer. Since Linux 5.8. */
static __u64 (* const bpf_ringbuf_query)(void *, __u64) = (void *) 134;

/* change or ask how many checksums of the packet are verified. Since Linux 5.8. */
static long (* const bpf_csum_level)(void *, __u64) = (void *) 135;

/* view a socket as tcp6_sock, NULL if it is none. Since Linux 5.9. */
static struct tcp6_sock *(* const bpf_skc_to_tcp6_sock)(void *) = (void *) 136;

/* view a socket as tcp_sock, NULL if it is none. Since Linux 5.9. */
static struct tcp_sock *(* const bpf_skc_to_tcp_sock)(void *) = (void *) 137;

/* view a socket as tcp_timewait_sock, NULL if it is none. Since Linux 5.9. */
static struct tcp_timewait_sock *(* const bpf_skc_to_tcp_timewait_sock)(void *) = (void *) 138;

/* view a socket as tcp_request_sock, NULL if it is none. Since Linux 5.9. */
static struct tcp_request_sock *(* const bpf_skc_to_tcp_request_sock)(void *) = (void *) 139;

/* view a socket as udp6_sock, NULL if it is none. Since Linux 5.9. */
static struct udp6_sock *(* const bpf_skc_to_udp6_sock)(void *) = (void *) 140;

/* copy the stack trace of a task into a buffer. Since Linux 5.9. */
static long (* const bpf_get_task_stack)(struct task_struct *, void *, __u32, __u64) = (void *) 141;

/* read an option of the TCP header. Since Linux 5.10. */
static long (* const bpf_load_hdr_opt)(void *, void *, __u32, __u64) = (void *) 142;

/* write an option into the TCP header. Since Linux 5.10. */
static long (* const bpf_store_hdr_opt)(void *, const void *, __u32, __u64) = (void *) 143;

/* reserve room for options in the TCP header. Since Linux 5.10. */
static long (* const bpf_reserve_hdr_opt)(void *, __u64, __u64) = (void *) 144;

/* pointer to the program's storage in an inode, made on demand. Since Linux 5.10. */
static void *(* const bpf_inode_storage_get)(void *, struct inode *, void *, __u64) = (void *) 145;

/* remove the program's storage from an inode. Since Linux 5.10. */
static long (* const bpf_inode_storage_delete)(void *, struct inode *) = (void *) 146;

/* copy the full path of a file. Since Linux 5.10. */
static long (* const bpf_d_path)(struct path *, void *, __u32) = (void *) 147;

/* copy user memory, faulting pages in; sleepable programs only. Since Linux 5.10. */
static long (* const bpf_copy_from_user)(void *, __u32, const void *) = (void *) 148;

/* print a kernel object by its BTF type into a buffer. Since Linux 5.10. */
static long (* const bpf_snprintf_btf)(void *, __u32, const void *, __u32, __u64) = (void *) 149;

/* print a kernel object by its BTF type into an iterator's output. Since Linux 5.10. */
static long (* const bpf_seq_printf_btf)(struct seq_file *, const void *, __u32, __u64) = (void *) 150;

/* net_cls class of the packet's socket. Since Linux 5.10. */
static __u64 (* const bpf_skb_cgroup_classid)(void *) = (void *) 151;

/* send the packet to a device, with the neighbour resolved by the kernel. Since Linux 5.10. */
static long (* const bpf_redirect_neigh)(__u64, const void *, __u32, __u64) = (void *) 152;

/* address of a per-CPU variable on a CPU, NULL if there is no such CPU. Since Linux 5.10. */
static void *(* const bpf_per_cpu_ptr)(const void *, __u64) = (void *) 153;

/* address of a per-CPU variable on this CPU. Since Linux 5.10. */
static void *(* const bpf_this_cpu_ptr)(const void *) = (void *) 154;

/* send the packet straight to the other end of a veth or netkit device. Since Linux 5.10. */
static long (* const bpf_redirect_peer)(__u64, __u64) = (void *) 155;

/* pointer to the program's storage in a task, made on demand. Since Linux 5.11. */
static void *(* const bpf_task_storage_get)(void *, struct task_struct *, void *, __u64) = (void *) 156;

/* remove the program's storage from a task. Since Linux 5.11. */
static long (* const bpf_task_storage_delete)(void *, struct task_struct *) = (void *) 157;

/* the current task as a typed pointer. Since Linux 5.11. */
static struct task_struct *(* const bpf_get_current_task_btf)(void) = (void *) 158;

/* set options of a program that is being executed. Since Linux 5.11. */
static long (* const bpf_bprm_opts_set)(struct linux_binprm *, __u64) = (void *) 159;

/* coarse and cheap nanoseconds since boot. Since Linux 5.11. */
static __u64 (* const bpf_ktime_get_coarse_ns)(void) = (void *) 160;

/* the stored IMA hash of an inode. Since Linux 5.11. */
static long (* const bpf_ima_inode_hash)(struct inode *, void *, __u32) = (void *) 161;

/* the socket behind a file, NULL if it is none. Since Linux 5.11. */
static struct socket *(* const bpf_sock_from_file)(struct file *) = (void *) 162;

/* does a packet fit the MTU of a device. Since Linux 5.12. */
static long (* const bpf_check_mtu)(void *, __u64, void *, __s32, __u64) = (void *) 163;

/* call a function for every entry of a map. Since Linux 5.13. */
static long (* const bpf_for_each_map_elem)(void *, void *, void *, __u64) = (void *) 164;

/* print formatted text into a buffer. Since Linux 5.13. */
static long (* const bpf_snprintf)(void *, __u32, const char *, const void *, __u32) = (void *) 165;

/* call bpf(2) from a syscall program. Since Linux 5.14. */
static long (* const bpf_sys_bpf)(__u64, const void *, __u32) = (void *) 166;

/* find a BTF type by name. Since Linux 5.14. */
static long (* const bpf_btf_find_by_name_kind)(const void *, __u32, __u64, __u64) = (void *) 167;

/* close a file descriptor from a syscall program. Since Linux 5.14. */
static long (* const bpf_sys_close)(__u64) = (void *) 168;

/* prepare the timer inside a map value. Since Linux 5.15. */
static long (* const bpf_timer_init)(struct bpf_timer *, void *, __u64) = (void *) 169;

/* set the function that the timer calls. Since Linux 5.15. */
static long (* const bpf_timer_set_callback)(struct bpf_timer *, void *) = (void *) 170;

/* start the timer. Since Linux 5.15. */
static long (* const bpf_timer_start)(struct bpf_timer *, __u64, __u64) = (void *) 171;

/* stop the timer and wait for its callback. Since Linux 5.15. */
static long (* const bpf_timer_cancel)(struct bpf_timer *) = (void *) 172;

/* address of the traced function. Since Linux 5.15. */
static __u64 (* const bpf_get_func_ip)(void *) = (void *) 173;

/* number that was given when the program was attached. Since Linux 5.15. */
static __u64 (* const bpf_get_attach_cookie)(void *) = (void *) 174;

/* user registers of a task. Since Linux 5.15. */
static long (* const bpf_task_pt_regs)(struct task_struct *) = (void *) 175;

/* copy the CPU's last branch records. Since Linux 5.16. */
static long (* const bpf_get_branch_snapshot)(void *, __u32) = (void *) 176;

/* print any number of values to trace_pipe, for debugging. Since Linux 5.16. */
static long (* const bpf_trace_vprintk)(const void *, __u32, const void *, __u32) = (void *) 177;

/* view a socket as unix_sock, NULL if it is none. Since Linux 5.16. */
static struct unix_sock *(* const bpf_skc_to_unix_sock)(void *) = (void *) 178;

/* address of a kernel symbol. Since Linux 5.16. */
static long (* const bpf_kallsyms_lookup_name)(const void *, __u32, __u64, void *) = (void *) 179;

/* call a function with the memory area of a task that holds an address. Since Linux 5.17. */
static long (* const bpf_find_vma)(struct task_struct *, __u64, void *, void *, __u64) = (void *) 180;

/* call a function a number of times. Since Linux 5.17. */
static long (* const bpf_loop)(__u64, void *, void *, __u64) = (void *) 181;

/* compare a buffer with a constant string. Since Linux 5.17. */
static long (* const bpf_strncmp)(const void *, __u32, const char *) = (void *) 182;

/* argument N of the traced function. Since Linux 5.17. */
static long (* const bpf_get_func_arg)(void *, __u64, void *) = (void *) 183;

/* return value of the traced function. Since Linux 5.17. */
static long (* const bpf_get_func_ret)(void *, void *) = (void *) 184;

/* number of arguments of the traced function. Since Linux 5.17. */
static long (* const bpf_get_func_arg_cnt)(void *) = (void *) 185;

/* error that the system call will return. Since Linux 5.18. */
static long (* const bpf_get_retval)(void) = (void *) 186;

/* set the error that the system call returns. Since Linux 5.18. */
static long (* const bpf_set_retval)(__u64) = (void *) 187;

/* length of the packet over all its fragments. Since Linux 5.18. */
static long (* const bpf_xdp_get_buff_len)(void *) = (void *) 188;

/* copy bytes of the packet, from any fragment. Since Linux 5.18. */
static long (* const bpf_xdp_load_bytes)(void *, __u64, void *, __u32) = (void *) 189;

/* write bytes of the packet, in any fragment. Since Linux 5.18. */
static long (* const bpf_xdp_store_bytes)(void *, __u64, const void *, __u32) = (void *) 190;

/* copy user memory of another task; sleepable programs only. Since Linux 5.18. */
static long (* const bpf_copy_from_user_task)(void *, __u32, const void *, struct task_struct *, __u64) = (void *) 191;

/* set the packet's delivery time and its clock. Since Linux 5.18. */
static long (* const bpf_skb_set_tstamp)(void *, __u64, __u64) = (void *) 192;

/* the IMA hash of a file, computed if need be. Since Linux 5.18. */
static long (* const bpf_ima_file_hash)(struct file *, void *, __u32) = (void *) 193;

/* put a kernel pointer into a map value and take out the old one. Since Linux 5.19. */
static void *(* const bpf_kptr_xchg)(void *, void *) = (void *) 194;

/* pointer to the value of a key on a CPU, NULL if it is absent. Since Linux 5.19. */
static void *(* const bpf_map_lookup_percpu_elem)(void *, const void *, __u64) = (void *) 195;

/* view a socket as mptcp_sock, NULL if it is none. Since Linux 5.19. */
static struct mptcp_sock *(* const bpf_skc_to_mptcp_sock)(void *) = (void *) 196;

/* make a dynptr of map value memory. Since Linux 5.19. */
static long (* const bpf_dynptr_from_mem)(void *, __u32, __u64, struct bpf_dynptr *) = (void *) 197;

/* reserve room of any size in a ring buffer as a dynptr. Since Linux 5.19. */
static long (* const bpf_ringbuf_reserve_dynptr)(void *, __u64, __u64, struct bpf_dynptr *) = (void *) 198;

/* hand a record reserved as dynptr to user space. Since Linux 5.19. */
static void (* const bpf_ringbuf_submit_dynptr)(struct bpf_dynptr *, __u64) = (void *) 199;

/* drop a record reserved as dynptr. Since Linux 5.19. */
static void (* const bpf_ringbuf_discard_dynptr)(struct bpf_dynptr *, __u64) = (void *) 200;

/* copy bytes out of a dynptr. Since Linux 5.19. */
static long (* const bpf_dynptr_read)(void *, __u32, const struct bpf_dynptr *, __u64, __u64) = (void *) 201;

/* copy bytes into a dynptr. Since Linux 5.19. */
static long (* const bpf_dynptr_write)(const struct bpf_dynptr *, __u64, const void *, __u32, __u64) = (void *) 202;

/* pointer to a slice of constant size of a dynptr, NULL if it does not fit. Since Linux 5.19. */
static void *(* const bpf_dynptr_data)(const struct bpf_dynptr *, __u64, __u64) = (void *) 203;

/* make a SYN cookie from IPv4 and TCP headers, without a socket. Since Linux 6.0. */
static long (* const bpf_tcp_raw_gen_syncookie_ipv4)(const void *, const void *, __u32) = (void *) 204;

/* make a SYN cookie from IPv6 and TCP headers, without a socket. Since Linux 6.0. */
static long (* const bpf_tcp_raw_gen_syncookie_ipv6)(const void *, const void *, __u32) = (void *) 205;

/* check a SYN cookie from IPv4 and TCP headers, without a socket. Since Linux 6.0. */
static long (* const bpf_tcp_raw_check_syncookie_ipv4)(const void *, const void *) = (void *) 206;

/* check a SYN cookie from IPv6 and TCP headers, without a socket. Since Linux 6.0. */
static long (* const bpf_tcp_raw_check_syncookie_ipv6)(const void *, const void *) = (void *) 207;

/* nanoseconds of international atomic time. Since Linux 6.1. */
static __u64 (* const bpf_ktime_get_tai_ns)(void) = (void *) 208;

/* call a function for every record that user space wrote. Since Linux 6.1. */
static long (* const bpf_user_ringbuf_drain)(void *, void *, void *, __u64) = (void *) 209;

/* pointer to the program's storage in a cgroup, made on demand. Since Linux 6.2. */
static void *(* const bpf_cgrp_storage_get)(void *, struct cgroup *, void *, __u64) = (void *) 210;

/* remove the program's storage from a cgroup. Since Linux 6.2. */
static long (* const bpf_cgrp_storage_delete)(void *, struct cgroup *) = (void *) 211;
