"""One kernel, spoken to in plain data: the whole of ``kernel/`` behind one object.

Every argument and result is None, bool, int, float, str, bytes, list or dict, so the same object is served
over a wire by the agent.  What lives in the kernel is known by a *handle*, a small int of this session;
closing the session (or the death of its process, since only file descriptors hold anything) removes it all.

Runs on Python 3.9 and later with the standard library alone: it is also what runs inside a guest.
"""

from __future__ import annotations

import errno as E
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

from ..errors import KernelError
from . import features, ids, maps, progs, syscall, types
from .lab_calls import LabCalls
from .watch_calls import WatchCalls

#: map types whose values are, or end in, objects -> kind of handle, and where in the value it stands
_HOLDS = {
    3: ("prog", 0), 4: ("perf", 0), 8: ("cgroup", 0), 12: ("map", 0), 13: ("map", 0), 15: ("sock", 0), 17: ("xsk", 0),
    18: ("sock", 0), 20: ("sock", 0),
    14: ("prog", 4), 16: ("prog", 4), 25: ("prog", 4),       # devmap, cpumap, devmap_hash: a number, then a program
}
#: devmap, devmap_hash: the kernel looks the device up in the namespace of who writes
_DEVICES = (14, 25)


class _Entry(NamedTuple):
    kind: str
    thing: Any
    lock: threading.RLock


def _unknown(handle: int, kind: str) -> KernelError:
    return KernelError(f"handle {handle} is no open {kind} of this session", errno=E.EBADF,
                       hint="it was closed, or belongs to another session")


