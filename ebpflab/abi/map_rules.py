"""What BPF_MAP_CREATE asks of each map type: sizes, number of entries, flags (Linux 6.18).

The ``map_alloc_check`` and ``map_alloc`` functions of ``kernel/bpf`` and ``net``, as a table;
``tests/abi/test_map_sweep.py`` puts the same questions to the running kernel.

    refusal("ringbuf", 0, 0, 5000)  -> ("EINVAL", "max_entries must be a power of two and whole pages, not 5000")
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

PAGE = 4096
PER_CPU_VALUE = 32768           # PCPU_MIN_UNIT_SIZE
MAX_ELEMENT = (1 << 22) - 48    # KMALLOC_MAX_SIZE (x86_64 and arm64, 4 KiB pages) less sizeof(struct htab_elem)
MAX_STACK_DEPTH = 127           # sysctl kernel.perf_event_max_stack

#: BPF_F_* of BPF_MAP_CREATE, lower case
FLAGS = MappingProxyType({name: 1 << bit for bit, name in enumerate("""
    no_prealloc no_common_lru numa_node rdonly wronly stack_build_id zero_seed rdonly_prog wronly_prog clone mmapable
    preserve_elems inner_map link path_fd vtype_btf_obj_fd token_fd segv_on_fault no_user_conv
