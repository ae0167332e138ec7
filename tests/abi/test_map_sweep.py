"""Sizes, entries and flags of every map type, asked of the running kernel and of the table."""

import errno
import os

import pytest

from ebpflab.abi import map_rules, map_types
from ebpflab.abi.map_rules import FLAGS, RULES, refusal

from .loader import create_map, release, why_not

KEYS = (0, 1, 3, 4, 5, 8, 16, 20, 260, 261, 512, 513)
VALUES = (0, 1, 4, 7, 8, 12, 16, 32, 40, 1016, 1024, 32768, 32769)
ENTRIES = (0, 1, 3, 4096, 5000, 8192)
#: a map of this type that can be made: key, value, entries
GOOD = {
    "hash": (8, 16, 4), "lpm_trie": (8, 16, 4), "array": (4, 16, 4), "ringbuf": (0, 0, 4096), "arena": (0, 0, 1),
    "user_ringbuf": (0, 0, 4096), "queue": (0, 16, 4), "stack": (0, 16, 4), "bloom_filter": (0, 16, 4),
    "cgroup_storage": (8, 16, 0), "percpu_cgroup_storage": (8, 16, 0), "stack_trace": (4, 64, 4),
    "percpu_hash": (8, 16, 4), "lru_hash": (8, 16, 4), "lru_percpu_hash": (8, 16, 4), "percpu_array": (4, 16, 4),
}
TYPES = [row.name for row in map_types.MAP_TYPES if not RULES[row.name].btf]
NEEDS = {name: sum(FLAGS[flag] for flag in RULES[name].needs) for name in RULES}

pytestmark = pytest.mark.kernel


def kernel(name: str, key: int, value: int, entries: int, flags: int, extra: int, inner: int) -> str:
    """"" if the kernel makes the map, else the name of its errno."""
    fd = create_map(map_types.BY_NAME[name].number, key, value, entries, flags, inner, extra)
    if fd >= 0:
        os.close(fd)
        return ""
    return "ENOTSUPP" if fd == -524 else errno.errorcode[-fd]


def questions(name: str):
    key, value, entries = GOOD.get(name, (4, 4, 2))
    needs = NEEDS[name]
    yield from ((k, v, entries, needs, 0) for k in KEYS for v in VALUES)
    yield from ((key, value, e, needs, 0) for e in ENTRIES if name != "cpumap" or e < 8)     # NR_CPUS may be small
    yield from ((key, value, entries, flag, 0) for flag in (0, needs))
    flags = [bit for flag, bit in FLAGS.items() if flag not in ("token_fd", "path_fd", "vtype_btf_obj_fd")]
    yield from ((key, value, entries, needs | bit, 0) for bit in (*flags, 1 << 20, 1 << 31))
    yield from ((key, value, entries, needs | one | two, 0) for one in flags for two in flags if one < two)
    yield from ((key, value, entries, needs, extra) for extra in (1, 5, 15, 16, 4096))


@pytest.mark.parametrize("name", TYPES)
def test_what_the_kernel_asks(name):
    if why_not():
        pytest.skip(why_not())
    if release() < (6, 18):
        pytest.skip("the table holds the facts of Linux 6.18, this kernel is older")
    inner = create_map(2, 4, 8, 1) if RULES[name].inner else 0
    wrong = []
    try:
        for question in questions(name):
            table, answer = refusal(name, *question), kernel(name, *question, inner)
            if (table is None) != (answer == ""):
                wrong.append(f"key, value, entries, flags, extra = {question}: kernel {answer or 'makes it'}, {table}")
    finally:
        if inner:
            os.close(inner)
    assert not wrong, "\n".join(wrong[:20])


def test_every_type_has_a_rule_and_words():
    assert set(RULES) == {row.name for row in map_types.MAP_TYPES}
    assert refusal("ringbuf", 0, 0, 5000) == ("EINVAL", "max_entries must be a power of two and whole pages, not 5000")
    assert refusal("lru_hash", 4, 8, 1, FLAGS["no_prealloc"])[0] == "ENOTSUPP"
    assert refusal("percpu_hash", 4, 40000, 1)[0] == "E2BIG"
    assert map_rules.flag_names(0x401) == ("no_prealloc", "mmapable")