class Session(LabCalls, WatchCalls):
    """The calls of one process to its kernel. Errors are ``KernelError`` with errno, call, log and a hint."""

    #: methods that a wire may serve
    CALLS = ("facts", "features", "btf", "btf_hash", "btf_kinds", "btf_load", "kconfig", "map_create", "map_lookup",
             "map_update", "map_delete", "map_pop", "map_next_key", "map_read", "map_write", "map_freeze", "map_info",
             "prog_load", "prog_run", "prog_info", "close", "close_all", "handles", "ids", *LabCalls.CALLS,
             *WatchCalls.CALLS)

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

    @contextmanager
    def _fd(self, handle: int, kind: str):
        """The file descriptor behind a handle, 0 for no handle."""
        if not handle:
            yield 0
            return
        with self._use(handle, kind) as thing:
            yield thing.fd

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

    # types

    def btf(self) -> bytes:
        """The kernel's own types (BTF), b"" if it was built without. Some megabytes: ask ``btf_hash`` first."""
        return types.vmlinux()

    def btf_hash(self) -> str:
        """SHA-256 of ``btf()`` in hex, "" if there is none."""
        return types.vmlinux_hash()

    def btf_kinds(self) -> list:
        """What may stand in a BTF that is loaded here, found by trying: numbers of the kinds that came later
        (``enum`` in linux/btf.h: 15 DATASEC and VAR with it, 16 FLOAT …), and 0 if functions may be global."""
        return types.kinds()

    def kconfig(self) -> str:
        """How this kernel was configured: the lines of its .config, "" if it does not tell."""
        return types.kconfig()

    def btf_load(self, btf: bytes) -> dict:
        """Give the kernel the types of a program and its maps. -> {"btf": handle, "id": kernel id}"""
        made = types.Btf(progs.btf_load(btf))
        return {"btf": self._add("btf", made), "id": made.id}

    # maps

    def map_create(self, type: int, key_size: int, value_size: int, max_entries: int, flags: int = 0, name: str = "",
                   map_extra: int = 0, inner: int = 0, ifindex: int = 0, btf: int = 0, btf_key_type_id: int = 0,
                   btf_value_type_id: int = 0) -> dict:
        """Make a map; ``inner`` is the handle of the prototype of a map of maps, ``btf`` that of its types.

        -> {"map": handle, "id": kernel id}
        """
        with self._fd(inner, "map") as inner_fd, self._fd(btf, "btf") as btf_fd:
            made = maps.create(
                type, key_size, value_size, max_entries, flags, name, map_extra=map_extra, ifindex=ifindex,
                inner_fd=inner_fd, btf_fd=btf_fd, btf_key_type_id=btf_key_type_id,
                btf_value_type_id=btf_value_type_id)
        return {"map": self._add("map", made), "id": made.id}

    def map_lookup(self, map: int, key: bytes, flags: int = 0) -> bytes | None:
        """The value of ``key``, None if there is none; a per-CPU value is ``cpus`` times value_size rounded up to 8."""
        with self._use(map, "map") as found:
            return found.lookup(key, flags)

    def map_update(self, map: int, key: bytes, value: bytes, flags: int = 0, net: int = 0, end: str = "") -> None:
        """Write one entry. Where the kernel wants a file descriptor of an object, give its *handle* (u32): in a
        prog_array, map of maps, sockmap, xskmap, cgroup_array, perf_event_array, and after the number in a devmap or
        cpumap (0: no program). A device's number means something only in its namespace: for a devmap give ``net`` and
        ``end`` too."""
        with self._use(map, "map") as found, self._with_fd(found.type, value) as real:
            if found.type in _DEVICES:
                with self._use(net, "net") as network:
                    return network.inside(end, found.update, key, real, flags)
            return found.update(key, real, flags)

    @contextmanager
    def _with_fd(self, map_type: int, value: bytes):
        """The value with the descriptor of the object whose handle it holds."""
        kind, at = _HOLDS.get(map_type, ("", 0))
        handle = int.from_bytes(value[at:at + 4], "little")
        if not kind or len(value) < at + 4 or (at and not handle):
            yield value
            return
        with self._use(handle, kind) as held:
            yield value[:at] + held.fd.to_bytes(4, "little") + value[at + 4:]

    def map_delete(self, map: int, key: bytes) -> bool:
        """Remove ``key``; False if it was not there."""
        with self._use(map, "map") as found:
            return found.delete(key)

    def map_pop(self, map: int, key: bytes = b"") -> bytes | None:
        """Take the next entry out of a queue or stack, or that of ``key`` out of a hash; None if there is none."""
        with self._use(map, "map") as found:
            return found.pop(key)

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
                  attach_type: int = 0, attach_btf_id: int = 0, relocate: bool = True, btf: int = 0,
                  func_info: bytes = b"", line_info: bytes = b"") -> dict:
        """BPF_PROG_LOAD. A rejection is a result with ``prog`` 0, errno and log; other failures raise KernelError.

        ``maps`` are handles; with ``relocate`` a wide load's imm (src 1 or 2) is an index into them.
        ``log_size`` 0 grows the buffer until the log fits. ``btf`` is a handle of ``btf_load``.
        -> {"prog", "id", "tag", "errno", "log", "log_truncated", "seconds"}
        """
        with ExitStack() as held:
            fds = [held.enter_context(self._use(handle, "map")).fd for handle in maps or ()]
            btf_fd = held.enter_context(self._fd(btf, "btf"))
            result = progs.load(
                type, insns, fds=fds, license=license, log_level=log_level, log_size=log_size,
                kern_version=kern_version, flags=flags, name=name, ifindex=ifindex, attach_type=attach_type,
                attach_btf_id=attach_btf_id, patch=relocate, btf_fd=btf_fd, func_info=func_info, line_info=line_info)
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
                return progs.run(found.fd, data, ctx, repeat, flags, cpu, batch_size, found.type)
            with self._use(net, "net") as network:
                ctx = ctx or progs.xdp_md(len(data), network.index(end))
                return network.inside(end, progs.run, found.fd, data, ctx, repeat, flags, cpu, batch_size, found.type)

    def prog_info(self, prog: int) -> dict:
        """-> {"id", "type", "tag", "name", "xlated_len", "jited_len", "map_ids", "load_time", "run_time_ns", …}"""
        with self._use(prog, "prog") as found:
            return ids.info("prog", found.fd)

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
