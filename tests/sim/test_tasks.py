"""The current task: helpers, its struct in memory, and what belongs to it."""

from errno import EFAULT, EINVAL, EPERM

import pytest

from ebpflab.asm import assemble
from ebpflab.errors import Fault
from ebpflab.obj.compile import compile_c
from ebpflab.obj.objects import read_object
from ebpflab.sim import Machine
from ebpflab.sim.tasks import INITIAL_PID_NS, Signal, Task

from .agree import signed
from .conftest import TIERS

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
struct kuid { unsigned val; };
struct cred { int usage; struct kuid uid, gid; };
struct ns_common { unsigned inum; };
struct mnt_namespace { long count; struct ns_common ns; };
struct new_utsname { char sysname[65], nodename[65]; };
struct uts_namespace { struct new_utsname name; };
struct nsproxy { struct uts_namespace *uts_ns; struct mnt_namespace *mnt_ns; };
struct kernfs_node { long flags; __u64 id; };
struct cgroup { struct kernfs_node *kn; int level; };
struct css_set { struct cgroup *dfl_cgrp; };
struct task_struct {
        long state[100];
        union { struct { int pid; int tgid; }; long both; };
        char comm[16];
        struct task_struct *real_parent, *group_leader;
        const struct cred *cred;
        struct nsproxy *nsproxy;
        struct css_set *cgroups;
        __u64 start_time;
        int unknown_here;
};
#pragma clang attribute pop

struct seen {
        int pid, tgid, parent, grand, leader, uid, gid, mnt, level, unknown; __u64 cgroup, start;
        char comm[16], node[16];
};
#define MAP(name, kind, key_, value_, entries, flags) struct { __uint(type, BPF_MAP_TYPE_##kind); \\
        __uint(max_entries, entries); __uint(map_flags, flags); __type(key, key_); __type(value, value_); } \\
        name SEC(".maps")
MAP(out, ARRAY, int, struct seen, 1, 0);
MAP(counts, TASK_STORAGE, int, long, 0, BPF_F_NO_PREALLOC);
MAP(groups, CGRP_STORAGE, int, long, 0, BPF_F_NO_PREALLOC);

SEC("kprobe/x") int looks(void *ctx)
{
        struct task_struct *task = (void *)bpf_get_current_task();
        int key = 0;
        struct seen *s = bpf_map_lookup_elem(&out, &key);

        if (!s)
                return 1;
        s->pid = BPF_CORE_READ(task, pid);
        s->tgid = BPF_CORE_READ(task, tgid);
        s->parent = BPF_CORE_READ(task, real_parent, tgid);
        s->grand = BPF_CORE_READ(task, real_parent, real_parent, pid);
        s->leader = BPF_CORE_READ(task, group_leader, pid);
        s->uid = BPF_CORE_READ(task, cred, uid.val);
        s->gid = BPF_CORE_READ(task, cred, gid.val);
        s->mnt = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
        s->level = BPF_CORE_READ(task, cgroups, dfl_cgrp, level);
        s->cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
        s->start = BPF_CORE_READ(task, start_time);
        s->unknown = BPF_CORE_READ(task, unknown_here);
        BPF_CORE_READ_STR_INTO(&s->comm, task, comm);
        BPF_CORE_READ_STR_INTO(&s->node, task, nsproxy, uts_ns, name.nodename);
        return 0;
}

SEC("tp_btf/x") int stores(void *ctx)
{
        struct task_struct *task = bpf_get_current_task_btf();
        long *mine = bpf_task_storage_get(&counts, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE), ten = 10;
        long *group = bpf_cgrp_storage_get(&groups, task->cgroups->dfl_cgrp, &ten, BPF_LOCAL_STORAGE_GET_F_CREATE);

        if (!mine || !group)
                return 1;
        ++*group;
        return ++*mine;
}

