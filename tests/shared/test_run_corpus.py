"""Accepted corpus programs, run: interpreter = source code = machine code = this kernel's TEST_RUN (an extra).

Every program of a type that TEST_RUN reaches runs on the same packets in all of them; retval, packet and the contents
of its maps are compared after each. Left out is what depends on its environment, by what it calls (``ENVIRONMENT``)
or, program by program, on what no specification says (``UNSPECIFIED``).
"""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from ebpflab.abi import HELPER_IDS
from ebpflab.errors import Fault, KernelError
from ebpflab.kernel import syscall
from ebpflab.kernel.session import Session
from ebpflab.sim import Machine, available_tiers, packets
from ebpflab.sim.decode import NOT_SIMULATED, decode
from ebpflab.sim.helpers import HELPERS
from ebpflab.verify import records

from .test_kernel_load import AT_MOST, load

CORPUS = Path(__file__).resolve().parents[3] / "shared/data/kernel-corpus/dev.jsonl.gz"
#: socket_filter, sched_cls, sched_act, xdp, cgroup_skb, lwt_in, lwt_out, lwt_xmit
TYPES = {1, 3, 4, 6, 8, 10, 11, 12}
#: helpers whose answers are the machine's own: time, chance, place, process
ENVIRONMENT = {"ktime_get_ns", "ktime_get_boot_ns", "ktime_get_coarse_ns", "ktime_get_tai_ns", "jiffies64",
               "get_prandom_u32", "get_smp_processor_id", "get_numa_node_id", "get_current_pid_tgid",
               "get_current_uid_gid", "get_current_comm", "get_current_task", "get_current_task_btf",
               "get_current_cgroup_id", "get_socket_cookie", "get_netns_cookie", "get_hash_recalc", "get_stack",
               "get_stackid", "perf_event_read", "skb_cgroup_id", "skb_ancestor_cgroup_id"}
ASYNC = "its timer fires by itself"
STACK, POINTER, TIME = "reads stack that was not written", "shows an address", "ends by the clock (may_goto)"
EGRESS = "the kernel runs it behind a devmap only; the simulator runs it at once"
UNSPECIFIED = {
    "verifier_direct_packet_access.c": dict.fromkeys(
        ("direct_packet_access_test4_write", "test18_imm_pkt_ptr_1", "test19_imm_pkt_ptr_2", "test22_x_pkt_ptr_3"),
        POINTER),
    "verifier_iterating_callbacks.c": dict.fromkeys(
        ("cond_break1", "cond_break2", "cond_break3", "cond_break4", "cond_break5"), TIME),
    "verifier_lwt.c": {"packet_write_for_lwt_xmit": POINTER},
    "verifier_raw_stack.c": {"stack_no_skb_load_bytes": STACK},
    "verifier_search_pruning.c": dict.fromkeys(("state_equality_check_way_1", "state_equality_check_way_2"), POINTER),
    "verifier_spill_fill.c": dict.fromkeys(
        ("check_valid_spill_fill", "check_corrupted_spill_fill_lsb", "check_corrupted_spill_fill_msb"), POINTER),
    "verifier_unpriv.c": {"unpriv_return_pointer": POINTER},
    "verifier_stack_ptr.c": {"array_map_using_bpf_b": POINTER},
    "cgroup_skb_direct_packet_access.c": {"direct_packet_access": POINTER},
    "timer_lockup.c": dict.fromkeys(("timer1_prog", "timer2_prog"), ASYNC),
    "calls.c": {"#150": POINTER, "#196": POINTER},
    "compute_live_registers.c": {"load": STACK, "regular_call": STACK, "may_goto": TIME},
    "test_global_func16.c": {"global_func16": STACK},
    "freplace_progmap.c": {"xdp_drop_prog": EGRESS},
    "test_xdp_with_devmap_frags_helpers.c": {"xdp_dummy_dm": EGRESS, "xdp_dummy_dm_frags": EGRESS},
    "test_xdp_with_devmap_helpers.c": {"xdp_dummy_dm": EGRESS},
    "xdp_redirect_multi_kern.c": {"xdp_devmap_prog": EGRESS},
}
#: maps whose contents are values, the same in all
PLAIN = {"hash", "array", "percpu_hash", "percpu_array", "lru_hash", "lru_percpu_hash", "lpm_trie"}
PACKETS = (packets.udp(b"payload" * 4), packets.tcp(b"x" * 10), packets.udp(b"six", src="fd00::1", dst="fd00::2"),
           bytes(64), bytes(14), packets.udp(bytes(range(200))))
