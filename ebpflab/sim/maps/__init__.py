"""Simulated maps, by type."""

from __future__ import annotations

from ...errors import Unsupported
from ...spec import MapSpec
from ..memory import Memory
from .arrays import Array, MapArray, References
from .base import SimMap
from .hashes import Hash, LruHash, MapHash
from .others import Bloom, LpmTrie, Queue, StackTrace
from .rings import Event, PerfEventArray, RingBuffer, UserRingBuffer
from .sockets import DeviceHash, SocketArray, SocketMap
from .storage import CgroupStorage, LocalStorage

TYPES: dict[str, type[SimMap]] = {
    "hash": Hash, "percpu_hash": Hash, "lru_hash": LruHash, "lru_percpu_hash": LruHash,
    "array": Array, "percpu_array": Array,
    "prog_array": References, "cgroup_array": References, "devmap": References, "cpumap": References,
    "xskmap": References, "perf_event_array": PerfEventArray, "devmap_hash": DeviceHash,
    "sockmap": SocketArray, "reuseport_sockarray": SocketArray, "sockhash": SocketMap,
    "array_of_maps": MapArray, "hash_of_maps": MapHash,
    "lpm_trie": LpmTrie, "queue": Queue, "stack": Queue, "bloom_filter": Bloom,
    "stack_trace": StackTrace, "ringbuf": RingBuffer, "user_ringbuf": UserRingBuffer,
    **dict.fromkeys(("sk_storage", "task_storage", "inode_storage", "cgrp_storage"), LocalStorage),
    **dict.fromkeys(("cgroup_storage", "percpu_cgroup_storage"), CgroupStorage),
}


def create(spec: MapSpec, memory: Memory, cpus: int) -> SimMap:
    """A new map. Raises Unsupported for a type that is not simulated, KernelError for a bad description."""
    if spec.type not in TYPES:
        raise Unsupported(f"map type {spec.type!r} is not simulated", where=f"map {spec.name}",
                          hint="simulated: " + ", ".join(TYPES))
    made = TYPES[spec.type](spec, memory, cpus)
    for key, value in spec.contents:
        made.update(key, value)
    made.frozen = spec.frozen
    return made


__all__ = ["TYPES", "Array", "CgroupStorage", "Event", "Hash", "LocalStorage", "LruHash", "PerfEventArray", "Queue",
           "References", "RingBuffer", "SimMap", "SocketMap", "UserRingBuffer", "create"]
