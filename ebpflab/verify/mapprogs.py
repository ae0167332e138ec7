"""Which programs may use which maps (``check_map_prog_compatibility``)."""

from __future__ import annotations

from ..spec import ProgramSpec
from .cfg import Refused
from .env import E2BIG, SLEEPABLE, Map
from .special import SPIN_LOCK, TIMER

MOST = 64       # maps of a program, MAX_USED_MAPS
_EBUSY = 16
_TRACING = frozenset(("kprobe", "tracepoint", "perf_event", "raw_tracepoint", "raw_tracepoint_writable"))
_WHILE_SLEEPING = frozenset("""
hash lru_hash array percpu_hash percpu_array lru_percpu_hash array_of_maps hash_of_maps ringbuf user_ringbuf
inode_storage sk_storage task_storage cgrp_storage queue stack arena
""".split())
_OF_CGROUPS = frozenset(("cgroup_storage", "percpu_cgroup_storage"))
#: field of the values -> the word for it, if tracing programs may not use such a map
_NOT_TRACED = {"bpf_list_head": "bpf_{list_head,rb_root}", "bpf_rb_root": "bpf_{list_head,rb_root}",
               SPIN_LOCK: SPIN_LOCK, "bpf_res_spin_lock": SPIN_LOCK, TIMER: TIMER, "bpf_wq": "bpf_wq"}


class MapUse:
    """The maps that the instructions named so far."""

    __slots__ = ("spec", "used")

    def __init__(self, spec: ProgramSpec):
        self.spec = spec
        self.used: list[Map] = []

    def add(self, bpf_map: Map) -> None:
        """One more reference. Raises Refused if programs like this one cannot have that map."""
        if bpf_map in self.used:
            return
        if len(self.used) >= MOST:
            raise Refused(f"The total number of maps per program has reached the limit of {MOST}", errno=E2BIG)
        tracing, kinds = self.spec.type in _TRACING, {field.kind for field in bpf_map.special}
        for kind, word in _NOT_TRACED.items():
            if kind in kinds and word == SPIN_LOCK and self.spec.type == "socket_filter":
                raise Refused("socket filter progs cannot use bpf_spin_lock yet")
            if kind in kinds and tracing:
                raise Refused(f"tracing progs cannot use {word} yet")
        if self.spec.flags & SLEEPABLE and bpf_map.type not in _WHILE_SLEEPING:
            raise Refused("Sleepable programs can only use array, hash, ringbuf and local storage maps")
        if bpf_map.type in _OF_CGROUPS and any(bpf_map.type == other.type for other in self.used):
            raise Refused("only one cgroup storage of each type is allowed", errno=_EBUSY)
        self.used.append(bpf_map)
