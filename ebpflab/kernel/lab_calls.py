"""The part of a Session that makes things happen: networks, cgroups, sockets, commands, attachments."""

from __future__ import annotations

import errno as E
import os
from contextlib import ExitStack

from ..errors import KernelError
from . import cgroups, guest, hooks, ids, labnet, links, sockets, syscall, xsk


class LabCalls:
    """Mixed into ``session.Session``, whose ``_use`` and ``_add`` it works with."""

    CALLS = ("net_create", "net_send", "net_stats", "attach", "hooks", "cgroup_create", "cgroup_info", "command",
             "sock_open", "sock_accept", "sock_send", "sock_receive", "sock_info", "xsk_open", "xsk_receive",
             "xsk_send")

    # networks and attachments

    def net_create(self, ip: int = 0) -> dict:
        """Two namespaces joined by a veth pair, both ends up; ``ip`` 4 or 6 gives them addresses.

        -> {"net": handle, "ends": ["lab0", "lab1"], "macs", "addresses": [["10.77.0.1", …], …]}
        """
        if ip not in (0, 4, 6):
            raise KernelError(f"ip is 0, 4 or 6, not {ip!r}", errno=E.EINVAL, call="net_create")
        made = labnet.LabNet(ip)
        addresses = [[each.partition("/")[0] for each in labnet.ADDRESSES[end][:ip // 2 - 1 if ip else 0]]
                     for end in labnet.ENDS]
        return {"net": self._add("net", made), "ends": list(labnet.ENDS), "macs": [labnet.MACS[e] for e in labnet.ENDS],
                "addresses": addresses}

    def net_send(self, net: int, end: str, frames: list, count: int = 1, pps: float = 0) -> dict:
        """Send each frame ``count`` times out of ``end``. -> {"sent", "dropped", "seconds"}"""
        with self._use(net, "net") as found:
            return found.send(end, frames, count, pps)

    def net_stats(self, net: int, end: str) -> dict:
        """Device counters: {"rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_dropped", "tx_dropped", "index"}"""
        with self._use(net, "net") as found:
            return {**found.stats(end), "index": found.index(end)}

    def attach(self, prog: int, where: dict) -> dict:
        """Attach a program. ``where``: ``kind`` (a name of ``hooks``) and that kind's options; ``net``, ``cgroup``,
        ``map`` and ``socket`` are handles: {"kind": "xdp", "net": 3, "dev": "lab0", "mode": "native"}.

        -> {"link": handle, "id": the kernel's link id, 0 where it has none}
        """
        with ExitStack() as held:
            program = held.enter_context(self._use(prog, "prog"))
            hook = hooks.find(where, ids.info("prog", program.fd)["type"], guest.ours())
            place = {name: held.enter_context(self._use(value, links.HANDLES[name]))
                     if name in links.HANDLES and value else value for name, value in where.items()}
            made = hook.make(program, place)
        return {"link": self._add("link", made), "id": made.id}

    def hooks(self) -> dict:
        """Every kind of hook: {name: {"about", "types", "options": {name: what}, "subject", "guest", "since"}}"""
        return {name: {"about": hook.about, "types": list(hook.types), "options": dict(hook.options),
                       "subject": hook.subject, "guest": hook.guest, "since": hook.since}
                for name, hook in hooks.HOOKS.items()}

    # cgroups and commands

    def cgroup_create(self) -> dict:
        """An empty cgroup (v2) of our own. -> {"cgroup": handle, "id" (as programs see it), "path"}"""
        made = cgroups.Cgroup()
        return {"cgroup": self._add("cgroup", made), "id": made.id, "path": made.path}

    def cgroup_info(self, cgroup: int) -> dict:
        """-> {"id", "path", "processes": [pid]}"""
        with self._use(cgroup, "cgroup") as found:
            return {"id": found.id, "path": found.path, "processes": found.processes()}

    def command(self, argv: list, net: int = 0, end: str = "lab0", cgroup: int = 0, data: bytes = b"",
                seconds: float = 10.0) -> dict:
        """Run a command to its end, in the namespace of a lab network's end and in a cgroup if they are given.

        -> {"status" (exit status, or -signal), "out", "err": bytes, "seconds"}
        """
        with ExitStack() as held:                # our own descriptors: others may use both while it runs
            namespace = procs = None
            if net:
                with self._use(net, "net") as network:
                    namespace = syscall.Fd(os.dup(network.namespace(end).fd))
                held.callback(namespace.close)
            if cgroup:
                with self._use(cgroup, "cgroup") as group:
                    procs = group.entrance()
                held.callback(procs.close)
            return cgroups.command([str(word) for word in argv], procs=procs.fd if procs else -1, data=data,
                                   seconds=seconds, namespace=namespace)

    # sockets

    def _sock(self, made: sockets.Sock) -> dict:
        return {"sock": self._add("sock", made), "name": made.name()}

    def sock_open(self, net: int, end: str, kind: str, bind: str = "", connect: str = "", listen: bool = False) -> dict:
        """A ``udp``, ``tcp`` or ``packet`` socket at an end of a network; addresses as ``10.77.0.2:80``.

        -> {"sock": handle, "name": its own address}
        """
        with self._use(net, "net") as found:
            return self._sock(found.inside(end, sockets.open_socket, kind, end, bind, connect, listen))

    def sock_accept(self, sock: int, seconds: float = 5.0) -> dict:
        """The next connection to a listening socket. -> {"sock": handle, "name"}"""
        with self._use(sock, "sock") as found:
            return self._sock(found.accept(seconds))

    def sock_send(self, sock: int, data: bytes, to: str = "") -> int:
        """Bytes that were taken."""
        with self._use(sock, "sock") as found:
            return found.send(data, to)

    def sock_receive(self, sock: int, limit: int = 64, seconds: float = 0.0) -> list:
        """Datagrams, frames or pieces of a stream that are there, or the first to come within ``seconds``."""
        with self._use(sock, "sock") as found:
            return found.receive(limit, seconds)

    def sock_info(self, sock: int) -> dict:
        """-> {"kind", "name"}"""
        with self._use(sock, "sock") as found:
            return {"kind": found.kind, "name": found.name()}

    # AF_XDP

    def xsk_open(self, net: int, end: str, queue: int = 0, frames: int = 256) -> dict:
        """An AF_XDP socket on a queue of an end, to be put into an xskmap. -> {"xsk": handle}"""
        with self._use(net, "net") as found:
            return {"xsk": self._add("xsk", found.inside(end, xsk.Xsk, end, queue, frames))}

    def xsk_receive(self, sock: int, limit: int = 64, seconds: float = 0.0) -> dict:
        """Frames that programs redirected here. -> {"frames": [bytes], "dropped" (the ring was full), "invalid"}"""
        with self._use(sock, "xsk") as found:
            return found.receive(limit, seconds)

    def xsk_send(self, sock: int, frames: list) -> int:
        """Frames that were put on the wire, past the kernel's network stack."""
        with self._use(sock, "xsk") as found:
            return found.send(frames)
