"""What a kernel target has to make things happen and to look at them: networks, cgroups, sockets, commands, lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..abi import map_types, prog_types
from ..errors import SpecError
from .held import Held


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ended: ``status`` is its exit status, or minus the signal that ended it."""

    status: int
    out: bytes
    err: bytes
    seconds: float

    @property
    def ok(self) -> bool:
        return self.status == 0


class KernelNet(Held):
    """Two namespaces joined by a veth pair. ``dropped`` counts frames that the device threw away since the start.

    With ``ip`` the ends have addresses: ``addresses["lab0"]`` is ["10.77.0.1"], with ``ip=6`` an IPv6 one besides.
    """

    def __init__(self, target, ip: int = 0):
        super().__init__(target)
        made = self.session.net_create(ip)
        self._hold(made["net"])
        first, second = made["ends"]
        self.ends: tuple[str, str] = (first, second)
        self.macs: dict[str, bytes] = dict(zip(made["ends"], made["macs"], strict=True))
        self.addresses: dict[str, list[str]] = dict(zip(made["ends"], made["addresses"], strict=True))
        self.dropped = 0

    def send(self, frames: Sequence[bytes], *, end: str, count: int = 1, pps: float | None = None) -> int:
        """Put the frames, ``count`` times, on the wire from ``end``; how many reached the other side's queue."""
        done = self.session.net_send(self.handle, end, [bytes(frame) for frame in frames], count, pps or 0)
        self.dropped += done["dropped"]
        return done["sent"] - done["dropped"]

    def stats(self, end: str) -> dict:
        """The device's own counters: rx_packets, tx_packets, rx_bytes, … and its ``index``"""
        return self.session.net_stats(self.handle, end)

    def device(self, end: str) -> KernelDevice:
        """The device of an end, to be put into a devmap."""
        return KernelDevice(self, end, self.stats(end)["index"])

    def socket(self, kind: str = "udp", end: str = "lab1", *, bind: str = "", connect: str = "",
               listen: bool = False) -> KernelSocket:
        """A socket at an end: ``udp``, ``tcp`` or ``packet`` (every frame). Addresses as ``10.77.0.2:80``."""
        return KernelSocket(self, self.session.sock_open(self.handle, end, kind, bind, connect, listen))

    def connection(self, port: int = 7777, *, client: str = "lab0", server: str = "lab1") -> tuple:
        """An open TCP connection: (the client's socket, the server's socket)."""
        if not self.addresses[server]:
            raise SpecError("this network has no addresses", hint="target.net(ip=4) makes one with addresses")
        where = f"{self.addresses[server][0]}:{port}"
        with self.socket("tcp", server, bind=where, listen=True) as listening:
            ours = self.socket("tcp", client, connect=where)
            return ours, listening.accept()

    def xsk(self, end: str = "lab1", *, queue: int = 0, frames: int = 256) -> KernelXsk:
        """An AF_XDP socket on a queue of an end; put it into an xskmap."""
        return KernelXsk(self, end, queue, frames)

    def command(self, argv: Sequence[str], *, end: str = "lab0", **options) -> Finished:
        """Run a command with this end as its network; see ``target.command``."""
        return self.target.command(argv, net=self, end=end, **options)

    def __repr__(self) -> str:
        return f"<network {self.ends[0]} — {self.ends[1]} on {self.target.name}>"


@dataclass(frozen=True, slots=True)
class KernelDevice:
    """A device of a lab network; ``index`` is its number in its own namespace."""

    net: KernelNet
    name: str
    index: int

    def __int__(self) -> int:
        return self.index


class KernelSocket(Held):
    """A socket in a lab network. It can be filtered (attach), and put into a sockmap."""

    def __init__(self, owner: KernelNet | KernelSocket, made: dict):
        super().__init__(owner)
        self.name: str = made["name"]
        self._hold(made["sock"])

    def accept(self, seconds: float = 5.0) -> KernelSocket:
        """The next connection to a listening socket."""
        made = self.session.sock_accept(self.handle, seconds)
        return KernelSocket(self._owner, made)

    def send(self, data: bytes, to: str = "") -> int:
        """Bytes that the kernel took; ``to`` is an address for udp."""
        return self.session.sock_send(self.handle, bytes(data), to)

    def receive(self, limit: int = 64, seconds: float = 0.0) -> list[bytes]:
        """Datagrams, frames or pieces of a stream that are there, or the first that comes within ``seconds``."""
        return self.session.sock_receive(self.handle, limit, seconds)

    def __repr__(self) -> str:
        return f"<socket {self.name} on {self.target.name}>"


