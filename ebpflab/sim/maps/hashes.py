"""Hash tables (``kernel/bpf/hashtab.c``): hash, percpu_hash, lru_hash, lru_percpu_hash, hash_of_maps."""

from __future__ import annotations

import errno
from collections import OrderedDict
from typing import Any

from .arrays import same_shape
from .base import EXIST, F_LOCK, NOEXIST, Element, SimMap, round_up


class Cell:
    """One entry: a buffer and its address a CPU copy."""

    __slots__ = ("addresses", "buffers")

    def __init__(self, buffers: list[bytearray], addresses: list[int]):
        self.buffers, self.addresses = buffers, addresses


class Hash(SimMap):
    """hash and percpu_hash. An update replaces the entry; who holds the old value's pointer keeps the old value
    until the program ends, as under RCU."""

    lru = False

    def __init__(self, spec, memory, cpus):
        super().__init__(spec, memory, cpus)
        self.cells: OrderedDict[bytes, Cell] = OrderedDict()
        self.copies = cpus if self.per_cpu else 1
        self.index: Any = None       # of the JIT, once a program of that tier looks up here

    def pointer(self, key, cpu):
        cell = self.cells.get(key)
        if cell is None:
            return 0
        return cell.addresses[cpu if self.per_cpu else 0]

    def _allowed(self, key: bytes, flags: int) -> int:
        if flags & ~F_LOCK > EXIST or flags & F_LOCK:
            return -errno.EINVAL
        if key in self.cells:
            return -errno.EEXIST if flags == NOEXIST else 0
        if flags == EXIST:
            return -errno.ENOENT
        return self.room()

    def room(self) -> int:
        """0 if an entry more fits."""
        return -errno.E2BIG if len(self.cells) >= self.spec.max_entries else 0

    def store(self, key, value, flags, cpu):
        result = self._allowed(key, flags)
        if result:
            return result
        if not self.per_cpu:
            self._replace(key, [bytearray(value)])
        elif key in self.cells:   # per-CPU values change in place
            self._copy(key, cpu, value)
        else:
            self._replace(key, [bytearray(value if copy == cpu else len(value)) for copy in range(self.copies)])
        return 0

    def put(self, key, value, flags):
        if not self.per_cpu:
            return self.store(key, value, flags, 0)
        result = self._allowed(key, flags)
        if result:
            return result
        size, stride = self.spec.value_size, round_up(self.spec.value_size)
        values = [bytearray(value[copy * stride:copy * stride + size]) for copy in range(self.copies)]
        if key in self.cells:
            for copy, one in enumerate(values):
                self._copy(key, copy, one)
        else:
            self._replace(key, values)
        return 0

    def _copy(self, key: bytes, copy: int, value: bytes) -> None:
        buffer = self.cells[key].buffers[copy]
        self.changed(key, bytes(buffer), bytes(value), self.cells[key].addresses[copy])
        buffer[:] = value
        self.touch(key)

    def _replace(self, key: bytes, buffers: list[bytearray]) -> None:
        old = self.cells.pop(key, None)
        addresses = [self.expose(buffer, Element(self, key, copy if self.per_cpu else None))
                     for copy, buffer in enumerate(buffers)]
        self.cells[key] = Cell(buffers, addresses)
        if self.index is not None:
            self.index.put(key, addresses)
        self.changed(key, bytes(old.buffers[0]) if old else None, bytes(buffers[0]))
        if old:
            self._retire(old)

    def _retire(self, cell: Cell) -> None:
        for address in cell.addresses:
            self.memory.retire(address)

    def touch(self, key: bytes) -> None:
        """An entry was used (only the LRU maps care)."""

    def erase(self, key):
        cell = self.cells.pop(key, None)
        if cell is None:
            return -errno.ENOENT
        if self.index is not None:
            self.index.drop(key)
        self.changed(key, bytes(cell.buffers[0]), None)
        self._retire(cell)
        return 0

    def get(self, key):
        cell = self.cells.get(key)
        if cell is None:
            return -errno.ENOENT
        if not self.per_cpu:
            return bytes(cell.buffers[0])
        pad = bytes(round_up(self.spec.value_size) - self.spec.value_size)
        return b"".join([bytes(buffer) + pad for buffer in cell.buffers])

    def keys(self):
        return list(self.cells)

    def read(self):
        cells = self.cells
        if self.per_cpu:
            values = b"".join([self.get(key) for key in cells])
        else:
            values = b"".join([cell.buffers[0] for cell in cells.values()])
        return self.columns(b"".join(cells), values, len(cells))

    def release(self):
        for cell in self.cells.values():
            self._retire(cell)
        self.cells.clear()
        self.index = None


class LruHash(Hash):
    """lru_hash and lru_percpu_hash: a full map drops the entry that no program used for the longest time.

    The kernel's LRU is approximate (per-CPU free lists, batches of reference bits): there, entries can go
    before the map is full, and the order is only nearly this one.
    """

    def pointer(self, key, cpu):
        cell = self.cells.get(key)
        if cell is None:
            return 0
        self.cells.move_to_end(key)
        return cell.addresses[cpu if self.per_cpu else 0]

    def _allowed(self, key, flags):
        return -errno.EINVAL if flags > EXIST else super()._allowed(key, flags)

    def room(self):
        if len(self.cells) >= self.spec.max_entries:
            self.erase(next(iter(self.cells)))
        return 0

    def touch(self, key):
        self.cells.move_to_end(key)


class MapHash(SimMap):
    """hash_of_maps: user space stores map ids, a program's look-up gives the inner map."""

    def __init__(self, spec, memory, cpus):
        super().__init__(spec, memory, cpus)
        self.inner: dict[bytes, SimMap] = {}

    def pointer(self, key, cpu):
        inner = self.inner.get(key)
        return inner.address if inner is not None else 0

    def put(self, key, value, flags):
        if flags > EXIST:
            return -errno.EINVAL
        inner = self.resolve(int.from_bytes(value, "little"))
        if inner is None:
            return -errno.EBADF
        if not same_shape(self.spec.inner, inner.spec):
            return -errno.EINVAL
        if key in self.inner and flags == NOEXIST:
            return -errno.EEXIST
        if key not in self.inner and flags == EXIST:
            return -errno.ENOENT
        if key not in self.inner and len(self.inner) >= self.spec.max_entries:
            return -errno.E2BIG
        self.inner[key] = inner
        return 0

    def erase(self, key):
        return 0 if self.inner.pop(key, None) is not None else -errno.ENOENT

    def get(self, key):
        inner = self.inner.get(key)
        return -errno.ENOENT if inner is None else inner.id.to_bytes(4, "little")

    def keys(self):
        return list(self.inner)
