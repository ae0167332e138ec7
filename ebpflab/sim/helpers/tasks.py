"""Helpers about the current task: who it is, its stacks, its memory, its signals (``kernel/trace/bpf_trace.c``)."""

from __future__ import annotations

import errno

from ...errors import Fault
from ..maps import References, StackTrace
from ..tasks import INITIAL_PID_NS, NSFS_DEVICE, Signal, Task
from .maps import a_map
from .registry import helper, signed32

SIGNALS = 64                                    # _NSIG
F_SKIP, F_USER_STACK, F_USER_BUILD_ID = 0xFF, 1 << 8, 1 << 11


@helper()
def get_current_pid_tgid(run):
    return run.machine.task.tgid << 32 | run.machine.task.pid


@helper()
def get_ns_current_pid_tgid(run, device, inode, target, size):
    """pid and tgid (two u32) in a pid namespace, given by its file's device and inode: there is the initial one."""
    if size & 0xFFFF_FFFF != 8 or (device, inode) != (NSFS_DEVICE, INITIAL_PID_NS):
        run.memory.clear(target, size & 0xFFFF_FFFF)
        return -errno.EINVAL
    task = run.machine.task
    run.memory.write(target, task.pid.to_bytes(4, "little") + task.tgid.to_bytes(4, "little"))
    return 0


@helper()
def get_current_uid_gid(run):
    return run.machine.task.gid << 32 | run.machine.task.uid


@helper()
def get_current_cgroup_id(run):
    return run.machine.task.cgroup_id


@helper()
def get_current_ancestor_cgroup_id(run, level):
    """The id of the cgroup at a level of the task's path, the root being 0; 0 if it is not that deep."""
    task, level = run.machine.task, signed32(level)
    path = (*task.cgroups, task.cgroup_id)
    return path[level] if 0 <= level < len(path) else 0


@helper()
def current_task_under_cgroup(run, map_, index):
    found, index = a_map(run, map_, References, "current_task_under_cgroup"), index & 0xFFFF_FFFF
    if index >= found.spec.max_entries:
        return -errno.E2BIG
    cgroup, task = found.at(index), run.machine.task
    return -errno.EAGAIN if cgroup is None else int(cgroup in (*task.cgroups, task.cgroup_id))


@helper()
def get_current_comm(run, buffer, size):
    size &= 0xFFFF_FFFF
    if not size:
        return -errno.EINVAL
    name = run.machine.task.comm.encode()[:min(size, 16) - 1]
    run.memory.clear(buffer, size)
    run.memory.write(buffer, name)
    return 0


@helper("get_current_task", "get_current_task_btf")
def get_current_task(run):
    """A struct task_struct, laid out by the program's types (``sim.objects``)."""
    return run.machine.objects.task(run.machine.task, run.program.spec.btf)


def _current(run, pointer: int) -> Task:
    """The task of a pointer, which has to be the current one: no other has stacks and memory here."""
    task = run.machine.task
    if run.machine.objects.known(pointer, "task_struct").key != task.pid:
        raise Fault("only the current task's stack and registers are simulated")
    return task


@helper()
def task_pt_regs(run, task):
    """The registers that the task entered the kernel with: the instruction is the top of its user stack."""
    return run.machine.objects.registers(_current(run, task))


# -- stacks --------------------------------------------------------------------------------------


@helper()
def get_stackid(run, ctx, map_, flags):
    if flags & ~0x7FF:
        return -errno.EINVAL
    task = run.machine.task
    stack = task.user_stack if flags & F_USER_STACK else task.kernel_stack
    return a_map(run, map_, StackTrace, "get_stackid").file(stack, flags)


def _stack(run, task: Task, buffer: int, size: int, flags: int) -> int:
    size &= 0xFFFF_FFFF
    run.memory.clear(buffer, size)
    if flags & ~(F_SKIP | F_USER_STACK | F_USER_BUILD_ID) or size % 8:
        return -errno.EINVAL
    if flags & F_USER_BUILD_ID:
        return -errno.EINVAL if not flags & F_USER_STACK else -errno.EOPNOTSUPP
    stack, skip = task.user_stack if flags & F_USER_STACK else task.kernel_stack, flags & F_SKIP
    if skip > len(stack):
        return -errno.EFAULT
    data = b"".join(address.to_bytes(8, "little") for address in stack[skip:][:size // 8])
    run.memory.write(buffer, data)
    return len(data)


@helper()
def get_stack(run, ctx, buffer, size, flags):
    return _stack(run, run.machine.task, buffer, size, flags)


@helper()
def get_task_stack(run, task, buffer, size, flags):
    return _stack(run, _current(run, task), buffer, size, flags)


# -- memory of the process, signals ------------------------------------------------------------------


@helper()
def probe_write_user(run, target, source, size):
    data = run.memory.read(source, size & 0xFFFF_FFFF)
    try:
        run.memory.write(target, data)
    except Fault:
        return -errno.EFAULT
    return 0


@helper()
def copy_from_user_task(run, target, size, source, task, flags):
    size &= 0xFFFF_FFFF
    if flags:
        return -errno.EINVAL
    _current(run, task)
    try:
        run.memory.write(target, run.memory.read(source, size))
    except Fault:
        run.memory.clear(target, size)
        return -errno.EFAULT
    return 0


def _signal(run, number: int, thread: bool) -> int:
    number, task = number & 0xFFFF_FFFF, run.machine.task
    if task.tgid == 1:   # init
        return -errno.EPERM
    if number > SIGNALS:
        return -errno.EINVAL
    run.machine.signals.append(Signal(number, task.pid if thread else task.tgid, thread))
    return 0


@helper()
def send_signal(run, number):
    return _signal(run, number, False)


@helper()
def send_signal_thread(run, number):
    return _signal(run, number, True)