class KernelXsk(Held):
    """An AF_XDP socket: frames that XDP programs redirect to it through an xskmap come here."""

    def __init__(self, net: KernelNet, end: str, queue: int, frames: int):
        super().__init__(net)
        self.dropped = 0
        self._hold(self.session.xsk_open(net.handle, end, queue, frames)["xsk"])

    def receive(self, limit: int = 64, seconds: float = 0.0) -> list[bytes]:
        """Frames; ``dropped`` counts those that found no room."""
        found = self.session.xsk_receive(self.handle, limit, seconds)
        self.dropped = found["dropped"]
        return found["frames"]

    def send(self, frames: Sequence[bytes]) -> int:
        """Frames that were put on the wire."""
        return self.session.xsk_send(self.handle, [bytes(frame) for frame in frames])


class KernelCgroup(Held):
    """An empty cgroup (v2) of our own. ``id`` is what bpf_get_current_cgroup_id gives."""

    def __init__(self, target):
        super().__init__(target)
        made = self.session.cgroup_create()
        self._hold(made["cgroup"])
        self.id: int = made["id"]
        self.path: str = made["path"]

    def command(self, argv: Sequence[str], **options) -> Finished:
        """Run a command in this cgroup; see ``target.command``."""
        return self.target.command(argv, cgroup=self, **options)

    def processes(self) -> list[int]:
        return self.session.cgroup_info(self.handle)["processes"]

    def __repr__(self) -> str:
        return f"<cgroup {self.path} on {self.target.name}>"


class KernelCounter(Held):
    """A running perf counter of one CPU; programs read it through a perf_event_array."""

    def __init__(self, target, event: str, cpu: int):
        super().__init__(target)
        self.event, self.cpu = event, cpu
        self._hold(self.session.perf_open(event, cpu)["perf"])

    def read(self) -> int:
        return self.session.perf_read(self.handle)


class KernelStats(Held):
    """While it is open the kernel counts runs and run time of every program."""

    def __init__(self, target):
        super().__init__(target)
        self._hold(self.session.stats_enable()["stats"])


class LabTarget:
    """Mixed into ``KernelTarget``."""

    session: object

    def net(self, ip: int = 0) -> KernelNet:
        """A network of two ends. ``ip``: 0 nothing but what we send, 4 with IPv4 addresses, 6 with IPv6 as well."""
        return KernelNet(self, ip)

    def cgroup(self) -> KernelCgroup:
        """A cgroup of our own, to which programs can be attached and in which commands run."""
        return KernelCgroup(self)

    def command(self, argv: Sequence[str], *, net: KernelNet | None = None, end: str = "lab0",
                cgroup: KernelCgroup | None = None, data: bytes = b"", seconds: float = 10.0) -> Finished:
        """Run a command on the target's machine to its end, at most ``seconds`` (up to 60).

        In the network of ``end`` and in ``cgroup`` if they are given; it dies with us. ``data`` is its input.
        """
        words = [argv] if isinstance(argv, str) else [str(word) for word in argv]
        return Finished(**self.session.command(words, 0 if net is None else net.live(), end,
                                               0 if cgroup is None else cgroup.live(), data, seconds))

    def counter(self, event: str, cpu: int = 0) -> KernelCounter:
        """A perf counter (``cpu-clock``, ``page-faults`` …) for a perf_event_array."""
        return KernelCounter(self, event, cpu)

    def stats(self) -> KernelStats:
        """Run-time statistics of programs (``run_cnt``, ``run_time_ns``), counted until this is closed."""
        return KernelStats(self)

    def symbols(self, addresses: Sequence[int]) -> list[str]:
        """Kernel addresses as ``name+0x1f`` (and ``[module]``), hexadecimal where no function is known."""
        found = self.session.symbols([int(address) for address in addresses])
        return [f"{each['name']}+{each['offset']:#x}" + (f" [{each['module']}]" if each["module"] else "")
                if each["name"] else f"{each['address']:#x}" for each in found]

    # what is in the kernel, whoever made it

    def programs(self) -> list[dict]:
        """Every program: one dict each (id, type, name, tag, sizes, map_ids, run_cnt, run_time_ns …)."""
        rows = self.session.infos("prog")
        return [{**row, "type": _name(prog_types.BY_NUMBER, row["type"])} for row in rows]

    def maps_list(self) -> list[dict]:
        """Every map: one dict each (id, type, name, key_size, value_size, max_entries, flags …)."""
        return [{**row, "type": _name(map_types.BY_NUMBER, row["type"])} for row in self.session.infos("map")]

    def links(self) -> list[dict]:
        """Every bpf_link: one dict each (id, prog_id, type, and what that type says: ifindex, cgroup_id …)."""
        return [{**row, "type": row["type_name"]} for row in self.session.infos("link")]

    def pins(self) -> list[dict]:
        """Everything that is pinned in a bpf file system: path, kind, id, name."""
        return self.session.pins()

    def unpin(self, path: str) -> None:
        """Remove a pin, and directories that are empty then; the object goes with its last user."""
        self.session.unpin(path)

    def hooks(self) -> dict:
        """Every way to attach, by kind: what it is, program types, options, does it need a guest, since when."""
        return self.session.hooks()


def _name(table, number: int) -> str:
    return table[number].name if number in table else str(number)
