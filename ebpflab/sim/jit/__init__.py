"""The native tier (needs llvmlite, the extra ``jit``): programs become machine code with every access checked.

``text`` and ``emit`` write LLVM IR, ``llvm`` compiles it, ``state`` is what native code and Python share, ``index``
a hash map's keys for native look-ups, ``driver`` the native loops around a program, ``engine`` runs it all. What is
not native (helpers but array and hash look-ups, packet loads from negative offsets, tail calls' way) calls Python.
"""

from __future__ import annotations

from .llvm import FAST, HOT, installed

__all__ = ["FAST", "HOT", "installed"]
