"""Storage that belongs to objects: local storage (``kernel/bpf/bpf_local_storage.c``) and cgroup storage
(``kernel/bpf/local_storage.c``)."""

from __future__ import annotations

import errno
import struct

from .base import EXIST, F_LOCK
from .hashes import Hash

F_CREATE = 1      # BPF_LOCAL_STORAGE_GET_F_CREATE


class LocalStorage(Hash):
    """sk_storage, task_storage, inode_storage, cgrp_storage: a value an object.

    A key is the object's number (u32): a pid, a cgroup's id, an inode's number, a socket's cookie. The kernel has
    descriptors there, and cannot list the keys.
    """

    def room(self):
        return 0

    def of(self, key: int, initial: bytes | None) -> int:
        """Address of an object's value, made of ``initial`` if there is none; 0 without either."""
        name = struct.pack("<I", key & 0xFFFF_FFFF)
        if name not in self.cells and initial is not None:
            self.store(name, initial, 0, 0)
        return self.pointer(name, 0)

    def forget(self, key: int) -> int:
        return self.erase(struct.pack("<I", key & 0xFFFF_FFFF))


class CgroupStorage(Hash):
    """cgroup_storage and percpu_cgroup_storage: a value a cgroup and attach type (a key of 16 bytes), or a cgroup
    (a key of 8). It comes to be when a program first asks for it; the kernel makes it when the program is attached."""

    def room(self):
        return 0

    def of(self, cgroup: int, attach: int, cpu: int) -> int:
        """Address of the value for a program that runs in this cgroup."""
        key = struct.pack("<QII", cgroup, attach, 0)[:self.spec.key_size]
        if key not in self.cells:
            self.store(key, bytes(self.spec.value_size), 0, cpu)
        return self.pointer(key, cpu)

    def put(self, key, value, flags):
        if flags & ~(F_LOCK | EXIST):
            return -errno.EINVAL
        return super().put(key, value, EXIST)

    def erase(self, key):
        return -errno.EINVAL
