"""The kernel's own ``struct bpf_map``, to which a map pointer points: its members may be read.

A member that is a pointer gives a pointer to a kernel struct, which is not modelled.
"""

from __future__ import annotations

from ..abi.map_struct import MEMBERS
from .env import Env
from .value import Reg

#: map type -> the kernel's struct of such a map
_STRUCTS = {"array": "bpf_array", "percpu_array": "bpf_array", "prog_array": "bpf_array",
            "perf_event_array": "bpf_array",
            "array_of_maps": "bpf_array", "hash": "bpf_htab", "percpu_hash": "bpf_htab", "lru_hash": "bpf_htab",
            "lru_percpu_hash": "bpf_htab", "hash_of_maps": "bpf_htab", "lpm_trie": "lpm_trie",
            "stack_trace": "bpf_stack_map", "ringbuf": "bpf_ringbuf_map"}


def access(env: Env, reg: Reg, regno: int, off: int, size: int, write: bool, value: int) -> None:
    """``check_ptr_to_map_access``, then ``btf_struct_walk`` for a read into register ``value`` (-1: none)."""
    word = _STRUCTS.get(reg.data.type)
    if word is None:
        raise env.unsupported(f"access to {reg.data.type} maps themselves")
    if off < 0:
        raise env.reject(f"R{regno} is {word} invalid negative access: off={off}")
    if write:
        raise env.reject(f"only read from {word} is supported")
    if off >= MEMBERS[-1].end:
        raise env.unsupported("reading the kernel's struct bpf_map behind the name")
    member = next((each for each in MEMBERS if each.offset <= off < each.end), None)
    if member is None:
        raise env.reject(f"struct bpf_map doesn't have field at offset {off}")
    if member.pointer:
        if off != member.offset or size != member.size:
            raise env.reject(f"cannot access ptr member {member.name} with moff {member.offset} in struct bpf_map with "
                             f"off {off} size {size}")
        raise env.unsupported(f"the pointer {member.name} in the kernel's struct bpf_map")
    if off + size > member.end:
        raise env.reject(f"access beyond the end of member {member.name} (mend:{member.end}) in struct bpf_map with "
                         f"off {off} size {size}")
    if value >= 0:
        env.forget(value)
