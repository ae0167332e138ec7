"""Maps: create, single entries, and whole maps as raw columns.

A map is read in as few system calls as the kernel allows (BPF_MAP_LOOKUP_BATCH, since 5.6), else key by key.
What a map that changes meanwhile does to the reading is counted, not hidden:

``lost``        an entry that was listed and gone when its value was asked for
``duplicates``  a key that came twice (the walk starts over when the key it stands on is deleted); kept once
``unsettled``   rows whose value never read the same twice in a row (only with ``settle``: it costs a second reading)

A value of up to 8 bytes is always whole. A longer one that a program changes in place may be read half old, half
new: settling finds the rows that move, but not a writer that was interrupted half-way and stands still. Only a
bpf_spin_lock in the value and the flag BPF_F_LOCK exclude that.
"""

from __future__ import annotations

import ctypes
import errno as E
import time
from typing import Any

from ..errors import KernelError
from . import explain, ids, syscall

#: numbers of the per-CPU types: percpu_hash, percpu_array, lru_percpu_hash, percpu_cgroup_storage (= abi.map_types)
PER_CPU = frozenset((5, 6, 10, 21))
#: types whose keys come and go: an entry that is listed but not found was deleted meanwhile
_KEYED = frozenset((1, 5, 9, 10, 11, 13, 18, 25))
#: types without keys to walk
_KEYLESS = {22: "queue", 23: "stack", 27: "ringbuf", 30: "bloom_filter", 31: "user_ringbuf", 33: "arena"}
_NO_BATCH = (E.EINVAL, E.EOPNOTSUPP, explain.ENOTSUPP)
_LOCK = 4           # BPF_F_LOCK
_CHUNK = 64 << 20  # bytes that one batch call may fill

_LOOKUP, _NEXT = syscall.ATTRS["MAP_LOOKUP_ELEM"], syscall.ATTRS["MAP_GET_NEXT_KEY"]


