"""What native code and Python share while a program runs: one array of 64-bit words, and the page table.

Words of the state::

     0 budget        instructions left                   8 packet address   simulated, of the first byte
     1 fault         0, or where and why (below)         9 context          host address of its bytes
     2 program       id of the program that faulted     10 context length
     3 outside       a packet load left the packet      11 cpu
     4 table         host address of the page table     12 round            runs begun
     5 table length  pages in it                        16 … 26 registers at the fault
     6 packet        host address of the first byte     32 … 39 host addresses of the stacks
     7 packet length                                    40 … 47 frame pointers

A fault::

     63        56 55                  28 27                 0
    +------------+----------------------+--------------------+
    | kind       | instructions pending | slot               |
    +------------+----------------------+--------------------+

An entry of the page table, by page of the simulated address::

     127                  96 95                   64 63                                  0
    +-----------------------+-----------------------+-------------------------------------+
    | bytes that are written| bytes that are read   | host address (0: ask Python)        |
    +-----------------------+-----------------------+-------------------------------------+
"""

from __future__ import annotations

import ctypes

from ...isa import bits
from ..memory import OFFSET, PAGE_BITS, ZEROS, Memory

(BUDGET, FAULT, PROGRAM, OUTSIDE, TABLE, TABLE_LENGTH, PACKET, PACKET_LENGTH, PACKET_ADDRESS, CONTEXT, CONTEXT_LENGTH,
 CPU, ROUND) = range(13)
REGISTERS, STACKS, FRAME_POINTERS, WORDS = 16, 32, 40, 64
ACCESS, ENDLESS, TOO_DEEP, FELL_OFF, MISALIGNED, CALLED = range(1, 7)
KIND_AT, PENDING_AT = 56, 28
PENDING_MASK = (1 << PENDING_AT) - 1
FIRST_TABLE = 1 << 12
LARGEST_TABLE = 1 << 22      # 64 MiB of table; pages above it are asked for at every access


class _Buffer(ctypes.Structure):
    """``Py_buffer``."""

    _fields_ = (("buf", ctypes.c_void_p), ("obj", ctypes.py_object), ("len", ctypes.c_ssize_t),
                ("itemsize", ctypes.c_ssize_t), ("readonly", ctypes.c_int), ("ndim", ctypes.c_int),
                ("format", ctypes.c_char_p), ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p),
                ("suboffsets", ctypes.c_void_p), ("internal", ctypes.c_void_p))


_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = (ctypes.py_object, ctypes.POINTER(_Buffer), ctypes.c_int)
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = (ctypes.POINTER(_Buffer),)
_release_buffer.restype = None


def host_address(buffer) -> int:
    """Where a buffer's bytes are in this process. Whoever keeps the number keeps the buffer, and its size."""
    found = _Buffer()
    _get_buffer(buffer, ctypes.byref(found), 0)
    try:
        return found.buf or 0
    finally:
        _release_buffer(ctypes.byref(found))


class PageTable:
    """Native code's view of a Memory: filled as pages are touched, told by Memory what no longer holds."""

    def __init__(self, memory: Memory, state):
        self._memory, self._state = memory, state
        self._entries = (ctypes.c_uint64 * 0)()
        self._grow(FIRST_TABLE)
        memory.native = self

    def _grow(self, pages: int) -> None:
        grown = (ctypes.c_uint64 * (pages * 2))()
        ctypes.memmove(grown, self._entries, ctypes.sizeof(self._entries))
        self._entries, self._length = grown, pages
        self._state[TABLE], self._state[TABLE_LENGTH] = ctypes.addressof(grown), pages

    def drop(self, first: int, pages: int = 1) -> None:
        """These pages changed."""
        for page in range(first, min(first + pages, self._length)):
            self._entries[page * 2] = self._entries[page * 2 + 1] = 0

    def set(self, page: int, host: int, length: int, writable: bool) -> None:
        self._entries[page * 2] = host
        self._entries[page * 2 + 1] = length | (length << 32 if writable else 0)

    def fill(self, page: int):
        """The page's buffer (None: nothing is there), now in the table if it fits."""
        view = self._memory.views.get(page)
        if view is None:
            return None
        if page >= self._length and page < LARGEST_TABLE:
            self._grow(min(max(self._length * 2, 1 << page.bit_length()), LARGEST_TABLE))
        if page < self._length:
            self.set(page, host_address(view), len(view), not _readonly(view))
        return view

    def reach(self, address: int, size: int, write: int) -> int:
        """Host address of a simulated one that native code did not find, 0 if it is a fault."""
        view, at = self.fill(address >> PAGE_BITS), address & OFFSET
        if view is None or at + size > len(view) or (write and _readonly(view)):
            return 0
        return host_address(view) + at

    def reach_lenient(self, address: int, size: int) -> int:
        """The same for a load that reads 0 where nothing is."""
        if address >> PAGE_BITS not in self._memory.views:
            return host_address(ZEROS)
        return self.reach(address, size, 0)


def _readonly(view) -> bool:
    return isinstance(view, memoryview) and view.readonly


def new_state(stacks, frame_pointers):
    """The state's words for a machine."""
    state = (ctypes.c_uint64 * WORDS)()
    for depth in range(bits.MAX_CALL_FRAMES):
        state[STACKS + depth] = host_address(stacks[depth])
        state[FRAME_POINTERS + depth] = frame_pointers[depth]
    return state
