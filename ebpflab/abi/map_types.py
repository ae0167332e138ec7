"""Map types: the kernel's number, since when, and the shape that ``map_alloc_check`` asks for."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class MapType:
    """One row of ``enum bpf_map_type``.

    key, value   required size in bytes, None where the programmer chooses, 0 where there is none
    per_cpu      a look-up from user space gives one value a possible CPU, each padded to 8 bytes
    user_read    user space can look values up
    batch        BPF_MAP_LOOKUP_BATCH works (kernel 6.18)
    """

    name: str
    number: int
    since: str
    key: int | None = None
    value: int | None = None
    per_cpu: bool = False
    user_read: bool = True
    batch: bool = False


MAP_TYPES: tuple[MapType, ...] = (
    MapType("hash", 1, "3.19", batch=True),
    MapType("array", 2, "3.19", key=4, batch=True),
    MapType("prog_array", 3, "4.2", key=4, value=4),
    MapType("perf_event_array", 4, "4.3", key=4, value=4, user_read=False),
    MapType("percpu_hash", 5, "4.6", per_cpu=True, batch=True),
    MapType("percpu_array", 6, "4.6", key=4, per_cpu=True, batch=True),
    MapType("stack_trace", 7, "4.6", key=4),
    MapType("cgroup_array", 8, "4.8", key=4, value=4, user_read=False),
    MapType("lru_hash", 9, "4.10", batch=True),
    MapType("lru_percpu_hash", 10, "4.10", per_cpu=True, batch=True),
    MapType("lpm_trie", 11, "4.11", batch=True),
    MapType("array_of_maps", 12, "4.12", key=4, value=4, batch=True),
    MapType("hash_of_maps", 13, "4.12", value=4, batch=True),
    MapType("devmap", 14, "4.14", key=4),
    MapType("sockmap", 15, "4.14", key=4, batch=True),
    MapType("cpumap", 16, "4.15", key=4),
    MapType("xskmap", 17, "4.18", key=4, value=4),
    MapType("sockhash", 18, "4.18", batch=True),
    MapType("cgroup_storage", 19, "4.19"),
    MapType("reuseport_sockarray", 20, "4.19", key=4),
    MapType("percpu_cgroup_storage", 21, "4.20", per_cpu=True),
    MapType("queue", 22, "4.20", key=0),
    MapType("stack", 23, "4.20", key=0),
    MapType("sk_storage", 24, "5.2", key=4),
    MapType("devmap_hash", 25, "5.4", key=4),
    MapType("struct_ops", 26, "5.6", key=4),
    MapType("ringbuf", 27, "5.8", key=0, value=0, user_read=False),
    MapType("inode_storage", 28, "5.10", key=4),
    MapType("task_storage", 29, "5.11", key=4),
    MapType("bloom_filter", 30, "5.16", key=0),
    MapType("user_ringbuf", 31, "6.1", key=0, value=0, user_read=False),
    MapType("cgrp_storage", 32, "6.2", key=4),
    MapType("arena", 33, "6.9", key=0, value=0, user_read=False),
)
BY_NAME = MappingProxyType({row.name: row for row in MAP_TYPES})
BY_NUMBER = MappingProxyType({row.number: row for row in MAP_TYPES})