class Map(syscall.Fd):
    """A map by its file descriptor. ``width`` is the size of one value as user space sees it."""

    def __init__(self, fd: int, type: int, key_size: int, value_size: int, max_entries: int, name: str):
        super().__init__(fd)
        self.type, self.max_entries, self.name = type, max_entries, name
        self.key_size, self.value_size = key_size, value_size
        self.cpus = syscall.possible_cpus() if type in PER_CPU else 1
        self.width = (value_size + 7) // 8 * 8 * self.cpus if type in PER_CPU else value_size
        self._key = ctypes.create_string_buffer(max(key_size, 1))
        self._next = ctypes.create_string_buffer(max(key_size, 1))
        self._value = ctypes.create_string_buffer(max(self.width, 1))
        key = syscall.address(self._key) if key_size else 0
        self._look = _LOOKUP.pack({"map_fd": fd, "key": key, "value": syscall.address(self._value)})
        self._step = _NEXT.pack({"map_fd": fd, "key": key, "next_key": syscall.address(self._next)})
        self._first = _NEXT.pack({"map_fd": fd, "key": 0, "next_key": syscall.address(self._next)})
        self.id = ids.info("map", fd)["id"]
        self.reader: Any = None              # of records, see kernel/rings.py

    def close(self) -> None:
        reader, self.reader = getattr(self, "reader", None), None
        if reader is not None:
            reader.close()
        super().close()

    def _sized(self, what: str, data: bytes, size: int) -> bytes:
        if len(data) != size:
            cpus = f" ({self.cpus} CPUs, each padded to 8)" if what == "value" and self.type in PER_CPU else ""
            raise KernelError(f"a {what} of this map has {size} bytes{cpus}, not {len(data)}", errno=E.EINVAL,
                              where=self._where)
        return bytes(data)

    @property
    def _where(self) -> str:
        return f"map {self.name!r}"

    def lookup(self, key: bytes, flags: int = 0) -> bytes | None:
        """The value, or None if there is no such entry. Peeks at a queue or stack (key b"")."""
        self._key.raw = self._sized("key", key, self.key_size) or b"\0"
        attr = self._look
        if flags:
            attr = _LOOKUP.pack({"map_fd": self.fd, "key": syscall.address(self._key), "flags": flags,
                                 "value": syscall.address(self._value)})
        _, errno = syscall.call(_LOOKUP, attr)
        if errno == E.ENOENT:
            return None
        if errno:
            raise explain.error("MAP_LOOKUP_ELEM", errno, where=self._where)
        return self._value.raw

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        key, value = self._sized("key", key, self.key_size), self._sized("value", value, self.width)
        syscall.bpf("MAP_UPDATE_ELEM", where=self._where, map_fd=self.fd, key=syscall.address(key),
                    value=syscall.address(value), flags=flags)

    def delete(self, key: bytes) -> bool:
        """False if there was no such entry."""
        key = self._sized("key", key, self.key_size)
        try:
            syscall.bpf("MAP_DELETE_ELEM", where=self._where, map_fd=self.fd, key=syscall.address(key))
        except KernelError as error:
            if error.errno == E.ENOENT:
                return False
            raise
        return True

    def pop(self, key: bytes = b"") -> bytes | None:
        """Take an entry out: the next of a queue or stack (no key; since 4.20), or that of a hash key (since 5.14)."""
        self._key.raw = self._sized("key", key, self.key_size) or b"\0"
        attr = syscall.ATTRS["MAP_LOOKUP_AND_DELETE_ELEM"]
        _, errno = syscall.call(attr, attr.pack({
            "map_fd": self.fd, "key": syscall.address(self._key) if self.key_size else 0,
            "value": syscall.address(self._value)}))
        if errno == E.ENOENT:
            return None
        if errno:
            raise explain.error("MAP_LOOKUP_AND_DELETE_ELEM", errno, where=self._where)
        return self._value.raw

    def next_key(self, key: bytes | None = None) -> bytes | None:
        """The key after ``key`` in the kernel's order, the first for None, None at the end."""
        if key is not None:
            self._key.raw = self._sized("key", key, self.key_size)
        _, errno = syscall.call(_NEXT, self._first if key is None else self._step)
        if errno == E.ENOENT:
            return None
        if errno:
            raise explain.error("MAP_GET_NEXT_KEY", errno, where=self._where)
        return self._next.raw

    def write(self, keys: bytes, values: bytes, flags: int = 0) -> int:
        """Write many entries (columns as ``read`` gives them); the number written. BPF_MAP_UPDATE_BATCH, since 5.6."""
        count = len(keys) // max(self.key_size, 1)
        self._sized("key", keys[:self.key_size], self.key_size)
        if len(keys) != count * self.key_size or len(values) != count * self.width:
            raise KernelError(f"{len(keys)} bytes of keys and {len(values)} of values are not rows of {self.key_size} "
                              f"and {self.width} bytes", errno=E.EINVAL, where=self._where)
        attr = syscall.ATTRS["MAP_UPDATE_BATCH"]
        buffer = attr.pack({"map_fd": self.fd, "keys": syscall.address(keys), "values": syscall.address(values),
                            "count": count, "elem_flags": flags})
        _, errno = syscall.call(attr, buffer)
        if errno in _NO_BATCH and attr.get(buffer, "count") in (0, count):
            for row in range(count):
                self.update(keys[row * self.key_size:(row + 1) * self.key_size],
                            values[row * self.width:(row + 1) * self.width], flags)
        elif errno:
            raise explain.error("MAP_UPDATE_ELEM", errno,
                                where=f"{self._where}, row {attr.get(buffer, 'count')} of {count}")
        return count

    def read(self, limit: int = 0, settle: int = 0, flags: int = 0) -> dict:
        """All entries, at most ``limit`` if not 0. With ``settle`` a row counts as good once it read the same twice in
        a row, tried up to ``settle`` times more; ``unsettled`` lists the rows that did not (None: not looked for).
        ``flags``: BPF_F_LOCK (4) takes each value's bpf_spin_lock.

        -> {"keys", "values": bytes, "count", "cpus", "lost", "duplicates", "unsettled", "how", "seconds"}
        """
        if self.type in _KEYLESS:
            raise KernelError(f"a {_KEYLESS[self.type]} map has no keys, so it cannot be read as a table",
                              errno=E.EOPNOTSUPP, where=self._where)
        found = self._batch(limit, flags) or self._walk(limit, flags)
        whole = self.value_size <= 8 or flags & _LOCK
        found["unsettled"] = self._settle(found, settle) if settle else [] if whole else None
        return {**found, "cpus": self.cpus, "seconds": time.monotonic()}

    def _batch(self, limit: int, flags: int = 0) -> dict | None:
        """BPF_MAP_LOOKUP_BATCH until the end; None if this kernel or map type has none."""
        attr = syscall.ATTRS["MAP_LOOKUP_BATCH"]
        room = max(1, min(limit or self.max_entries, self.max_entries, _CHUNK // (self.key_size + self.width)))
        # the place to go on from is a key for some types, a bucket number (4 bytes) for others
        place = ctypes.create_string_buffer(max(self.key_size, 4))
        started = False
        keys: list[bytes] = []
        values: list[bytes] = []
        count = 0
        while True:
            key_memory, key_at = syscall.buffer(room * self.key_size)
            value_memory, value_at = syscall.buffer(room * self.width)
            buffer = attr.pack({"map_fd": self.fd, "count": room, "keys": key_at, "values": value_at,
                                "elem_flags": flags,
                                "in_batch": syscall.address(place) if started else 0,
                                "out_batch": syscall.address(place)})
            _, errno = syscall.call(attr, buffer)
            if errno == E.ENOSPC:  # one bucket of the hash table holds more than there is room for
                room *= 2
                continue
            if errno in _NO_BATCH and not started:
                return None
            if errno not in (0, E.ENOENT, E.EINTR):
                raise explain.error("MAP_LOOKUP_BATCH", errno, where=self._where)
            started = True
            got = attr.get(buffer, "count")
            count += got
            keys.append(key_memory[:got * self.key_size])
            values.append(value_memory[:got * self.width])
            if errno == E.ENOENT or (limit and count >= limit):
                break
        found: dict[str, Any] = {"keys": b"".join(keys), "values": b"".join(values), "count": count,
                                 "lost": 0, "duplicates": 0, "how": "batch"}
        if limit and count > limit:
            found.update(keys=found["keys"][:limit * self.key_size], values=found["values"][:limit * self.width],
                         count=limit)
        # a hash table is walked bucket by bucket, an array by index: only a trie can come back to a key
        return self._once(found) if self.type == 11 else found

    def _once(self, found: dict) -> dict:
        """Drop and count keys that came twice, keeping the later value."""
        size, width = self.key_size, self.width
        keys, values = found["keys"], found["values"]
        rows = {keys[i * size:(i + 1) * size]: values[i * width:(i + 1) * width] for i in range(found["count"])}
        found["duplicates"] = found["count"] - len(rows)
        if found["duplicates"]:
            found.update(keys=b"".join(rows), values=b"".join(rows.values()), count=len(rows))
        return found

    def _walk(self, limit: int, flags: int = 0) -> dict:
        """Key by key: what every kernel and map type has."""
        rows: dict[bytes, bytes] = {}
        lost = duplicates = 0
        key = self.next_key()
        # a map that loses the key we stand on starts over; one that changes faster than we walk must not hold us
        for _ in range(4 * self.max_entries + 16):
            if key is None or (limit and len(rows) >= limit):
                break
            value = self.lookup(key, flags)
            if value is not None:
                duplicates += key in rows
                rows[key] = value
            elif self.type in _KEYED:
                lost += 1
            key = self.next_key(key)
        else:
            raise KernelError("the map changes faster than it can be read key by key", errno=E.EAGAIN,
                              where=self._where, hint="read it on a kernel with BPF_MAP_LOOKUP_BATCH (5.6 or later)")
        return {"keys": b"".join(rows), "values": b"".join(rows.values()), "count": len(rows), "lost": lost,
                "duplicates": duplicates, "how": "walk"}

    def _settle(self, found: dict, tries: int) -> list[int]:
        """Read again; rows that differ are looked up until two readings agree. Rows that never do are returned."""
        again = self._batch(0) or self._walk(0)
        if again["keys"] == found["keys"] and again["values"] == found["values"]:
            return []
        size, width = self.key_size, self.width
        second = {again["keys"][i * size:(i + 1) * size]: again["values"][i * width:(i + 1) * width]
                  for i in range(again["count"])}
        values, unsettled = bytearray(found["values"]), []
        for row in range(found["count"]):
            key, last = found["keys"][row * size:(row + 1) * size], bytes(values[row * width:(row + 1) * width])
            value = second.get(key)
            for _ in range(tries):
                if value is None or value == last:
                    break
                last, value = value, self.lookup(key)
            if value is None or value != last:
                unsettled.append(row)
            values[row * width:(row + 1) * width] = last
        found["values"] = bytes(values)
        return unsettled


def create(type: int, key_size: int, value_size: int, max_entries: int, flags: int = 0, name: str = "", *,
           map_extra: int = 0, inner_fd: int = 0, ifindex: int = 0, btf_fd: int = 0, btf_key_type_id: int = 0,
           btf_value_type_id: int = 0) -> Map:
    """BPF_MAP_CREATE."""
    fd = syscall.bpf(
        "MAP_CREATE", where=f"map {name!r}", map_type=type, key_size=key_size, value_size=value_size,
        max_entries=max_entries, map_flags=flags, inner_map_fd=inner_fd, map_name=syscall.kernel_name(name),
        map_ifindex=ifindex, btf_fd=btf_fd, btf_key_type_id=btf_key_type_id, btf_value_type_id=btf_value_type_id,
        map_extra=map_extra)
    return Map(fd, type, key_size, value_size, max_entries, name)
