"""One kernel, spoken to in plain data: the whole of ``kernel/`` behind one object.

Every argument and result is None, bool, int, float, str, bytes, list or dict, so the same object is served
over a wire by the agent.  What lives in the kernel is known by a *handle*, a small int of this session;
closing the session (or the death of its process, since only file descriptors hold anything) removes it all.

Runs on Python 3.9 and later with the standard library alone: it is also what runs inside a guest.
"""

from __future__ import annotations

import errno as E
import os
import threading
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import Any, NamedTuple

from ..errors import KernelError
from . import features, ids, labnet, links, maps, progs, syscall

#: types whose values are objects -> what kind of handle a value is (prog_array, array_of_maps, hash_of_maps)
_HOLDS = {3: "prog", 12: "map", 13: "map"}


class _Entry(NamedTuple):
    kind: str
    thing: Any
    lock: threading.RLock


def _unknown(handle: int, kind: str) -> KernelError:
    return KernelError(f"handle {handle} is no open {kind} of this session", errno=E.EBADF,
                       hint="it was closed, or belongs to another session")


class Session:
    """The calls of one process to its kernel. Errors are ``KernelError`` with errno, call, log and a hint."""

    #: methods that a wire may serve
    CALLS = ("facts", "features", "map_create", "map_lookup", "map_update", "map_delete", "map_next_key", "map_read",
             "map_write", "map_freeze", "map_info", "prog_load", "prog_run", "prog_info", "net_create", "net_send",
             "net_stats", "attach", "close", "close_all", "handles", "ids")

    def __init__(self) -> None:
        self._things: dict[int, _Entry] = {}
        self._lock = threading.Lock()
        self._last = 0
        if syscall.version() < (5, 11):
            # until 5.11 maps and programs counted as locked memory; 64 KiB are allowed by default
            import resource
            with suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def _add(self, kind: str, thing) -> int:
        with self._lock:
            self._last += 1
            self._things[self._last] = _Entry(kind, thing, threading.RLock())
            return self._last

    @contextmanager
    def _use(self, handle: int, kind: str):
        """The thing behind a handle, kept open and to ourselves while it is used."""
        entry = self._things.get(handle)
        if entry is None or entry.kind != kind:
            raise _unknown(handle, kind)
        with entry.lock:
            if handle not in self._things:
                raise _unknown(handle, kind)
            yield entry.thing

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc) -> None:
        self.close_all()

    def facts(self) -> dict:
        """What this kernel and this process are.

        ``release`` (uname -r), ``version`` (upstream, "6.12.57"), ``machine``, ``cpus`` (possible), ``online``,
        ``jit``, ``btf``, ``privileged``, ``lockdown``, ``unprivileged_bpf_disabled``, ``capabilities`` (names).
        """
        return features.facts()

    def features(self) -> dict:
        """Probe the kernel: {"features": [{"name", "since", "ok", "why"}], "prog_types": [{"number", "ok", "why"}],
        "map_types": the same}."""
        return features.probe()

    # maps

    def map_create(self, type: int, key_size: int, value_size: int, max_entries: int, flags: int = 0, name: str = "",
                   map_extra: int = 0, inner: int = 0, ifindex: int = 0, btf: bytes = b"", btf_key_type_id: int = 0,
                   btf_value_type_id: int = 0) -> dict:
        """Make a map; ``inner`` is the handle of the prototype of a map of maps. -> {"map": handle, "id": kernel id}"""
        btf_fd = progs.btf_load(btf) if btf else 0
        try:
            with self._use(inner, "map") if inner else nullcontext() as prototype:
                made = maps.create(
                    type, key_size, value_size, max_entries, flags, name, map_extra=map_extra, ifindex=ifindex,
                    inner_fd=prototype.fd if prototype else 0, btf_fd=btf_fd, btf_key_type_id=btf_key_type_id,
                    btf_value_type_id=btf_value_type_id)
        finally:
            if btf_fd:
                os.close(btf_fd)
        return {"map": self._add("map", made), "id": made.id}

    def map_lookup(self, map: int, key: bytes, flags: int = 0) -> bytes | None:
        """The value of ``key``, None if there is none; a per-CPU value is ``cpus`` times value_size rounded up to 8."""
        with self._use(map, "map") as found:
            return found.lookup(key, flags)

    def map_update(self, map: int, key: bytes, value: bytes, flags: int = 0) -> None:
        """Write one entry. In a prog_array or a map of maps the value is the *handle* of a program or map (u32)."""
        with self._use(map, "map") as found:
            kind = _HOLDS.get(found.type)
            if kind is None or len(value) != 4:
                return found.update(key, value, flags)
            with self._use(int.from_bytes(value, "little"), kind) as held:
                return found.update(key, held.fd.to_bytes(4, "little"), flags)

    def map_delete(self, map: int, key: bytes) -> bool:
        """Remove ``key``; False if it was not there."""
        with self._use(map, "map") as found:
            return found.delete(key)

    def map_next_key(self, map: int, key: bytes | None = None) -> bytes | None:
        """The key after ``key`` (None: the first), None at the end."""
        with self._use(map, "map") as found:
            return found.next_key(key)

    def map_read(self, map: int, limit: int = 0, settle: int = 0, flags: int = 0) -> dict:
        """All entries (at most ``limit`` if not 0) as raw columns.

        With ``settle`` a row counts as good once it read the same twice in a row, tried up to ``settle`` times more.
        -> {"keys", "values": bytes, "count", "cpus", "lost", "duplicates", "unsettled", "how", "seconds"}
        lost: listed, then gone; duplicates: came twice, kept once; unsettled: rows that never read the same twice
        (None: not looked for; see kernel/maps.py); seconds: CLOCK_MONOTONIC of this kernel.
        """
        with self._use(map, "map") as found:
            return found.read(limit, settle, flags)

    def map_write(self, map: int, keys: bytes, values: bytes, flags: int = 0) -> int:
        """Write many entries at once, columns as ``map_read`` gives them; the number written."""
        with self._use(map, "map") as found:
            return found.write(keys, values, flags)

    def map_freeze(self, map: int) -> None:
        """User space cannot write it any more; the verifier may then take an array's contents as known (.rodata)."""
        with self._use(map, "map") as found:
            syscall.bpf("MAP_FREEZE", map_fd=found.fd)

    def map_info(self, map: int) -> dict:
        """-> {"type", "id", "key_size", "value_size", "max_entries", "flags", "name", …}"""
        with self._use(map, "map") as found:
            return ids.info("map", found.fd)

    # programs

    def prog_load(self, type: int, insns: bytes, maps: list | None = None, license: str = "GPL", log_level: int = 1,
                  log_size: int = 0, kern_version: int = 0, flags: int = 0, name: str = "", ifindex: int = 0,
                  attach_type: int = 0, relocate: bool = True, btf: bytes = b"", func_info: bytes = b"",
                  line_info: bytes = b"") -> dict:
        """BPF_PROG_LOAD. A rejection is a result with ``prog`` 0, errno and log; other failures raise KernelError.

        ``maps`` are handles; with ``relocate`` a wide load's imm (src 1 or 2) is an index into them.
        ``log_size`` 0 grows the buffer until the log fits.
        -> {"prog", "id", "tag", "errno", "log", "log_truncated", "seconds"}
        """
        with ExitStack() as held:
            fds = [held.enter_context(self._use(handle, "map")).fd for handle in maps or ()]
            result = progs.load(
                type, insns, fds=fds, license=license, log_level=log_level, log_size=log_size,
                kern_version=kern_version, flags=flags, name=name, ifindex=ifindex, attach_type=attach_type,
                patch=relocate, btf=btf, func_info=func_info, line_info=line_info)
        fd = result.pop("fd")
        if fd < 0:
            return {"prog": 0, "id": 0, "tag": "", **result}
        made = progs.Program(fd, name)
        return {"prog": self._add("prog", made), "id": made.id, "tag": made.tag, **result}

    def prog_run(self, prog: int, data: bytes = b"", ctx: bytes = b"", repeat: int = 1, flags: int = 0, cpu: int = 0,
                 batch_size: int = 0, net: int = 0, end: str = "") -> dict:
        """BPF_PROG_TEST_RUN. -> {"retval", "data", "ctx", "duration_ns"} (duration: mean of one run).

        With ``net`` and ``end`` it runs in that end's namespace; an XDP program without a ``ctx`` then sees its frames
        come in there, which live frames (flags 2) need.
        """
        with self._use(prog, "prog") as found:
            if not net:
                return progs.run(found.fd, data, ctx, repeat, flags, cpu, batch_size)
            with self._use(net, "net") as network:
                ctx = ctx or progs.xdp_md(len(data), network.index(end))
                return network.inside(end, progs.run, found.fd, data, ctx, repeat, flags, cpu, batch_size)

    def prog_info(self, prog: int) -> dict:
        """-> {"id", "type", "tag", "name", "xlated_len", "jited_len", "map_ids", "load_time", "run_time_ns", …}"""
        with self._use(prog, "prog") as found:
            return ids.info("prog", found.fd)

    # networks and attachments

    def net_create(self) -> dict:
        """Two namespaces joined by a veth pair, both ends up. -> {"net": handle, "ends": ["lab0", "lab1"], "macs"}"""
        made = labnet.LabNet()
        return {"net": self._add("net", made), "ends": list(labnet.ENDS), "macs": [labnet.MACS[e] for e in labnet.ENDS]}

    def net_send(self, net: int, end: str, frames: list, count: int = 1, pps: float = 0) -> dict:
        """Send each frame ``count`` times out of ``end``. -> {"sent", "dropped", "seconds"}"""
        with self._use(net, "net") as found:
            return found.send(end, frames, count, pps)

    def net_stats(self, net: int, end: str) -> dict:
        """Device counters: {"rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_dropped", "tx_dropped", …}"""
        with self._use(net, "net") as found:
            return found.stats(end)

    def attach(self, prog: int, where: dict) -> dict:
        """``where``: {"kind": "xdp", "net": handle, "dev": "lab0", "mode": "native"|"generic"}. -> {"link", "id"}"""
        with self._use(prog, "prog") as program:
            if "net" not in where:
                made = links.attach(program.fd, where)
            else:
                with self._use(where["net"], "net") as net:
                    made = net.attach(program.fd, where)
        return {"link": self._add("link", made), "id": made.id}

    # lifetimes

    def close(self, handle: int) -> None:
        """Let go of one thing: a link detaches, a network disappears, a map or program goes with its last user."""
        entry = self._things.get(handle)
        if entry is None:
            raise _unknown(handle, "thing")
        with entry.lock:  # not while another thread reads it: its fd's number would be used again
            if self._things.pop(handle, None):
                entry.thing.close()

    def close_all(self) -> None:
        """Let go of everything, newest first."""
        for handle in sorted(self._things, reverse=True):
            with suppress(KernelError):  # another thread closed it
                self.close(handle)

    def handles(self) -> list:
        """What is open: [{"handle", "kind", "id"}]."""
        return [{"handle": handle, "kind": entry.kind, "id": getattr(entry.thing, "id", 0)}
                for handle, entry in sorted(self._things.copy().items())]

    def ids(self, kind: str) -> list:
        """Ids of everything of ``kind`` ("prog", "map", "link", "btf") in the kernel, whoever made it."""
        if kind not in ids.WALKS:
            raise KernelError(f"no ids of {kind!r}", errno=E.EINVAL, hint="known: " + ", ".join(ids.WALKS))
        return ids.walk(kind)
