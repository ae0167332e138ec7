"""bpf(2) by ctypes: the command numbers, what each takes, and the call.

``union bpf_attr`` (include/uapi/linux/bpf.h) has one struct a command. They are drawn below: a line starts with
the command and its number, then offset, type and name of each field (``s16``: a name of 16 bytes).
Fields we do not give are zero, so an older kernel, which knows a shorter struct, takes it as well.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import re
import struct
import sys

from . import explain

_DRAWN = """
MAP_CREATE 0
     0 u32 map_type        4 u32 key_size        8 u32 value_size     12 u32 max_entries
    16 u32 map_flags      20 u32 inner_map_fd   24 u32 numa_node      28 s16 map_name
    44 u32 map_ifindex    48 u32 btf_fd         52 u32 btf_key_type_id
    56 u32 btf_value_type_id                    60 u32 btf_vmlinux_value_type_id
    64 u64 map_extra
MAP_LOOKUP_ELEM 1
     0 u32 map_fd          8 u64 key            16 u64 value          24 u64 flags
MAP_UPDATE_ELEM 2
     0 u32 map_fd          8 u64 key            16 u64 value          24 u64 flags
MAP_DELETE_ELEM 3
     0 u32 map_fd          8 u64 key
MAP_GET_NEXT_KEY 4
     0 u32 map_fd          8 u64 key            16 u64 next_key
PROG_LOAD 5
     0 u32 prog_type       4 u32 insn_cnt        8 u64 insns          16 u64 license
    24 u32 log_level      28 u32 log_size       32 u64 log_buf        40 u32 kern_version
    44 u32 prog_flags     48 s16 prog_name      64 u32 prog_ifindex   68 u32 expected_attach_type
    72 u32 prog_btf_fd    76 u32 func_info_rec_size                   80 u64 func_info
    88 u32 func_info_cnt  92 u32 line_info_rec_size                   96 u64 line_info
   104 u32 line_info_cnt 108 u32 attach_btf_id 112 u32 attach_prog_fd 116 u32 core_relo_cnt
   120 u64 fd_array      128 u64 core_relos    136 u32 core_relo_rec_size
   140 u32 log_true_size
OBJ_PIN 6
     0 u64 pathname        8 u32 bpf_fd         12 u32 file_flags
OBJ_GET 7
     0 u64 pathname        8 u32 bpf_fd         12 u32 file_flags
PROG_ATTACH 8
     0 u32 target_fd       4 u32 attach_bpf_fd   8 u32 attach_type    12 u32 attach_flags
PROG_DETACH 9
     0 u32 target_fd       4 u32 attach_bpf_fd   8 u32 attach_type    12 u32 attach_flags
PROG_TEST_RUN 10
     0 u32 prog_fd         4 u32 retval          8 u32 data_size_in   12 u32 data_size_out
    16 u64 data_in        24 u64 data_out       32 u32 repeat         36 u32 duration
    40 u32 ctx_size_in    44 u32 ctx_size_out   48 u64 ctx_in         56 u64 ctx_out
    64 u32 flags          68 u32 cpu            72 u32 batch_size
PROG_GET_NEXT_ID 11
     0 u32 start_id        4 u32 next_id
MAP_GET_NEXT_ID 12
     0 u32 start_id        4 u32 next_id
PROG_GET_FD_BY_ID 13
     0 u32 prog_id              4 u32 next_id         8 u32 open_flags
MAP_GET_FD_BY_ID 14
     0 u32 map_id              4 u32 next_id         8 u32 open_flags
OBJ_GET_INFO_BY_FD 15
     0 u32 bpf_fd          4 u32 info_len        8 u64 info
RAW_TRACEPOINT_OPEN 17
     0 u64 name            8 u32 prog_fd
BTF_LOAD 18
     0 u64 btf             8 u64 btf_log_buf    16 u32 btf_size       20 u32 btf_log_size
    24 u32 btf_log_level
BTF_GET_FD_BY_ID 19
     0 u32 btf_id
MAP_LOOKUP_AND_DELETE_ELEM 21
     0 u32 map_fd          8 u64 key            16 u64 value          24 u64 flags
MAP_FREEZE 22
     0 u32 map_fd
BTF_GET_NEXT_ID 23
     0 u32 start_id        4 u32 next_id
MAP_LOOKUP_BATCH 24
     0 u64 in_batch        8 u64 out_batch      16 u64 keys           24 u64 values
    32 u32 count          36 u32 map_fd         40 u64 elem_flags     48 u64 flags
MAP_UPDATE_BATCH 26
     0 u64 in_batch        8 u64 out_batch      16 u64 keys           24 u64 values
    32 u32 count          36 u32 map_fd         40 u64 elem_flags     48 u64 flags
LINK_CREATE 28
     0 u32 prog_fd         4 u32 target_fd       8 u32 attach_type    12 u32 flags
LINK_GET_FD_BY_ID 30
     0 u32 link_id              4 u32 next_id         8 u32 open_flags
LINK_GET_NEXT_ID 31
     0 u32 start_id        4 u32 next_id
ENABLE_STATS 32
     0 u32 type
