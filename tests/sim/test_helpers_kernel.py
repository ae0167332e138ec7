"""Every simulated helper that a test run reaches, against this machine's kernel: normal and wrong arguments.

The programs of ``helpers_asked`` write each answer into an array; result, packet and answers have to be the kernel's
in every tier. The tables below say of all other helpers where they are compared, or why they cannot be.
"""

import os

import pytest

from ebpflab.abi import HELPER_NAMES
from ebpflab.isa import bits
from ebpflab.obj.compile import compile_c
from ebpflab.obj.objects import read_object
from ebpflab.sim import available_tiers, packets
from ebpflab.sim.helpers import HELPERS
from ebpflab.targets import sim

from .helpers_asked import ASKED, source

#: file of this folder -> the helpers that it compares with the kernel
ELSEWHERE = {
    "test_dynptr.py": "dynptr_data dynptr_from_mem dynptr_read dynptr_write ringbuf_reserve_dynptr"
                      " ringbuf_submit_dynptr ringbuf_discard_dynptr",
    "test_packets_kernel.py": "csum_diff csum_level l3_csum_replace l4_csum_replace skb_change_head skb_change_tail"
                              " skb_change_type skb_ecn_set_ce skb_load_bytes skb_load_bytes_relative skb_pull_data"
                              " skb_set_tstamp skb_store_bytes skb_vlan_pop skb_vlan_push xdp_adjust_head"
                              " xdp_adjust_meta xdp_adjust_tail",
    "test_room_kernel.py": "skb_adjust_room skb_change_proto",
    "test_routes_kernel.py": "fib_lookup check_mtu redirect_neigh redirect_peer",
    "test_sockets_kernel.py": "sk_lookup_tcp sk_lookup_udp skc_lookup_tcp sk_release sk_assign tcp_sock"
                              " get_listener_sock",
    "test_storage.py": "get_local_storage",
    "test_tunnels_kernel.py": "skb_get_tunnel_key skb_set_tunnel_key skb_get_tunnel_opt skb_set_tunnel_opt",
}
#: why a test run does not reach a helper -> the helpers
NOT_REACHED = {
    "its program type has no test run": "setsockopt getsockopt sock_ops_cb_flags_set sock_map_update sock_hash_update"
        " load_hdr_opt store_hdr_opt reserve_hdr_opt bind msg_redirect_map msg_redirect_hash msg_apply_bytes"
        " msg_cork_bytes msg_pull_data msg_push_data msg_pop_data sk_redirect_map sk_redirect_hash sk_select_reuseport"
        " sysctl_get_name sysctl_get_current_value sysctl_get_new_value sysctl_set_new_value get_retval set_retval"
        " override_return perf_prog_read_value read_branch_records get_func_ip get_attach_cookie get_func_arg"
        " get_func_ret get_func_arg_cnt skb_output xdp_output",
    "it acts on the process that runs the test": "send_signal send_signal_thread probe_write_user",
    "it needs a buffer that user space keeps filling or reading": "perf_event_output user_ringbuf_drain",
    "it needs a sleepable program": "copy_from_user copy_from_user_task",
    "it needs types of this kernel in the program": "task_pt_regs get_task_stack task_storage_get task_storage_delete"
        " inode_storage_get inode_storage_delete cgrp_storage_get cgrp_storage_delete kptr_xchg skc_to_tcp_sock"
        " skc_to_tcp6_sock skc_to_udp6_sock get_branch_snapshot",
    "its answer is this boot's": "kallsyms_lookup_name",
}
FRAME = packets.udp(bytes(range(64)))
MISSING = ("%s: simulated, but not compared with the kernel; add it to helpers_asked.ASKED, or to NOT_REACHED with the"
           " reason")


@pytest.fixture(scope="module")
def programs():
    return {name: read_object(compile_c(source(name)).data).program("asks") for name in ASKED}


def helpers(spec):
    return {HELPER_NAMES[insn.imm] for insn in spec.insns
            if insn.opcode == bits.JMP | bits.CALL and insn.src == bits.CALL_HELPER}


def answers(program, data, **options):
    done = program.run(data, **options)
    told = program.maps["told"].read()
    return done.retval, done.data, [int.from_bytes(told.values[at:at + 8], "little", signed=True)
                                    for at in range(0, len(told.values), 8)]


@pytest.mark.kernel
@pytest.mark.parametrize("name", ASKED)
def test_as_the_kernel(name, programs, local):
    spec = programs[name]
    data = b"" if spec.type == "raw_tracepoint" else FRAME
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    try:
        with local.load(spec) as program:
            want = answers(program, data)
    finally:
        os.sched_setaffinity(0, before)
    assert any(want[2]), "the program said nothing"
    for tier in available_tiers():
        with sim.open() as lab:
            assert answers(lab.load(spec), data, tier=tier) == want, tier


def test_nothing_is_left_out(programs):
    asked = set().union(*map(helpers, programs.values()))
    listed = {helper for names in (*ELSEWHERE.values(), *NOT_REACHED.values()) for helper in names.split()}
    simulated = {each.name for each in HELPERS.values()}
    assert not (listed | asked) - simulated - {"tail_call"}
    missing = simulated - asked - listed
    assert not missing, MISSING % ", ".join(sorted(missing))
    assert not asked & {helper for names in NOT_REACHED.values() for helper in names.split()}