""".split())})

_FILE = ("rdonly", "wronly")
_ACCESS = (*_FILE, "rdonly_prog", "wronly_prog")
_ANY = (1, 1 << 32)


@dataclass(frozen=True, slots=True)
class MapRule:
    """``key`` and ``value``: (smallest, largest) size in bytes, or a set of sizes.

    entries  ``some`` (at least one), ``none`` (must be 0), ``pages`` (power of two, whole pages), ``one``
    flags    allowed flags; ``needs`` those that must be set
    extra    largest map_extra, None: any page address
    btf      key and value must be described by BTF
    inner    a prototype map must be given
    """

    key: tuple[int, int] | frozenset[int]
    value: tuple[int, int] | frozenset[int]
    flags: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    entries: str = "some"
    extra: int | None = 0
    btf: bool = False
    inner: bool = False
    step: int = 1               # the value's size is a multiple of this


def _one_of(*sizes: int) -> frozenset[int]:
    return frozenset(sizes)


_NONE, _FOUR, _FD = _one_of(0), _one_of(4), _one_of(4, 8)
_HASH = ("no_prealloc", "numa_node", "zero_seed", *_ACCESS)
_PER_CPU_HASH = ("no_prealloc", "zero_seed", *_ACCESS)
_FD_ARRAY = MapRule(_FOUR, _FOUR, ("numa_node", *_FILE))
_STORAGE = MapRule(_FOUR, _ANY, ("no_prealloc", "clone"), ("no_prealloc",), "none", btf=True)
_CGROUP = MapRule(_one_of(8, 16), _ANY, ("numa_node", *_ACCESS), entries="none")
_QUEUE = MapRule(_NONE, _ANY, ("numa_node", *_ACCESS))
_DEVICES = MapRule(_FOUR, _FD, ("numa_node", *_FILE))

RULES = MappingProxyType({
    "hash": MapRule(_ANY, _ANY, _HASH),
    "array": MapRule(_FOUR, _ANY, ("numa_node", "mmapable", "inner_map", *_ACCESS)),
    "prog_array": _FD_ARRAY,
    "perf_event_array": MapRule(_FOUR, _FOUR, ("numa_node", "preserve_elems", *_FILE)),
    "percpu_hash": MapRule(_ANY, _ANY, _PER_CPU_HASH),
    "percpu_array": MapRule(_FOUR, _ANY, _ACCESS),
    "stack_trace": MapRule(_FOUR, (8, 8 * MAX_STACK_DEPTH), ("numa_node", "stack_build_id", *_FILE), step=8),
    "cgroup_array": _FD_ARRAY,
    "lru_hash": MapRule(_ANY, _ANY, ("no_common_lru", "numa_node", "zero_seed", *_ACCESS)),
    "lru_percpu_hash": MapRule(_ANY, _ANY, ("no_common_lru", "zero_seed", *_ACCESS)),
    "lpm_trie": MapRule((5, 260), _ANY, ("no_prealloc", "numa_node", *_ACCESS), ("no_prealloc",)),
    "array_of_maps": MapRule(_FOUR, _FOUR, ("numa_node", *_FILE), inner=True),
    "hash_of_maps": MapRule(_ANY, _FOUR, _HASH, inner=True),
    "devmap": _DEVICES,
    "sockmap": _DEVICES,
    "cpumap": MapRule(_FOUR, _FD, ("numa_node",)),      # E2BIG above the NR_CPUS the kernel was built for
    "xskmap": MapRule(_FOUR, _FOUR, ("numa_node", *_FILE)),
    "sockhash": MapRule((1, 512), _FD, ("numa_node", *_FILE)),
    "cgroup_storage": _CGROUP,
    "reuseport_sockarray": MapRule(_FOUR, _FD, ("numa_node", *_ACCESS)),
    "percpu_cgroup_storage": _CGROUP,
    "queue": _QUEUE,
    "stack": _QUEUE,
    "sk_storage": _STORAGE,
    "devmap_hash": _DEVICES,
    "struct_ops": MapRule(_FOUR, _ANY, ("link", "vtype_btf_obj_fd"), entries="one", btf=True),
    "ringbuf": MapRule(_NONE, _NONE, ("numa_node",), entries="pages"),
    "inode_storage": _STORAGE,
    "task_storage": _STORAGE,
    "bloom_filter": MapRule(_NONE, _ANY, ("numa_node", "zero_seed", *_ACCESS), extra=15),
    "user_ringbuf": MapRule(_NONE, _NONE, ("numa_node",), entries="pages"),
    "cgrp_storage": _STORAGE,
    "arena": MapRule(_NONE, _NONE, ("mmapable", "segv_on_fault", "no_user_conv"), ("mmapable",), extra=None),
})

_PER_CPU = ("percpu_array", "percpu_hash", "lru_percpu_hash", "percpu_cgroup_storage")
_HASHES = ("hash", "percpu_hash", "lru_hash", "lru_percpu_hash", "hash_of_maps")


def flag_names(flags: int) -> tuple[str, ...]:
    """The names of the bits that are set; an unknown bit is ``bit N``."""
    known = {value: name for name, value in FLAGS.items()}
    return tuple(known.get(1 << bit, f"bit {bit}") for bit in range(flags.bit_length()) if flags >> bit & 1)


def refusal(type: str, key: int, value: int, entries: int, flags: int = 0, extra: int = 0) -> tuple[str, str] | None:
    """Why the kernel would not make this map: (name of errno, what is wrong), None if it would.

    Sizes in bytes. Permissions, memory, BTF and the prototype of a map of maps are not judged.
    """
    rule, names = RULES[type], flag_names(flags)
    if bad := [name for name in names if name not in rule.flags]:
        unsupported = type.startswith("lru_") and bad == ["no_prealloc"]
        return "ENOTSUPP" if unsupported else "EINVAL", f"{type} maps do not take {', '.join(bad)}"
    if missing := [name for name in rule.needs if name not in names]:
        return "EINVAL", f"{type} maps need {', '.join(missing)}"
    for pair in (_FILE, ("rdonly_prog", "wronly_prog")):
        if set(pair) <= set(names):
            return "EINVAL", f"{pair[0]} and {pair[1]} exclude each other"
    if "no_common_lru" in names and "numa_node" in names:
        return "EINVAL", "no_common_lru and numa_node exclude each other"
    for what, size, span in (("key", key, rule.key), ("value", value, rule.value)):
        fits = size in span if isinstance(span, frozenset) else span[0] <= size <= span[1]
        if not fits:
            shown = " or ".join(map(str, sorted(span))) if isinstance(span, frozenset) else (
                f"at least {span[0]}" if span is _ANY else f"{span[0]} to {span[1]}")
            return "EINVAL", f"the {what} of {type} maps is {shown} bytes, not {size}"
    if value % rule.step:
        return "EINVAL", f"the value of {type} maps is a multiple of {rule.step} bytes, not {value}"
    return _entries(type, rule, entries) or _limits(type, names, key, value) or _extra(rule, extra, entries)


def _entries(type: str, rule: MapRule, entries: int) -> tuple[str, str] | None:
    if rule.entries == "some" and entries < 1:
        return "EINVAL", "max_entries must be at least 1"
    if rule.entries == "none" and entries:
        return "EINVAL", f"max_entries of {type} maps must be 0, not {entries}"
    if rule.entries == "one" and entries != 1:
        return "EINVAL", f"max_entries of {type} maps must be 1, not {entries}"
    if rule.entries == "pages" and (entries < PAGE or entries & (entries - 1)):
        return "EINVAL", f"max_entries must be a power of two and whole pages, not {entries}"
    return None


def _limits(type: str, names: tuple[str, ...], key: int, value: int) -> tuple[str, str] | None:
    if type in _PER_CPU and -(-value // 8) * 8 > PER_CPU_VALUE:
        return "E2BIG", f"a per-CPU value holds at most {PER_CPU_VALUE} bytes, not {value}"
    if type in _HASHES and key + value >= MAX_ELEMENT:
        return "E2BIG", f"key and value together hold less than {MAX_ELEMENT:,} bytes, not {key + value}"
    if "stack_build_id" in names and value % 32:
        return "EINVAL", f"with stack_build_id a value is a multiple of 32 bytes, not {value}"
    return None


def _extra(rule: MapRule, extra: int, entries: int) -> tuple[str, str] | None:
    if rule.extra is None:
        return ("EINVAL", f"map_extra is a page address, not {extra:#x}") if extra % PAGE else None
    if extra > rule.extra:
        return "EINVAL", f"map_extra is at most {rule.extra}, not {extra}"
    return None
