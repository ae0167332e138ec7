"""The kernel's own ``struct bpf_map``, with which every map's struct starts and to which a map pointer points.

What it holds differs by version and configuration; this is Linux 6.18 on a 64-bit machine with CONFIG_SECURITY and
CONFIG_MEMCG (``include/linux/bpf.h``), up to the name.
"""

from __future__ import annotations

from typing import NamedTuple


class Member(NamedTuple):
    """A member: ``offset`` and ``size`` in bytes; ``pointer``: it holds one of the kernel's addresses."""

    name: str
    offset: int
    size: int
    pointer: bool

    @property
    def end(self) -> int:
        return self.offset + self.size


def _members(text: str) -> tuple[Member, ...]:
    """``name size`` in order, ``*name`` a pointer, each at a multiple of its size (of 4 for bytes)."""
    found: list[Member] = []
    at = 0
    for line in text.split(","):
        word, size = line.split()
        bytes_ = int(size)
        step = bytes_ if bytes_ in (4, 8) else 4
        at = (at + step - 1) // step * step
        found.append(Member(word.lstrip("*"), at, bytes_, word[0] == "*"))
        at += bytes_
    return tuple(found)


MEMBERS = _members("""sha 32, excl 4, *ops 8, *inner_map_meta 8, *security 8, map_type 4, key_size 4, value_size 4,
    max_entries 4, map_extra 8, map_flags 4, id 4, *record 8, numa_node 4, btf_key_type_id 4, btf_value_type_id 4,
    btf_vmlinux_value_type_id 4, *btf 8, *objcg 8, name 16""")


def image(name: str, **numbers: int) -> bytes:
    """The struct of a map with these members (``map_type``, ``key_size``, …) and zero in all others."""
    made = bytearray(MEMBERS[-1].end)
    offsets = {member.name: member for member in MEMBERS}
    for word, number in numbers.items():
        member = offsets[word]
        made[member.offset:member.end] = number.to_bytes(member.size, "little")
    member = offsets["name"]
    made[member.offset:member.end] = name.encode()[:member.size - 1].ljust(member.size, b"\0")
    return bytes(made)