"""

_CODES = {"u32": ("I", 4), "u64": ("Q", 8), "s8": ("8s", 8), "s16": ("16s", 16)}


class Struct:
    """One drawn struct: packs keyword fields to bytes, reads single fields back."""

    def __init__(self, command: str, number: int, fields: list[tuple[int, str, str]]):
        self.command, self.number = command, number
        self.offsets: dict[str, tuple[int, str]] = {}
        self._blank: dict[str, object] = {}
        code, at = "<", 0
        for offset, type_, name in fields:
            letter, size = _CODES[type_]
            code += f"{offset - at}x{letter}"
            at = offset + size
            self.offsets[name] = (offset, letter)
            self._blank[name] = b"" if type_[0] == "s" else 0
        self._struct = struct.Struct(code)
        self.size = self._struct.size

    def pack(self, fields: dict) -> ctypes.Array:
        values = self._blank.copy()
        values.update(fields)
        if len(values) != len(self._blank):
            raise TypeError(f"BPF_{self.command} has no field {sorted(set(fields) - set(self._blank))}")
        return ctypes.create_string_buffer(self._struct.pack(*values.values()), self.size)

    def get(self, buffer: ctypes.Array, name: str) -> int:
        offset, letter = self.offsets[name]
        return struct.unpack_from("<" + letter, buffer, offset)[0]

    def unpack(self, buffer: ctypes.Array) -> dict:
        return {name: self.get(buffer, name) for name in self.offsets}


def drawn(text: str) -> dict[str, Struct]:
    table = {}
    for command, number, body in re.findall(r"^([A-Z_]+) (\d+)\n((?: .*\n)+)", text, re.M):
        fields = [(int(at), type_, name) for at, type_, name in re.findall(r"(\d+) (u32|u64|s8|s16) (\w+)", body)]
        table[command] = Struct(command, int(number), fields)
    return table


ATTRS = drawn(_DRAWN)

#: machine -> number of bpf(2) (arch/*/…/syscall*.tbl, include/uapi/asm-generic/unistd.h)
_BPF_NUMBER = {"x86_64": 321, "aarch64": 280, "arm64": 280, "riscv64": 280}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_bpf = ctypes.CDLL(None, use_errno=True).syscall       # a prototype of its own: this one is called often
_bpf.restype = ctypes.c_long
_bpf.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_ulong)
_number = _BPF_NUMBER.get(platform.machine()) if sys.platform == "linux" else None


class Fd:
    """A file descriptor with one owner. Closing twice is harmless, and one that is forgotten closes itself."""

    fd = -1

    def __init__(self, fd: int):
        self.fd = fd

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    __del__ = close


def libc(name: str, *args) -> int:
    """A libc function that returns -1 on failure (``unshare``, ``setns`` …). Raises KernelError."""
    done = getattr(_libc, name)(*args)
    if done < 0:
        raise explain.error(name, ctypes.get_errno())
    return done


def libc_call(name: str, number: int, where: str, *args: int) -> int:
    """System call ``number`` (``name`` is for the error). Raises KernelError."""
    done = _libc.syscall(*(ctypes.c_long(value) for value in (number, *args)))
    if done < 0:
        raise explain.error(name, ctypes.get_errno(), where=where)
    return done


def call(attr: Struct, buffer: ctypes.Array) -> tuple[int, int]:
    """bpf(2) without judgement: (result, errno)."""
    if _number is None:
        raise explain.error(attr.command, 38, hint=f"we do not know bpf(2) on {sys.platform} {platform.machine()}: "
                                                       "use --target sim, or a VM")
    done = _bpf(_number, attr.number, ctypes.addressof(buffer), attr.size)
    return (done, 0) if done >= 0 else (-1, ctypes.get_errno())


def bpf(command: str, *, where: str | None = None, **fields) -> int:
    """One command with these fields of its struct. The result is a file descriptor or 0; KernelError otherwise."""
    attr = ATTRS[command]
    done, errno = call(attr, attr.pack(fields))
    if errno:
        raise explain.error(command, errno, where=where)
    return done


def kernel_name(name: str) -> bytes:
    """A name as BPF_OBJ_NAME_LEN allows: letters, digits, '_' and '.', the first 15 of them."""
    return re.sub(r"[^A-Za-z0-9_.]", "_", name, flags=re.ASCII).encode()[:15]


def address(data: bytes | ctypes.Array) -> int:
    """Address of bytes (which the caller keeps alive), 0 for nothing."""
    if isinstance(data, bytes):
        return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0 if data else 0
    return ctypes.addressof(data)


def version() -> tuple[int, int, int]:
    """This kernel's upstream version. Debian's release string may end in .0; its version string has the truth."""
    uname = os.uname()
    found = re.search(r"Debian (\d+)\.(\d+)\.(\d+)", uname.version) or \
        re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", uname.release)
    first, second, third = found.groups() if found else (0, 0, 0)
    return int(first), int(second), int(third or 0)


def possible_cpus() -> int:
    """How many values a per-CPU map has a key: num_possible_cpus(), from "0-3" or "0,2-3"."""
    return count_ranges(explain.read("/sys/devices/system/cpu/possible")) or os.cpu_count() or 1


def count_ranges(text: str) -> int:
    """How many CPUs a list as "0-3,8" names."""
    return len(cpu_list(text))


def cpu_list(text: str) -> list[int]:
    """The CPUs that a list as "0-3,8" names."""
    found: list[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def buffer(size: int) -> tuple[mmap.mmap, int]:
    """Zeroed memory for the kernel to fill, and its address. Pages that stay untouched cost nothing."""
    memory = mmap.mmap(-1, max(size, 1))
    return memory, ctypes.addressof(ctypes.c_char.from_buffer(memory))
