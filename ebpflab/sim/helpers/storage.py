"""Helpers on storage that belongs to tasks, cgroups, inodes, sockets (``kernel/bpf/bpf_*_storage.c``)."""

from __future__ import annotations

import errno

from ..maps import CgroupStorage, LocalStorage
from ..maps.storage import F_CREATE
from ..memory import PAGE_BITS
from .maps import a_map
from .registry import helper
from .sockets import socket_at


def _owner(run, pointer: int) -> int:
    """The number that an object goes by. Raises Fault if nothing is there."""
    run.memory.check(pointer, 1, "read")
    if (socket := socket_at(run, pointer)) is not None:
        return socket.number
    found = run.machine.objects.at.get(pointer)
    return found.key if found is not None else pointer >> PAGE_BITS


@helper("sk_storage_get", "task_storage_get", "inode_storage_get", "cgrp_storage_get")
def storage_get(run, map_, owner, value, flags):
    """Address of the owner's value; with BPF_LOCAL_STORAGE_GET_F_CREATE a new one, of ``value`` or zeros."""
    found = a_map(run, map_, LocalStorage, "bpf_*_storage_get")
    if not owner or flags & ~F_CREATE:
        return 0
    size, initial = found.spec.value_size, None
    if flags & F_CREATE:
        initial = run.memory.read(value, size) if value else bytes(size)
        if (socket := socket_at(run, owner)) is not None:
            socket.storage.add(found)
    return found.of(_owner(run, owner), initial)


@helper("sk_storage_delete", "task_storage_delete", "inode_storage_delete", "cgrp_storage_delete")
def storage_delete(run, map_, owner):
    found = a_map(run, map_, LocalStorage, "bpf_*_storage_delete")
    return found.forget(_owner(run, owner)) if owner else -errno.EINVAL


@helper()
def get_local_storage(run, map_, flags):
    found = a_map(run, map_, CgroupStorage, "get_local_storage")
    return found.of(run.machine.task.cgroup_id, run.program.spec.attach_number, run.cpu)
