"""What is in the kernel: ids of programs, maps, links and BTF, and what an object's fd says of itself."""

from __future__ import annotations

import ctypes
import errno as E
import struct

from ..errors import KernelError
from . import explain, syscall

#: kind -> command that walks its ids
WALKS = {"prog": "PROG_GET_NEXT_ID", "map": "MAP_GET_NEXT_ID", "btf": "BTF_GET_NEXT_ID", "link": "LINK_GET_NEXT_ID"}

#: kind -> command that opens one by its id
OPENS = {"btf": "BTF_GET_FD_BY_ID", "prog": "PROG_GET_FD_BY_ID", "map": "MAP_GET_FD_BY_ID",
         "link": "LINK_GET_FD_BY_ID"}
#: enum bpf_link_type -> name, and what the first words of its own part of struct bpf_link_info are
LINK_TYPES = {
    1: ("raw_tracepoint", ()), 2: ("tracing", ("attach_type", "target_obj_id", "target_btf_id")),
    3: ("cgroup", ("cgroup_id", "", "attach_type")), 4: ("iter", ()), 5: ("netns", ("netns_ino", "attach_type")),
    6: ("xdp", ("ifindex",)), 7: ("perf_event", ()), 8: ("kprobe_multi", ()), 9: ("struct_ops", ("map_id",)),
    10: ("netfilter", ("family", "hook", "priority", "flags")), 11: ("tcx", ("ifindex", "attach_type")),
    12: ("uprobe_multi", ()), 13: ("netkit", ("ifindex", "attach_type")), 14: ("sockmap", ("map_id", "attach_type")),
}

# The first fields of struct bpf_prog_info, bpf_map_info and bpf_link_info; a kernel fills what it knows.
_INFO = syscall.drawn("""
PROG 0
     0 u32 type            4 u32 id              8 s8 tag             16 u32 jited_len
    20 u32 xlated_len     24 u64 jited_insns    32 u64 xlated_insns   40 u64 load_time
    48 u32 created_by_uid 52 u32 nr_map_ids     56 u64 map_ids        64 s16 name
    80 u32 ifindex        84 u32 gpl_compatible 88 u64 netns_dev      96 u64 netns_ino
   104 u32 nr_jited_ksyms                      108 u32 nr_jited_func_lens
   112 u64 jited_ksyms   120 u64 jited_func_lens
   128 u32 btf_id        132 u32 func_info_rec_size                  136 u64 func_info
   144 u32 nr_func_info  148 u32 nr_line_info  152 u64 line_info     160 u64 jited_line_info
   168 u32 nr_jited_line_info                  172 u32 line_info_rec_size
   176 u32 jited_line_info_rec_size            180 u32 nr_prog_tags  184 u64 prog_tags
   192 u64 run_time_ns   200 u64 run_cnt       208 u64 recursion_misses
   216 u32 verified_insns
MAP 1
     0 u32 type            4 u32 id              8 u32 key_size       12 u32 value_size
    16 u32 max_entries    20 u32 flags          24 s16 name           40 u32 ifindex
    44 u32 btf_vmlinux_value_type_id            48 u64 netns_dev      56 u64 netns_ino
    64 u32 btf_id         68 u32 btf_key_type_id                      72 u32 btf_value_type_id
    80 u64 map_extra
LINK 2
     0 u32 type            4 u32 id              8 u32 prog_id        16 u32 detail0
    20 u32 detail1        24 u32 detail2        28 u32 detail3
BTF 3
     0 u64 btf             8 u32 btf_size       12 u32 id
""")
#: what user space gives, or has no use for
_POINTERS = ("jited_insns", "xlated_insns", "map_ids", "jited_ksyms", "jited_func_lens", "func_info", "line_info",
             "jited_line_info", "prog_tags", "func_info_rec_size", "line_info_rec_size", "jited_line_info_rec_size")


def walk(kind: str) -> list[int]:
    """All ids of a kind ("prog", "map", "link", "btf"), ascending; everybody's, not only ours."""
    command = WALKS[kind]
    attr = syscall.ATTRS[command]
    found: list[int] = []
    last = 0
    while True:
        buffer = attr.pack({"start_id": last})
        _, errno = syscall.call(attr, buffer)
        if errno == E.ENOENT:
            return found
        if errno:
            raise explain.error(command, errno)
        last = attr.get(buffer, "next_id")
        found.append(last)


