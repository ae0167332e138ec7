"""Addresses of the kernel to names: /proc/kallsyms, read once and sorted."""

from __future__ import annotations

import errno as E
from bisect import bisect_right

from ..errors import KernelError

_FUNCTIONS = "tTwW"


class Symbols:
    """Every function of the kernel and its modules at the time of reading, programs included."""

    def __init__(self, path: str = "/proc/kallsyms"):
        rows = []
        with open(path, encoding="ascii", errors="replace") as file:
            for line in file:
                address, kind, name, *module = line.split()
                if kind in _FUNCTIONS:
                    rows.append((int(address, 16), name, module[0].strip("[]") if module else ""))
        rows.sort()
        if not rows or not rows[-1][0]:
            raise KernelError("the kernel hides its addresses (/proc/kallsyms shows zeros)", errno=E.EPERM,
                              call="kallsyms", hint="as root: sysctl kernel.kptr_restrict=1; or take a guest")
        self._addresses, self._names = [row[0] for row in rows], [row[1:] for row in rows]

    def at(self, address: int) -> dict:
        """{"address", "name", "offset", "module"}; an empty name for what is in no function."""
        row = bisect_right(self._addresses, address) - 1
        if row < 0 or address - self._addresses[row] > 1 << 24:
            return {"address": address, "name": "", "offset": 0, "module": ""}
        name, module = self._names[row]
        return {"address": address, "name": name, "offset": address - self._addresses[row], "module": module}
