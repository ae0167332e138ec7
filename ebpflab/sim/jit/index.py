"""A hash map's index that native code reads: open addressing, linear probing, kept up to date by the map.

A slot is words of 64 bits: state (0 free, 1 used, 2 deleted), the key padded with zeros, the value's address on
each CPU copy. The head is four words: slots less one, host address of the slots, deleted and used slots.
"""

from __future__ import annotations

import ctypes
from typing import Any

from .text import Writer, pointer

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


def find_function(name: str, size: int, index: Index) -> str:
    """The look-up as IR, ``i64 (ptr key, i64 copy)`` for keys of ``size`` bytes: the value's address, or 0."""
    w = Writer()
    w.put(f"define internal i64 {name}(ptr %key, i64 %copy) {{")
    w.start("entry")
    words: list[str] = []
    at = 0
    while at < size:
        word, shift = "0", 0
        while at < size and shift < 64:
            width = next(one for one in (8, 4, 2, 1) if one <= size - at and shift + one * 8 <= 64)
            place = w.op(f"getelementptr i8, ptr %key, i64 {at}")
            part = w.wide(w.op(f"load i{width * 8}, ptr {place}, align 1"), width * 8)
            part = w.op(f"shl i64 {part}, {shift}") if shift else part
            word = w.op(f"or i64 {word}, {part}") if shift else part
            at, shift = at + width, shift + width * 8
        words.append(word)
    value = "0"
    for word in words:
        value = w.op(f"mul i64 {w.op(f'xor i64 {value}, {word}')}, {MULTIPLIER}")
        value = w.op(f"xor i64 {value}, {w.op(f'lshr i64 {value}, 32')}")
    head = pointer(ctypes.addressof(index.head))
    mask = w.op(f"load i64, ptr {head}")
    slots = w.op(f"load ptr, ptr {w.op(f'getelementptr i64, ptr {head}, i64 1')}")
    first = w.op(f"and i64 {value}, {mask}")
    w.go("probe")
    w.start("probe")
    w.put(f"%at = phi i64 [ {first}, %entry ], [ %following, %next ]")
    slot = w.op(f"getelementptr i64, ptr {slots}, i64 {w.op(f'mul i64 %at, {index.stride}')}")
    state = w.op(f"load i64, ptr {slot}")
    w.branch(w.op(f"icmp eq i64 {state}, {FREE}"), "absent", "compare")
    w.start("compare")
    same = w.op(f"icmp eq i64 {state}, {USED}")
    for number, word in enumerate(words, 1):
        have = w.op(f"load i64, ptr {w.op(f'getelementptr i64, ptr {slot}, i64 {number}')}")
        same = w.op(f"and i1 {same}, {w.op(f'icmp eq i64 {have}, {word}')}")
    w.branch(same, "found", "next")
    w.start("next")
    w.put(f"%step = add i64 %at, 1\n%following = and i64 %step, {mask}")
    w.go("probe")
    w.start("found")
    place = w.op(f"add i64 %copy, {1 + len(words)}")
    value = w.op(f"getelementptr i64, ptr {slot}, i64 {place}")
    w.put(f"ret i64 {w.op(f'load i64, ptr {value}')}")
    w.start("absent")
    w.put("ret i64 0\n}")
    return "\n".join(w.lines)
