"""Tasks: what runs while a program runs, as programs see it through helpers and in ``struct task_struct``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

NSFS_DEVICE, INITIAL_PID_NS = 4, 0xEFFF_FFFC     # st_dev and st_ino of /proc/1/ns/pid after boot
INITIAL = {"pid_ns_for_children": INITIAL_PID_NS, "uts_ns": 0xEFFF_FFFE, "ipc_ns": 0xEFFF_FFFF, "mnt_ns": 0xEFFF_FFF8,
           "net_ns": 0xF000_0000, "cgroup_ns": 0xEFFF_FFFB}


@dataclass(slots=True)
class Task:
    """A thread. ``parent`` None is the init process; ``cgroups`` are the ids of the cgroups above ``cgroup_id``, the
    root first."""

    pid: int = 1000      # the thread; what the kernel calls pid
    tgid: int = 1000     # the process
    uid: int = 1000
    gid: int = 1000
    comm: str = "ebpflab"
    cgroup_id: int = 1
    kernel_stack: tuple[int, ...] = (0xFFFF_FFFF_8100_0010, 0xFFFF_FFFF_8100_0200)
    user_stack: tuple[int, ...] = (0x0040_1000, 0x0040_2000)
    parent: Task | None = None
    cgroups: tuple[int, ...] = ()
    start_time: int = 500_000_000      # ns since boot
    branches: tuple[tuple[int, int], ...] = ()      # the last ones taken: from, to

    def snapshot(self) -> tuple:
        """What its struct is made of, to see whether that changed."""
        return (self.pid, self.tgid, self.uid, self.gid, self.comm, self.cgroup_id, self.cgroups, self.start_time,
                self.parent.snapshot() if self.parent else ())


class Signal(NamedTuple):
    """One that a program sent, to a process or a ``thread`` of it."""

    number: int
    pid: int
    thread: bool


@dataclass(slots=True)
class Sysctl:
    """What a cgroup_sysctl program is asked about: a file under /proc/sys, its value, and what is being written."""

    name: str = "net/ipv4/ip_forward"
    value: bytes = b"0"
    new: bytes = b""


IDLE = Task(0, 0, 0, 0, "swapper/0", kernel_stack=(), user_stack=(), start_time=0)
INIT = Task(1, 1, 0, 0, "init", kernel_stack=(), user_stack=(), parent=IDLE, start_time=1_000_000)


def parent_of(task: Task) -> Task:
    return task.parent or (IDLE if task.pid in (0, 1) else INIT)


def leader_of(task: Task) -> Task:
    """The thread whose pid is the process's."""
    return task if task.pid == task.tgid else replace(task, pid=task.tgid)


class Refers(NamedTuple):
    """A pointer member: to a struct of the kernel, made of a task; ``key`` tells such structs apart."""

    struct: str
    task: Task
    key: int


def _namespaces(task: Task) -> dict:
    structs = {"pid_ns_for_children": "pid_namespace", "uts_ns": "uts_namespace", "ipc_ns": "ipc_namespace",
               "mnt_ns": "mnt_namespace", "net_ns": "net", "cgroup_ns": "cgroup_namespace"}
    return {name: Refers(struct, task, INITIAL[name]) for name, struct in structs.items()}


def _task_struct(task: Task) -> dict:
    parent, leader = [Refers("task_struct", one, one.pid) for one in (parent_of(task), leader_of(task))]
    cred = Refers("cred", task, task.pid)
    return {"pid": task.pid, "tgid": task.tgid, "comm": task.comm.encode()[:15],
            "real_parent": parent, "parent": parent, "group_leader": leader, "cred": cred, "real_cred": cred,
            "nsproxy": Refers("nsproxy", task, 0), "cgroups": Refers("css_set", task, task.cgroup_id),
            "mm": Refers("mm_struct", task, task.tgid) if task.user_stack else 0,
            "start_time": task.start_time, "start_boottime": task.start_time, "prio": 120, "static_prio": 120,
            "normal_prio": 120}


def _cred(task: Task) -> dict:
    return {name + ".val": task.uid if "u" in name else task.gid
            for name in ("uid", "gid", "suid", "sgid", "euid", "egid", "fsuid", "fsgid")}


def _number(name: str):
    return lambda task: {"ns.inum": INITIAL[name]}


#: struct of the kernel -> what its members hold, for a task; ``a.b`` is a member of a member, all others are zero
MEMBERS = {
    "task_struct": _task_struct, "cred": _cred, "nsproxy": _namespaces,
    "pid_namespace": _number("pid_ns_for_children"), "ipc_namespace": _number("ipc_ns"),
    "mnt_namespace": _number("mnt_ns"), "net": _number("net_ns"), "cgroup_namespace": _number("cgroup_ns"),
    "uts_namespace": lambda task: _number("uts_ns")(task) | {
        "name.sysname": b"Linux", "name.nodename": b"ebpflab", "name.release": b"6.18.0", "name.machine": b"x86_64"},
    "css_set": lambda task: {"dfl_cgrp": Refers("cgroup", task, task.cgroup_id)},
    "cgroup": lambda task: {"kn": Refers("kernfs_node", task, task.cgroup_id), "level": len(task.cgroups)},
    "kernfs_node": lambda task: {"id": task.cgroup_id},
    "mm_struct": lambda task: {},
}