def info(kind: str, fd: int) -> dict:
    """struct bpf_prog_info (with ``map_ids``), bpf_map_info, _link_info or _btf_info of an object, as plain data."""
    layout = _INFO[kind.upper()]
    buffer = layout.pack({})
    syscall.bpf("OBJ_GET_INFO_BY_FD", bpf_fd=fd, info_len=layout.size, info=syscall.address(buffer))
    found = layout.unpack(buffer)
    if kind == "prog":
        count = found["nr_map_ids"]
        ids = ctypes.create_string_buffer(4 * max(count, 1))
        again = layout.pack({"nr_map_ids": count, "map_ids": syscall.address(ids)})
        syscall.bpf("OBJ_GET_INFO_BY_FD", bpf_fd=fd, info_len=layout.size, info=syscall.address(again))
        found["map_ids"] = list(struct.unpack_from(f"<{count}I", ids))
        found["tag"] = found["tag"].hex()
        found["gpl_compatible"] = bool(found["gpl_compatible"] & 1)
    if kind == "link":
        words = [found.pop(f"detail{n}") for n in range(4)]
        found["type_name"], names = LINK_TYPES.get(found["type"], (str(found["type"]), ()))
        found.update((name, words[at]) for at, name in enumerate(names) if name)
        if found["type"] == 3:                   # a number of 64 bits
            found["cgroup_id"] = words[0] | words[1] << 32
    if "name" in found:
        found["name"] = found["name"].rstrip(b"\0").decode("ascii", "replace")
    return {name: value for name, value in found.items() if name == "map_ids" or name not in _POINTERS}


def open_id(kind: str, id: int) -> syscall.Fd:
    """A descriptor of the object with that id. KernelError ENOENT if it is gone."""
    return syscall.Fd(syscall.bpf(OPENS[kind], where=f"{kind} {id}", **{f"{kind}_id": id}))


def everything(kind: str) -> list[dict]:
    """``info`` of every object of a kind; what goes away meanwhile is left out."""
    found = []
    for id in walk(kind):
        try:
            held = open_id(kind, id)
            found.append(info(kind, held.fd))
            held.close()
        except KernelError as error:
            if error.errno != E.ENOENT:
                raise
    return found


def btf(id: int) -> bytes:
    """The types with that id, as they were loaded."""
    held = open_id("btf", id)
    layout = _INFO["BTF"]
    room = ctypes.create_string_buffer(max(info("btf", held.fd)["btf_size"], 1))
    again = layout.pack({"btf": syscall.address(room), "btf_size": len(room)})
    syscall.bpf("OBJ_GET_INFO_BY_FD", bpf_fd=held.fd, info_len=layout.size, info=syscall.address(again))
    held.close()
    return room.raw


def dump(fd: int) -> dict:
    """{"xlated", "jited", "ksyms", "lens"} of a program; empty where the kernel hides them (kptr_restrict, no JIT)."""
    layout = _INFO["PROG"]
    first = layout.pack({})
    syscall.bpf("OBJ_GET_INFO_BY_FD", bpf_fd=fd, info_len=layout.size, info=syscall.address(first))
    told = layout.unpack(first)
    room = {name: ctypes.create_string_buffer(max(told[length] * each, 1)) for name, length, each in (
        ("xlated_insns", "xlated_len", 1), ("jited_insns", "jited_len", 1), ("jited_ksyms", "nr_jited_ksyms", 8),
        ("jited_func_lens", "nr_jited_func_lens", 4))}
    again = layout.pack({**{name: told[name] for name in ("xlated_len", "jited_len", "nr_jited_ksyms",
                                                          "nr_jited_func_lens")},
                         **{name: syscall.address(buffer) for name, buffer in room.items()}})
    syscall.bpf("OBJ_GET_INFO_BY_FD", bpf_fd=fd, info_len=layout.size, info=syscall.address(again))
    got = layout.unpack(again)
    functions = min(got["nr_jited_ksyms"], told["nr_jited_ksyms"])
    return {"xlated": room["xlated_insns"].raw[:got["xlated_len"]] if got["xlated_insns"] else b"",
            "jited": room["jited_insns"].raw[:got["jited_len"]] if got["jited_insns"] else b"",
            "ksyms": list(struct.unpack_from(f"<{functions}Q", room["jited_ksyms"])),
            "lens": list(struct.unpack_from(f"<{functions}I", room["jited_func_lens"]))}
