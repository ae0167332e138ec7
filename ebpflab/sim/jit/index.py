"""A hash map's index that native code reads: open addressing, linear probing, kept up to date by the map.

A slot is words of 64 bits: state (0 free, 1 used, 2 deleted), the key padded with zeros, the value's address on
each CPU copy. The head is four words: slots less one, host address of the slots, deleted and used slots.
"""

from __future__ import annotations

import ctypes
from typing import Any

MULTIPLIER = 0x9E37_79B9_7F4A_7C15   # 2**64 divided by the golden ratio (Fibonacci hashing)
U64 = 0xFFFF_FFFF_FFFF_FFFF
LONGEST_KEY = 64                     # longer keys are looked up in Python
FREE, USED, DELETED = range(3)


def hash_words(words) -> int:
    value = 0
    for word in words:
        value = (value ^ word) * MULTIPLIER & U64
        value ^= value >> 32
    return value


class Index:
    """``put`` and ``drop`` follow the map; ``head`` is what native code knows."""

    def __init__(self, map_: Any):
        self.words = -(-map_.spec.key_size // 8)
        self.stride = 1 + self.words + map_.copies
        self.head = (ctypes.c_uint64 * 4)()
        self._make(64)
        for key, cell in map_.cells.items():
            self.put(key, cell.addresses)

    def _make(self, slots: int) -> None:
        self.slots = (ctypes.c_uint64 * (slots * self.stride))()
        self.used = self.deleted = 0
        self.mask = slots - 1
        self.head[0], self.head[1] = self.mask, ctypes.addressof(self.slots)

    def _key(self, key: bytes) -> list[int]:
        return [int.from_bytes(key[at:at + 8], "little") for at in range(0, len(key), 8)]

    def _find(self, words: list[int]) -> tuple[int, bool]:
        """Where a key is, or where it would go."""
        slots, stride, count = self.slots, self.stride, self.words
        at, place = hash_words(words) & self.mask, -1
        while True:
            base = at * stride
            state = slots[base]
            if state == FREE:
                return (base if place < 0 else place), False
            if state == USED and slots[base + 1:base + 1 + count] == words:
                return base, True
            if state == DELETED and place < 0:
                place = base
            at = (at + 1) & self.mask

    def put(self, key: bytes, addresses: list[int]) -> None:
        if (self.used + self.deleted) * 2 > self.mask:
            self._rebuild()
        words = self._key(key)
        base, there = self._find(words)
        if not there:
            self.deleted -= self.slots[base] == DELETED
            self.used += 1
            self.slots[base + 1:base + 1 + self.words] = words
            self.slots[base] = USED
        self.slots[base + 1 + self.words:base + self.stride] = addresses

    def drop(self, key: bytes) -> None:
        base, there = self._find(self._key(key))
        if there:
            self.slots[base] = DELETED
            self.used, self.deleted = self.used - 1, self.deleted + 1

    def _rebuild(self) -> None:
        old, stride = self.slots, self.stride
        rows = [old[base:base + stride] for base in range(0, len(old), stride) if old[base] == USED]
        self._make(1 << max((len(rows) * 4).bit_length(), 6))
        for row in rows:
            base, _ = self._find(row[1:1 + self.words])
            self.slots[base:base + stride] = row
            self.used += 1
