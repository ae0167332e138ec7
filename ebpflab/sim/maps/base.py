"""What every simulated map has: identity, the user-space side, errors as the kernel's numbers."""

from __future__ import annotations

import errno
import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ...abi import map_rules, map_struct
from ...errors import KernelError, SpecError
from ...spec import MapSpec
from ..memory import Memory, Write

# update flags (uapi/linux/bpf.h)
ANY, NOEXIST, EXIST, F_LOCK = 0, 1, 2, 4
# creation flags
F_NO_PREALLOC, F_NO_COMMON_LRU, F_NUMA_NODE, F_RDONLY, F_WRONLY = (1 << at for at in range(5))
F_STACK_BUILD_ID, F_ZERO_SEED, F_RDONLY_PROG, F_WRONLY_PROG = (1 << at for at in range(5, 9))
#: map type -> flags that the kernel adds (``dev_map_init_map``)
ADDED = {"devmap": F_RDONLY_PROG, "devmap_hash": F_RDONLY_PROG}
ERRORS = {"EINVAL": errno.EINVAL, "E2BIG": errno.E2BIG, "ENOTSUPP": 524}
NUMA_NO_NODE = 0xFFFF_FFFF

_ids = itertools.count(1)

WORDS = {
    errno.E2BIG: "the map is full, or the index is out of range",
    errno.EEXIST: "there is such an entry already (BPF_NOEXIST)",
    errno.ENOENT: "there is no such entry",
    errno.EINVAL: "this map type does not take these arguments",
    errno.EPERM: "the map was created without this access",
    errno.ENOSPC: "the map is full",
    errno.EOPNOTSUPP: "this map type has no such operation",
    errno.EBADF: "the value names no map or program that is loaded",
}


