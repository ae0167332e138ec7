"""Arrays (``kernel/bpf/arraymap.c``): array, percpu_array, and arrays of references."""

from __future__ import annotations

import errno
import struct

from ..memory import PAGE, PAGE_BITS
from .base import EXIST, F_LOCK, NOEXIST, Element, SimMap, round_up

_INDEX = struct.Struct("<I")
SMALL = 1024               # arrays up to this size are mapped in one go when the code generator asks


class Array(SimMap):
    """array and percpu_array: zeroed values that are always there, in one slab a CPU copy."""

    def __init__(self, spec, memory, cpus):
        super().__init__(spec, memory, cpus)
        self.stride = round_up(spec.value_size)
        self.copies = cpus if self.per_cpu else 1
        self.pages = -(-spec.value_size // PAGE)
        self._slabs = [bytearray(self.stride * spec.max_entries) for _ in range(self.copies)]
        self.first = [memory.reserve(self.pages * spec.max_entries) for _ in range(self.copies)]
        self._views = memory.views

    def element(self, index: int, cpu: int) -> int:
        """Address of an element, 0 out of range."""
        if index >= self.spec.max_entries:
            return 0
        copy = cpu if self.per_cpu else 0
        page = self.first[copy] + index * self.pages
        if page not in self._views:
            start = index * self.stride
            self.expose(memoryview(self._slabs[copy])[start:start + self.spec.value_size],
                        Element(self, _INDEX.pack(index), cpu if self.per_cpu else None), page)
        return page << PAGE_BITS

    def first_pages(self) -> list[int] | None:
        """Page of element 0 on each CPU (the others follow), all elements mapped; None for large arrays."""
        if self.pages > 1 or self.spec.max_entries > SMALL:
            return None
        for cpu in range(self.copies):
            for index in range(self.spec.max_entries):
                self.element(index, cpu)
        return self.first

    def pointer(self, key, cpu):
        return self.element(_INDEX.unpack(key)[0], cpu)

    def store(self, key, value, flags, cpu):
        result = self._check(key, flags)
        if not result:
            self._write(_INDEX.unpack(key)[0], cpu if self.per_cpu else 0, value)
        return result

    def _check(self, key: bytes, flags: int) -> int:
        index = _INDEX.unpack(key)[0]
        if flags & ~F_LOCK > EXIST:
            return -errno.EINVAL
        if index >= self.spec.max_entries:
            return -errno.E2BIG
        if flags & NOEXIST:
            return -errno.EEXIST
        return -errno.EINVAL if flags & F_LOCK else 0   # no value here holds a bpf_spin_lock

    def _write(self, index: int, copy: int, value: bytes) -> None:
        start = index * self.stride
        old = bytes(self._slabs[copy][start:start + len(value)])
        self._slabs[copy][start:start + len(value)] = value
        if self.memory.journal is not None:
            self.changed(_INDEX.pack(index), old, bytes(value), self.element(index, copy))

    def get(self, key):
        index = _INDEX.unpack(key)[0]
        if index >= self.spec.max_entries:
            return -errno.ENOENT
        start = index * self.stride
        if not self.per_cpu:
            return bytes(self._slabs[0][start:start + self.spec.value_size])
        return b"".join([slab[start:start + self.stride] for slab in self._slabs])

    def put(self, key, value, flags):
        result = self._check(key, flags)
        if not result:
            index = _INDEX.unpack(key)[0]
            if self.per_cpu:
                for copy in range(self.copies):
                    self._write(index, copy, value[copy * self.stride:copy * self.stride + self.spec.value_size])
            else:
                self._write(index, 0, value)
        return result

    def keys(self):
        return [_INDEX.pack(index) for index in range(self.spec.max_entries)]

    def read(self):
        count, size = self.spec.max_entries, self.spec.value_size
        keys = struct.pack(f"<{count}I", *range(count))
        if self.per_cpu:
            values = b"".join([slab[at:at + self.stride] for at in range(0, count * self.stride, self.stride)
                               for slab in self._slabs])
        elif size == self.stride:
            values = bytes(self._slabs[0])
        else:
            values = b"".join([self._slabs[0][at:at + size] for at in range(0, count * self.stride, self.stride)])
        return self.columns(keys, values, count)

    def release(self):
        for first in self.first:
            if self.memory.native is not None:
                self.memory.native.drop(first, self.pages * self.spec.max_entries)
            for page in range(first, first + self.pages * self.spec.max_entries):
                self._views.pop(page, None)
                self.memory.owners.pop(page, None)


class References(SimMap):
    """Arrays whose values name something: programs, maps, sockets, devices, cgroups, CPUs.

    User space writes a number; what a program gets depends on the type.
    """

    def __init__(self, spec, memory, cpus):
        super().__init__(spec, memory, cpus)
        self.numbers: dict[int, bytes] = {}
        self.things: dict[int, object] = {}

    def at(self, index: int):
        """What is at an index, or None."""
        return self.things.get(index)

    def store(self, key, value, flags, cpu):
        return -errno.EOPNOTSUPP

    def put(self, key, value, flags):
        index = _INDEX.unpack(key)[0]
        if flags > EXIST:
            return -errno.EINVAL
        if index >= self.spec.max_entries:
            return -errno.E2BIG
        if flags == NOEXIST and self.spec.type in ("devmap", "cpumap", "prog_array", "array_of_maps"):
            return -errno.EINVAL if self.spec.type in ("prog_array", "array_of_maps") else -errno.EEXIST
        thing = self.resolve(_INDEX.unpack(value[:4])[0])
        if thing is None:
            return -errno.EBADF
        self.numbers[index], self.things[index] = bytes(value), thing
        return 0

    def get(self, key):
        return self.numbers.get(_INDEX.unpack(key)[0], -errno.ENOENT)

    def erase(self, key):
        index = _INDEX.unpack(key)[0]
        if index >= self.spec.max_entries:
            return -errno.E2BIG if self.spec.type in ("prog_array", "array_of_maps") else -errno.EINVAL
        if index not in self.things:
            return -errno.ENOENT if self.spec.type in ("prog_array", "array_of_maps", "perf_event_array") else 0
        del self.things[index], self.numbers[index]
        return 0

    def keys(self):
        return [_INDEX.pack(index) for index in range(self.spec.max_entries)]


class MapArray(References):
    """array_of_maps: a program's look-up gives the inner map."""

    def pointer(self, key, cpu):
        inner = self.things.get(_INDEX.unpack(key)[0])
        return inner.address if inner is not None else 0

    def put(self, key, value, flags):
        inner = self.resolve(_INDEX.unpack(value)[0])
        if inner is not None and not same_shape(self.spec.inner, inner.spec):
            return -errno.EINVAL
        return super().put(key, value, flags)


def same_shape(want, have) -> bool:
    """May ``have`` be an element of a map of maps with prototype ``want`` (``bpf_map_meta_equal``)?"""
    if want is None:
        return True
    alike = (want.type, want.key_size, want.value_size, want.flags) == (
        have.type, have.key_size, have.value_size, have.flags)
    return alike and (want.type != "array" or want.max_entries == have.max_entries)
