"""The part of a Session that looks: records of programs, stacks, counters, what is in the kernel, pins."""

from __future__ import annotations

import errno as E
import os
import threading

from ..errors import KernelError
from . import ids, links, maps, perf, pins, progs, rings, symbols, syscall

_WAIT = 1.0                 # seconds that one reading may wait


class WatchCalls:
    """Mixed into ``session.Session``, whose ``_use`` and ``_add`` it works with."""

    CALLS = ("ring_open", "ring_read", "perf_open", "perf_read", "symbols", "infos", "dump", "btf_get",
             "stats_enable", "pin", "pin_get", "unpin", "pins")

    _symbols: symbols.Symbols | None = None
    _symbols_lock = threading.Lock()

    # records

    def ring_open(self, map: int, pages: int = 8) -> dict:
        """Start reading a ringbuf or perf_event_array (``pages``: size of each CPU's perf buffer, a power of two).

        Records come from now on; ``ring_read`` opens by itself. -> {"size": bytes of buffer}
        """
        with self._use(map, "map") as found:
            if found.reader is None:
                found.reader = rings.open_reader(found, pages)
            return {"size": found.reader.size}

    def ring_read(self, map: int, limit: int = 1 << 20, seconds: float = 0.0) -> dict:
        """The records that are there, some ``limit`` bytes at most, or the first to come within ``seconds`` (≤ 1).

        -> {"data", "offsets" (u32), "lens" (u32), "cpus" (u16), "times" (u64): bytes, "count", "lost", "discarded",
        "waiting", "size"}; see kernel/rings.py.
        """
        self.ring_open(map)
        with self._use(map, "map") as found:
            return found.reader.read(max(limit, 1), min(seconds, _WAIT))

    # counters and stacks

    def perf_open(self, event: str, cpu: int) -> dict:
        """A running counter (``cpu-clock``, ``page-faults`` …) of one CPU, to be put into a perf_event_array.

        -> {"perf": handle}
        """
        if event not in perf.EVENTS:
            raise KernelError(f"there is no event {event!r}", errno=E.EINVAL, call="perf_event_open",
                              hint=links.near(event, perf.EVENTS))
        made = perf.open_counter(event, cpu, enabled=True)
        made.id = 0                              # type: ignore[attr-defined]
        return {"perf": self._add("perf", made)}

    def perf_read(self, perf: int) -> int:
        """What the counter has counted."""
        with self._use(perf, "perf") as found:
            return int.from_bytes(os.read(found.fd, 8), "little")

    def symbols(self, addresses: list) -> list:
        """Kernel addresses by name: [{"address", "name", "offset", "module"}]. The list is read at the first call."""
        with self._symbols_lock:
            if self._symbols is None:
                self._symbols = symbols.Symbols()
        return [self._symbols.at(address) for address in addresses]

    # what is in the kernel

    def infos(self, kind: str) -> list:
        """What the kernel says of every ``prog``, ``map`` or ``link`` in it, whoever made it; one dict each."""
        if kind not in ids.OPENS:
            raise KernelError(f"there is no list of {kind!r}", errno=E.EINVAL, hint=links.near(kind, ids.OPENS))
        return ids.everything(kind)

    def dump(self, prog: int = 0, id: int = 0) -> dict:
        """A program as the verifier left it and as machine code, by handle, or by id whoever loaded it.

        -> {"xlated", "jited": bytes, "ksyms": [address], "lens": [bytes of each function]}
        """
        if prog:
            with self._use(prog, "prog") as found:
                return ids.dump(found.fd)
        held = ids.open_id("prog", id)
        try:
            return ids.dump(held.fd)
        finally:
            held.close()

    def btf_get(self, id: int) -> bytes:
        """The types (BTF) that were loaded under that id, a map's or program's ``btf_id``."""
        return ids.btf(id)

    def stats_enable(self) -> dict:
        """Have the kernel count runs and run time of every program until the handle is closed. -> {"stats": handle}

        See ``run_cnt`` and ``run_time_ns`` of ``prog_info``. BPF_ENABLE_STATS, since 5.8.
        """
        made = syscall.Fd(syscall.bpf("ENABLE_STATS", type=0))
        made.id = 0                              # type: ignore[attr-defined]
        return {"stats": self._add("stats", made)}

    # pins

    def pin(self, handle: int, path: str) -> None:
        """Give a map, program or link a name in a bpf file system; it then outlives this session until ``unpin``."""
        entry = self._things.get(handle)
        if entry is None or entry.kind not in ("map", "prog", "link"):
            raise KernelError(f"handle {handle} is no open map, program or link", errno=E.EBADF, call="BPF_OBJ_PIN")
        with self._use(handle, entry.kind) as found:
            if found.fd < 0:
                raise KernelError("this attachment has no link object to pin", errno=E.EOPNOTSUPP, call="BPF_OBJ_PIN",
                                  hint="xdp, tcx, cgroup and probe links have one")
            pins.pin(found.fd, path)

    def pin_get(self, path: str) -> dict:
        """Open what is pinned. -> {"handle", "kind": "map"|"prog"|"link", "info"}"""
        held = pins.get(path)
        kind = pins.kind(held.fd)
        told = ids.info(kind, held.fd)
        fd, held.fd = held.fd, -1
        if kind == "map":
            made = maps.Map(fd, told["type"], told["key_size"], told["value_size"], told["max_entries"], told["name"])
        else:
            made = progs.Program(fd, told["name"]) if kind == "prog" else links.Link(fd)
        return {"handle": self._add(kind, made), "kind": kind, "info": told}

    def unpin(self, path: str) -> None:
        """Remove a name, and directories that are empty then."""
        pins.unpin(path)

    def pins(self) -> list:
        """Everything that is pinned: [{"path", "kind", "id", "name"}]."""
        return pins.everything()