def round_up(size: int, to: int = 8) -> int:
    return -(-size // to) * to


@dataclass(frozen=True, slots=True)
class Columns:
    """A map's contents as raw columns; see ``ebpflab.targets.base.Snapshot``."""

    keys: bytes
    values: bytes
    count: int
    cpus: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Element:
    """The name of a map value, for faults and the debugger."""

    map: SimMap
    key: bytes
    cpu: int | None = None

    def __str__(self) -> str:
        key = str(int.from_bytes(self.key, "little")) if len(self.key) in (1, 2, 4, 8) else self.key.hex()
        return f"the value of {self.map.spec.name}[{key}]" + (f" on CPU {self.cpu}" if self.cpu is not None else "")


class MapChange:
    """A change of a map's set of entries, as the debugger's history keeps it (``new`` None: deleted)."""

    __slots__ = ("key", "map", "new", "old")

    def __init__(self, map_: SimMap, key: bytes, old: bytes | None, new: bytes | None):
        self.map, self.key, self.old, self.new = map_, key, old, new

    def __repr__(self) -> str:
        return f"MapChange({self.map.spec.name}, {self.key.hex()}, {self.old!r} -> {self.new!r})"


class SimMap:
    """A map of the simulator.

    Programs come in by ``pointer``, ``store``, ``erase``, ``push``, ``pop``, ``peek`` (results: an address, or 0
    or a negative errno); users by ``lookup``, ``update``, ``delete``, ``keys``, ``read`` as in ``TargetMap``.
    """

    def __init__(self, spec: MapSpec, memory: Memory, cpus: int):
        self.spec, self.memory, self.cpus = spec, memory, cpus
        self.id = next(_ids)
        self.per_cpu = spec.row.per_cpu
        self.closed = False
        self.users = 1
        #: a number that user space writes -> the thing it names, None if there is none (EBADF); set by the machine
        self.resolve: Callable[[int], Any] = lambda number: number
        #: records that found no room
        self.lost = 0
        self.frozen = False
        self.check()
        #: what a program's map pointer holds
        self.address = memory.map(memoryview(map_struct.image(
            spec.name, map_type=spec.row.number, key_size=spec.key_size, value_size=spec.value_size,
            max_entries=spec.max_entries, map_extra=spec.map_extra, map_flags=spec.flags | ADDED.get(spec.type, 0),
            id=self.id, numa_node=0 if spec.flags & F_NUMA_NODE else NUMA_NO_NODE)), self)

    def check(self) -> None:
        """Raise KernelError for a description that the kernel refuses (``map_alloc_check``)."""
        spec = self.spec
        found = map_rules.refusal(spec.type, spec.key_size, spec.value_size, spec.max_entries, spec.flags,
                                  spec.map_extra)
        if found:
            raise self.error(ERRORS[found[0]], "BPF_MAP_CREATE", found[1])

    def __str__(self) -> str:
        return f"map {self.spec.name} itself (bpf_map_lookup_elem finds its values)"

    def error(self, number: int, call: str, why: str = "") -> KernelError:
        name = errno.errorcode.get(number, str(number))
        return KernelError(f"{call}: {name}: {why or WORDS.get(number, '')}", errno=number, call=call,
                           where=f"map {self.spec.name} ({self.spec.type})")

    # -- the program's side ------------------------------------------------------------------

    def incoming(self, address: int) -> bytes:
        """What a program's pointer to a value gives to ``store``."""
        return self.memory.read(address, self.spec.value_size)

    def pointer(self, key: bytes, cpu: int) -> int:
        return 0

    def store(self, key: bytes, value: bytes, flags: int, cpu: int) -> int:
        return -errno.EOPNOTSUPP

    def erase(self, key: bytes) -> int:
        return -errno.EINVAL

    def push(self, value: bytes, flags: int) -> int:
        return -errno.EOPNOTSUPP

    def pop(self) -> bytes | int:
        return -errno.EOPNOTSUPP

    def peek(self) -> bytes | int:
        return -errno.EOPNOTSUPP

    # -- the user's side ----------------------------------------------------------------------

    @property
    def user_value_size(self) -> int:
        """Bytes of a value at the system call: all CPUs' values, padded to 8, for a per-CPU map."""
        return round_up(self.spec.value_size) * self.cpus if self.per_cpu else self.spec.value_size

    def lookup(self, key: bytes) -> bytes | None:
        """BPF_MAP_LOOKUP_ELEM: the value, None for ENOENT."""
        self._user(key, None, F_WRONLY, "BPF_MAP_LOOKUP_ELEM")
        value = self.get(key)
        if isinstance(value, int):
            if value == -errno.ENOENT:
                return None
            raise self.error(-value, "BPF_MAP_LOOKUP_ELEM")
        return value

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        """BPF_MAP_UPDATE_ELEM. Raises KernelError with the kernel's errno."""
        self._user(key, value, F_RDONLY, "BPF_MAP_UPDATE_ELEM")
        if flags & F_LOCK:
            raise self.error(errno.EINVAL, "BPF_MAP_UPDATE_ELEM", "BPF_F_LOCK needs a value with a bpf_spin_lock")
        result = self.put(key, value, flags)
        if result:
            raise self.error(-result, "BPF_MAP_UPDATE_ELEM")

    def delete(self, key: bytes) -> bool:
        """BPF_MAP_DELETE_ELEM: False for ENOENT."""
        self._user(key, None, F_RDONLY, "BPF_MAP_DELETE_ELEM")
        result = self.erase(key)
        if result not in (0, -errno.ENOENT):
            raise self.error(-result, "BPF_MAP_DELETE_ELEM")
        return result == 0

    def keys(self) -> Iterable[bytes]:
        """All keys, as BPF_MAP_GET_NEXT_KEY walks them."""
        raise self.error(errno.EINVAL, "BPF_MAP_GET_NEXT_KEY")

    def read(self) -> Columns:
        """Everything as raw columns."""
        keys, values = [], []
        for key in self.keys():
            value = self.get(key)
            if not isinstance(value, int):
                keys.append(key)
                values.append(value)
        return self.columns(b"".join(keys), b"".join(values), len(keys))

    def consume(self) -> list:
        """The records of a ring or perf buffer since the last time."""
        raise SpecError(f"map {self.spec.name!r}: a {self.spec.type} map carries no records")

    def columns(self, keys: bytes, values: bytes, count: int) -> Columns:
        return Columns(keys, values, count, self.cpus if self.per_cpu else 1, time.monotonic())

    def get(self, key: bytes) -> bytes | int:
        """The value as user space sees it, or a negative errno."""
        return -errno.EOPNOTSUPP

    def put(self, key: bytes, value: bytes, flags: int) -> int:
        """Store a value as user space gives it; 0 or a negative errno."""
        return self.store(key, value, flags, 0)

    def _user(self, key: bytes, value: bytes | None, forbidden: int, call: str) -> None:
        if self.closed:
            raise KernelError(f"{call}: the map is closed", errno=errno.EBADF, call=call,
                              where=f"map {self.spec.name}")
        if len(key) != self.spec.key_size:
            raise SpecError(f"a key of map {self.spec.name!r} has {self.spec.key_size} bytes, not {len(key)}")
        if value is not None and len(value) != self.user_value_size:
            shown = f" ({self.cpus} CPUs, each padded to 8 bytes)" if self.per_cpu else ""
            raise SpecError(f"a value of map {self.spec.name!r} has {self.user_value_size} bytes{shown},"
                            f" not {len(value)}")
        if self.spec.flags & forbidden or (self.frozen and forbidden == F_RDONLY):
            raise self.error(errno.EPERM, call)

    def release(self) -> None:
        """Give the pages of the values back."""

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.release()
            self.memory.unmap(self.address)

    # -- for subclasses -----------------------------------------------------------------------

    def expose(self, buffer, owner, page: int | None = None) -> int:
        """Map a value where programs may read it (and write it, unless BPF_F_RDONLY_PROG)."""
        if self.spec.flags & F_RDONLY_PROG:
            buffer = memoryview(buffer).toreadonly()
        return self.memory.map(buffer, owner, page)

    def changed(self, key: bytes, old: bytes | None, new: bytes | None, address: int = 0) -> None:
        """Tell the journal; with ``address`` bytes that programs see changed in place."""
        if self.memory.journal is not None:
            self.memory.journal.append(MapChange(self, bytes(key), old, new))
            if address and old is not None and new is not None:
                self.memory.journal.append(Write(address, old, new))
