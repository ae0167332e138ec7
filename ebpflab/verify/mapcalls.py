"""Which helpers go with which maps (``check_map_func_compatibility``)."""

from __future__ import annotations

from types import MappingProxyType

from .env import EINVAL, Env, Map

#: map type -> the only helpers that take such a map; types that are not listed go with any
_BY_MAP = {
    "prog_array": "tail_call",
    "perf_event_array": "perf_event_read perf_event_output skb_output perf_event_read_value xdp_output",
    "ringbuf": "ringbuf_output ringbuf_reserve ringbuf_query ringbuf_reserve_dynptr ringbuf_submit_dynptr "
               "ringbuf_discard_dynptr",
    "user_ringbuf": "user_ringbuf_drain",
    "stack_trace": "get_stackid",
    "cgroup_array": "skb_under_cgroup current_task_under_cgroup",
    "cgroup_storage": "get_local_storage",
    "percpu_cgroup_storage": "get_local_storage",
    "devmap": "redirect_map map_lookup_elem",
    "devmap_hash": "redirect_map map_lookup_elem",
    "cpumap": "redirect_map",
    "xskmap": "redirect_map map_lookup_elem",
    "array_of_maps": "map_lookup_elem",
    "hash_of_maps": "map_lookup_elem",
    "sockmap": "sk_redirect_map sock_map_update msg_redirect_map sk_select_reuseport map_lookup_elem",
    "sockhash": "sk_redirect_hash sock_hash_update msg_redirect_hash sk_select_reuseport map_lookup_elem",
    "reuseport_sockarray": "sk_select_reuseport",
    "queue": "map_peek_elem map_pop_elem map_push_elem",
    "stack": "map_peek_elem map_pop_elem map_push_elem",
    "sk_storage": "sk_storage_get sk_storage_delete kptr_xchg",
    "inode_storage": "inode_storage_get inode_storage_delete kptr_xchg",
    "task_storage": "task_storage_get task_storage_delete kptr_xchg",
    "cgrp_storage": "cgrp_storage_get cgrp_storage_delete kptr_xchg",
    "bloom_filter": "map_peek_elem map_push_elem",
}
#: helper -> the only map types it takes
_BY_HELPER = {
    "tail_call": "prog_array",
    "perf_event_read perf_event_output perf_event_read_value skb_output xdp_output": "perf_event_array",
    "ringbuf_output ringbuf_reserve ringbuf_query ringbuf_reserve_dynptr ringbuf_submit_dynptr "
    "ringbuf_discard_dynptr": "ringbuf",
    "user_ringbuf_drain": "user_ringbuf",
    "get_stackid": "stack_trace",
    "current_task_under_cgroup skb_under_cgroup": "cgroup_array",
    "redirect_map": "devmap devmap_hash cpumap xskmap",
    "sk_redirect_map msg_redirect_map sock_map_update": "sockmap",
    "sk_redirect_hash msg_redirect_hash sock_hash_update": "sockhash",
    "get_local_storage": "cgroup_storage percpu_cgroup_storage",
    "sk_select_reuseport": "reuseport_sockarray sockmap sockhash",
    "map_pop_elem": "queue stack",
    "map_peek_elem map_push_elem": "queue stack bloom_filter",
    "map_lookup_percpu_elem": "percpu_array percpu_hash lru_percpu_hash",
    "sk_storage_get sk_storage_delete": "sk_storage",
    "inode_storage_get inode_storage_delete": "inode_storage",
    "task_storage_get task_storage_delete": "task_storage",
    "cgrp_storage_get cgrp_storage_delete": "cgrp_storage",
}
HELPERS = MappingProxyType({kind: frozenset(names.split()) for kind, names in _BY_MAP.items()})
MAPS = MappingProxyType({name: frozenset(kinds.split()) for names, kinds in _BY_HELPER.items()
                         for name in names.split()})

#: program types that may change socket maps with the general helpers (may_update_sockmap)
_UPDATES_SOCKETS = frozenset(("socket_filter", "sched_cls", "sched_act", "xdp", "sk_reuseport", "flow_dissector",
                              "sk_lookup"))


def check(env: Env, bpf_map: Map, name: str, number: int) -> None:
    """Reject a map that the helper cannot work with."""
    kind = bpf_map.type
    allowed = HELPERS.get(kind)
    fits = allowed is None or name in allowed
    if not fits and kind in ("sockmap", "sockhash"):
        fits = _may_update(env, name)
    if not fits or (name in MAPS and kind not in MAPS[name]):
        raise env.reject(f"cannot pass map_type {bpf_map.number} into func bpf_{name}#{number}", EINVAL)


def _may_update(env: Env, name: str) -> bool:
    if name not in ("map_update_elem", "map_delete_elem"):
        return False
    if env.type in _UPDATES_SOCKETS or (env.type == "tracing" and env.attach == "trace_iter"):
        return True
    if env.type == "sock_ops" and name == "map_delete_elem":
        return True
    env.say("cannot update sockmap in this context")
    return False
