"""Longest-prefix tries, queues and stacks, Bloom filters, stack traces."""

from __future__ import annotations

import errno
import zlib
from collections import deque

from ...errors import Unsupported
from .base import EXIST, F_STACK_BUILD_ID, NOEXIST, SimMap
from .hashes import Hash


class LpmTrie(Hash):
    """lpm_trie (``kernel/bpf/lpm_trie.c``): a key is a u32 prefix length and the address, first bit first."""

    def __init__(self, spec, memory, cpus):
        super().__init__(spec, memory, cpus)
        self.written: dict[bytes, bytes] = {}   # the key as it was given, by the key with unused bits cleared

    def _split(self, key: bytes) -> tuple[int, int] | None:
        """Prefix length and the masked address as a number; None for a length that cannot be."""
        length, bits = int.from_bytes(key[:4], "little"), (self.spec.key_size - 4) * 8
        if length > bits:
            return None
        return length, int.from_bytes(key[4:], "big") >> (bits - length) << (bits - length)

    def _canonical(self, key: bytes) -> bytes | None:
        split = self._split(key)
        return None if split is None else key[:4] + split[1].to_bytes(self.spec.key_size - 4, "big")

    def _find(self, key: bytes) -> bytes | None:
        """The entry with the longest prefix of ``key``."""
        if (split := self._split(key)) is None:
            return None
        bits = (self.spec.key_size - 4) * 8
        for length in sorted(self._lengths, reverse=True):
            if length <= split[0]:
                address = split[1] >> (bits - length) << (bits - length)
                found = length.to_bytes(4, "little") + address.to_bytes(bits // 8, "big")
                if found in self.cells:
                    return found
        return None

    @property
    def _lengths(self) -> set[int]:
        return {int.from_bytes(key[:4], "little") for key in self.cells}

    def pointer(self, key, cpu):
        found = self._find(key)
        return self.cells[found].addresses[0] if found is not None else 0

    def get(self, key):
        found = self._find(key)
        return super().get(found) if found is not None else -errno.ENOENT

    def store(self, key, value, flags, cpu):
        if flags > EXIST or (canonical := self._canonical(key)) is None:
            return -errno.EINVAL
        result = super().store(canonical, value, flags, cpu)
        if not result:
            self.written[canonical] = bytes(key)
        return result

    def room(self):
        return -errno.ENOSPC if len(self.cells) >= self.spec.max_entries else 0

    def erase(self, key):
        canonical = self._canonical(key)
        return -errno.EINVAL if canonical is None else super().erase(canonical)

    def keys(self):
        return [self.written[key] for key in self.cells]

    def read(self):
        values = b"".join([cell.buffers[0] for cell in self.cells.values()])
        return self.columns(b"".join(self.keys()), values, len(self.cells))


class Queue(SimMap):
    """queue and stack (``kernel/bpf/queue_stack_maps.c``): no keys; look-up is peek, update is push."""

    def __init__(self, spec, memory, cpus):
        super().__init__(spec, memory, cpus)
        self.values: deque[bytes] = deque()
        self._end = 0 if spec.type == "queue" else -1

    def push(self, value, flags):
        if flags & NOEXIST or flags > EXIST:
            return -errno.EINVAL
        if len(self.values) >= self.spec.max_entries:
            if flags != EXIST:
                return -errno.E2BIG
            self.values.popleft()   # BPF_EXIST: the oldest makes room
        self.values.append(bytes(value))
        self.changed(b"", None, bytes(value))
        return 0

    def peek(self):
        return self.values[self._end] if self.values else -errno.ENOENT

    def pop(self):
        value = self.peek()
        if not isinstance(value, int):
            self.changed(b"", value, None)
            del self.values[self._end]
        return value

    def get(self, key):
        return self.peek()

    def put(self, key, value, flags):
        return self.push(value, flags)

    def lookup_and_delete(self) -> bytes | None:
        """BPF_MAP_LOOKUP_AND_DELETE_ELEM: pop; None for ENOENT."""
        value = self.pop()
        return None if isinstance(value, int) else value

    def read(self):
        """All values in the order they would be popped; the kernel offers no such reading."""
        values = list(self.values) if self._end == 0 else list(self.values)[::-1]
        return self.columns(b"", b"".join(values), len(values))


class Bloom(SimMap):
    """bloom_filter: here without false positives, which the kernel's has."""

    def __init__(self, spec, memory, cpus):
        super().__init__(spec, memory, cpus)
        self.values: set[bytes] = set()

    def push(self, value, flags):
        if flags != 0:
            return -errno.EINVAL
        self.values.add(bytes(value))
        return 0

    def contains(self, value: bytes) -> bool:
        return value in self.values

    def put(self, key, value, flags):
        return self.push(value, flags)


class StackTrace(SimMap):
    """stack_trace (``kernel/bpf/stackmap.c``): bpf_get_stackid files a stack under a hash of its addresses."""

    F_REUSE, F_FAST_CMP = 1 << 10, 1 << 9

    def __init__(self, spec, memory, cpus):
        super().__init__(spec, memory, cpus)
        self.buckets: dict[int, bytes] = {}
        self._mask = (1 << max(spec.max_entries - 1, 0).bit_length()) - 1

    def check(self):
        super().check()
        if self.spec.flags & F_STACK_BUILD_ID:
            raise Unsupported("stack traces by build id are not simulated", where=f"map {self.spec.name}")

    def file(self, addresses: tuple[int, ...], flags: int) -> int:
        """The stack's id, or -EEXIST if another stack has this bucket."""
        depth = self.spec.value_size // 8
        skip = flags & 0xFF
        kept = addresses[skip:skip + depth]
        if not kept:
            return -errno.EFAULT
        trace = b"".join(address.to_bytes(8, "little") for address in kept).ljust(self.spec.value_size, b"\0")
        bucket = zlib.crc32(trace) & self._mask
        old = self.buckets.get(bucket)
        if old is not None and old != trace and not flags & self.F_REUSE:
            return -errno.EEXIST
        self.buckets[bucket] = trace
        return bucket

    def get(self, key):
        return self.buckets.get(int.from_bytes(key, "little"), -errno.ENOENT)

    def put(self, key, value, flags):
        return -errno.EINVAL

    def erase(self, key):
        number = int.from_bytes(key, "little")
        if number > self._mask:
            return -errno.E2BIG
        return 0 if self.buckets.pop(number, None) is not None else -errno.ENOENT

    def keys(self):
        return [number.to_bytes(4, "little") for number in sorted(self.buckets)]


