"""What each helper does, in one line of our own."""

_DOCS = """
map_lookup_elem: pointer to the value of a key in a map, NULL if it is absent
map_update_elem: write the value of a key; flags choose any, only-new (1) or only-existing (2)
map_delete_elem: remove a key from a map
probe_read: copy memory from any address, user or kernel (old kernels; prefer the _user and _kernel forms)
ktime_get_ns: nanoseconds since boot, not counting suspend
trace_printk: print up to three values to trace_pipe, for debugging
get_prandom_u32: pseudo-random 32-bit number
get_smp_processor_id: number of the CPU that runs the program
skb_store_bytes: write bytes into the packet at an offset; voids packet pointers
l3_csum_replace: patch the IP header checksum after a field changed
l4_csum_replace: patch the TCP or UDP checksum after a field or address changed
tail_call: go on in another program of a program array; does not return if it succeeds
clone_redirect: send a copy of the packet out of a device
get_current_pid_tgid: process id in the upper, thread id in the lower 32 bits
get_current_uid_gid: gid in the upper, uid in the lower 32 bits
get_current_comm: copy the name of the current task
get_cgroup_classid: net_cls class of the packet's or the task's cgroup
skb_vlan_push: add a VLAN tag to the packet
skb_vlan_pop: remove the packet's VLAN tag
skb_get_tunnel_key: read the tunnel metadata that the packet came with
skb_set_tunnel_key: set the tunnel metadata for the packet's way out
perf_event_read: read a hardware or software counter from a perf event array
redirect: send the packet on to a device by its index
get_route_realm: realm of the route that the packet takes
perf_event_output: send a record to user space through a perf event array
skb_load_bytes: copy bytes of the packet to the stack
get_stackid: walk a stack and store it in a stack trace map, giving its id
csum_diff: checksum difference between two pieces of memory
skb_get_tunnel_opt: read tunnel options of the packet
skb_set_tunnel_opt: set tunnel options for the packet
skb_change_proto: turn the packet from IPv4 into IPv6 or back
skb_change_type: change the packet type (to host, broadcast, …)
skb_under_cgroup: does the packet's socket belong to a cgroup of a cgroup array
get_hash_recalc: flow hash of the packet, computed if need be
get_current_task: address of the current task_struct as a number
probe_write_user: write to user memory of the current task, for experiments
current_task_under_cgroup: does the current task belong to a cgroup of a cgroup array
skb_change_tail: make the packet shorter or longer at its end
skb_pull_data: make the first bytes of the packet directly readable and writable
csum_update: add a checksum difference to the packet's complete checksum
set_hash_invalid: make the packet's flow hash be computed anew
get_numa_node_id: number of the NUMA node that runs the program
skb_change_head: make room before the packet
xdp_adjust_head: move the packet's start forwards or back
probe_read_str: copy a string from any address (old kernels; prefer the _user_str and _kernel_str forms)
get_socket_cookie: number that names a socket for its whole life
get_socket_uid: owner of the packet's socket
set_hash: set the packet's flow hash
setsockopt: set a socket option of the socket at hand
skb_adjust_room: grow or shrink the room for headers inside the packet
redirect_map: send the packet to the device, CPU or socket at an index of a map
sk_redirect_map: send the packet to a socket of a sockmap
sock_map_update: put the socket at hand into a sockmap
xdp_adjust_meta: move the start of the metadata before the packet
perf_event_read_value: read a counter with its enabled and running times
perf_prog_read_value: read the counter of the event that triggered the program
getsockopt: read a socket option of the socket at hand
override_return: skip the probed function and return a value of choice
sock_ops_cb_flags_set: choose which TCP events call the program
msg_redirect_map: send the message to a socket of a sockmap
msg_apply_bytes: let the verdict hold for so many further bytes
msg_cork_bytes: wait for so many bytes before the program is called again
msg_pull_data: make a range of the message directly readable
bind: bind the connecting socket to a source address
xdp_adjust_tail: move the packet's end forwards or back
skb_get_xfrm_state: read the IPsec state that the packet came through
get_stack: copy the user or kernel stack trace into a buffer
skb_load_bytes_relative: copy bytes of the packet, counted from its MAC or IP header
fib_lookup: look up the route and neighbour for a packet
sock_hash_update: put the socket at hand into a sockhash
msg_redirect_hash: send the message to a socket of a sockhash
sk_redirect_hash: send the packet to a socket of a sockhash
lwt_push_encap: put an outer header before the packet
lwt_seg6_store_bytes: write bytes into the packet's segment routing header
lwt_seg6_adjust_srh: grow or shrink the segment routing header's options
lwt_seg6_action: do a segment routing action on the packet
rc_repeat: report that the last infrared key is held
rc_keydown: report an infrared key press
skb_cgroup_id: cgroup id of the packet's socket
get_current_cgroup_id: cgroup id of the current task
get_local_storage: pointer to the program's storage in its cgroup
sk_select_reuseport: choose the socket of a reuseport group that gets the packet
skb_ancestor_cgroup_id: id of an ancestor of the packet's cgroup at a level
sk_lookup_tcp: find a TCP socket by addresses and ports; must be released
sk_lookup_udp: find a UDP socket by addresses and ports; must be released
sk_release: give back a socket that a look-up found
map_push_elem: add a value to a queue, stack or bloom filter
map_pop_elem: take a value from a queue or stack
map_peek_elem: read the next value of a queue or stack, or ask a bloom filter
msg_push_data: insert room into the message
msg_pop_data: remove bytes from the message
rc_pointer_rel: report a movement of an infrared pointer
spin_lock: take the lock inside a map value
spin_unlock: release the lock inside a map value
sk_fullsock: the full socket of a common one, NULL if there is none
tcp_sock: the TCP part of a socket, NULL if it is not TCP
skb_ecn_set_ce: mark the packet as having met congestion
get_listener_sock: the listening socket of a socket, NULL if there is none
skc_lookup_tcp: find a TCP socket of any state; must be released
tcp_check_syncookie: is this ACK the answer to a SYN cookie
sysctl_get_name: copy the name of the sysctl being accessed
sysctl_get_current_value: copy the sysctl's present value
sysctl_get_new_value: copy the value that is being written to the sysctl
sysctl_set_new_value: replace the value that is being written to the sysctl
strtol: read a signed number from text
strtoul: read an unsigned number from text
sk_storage_get: pointer to the program's storage in a socket, made on demand
sk_storage_delete: remove the program's storage from a socket
send_signal: send a signal to the current process
tcp_gen_syncookie: make a SYN cookie for a SYN packet
skb_output: send a record with packet bytes through a perf event array, from a tracing program
probe_read_user: copy memory from a user address
probe_read_kernel: copy memory from a kernel address
probe_read_user_str: copy a string from a user address
probe_read_kernel_str: copy a string from a kernel address
tcp_send_ack: send a TCP acknowledgement, from a congestion control program
send_signal_thread: send a signal to the current thread
jiffies64: the kernel's 64-bit tick count
read_branch_records: copy the branch records of the event's sample
get_ns_current_pid_tgid: process and thread id as a pid namespace sees them
xdp_output: send a record with XDP packet bytes through a perf event array, from a tracing program
get_netns_cookie: number that names a network namespace
get_current_ancestor_cgroup_id: id of an ancestor of the current task's cgroup at a level
sk_assign: give the packet to a socket
ktime_get_boot_ns: nanoseconds since boot, counting suspend
seq_printf: print formatted text into an iterator's output
seq_write: write bytes into an iterator's output
sk_cgroup_id: cgroup id of a socket
sk_ancestor_cgroup_id: id of an ancestor of a socket's cgroup at a level
ringbuf_output: copy a record into a ring buffer
ringbuf_reserve: reserve room in a ring buffer, NULL if it is full; must be submitted or discarded
ringbuf_submit: hand a reserved record to user space
ringbuf_discard: drop a reserved record
ringbuf_query: fill level or positions of a ring buffer
csum_level: change or ask how many checksums of the packet are verified
skc_to_tcp6_sock: view a socket as tcp6_sock, NULL if it is none
skc_to_tcp_sock: view a socket as tcp_sock, NULL if it is none
skc_to_tcp_timewait_sock: view a socket as tcp_timewait_sock, NULL if it is none
skc_to_tcp_request_sock: view a socket as tcp_request_sock, NULL if it is none
skc_to_udp6_sock: view a socket as udp6_sock, NULL if it is none
get_task_stack: copy the stack trace of a task into a buffer
load_hdr_opt: read an option of the TCP header
store_hdr_opt: write an option into the TCP header
reserve_hdr_opt: reserve room for options in the TCP header
inode_storage_get: pointer to the program's storage in an inode, made on demand
inode_storage_delete: remove the program's storage from an inode
d_path: copy the full path of a file
copy_from_user: copy user memory, faulting pages in; sleepable programs only
snprintf_btf: print a kernel object by its BTF type into a buffer
seq_printf_btf: print a kernel object by its BTF type into an iterator's output
skb_cgroup_classid: net_cls class of the packet's socket
redirect_neigh: send the packet to a device, with the neighbour resolved by the kernel
per_cpu_ptr: address of a per-CPU variable on a CPU, NULL if there is no such CPU
this_cpu_ptr: address of a per-CPU variable on this CPU
redirect_peer: send the packet straight to the other end of a veth or netkit device
task_storage_get: pointer to the program's storage in a task, made on demand
task_storage_delete: remove the program's storage from a task
get_current_task_btf: the current task as a typed pointer
bprm_opts_set: set options of a program that is being executed
ktime_get_coarse_ns: coarse and cheap nanoseconds since boot
ima_inode_hash: the stored IMA hash of an inode
sock_from_file: the socket behind a file, NULL if it is none
check_mtu: does a packet fit the MTU of a device
for_each_map_elem: call a function for every entry of a map
snprintf: print formatted text into a buffer
sys_bpf: call bpf(2) from a syscall program
btf_find_by_name_kind: find a BTF type by name
sys_close: close a file descriptor from a syscall program
timer_init: prepare the timer inside a map value
timer_set_callback: set the function that the timer calls
timer_start: start the timer
timer_cancel: stop the timer and wait for its callback
get_func_ip: address of the traced function
get_attach_cookie: number that was given when the program was attached
task_pt_regs: user registers of a task
get_branch_snapshot: copy the CPU's last branch records
trace_vprintk: print any number of values to trace_pipe, for debugging
skc_to_unix_sock: view a socket as unix_sock, NULL if it is none
kallsyms_lookup_name: address of a kernel symbol
find_vma: call a function with the memory area of a task that holds an address
loop: call a function a number of times
strncmp: compare a buffer with a constant string
get_func_arg: argument N of the traced function
get_func_ret: return value of the traced function
get_func_arg_cnt: number of arguments of the traced function
get_retval: error that the system call will return
set_retval: set the error that the system call returns
xdp_get_buff_len: length of the packet over all its fragments
xdp_load_bytes: copy bytes of the packet, from any fragment
xdp_store_bytes: write bytes of the packet, in any fragment
copy_from_user_task: copy user memory of another task; sleepable programs only
skb_set_tstamp: set the packet's delivery time and its clock
ima_file_hash: the IMA hash of a file, computed if need be
kptr_xchg: put a kernel pointer into a map value and take out the old one
map_lookup_percpu_elem: pointer to the value of a key on a CPU, NULL if it is absent
skc_to_mptcp_sock: view a socket as mptcp_sock, NULL if it is none
dynptr_from_mem: make a dynptr of map value memory
ringbuf_reserve_dynptr: reserve room of any size in a ring buffer as a dynptr
ringbuf_submit_dynptr: hand a record reserved as dynptr to user space
ringbuf_discard_dynptr: drop a record reserved as dynptr
dynptr_read: copy bytes out of a dynptr
dynptr_write: copy bytes into a dynptr
dynptr_data: pointer to a slice of constant size of a dynptr, NULL if it does not fit
tcp_raw_gen_syncookie_ipv4: make a SYN cookie from IPv4 and TCP headers, without a socket
tcp_raw_gen_syncookie_ipv6: make a SYN cookie from IPv6 and TCP headers, without a socket
tcp_raw_check_syncookie_ipv4: check a SYN cookie from IPv4 and TCP headers, without a socket
tcp_raw_check_syncookie_ipv6: check a SYN cookie from IPv6 and TCP headers, without a socket
ktime_get_tai_ns: nanoseconds of international atomic time
user_ringbuf_drain: call a function for every record that user space wrote
cgrp_storage_get: pointer to the program's storage in a cgroup, made on demand
cgrp_storage_delete: remove the program's storage from a cgroup
"""
DOCS = {name: doc for name, _, doc in (line.partition(": ") for line in _DOCS.strip().splitlines())}