#: maps of devices: the kernel itself adds BPF_F_RDONLY_PROG, and refuses it
DEVICES, RDONLY_PROG = ("devmap", "devmap_hash"), 128

pytestmark = [pytest.mark.slow, pytest.mark.kernel,
              pytest.mark.skipif(not CORPUS.exists(), reason="../shared is not beside this checkout")]


def reason(row) -> str:
    """Why a record is not compared, "" if it is."""
    helpers = {name.split("#")[0] for name in row["helpers"] or {}}
    if row["kfuncs"]:
        return "calls a kfunc"
    if any(name != "tail_call" and HELPER_IDS.get(name) not in HELPERS for name in helpers):
        return "calls a helper that is not simulated"
    if helpers & ENVIRONMENT:
        return "asks its environment"
    return UNSPECIFIED.get(Path(row["file"]).name, {}).get(row["prog"], "")


def kernels(session, program, data):
    try:
        done = session.prog_run(program, data, b"", 1)
    except KernelError as error:
        return error.errno
    return done["retval"], done["data"]


def ours(program, data, tier):
    try:
        done = program.run(data, tier=tier)
    except KernelError as error:
        return error.errno
    except Fault as fault:
        return str(fault)
    return done.retval, done.data


def contents(read):
    count = read["count"] or 1
    keys, values = ([column[at:at + len(column) // count] for at in range(0, len(column), len(column) // count or 1)]
                    for column in (read["keys"], read["values"]))
    return dict(zip(keys, values, strict=True))


def test_every_tier_gives_what_the_kernel_gives():
    with Session() as probe:
        facts = probe.facts()
    if not facts["privileged"]:
        pytest.skip("bpf(2) is not ours to use here")
    before, btfs = os.sched_getaffinity(0), records.read_btf(CORPUS)
    compared, left, wrong = 0, Counter(), []
    os.sched_setaffinity(0, {0})
    try:
        for row in records.read(CORPUS):
            if row["verdict"] != "accept" or row["prog_type"] not in TYPES or row["stats"]["processed"] > AT_MOST:
                continue
            why = reason(row)
            spec = records.program(row, btfs)
            if not why and any(code.verb in NOT_SIMULATED for code in decode(spec.insns).codes):
                why = "uses what is not simulated"
            if why:
                left[why] += 1
                continue
            with Session() as session:
                made = load(session, row, btfs.get(row["btf_sha"], b""))
                if not made["prog"]:
                    left["this kernel refuses it"] += 1
                    continue
                wrong += differences(session, made, replace(spec, maps=tuple(
                    replace(each, flags=each.flags & ~RDONLY_PROG) if each.type in DEVICES else each
                    for each in spec.maps)), facts["cpus"], row)
            compared += 1
    finally:
        os.sched_setaffinity(0, before)
    print(f"compared {compared} programs; left out {dict(left)}")
    assert not wrong, "\n".join(wrong)
    assert compared >= (500 if syscall.version()[:2] == (6, 18) else 300), left
    assert left["calls a helper that is not simulated"] <= 8


def differences(session, made, spec, cpus, row):
    """The first difference of every tier, in words."""
    where = f"record {row['id']}: {row['prog']} of {row['file']}"
    programs = {tier: Machine(cpus=cpus).load(spec) for tier in available_tiers()}
    found = {}
    for number, data in enumerate(PACKETS):
        want = kernels(session, made["prog"], data)
        for tier, program in programs.items():
            if (got := ours(program, data, tier)) != want:
                found.setdefault(tier, f"{where}, packet {number}, {tier}: {got}, the kernel {want}")
    for held, one, recorded in zip(made["maps"], spec.maps, row["maps"], strict=True):
        if one.type not in PLAIN or recorded.get("special"):
            continue
        want = contents(session.map_read(held))
        for tier, program in programs.items():
            read = program.maps[one.name].read()
            if contents({"keys": read.keys, "values": read.values, "count": read.count}) != want:
                found.setdefault(tier, f"{where}, map {one.name}, {tier}: {read}, the kernel {want}")
    return list(found.values())