SEC("tp_btf/x") int forgets(void *ctx)
{
        struct task_struct *task = bpf_get_current_task_btf();

        if (bpf_task_storage_get(&counts, task, 0, 2))
                return 99;
        return bpf_task_storage_delete(&counts, task);
}

SEC("tp_btf/x") int has(void *ctx)
{
        return !!bpf_task_storage_get(&counts, bpf_get_current_task_btf(), 0, 0);
}
"""
TASK = Task(7, 5, 10, 20, "worker", cgroup_id=99, cgroups=(1, 50), parent=Task(3, 3, comm="boss"))


@pytest.fixture(scope="module")
def object_():
    return read_object(compile_c(SOURCE, file="tasks.c").data)


@pytest.fixture(params=TIERS)
def tier(request):
    return request.param


def number(raw):
    return int.from_bytes(raw, "little")


def test_a_compiled_program_reads_the_task(object_, tier):
    machine = Machine()
    program = machine.load(object_.programs["looks"])

    def look(task):
        machine.task = task
        assert program.run(ctx=bytes(168), tier=tier).retval == 0
        raw, out = program.maps["out"].lookup(bytes(4)), {}
        for field in program.maps["out"].spec.value.fields:
            part = raw[field.offset:field.offset + field.type.size]
            out[field.name] = part.split(b"\0")[0].decode() if field.type.kind == "array" else number(part)
        return out

    found = look(TASK)
    assert found == {"pid": 7, "tgid": 5, "parent": 3, "grand": 1, "leader": 5, "uid": 10, "gid": 20,
                     "mnt": 0xEFFF_FFF8, "level": 2, "unknown": 0, "cgroup": 99, "start": TASK.start_time,
                     "comm": "worker", "node": "ebpflab"}
    other = Task(8, 8, comm="other")
    later = look(other)
    assert (later["pid"], later["parent"], later["grand"], later["comm"]) == (8, 1, 0, "other")
    other.comm = "renamed"
    assert look(other)["comm"] == "renamed"


def test_storage_of_tasks_and_cgroups(object_, tier):
    machine, maps, programs = Machine(), {}, {}
    for name in ("stores", "forgets", "has"):
        programs[name] = machine.load(object_.programs[name], maps)
        maps |= programs[name].maps

    def run(name):
        return signed(programs[name].run(ctx=bytes(8), tier=tier).retval)

    machine.task = TASK
    assert [run("has"), run("stores"), run("stores"), run("has")] == [0, 1, 2, 1]
    machine.task = Task(8, 8, cgroup_id=99, cgroups=(1, 50))
    assert run("stores") == 1
    assert number(maps["counts"].lookup((7).to_bytes(4, "little"))) == 2
    assert number(maps["counts"].lookup((8).to_bytes(4, "little"))) == 1
    assert number(maps["groups"].lookup((99).to_bytes(4, "little"))) == 13
    assert [run("forgets"), run("forgets")] == [0, -2]
    assert maps["counts"].lookup((8).to_bytes(4, "little")) is None
    maps["counts"].update((8).to_bytes(4, "little"), (41).to_bytes(8, "little"))
    assert run("stores") == 42


def answer(tier, text, type_="kprobe", machine=None, ctx=bytes(168)):
    program = (machine or Machine()).load(assemble(text, type=type_))
    return signed(program.run(ctx=ctx, tier=tier).retval)


OWN_TASK = "call bpf_get_current_task\nr6 = r0\n"
PLAIN = [
    ("pid without types", OWN_TASK + "r0 = *(u32 *)(r6 + 0)\nexit", 7),
    ("parent without types", OWN_TASK + "r6 = *(u64 *)(r6 + 24)\nr0 = *(u32 *)(r6 + 4)\nexit", 3),
    ("above the root", "r1 = -1\ncall bpf_get_current_ancestor_cgroup_id\nexit", 0),
    ("the root", "r1 = 0\ncall bpf_get_current_ancestor_cgroup_id\nexit", 1),
    ("its own", "r1 = 2\ncall bpf_get_current_ancestor_cgroup_id\nexit", 99),
    ("below", "r1 = 3\ncall bpf_get_current_ancestor_cgroup_id\nexit", 0),
    ("user instruction", OWN_TASK + "r1 = r6\ncall bpf_task_pt_regs\nr0 = *(u64 *)(r0 + 128)\nexit", 0x401000),
    ("namespace", f"r1 = 4\nr2 = {INITIAL_PID_NS} ll\nr3 = r10\nr3 += -8\nr4 = 8\ncall bpf_get_ns_current_pid_tgid\n"
     "r0 = *(u32 *)(r10 - 8)\nr1 = *(u32 *)(r10 - 4)\nr0 <<= 8\nr0 |= r1\nexit", 7 << 8 | 5),
    ("another namespace", "r1 = 4\nr2 = 5\nr3 = r10\nr3 += -8\nr4 = 8\ncall bpf_get_ns_current_pid_tgid\nexit",
     -EINVAL),
    ("stack", OWN_TASK + "r1 = r6\nr2 = r10\nr2 += -32\nr3 = 32\nr4 = 256\ncall bpf_get_task_stack\nexit", 16),
    ("stack skipped", OWN_TASK + "r1 = r6\nr2 = r10\nr2 += -32\nr3 = 32\nr4 = 3\ncall bpf_get_task_stack\nexit",
     -EFAULT),
    ("stack of odd size", "r2 = r10\nr2 += -32\nr3 = 12\nr4 = 0\ncall bpf_get_stack\nexit", -EINVAL),
    ("no such signal", "r1 = 65\ncall bpf_send_signal\nexit", -EINVAL),
    ("user memory", "*(u64 *)(r10 - 8) = 77\nr1 = r10\nr1 += -16\nr2 = r10\nr2 += -8\nr3 = 8\n"
     "call bpf_probe_write_user\nr0 = *(u64 *)(r10 - 16)\nexit", 77),
    ("no user memory", "*(u64 *)(r10 - 8) = 77\nr1 = 4096\nr2 = r10\nr2 += -8\nr3 = 8\ncall bpf_probe_write_user\nexit",
     -EFAULT),
    ("another's memory", OWN_TASK + "r1 = r10\nr1 += -8\nr2 = 8\nr3 = 64\nr4 = r6\nr5 = 0\n"
     "call bpf_copy_from_user_task\nexit",
     -EFAULT),
]


@pytest.mark.parametrize(("text", "result"), [row[1:] for row in PLAIN], ids=[row[0] for row in PLAIN])
def test_helpers(text, result, tier):
    machine = Machine()
    machine.task = TASK
    assert answer(tier, text, machine=machine) == result


def test_signals_are_recorded(tier):
    machine = Machine()
    text = "r1 = 9\ncall bpf_send_signal\nr1 = 10\ncall bpf_send_signal_thread\nexit"
    machine.task = TASK
    assert answer(tier, text, machine=machine) == 0
    assert machine.signals == [Signal(9, 5, False), Signal(10, 7, True)]
    machine.task = Task(1, 1)
    assert answer(tier, text, machine=machine) == -EPERM


def test_what_is_no_task_is_a_fault(tier):
    with pytest.raises(Fault, match="not a struct task_struct"):
        answer(tier, "r1 = r10\ncall bpf_task_pt_regs\nexit")


def test_the_cgroup_tree(tier):
    machine = Machine()
    program = machine.load(assemble(".map g cgroup_array u32 u32 2\nr1 = map[g] ll\nr2 = 0\n"
                                    "call bpf_current_task_under_cgroup\nexit", type="kprobe"))
    program.maps["g"].update(bytes(4), (50).to_bytes(4, "little"))
    machine.task = TASK
    assert program.run(ctx=bytes(168), tier=tier).retval == 1
    machine.task = Task(cgroup_id=60, cgroups=(1,))
    assert program.run(ctx=bytes(168), tier=tier).retval == 0
