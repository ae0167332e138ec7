"""One kernel, spoken to in plain data: the whole of ``kernel/`` behind one object.

Every argument and result is None, bool, int, float, str, bytes, list or dict, so the same object is served
over a wire by the agent.  What lives in the kernel is known by a *handle*, a small int of this session;
closing the session (or the death of its process, since only file descriptors hold anything) removes it all.

Runs on Python 3.9 and later with the standard library alone: it is also what runs inside a guest.
"""

from __future__ import annotations


class Session:
    """The calls of one process to its kernel. Errors are ``KernelError`` with errno, call, log and a hint."""

    #: methods that a wire may serve
    CALLS = ("facts", "features", "map_create", "map_lookup", "map_update", "map_delete", "map_next_key", "map_read",
             "map_info", "prog_load", "prog_run", "prog_info", "net_create", "net_send", "net_stats", "attach", "close",
             "close_all", "handles", "ids")

    def facts(self) -> dict:
        """What this kernel and this process are.

        ``release`` (uname -r), ``version`` (upstream, "6.12.57"), ``machine``, ``cpus`` (possible), ``online``,
        ``jit``, ``btf``, ``privileged``, ``lockdown``, ``unprivileged_bpf_disabled``, ``capabilities`` (names).
        """
        raise NotImplementedError

    def features(self) -> dict:
        """Probe what the kernel has: {"features": {name: {"since", "ok", "why"}}, "prog_types": …, "map_types": …}."""
        raise NotImplementedError

    # maps

    def map_create(self, type: int, key_size: int, value_size: int, max_entries: int, flags: int = 0, name: str = "",
                   map_extra: int = 0, inner: int = 0, ifindex: int = 0, btf: bytes = b"", btf_key_type_id: int = 0,
                   btf_value_type_id: int = 0) -> dict:
        """Make a map; ``inner`` is the handle of the prototype of a map of maps. -> {"map": handle, "id": kernel id}"""
        raise NotImplementedError

    def map_lookup(self, map: int, key: bytes, flags: int = 0) -> bytes | None:
        """The value of ``key``, None if there is none; a per-CPU value is ``cpus`` times value_size rounded up to 8."""
        raise NotImplementedError

    def map_update(self, map: int, key: bytes, value: bytes, flags: int = 0) -> None:
        """Write one entry. For maps of programs, maps or sockets the value is a handle's fd: see ``map_put``."""
        raise NotImplementedError

    def map_delete(self, map: int, key: bytes) -> bool:
        """Remove ``key``; False if it was not there."""
        raise NotImplementedError

    def map_next_key(self, map: int, key: bytes | None = None) -> bytes | None:
        """The key after ``key`` (None: the first), None at the end."""
        raise NotImplementedError

    def map_read(self, map: int, limit: int = 0, settle: int = 0) -> dict:
        """All entries (at most ``limit`` if not 0) as raw columns.

        -> {"keys", "values": bytes, "count", "cpus", "lost", "duplicates", "torn", "how", "seconds"}
        """
        raise NotImplementedError

    def map_info(self, map: int) -> dict:
        """-> {"type", "id", "key_size", "value_size", "max_entries", "flags", "name", …}"""
        raise NotImplementedError

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
        raise NotImplementedError

    def prog_run(self, prog: int, data: bytes = b"", ctx: bytes = b"", repeat: int = 1, flags: int = 0, cpu: int = 0,
                 batch_size: int = 0) -> dict:
        """BPF_PROG_TEST_RUN. -> {"retval", "data", "ctx", "duration_ns"} (duration: mean of one run)."""
        raise NotImplementedError

    def prog_info(self, prog: int) -> dict:
        """-> {"id", "type", "tag", "name", "xlated_len", "jited_len", "map_ids", "load_time", "run_time_ns", …}"""
        raise NotImplementedError

    # networks and attachments

    def net_create(self) -> dict:
        """Two namespaces joined by a veth pair, both ends up. -> {"net": handle, "ends": ["lab0", "lab1"], "macs"}"""
        raise NotImplementedError

    def net_send(self, net: int, end: str, frames: list, count: int = 1, pps: float = 0) -> dict:
        """Send each frame ``count`` times out of ``end``. -> {"sent", "dropped", "seconds"}"""
        raise NotImplementedError

    def net_stats(self, net: int, end: str) -> dict:
        """Device counters: {"rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_dropped", "tx_dropped", …}"""
        raise NotImplementedError

    def attach(self, prog: int, where: dict) -> dict:
        """``where``: {"kind": "xdp", "net": handle, "dev": "lab0", "mode": "native"|"generic"}. -> {"link", "id"}"""
        raise NotImplementedError

    # lifetimes

    def close(self, handle: int) -> None:
        """Let go of one thing: a link detaches, a network disappears, a map or program goes with its last user."""
        raise NotImplementedError

    def close_all(self) -> None:
        """Let go of everything, newest first."""
        raise NotImplementedError

    def handles(self) -> list:
        """What is open: [{"handle", "kind", "id"}]."""
        raise NotImplementedError

    def ids(self, kind: str) -> list:
        """Ids of everything of ``kind`` ("prog", "map", "link", "btf") in the kernel, whoever made it."""
        raise NotImplementedError
