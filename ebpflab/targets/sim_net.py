"""A simulated network and what is attached to it: the lifetimes around ``sim.wire``."""

from __future__ import annotations

import errno
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..errors import KernelError, SpecError, TargetError, Unsupported
from ..sim import pcap
from ..sim.contexts import ETH_HLEN
from ..sim.wire import End, Hooked, Step, Tap, Wire
from .base import AttachPoint, Closing

if TYPE_CHECKING:
    from .sim import SimProgram, SimTarget

ENDS = ("lab0", "lab1")
#: kind of hook -> program type that goes there
KINDS = {"xdp": "xdp", "tcx": "sched_cls", "clsact": "sched_cls", "action": "sched_act",
         "socket_filter": "socket_filter"}
DIRECTIONS = ("ingress", "egress")


@dataclass(frozen=True, slots=True)
class SimDevice:
    """A device of a simulated network, for a devmap; ``index`` is its number."""

    name: str
    index: int

    def __int__(self) -> int:
        return self.index


class SimLink(Closing):
    """An attachment to a device or a packet socket; closing it detaches. Errors are the kernel's."""

    def __init__(self, program: SimProgram, where: AttachPoint):
        super().__init__()
        self.where, self.program = where, program
        kind, options = where.kind, where.options
        if kind not in KINDS:
            raise Unsupported(f"the simulator cannot attach to {kind!r}", hint=f"it attaches {', '.join(KINDS)}; run()"
                              " works for every program type, and a kernel target attaches")
        if program.spec.type != KINDS[kind]:
            raise KernelError(f"BPF_LINK_CREATE: EINVAL: a {program.spec.type} program is no {KINDS[kind]} program",
                              errno=errno.EINVAL, call="BPF_LINK_CREATE")
        self._hooked = Hooked(program.inside, kind, self._priority(options.get("priority", 1)))
        if kind == "socket_filter":
            self._tap, self._list = self._socket(options.get("socket")), None
            self._tap.filter = self._hooked
        else:
            self._end = self._device(options)
            self._list = None if kind == "xdp" else self._end.tc[self._direction(options)]
            self._hook()
        program.own(self)

    @staticmethod
    def _priority(given: object) -> int:
        if not isinstance(given, int) or not 1 <= given <= 0xFFFF:
            raise SpecError(f"priority is 1 … 65535, not {given!r}")
        return given

    @staticmethod
    def _direction(options) -> str:
        direction = options.get("direction", "ingress")
        if direction not in DIRECTIONS:
            raise SpecError(f"direction is {' or '.join(DIRECTIONS)}, not {direction!r}")
        return direction

    def _device(self, options) -> End:
        net, dev = options.get("net"), options.get("dev")
        if not isinstance(net, SimNet):
            raise SpecError(f"{self.where.kind} is attached to a network of its own target",
                            hint='net = target.net(); prog.attach(net, "lab0")')
        return net.end(str(dev))

    @staticmethod
    def _socket(given: object) -> Tap:
        if not isinstance(given, SimPacketSocket):
            raise SpecError("a socket_filter program is attached to a packet socket of its own target",
                            hint='sock = net.socket("packet", "lab1"); prog.attach(sock)')
        return given.tap

    def _hook(self) -> None:
        if self._list is not None:
            # among filters of one priority the newest is first (cls_bpf_change)
            self._list.insert(len(self._list) if self._hooked.kind == "tcx" else 0, self._hooked)
        elif self._end.xdp is not None:
            raise KernelError(f"BPF_LINK_CREATE: EBUSY: {self._end.name} has an XDP program already", errno=errno.EBUSY,
                              call="BPF_LINK_CREATE", hint="close its link first")
        else:
            self._end.xdp = self._hooked

    def close(self) -> None:
        if self.where.kind == "socket_filter":
            if self._tap.filter is self._hooked:
                self._tap.filter = None
        elif self._list is not None:
            if self._hooked in self._list:
                self._list.remove(self._hooked)
        elif self._end.xdp is self._hooked:
            self._end.xdp = None
        self.program.disown(self)

    def __repr__(self) -> str:
        return f"<{self.where.kind} link on sim: {self.where.options.get('dev') or self.where.options.get('socket')}>"


class SimPacketSocket(Closing):
    """Takes every frame that comes to an end or leaves it; a socket_filter program says which, and how much of them."""

    def __init__(self, net: SimNet, end: End):
        super().__init__()
        self.tap, self._net, self._end = Tap(), net, end
        end.taps.append(self.tap)
        net.own(self)

    @property
    def lost(self) -> int:
        """Frames that found no room."""
        return self.tap.lost

    def receive(self, limit: int = 64, seconds: float = 0.0) -> list[bytes]:
        """Frames that are there, the oldest first; ``seconds`` is a kernel's: nothing comes while one waits here."""
        frames = self.tap.frames
        return [frames.popleft() for _ in range(min(limit, len(frames)))]

    def close(self) -> None:
        if self.tap in self._end.taps:
            self._end.taps.remove(self.tap)
        self._net.disown(self)

    def __repr__(self) -> str:
        return f"<packet socket at {self._end.name} on sim>"


class SimNet(Closing):
    """A wire with two ends; what a frame passes on its way is drawn in ``sim.wire``.

    ``received(end)`` are the last frames that were passed on to the network stack there, ``trace()`` tells what each
    program did to each packet, ``save(path, end)`` writes a capture.
    """

    def __init__(self, target: SimTarget):
        super().__init__()
        self.target, self.ends = target, ENDS
        self.wire = Wire(target.machine, ENDS)
        self.macs = {name: end.mac for name, end in self.wire.ends.items()}
        self._closed = False
        self._announce()
        target.own(self)

    def _announce(self) -> None:
        """The devices are there for helpers that ask for one by its number."""
        routes = self.target.machine.routes
        for end in self.wire.ends.values():
            if end.ifindex not in routes.devices and all(each.name != end.name for each in routes.devices.values()):
                routes.device(end.name, end.ifindex, mac=end.mac)

    def end(self, name: str) -> End:
        found = self.wire.end(name)
        if self._closed:
            raise TargetError("the network was closed", hint="net = target.net() makes a new one")
        return found

    @property
    def dropped(self) -> int:
        """Frames that were not sent, or that met too many programs."""
        return self.wire.dropped

    def device(self, end: str) -> SimDevice:
        """The device of an end, to be put into a devmap."""
        return SimDevice(end, self.end(end).ifindex)

    def socket(self, kind: str = "packet", end: str = "lab1") -> SimPacketSocket:
        """A packet socket at an end. Raises Unsupported for kinds that need a network stack."""
        if kind != "packet":
            raise Unsupported(f"a network of the simulator has no {kind} sockets, only packet sockets",
                              hint='target.socket("tcp", bind=…) makes one that programs find')
        return SimPacketSocket(self, self.end(end))

    def send(self, frames: Sequence[bytes], *, end: str, count: int = 1, pps: float | None = None) -> int:
        """Put the frames, ``count`` times, on the wire from ``end``; how many arrived at the other.

        With ``pps`` they come at that rate, in real and in simulated time. Raises Fault if a program faults.
        """
        source, frames = self.end(end), [bytes(frame) for frame in frames]
        for number, frame in enumerate(frames):
            if len(frame) < ETH_HLEN:
                raise SpecError(f"frame {number} has {len(frame)} bytes, an Ethernet header needs {ETH_HLEN}")
        if pps is not None and pps <= 0:
            raise SpecError(f"pps must be more than 0, not {pps:g}")
        machine = self.target.machine
        sent = arrived = 0
        start = time.monotonic()
        for _ in range(count):
            for frame in frames:
                if pps:
                    with machine.lock:
                        machine.clock.advance(int(1e9 / pps))
                    wait = start + sent / pps - time.monotonic()
                    if wait > 0:
                        time.sleep(wait)
                with machine.lock:
                    arrived += self.wire.send(source, frame)
                sent += 1
        return arrived

    def received(self, end: str) -> list[bytes]:
        return list(self.end(end).received)

    def save(self, path, end: str) -> int:
        """Write what ``received(end)`` has to a capture, pcapng if the name ends so; the number of frames."""
        frames = self.received(end)
        pcap.write(path, frames)
        return len(frames)

    def trace(self) -> Any:
        """What each program did to each packet, oldest first: a DataFrame with the columns of ``sim.wire.Step``.

        The last 10,000 steps are kept; ``attrs["untraced"]`` counts those before.
        """
        import pandas

        frame = pandas.DataFrame([asdict(step) for step in self.wire.steps], columns=list(Step.__dataclass_fields__))
        frame.attrs["untraced"] = self.wire.untraced
        return frame

    def stats(self, end: str) -> dict:
        """The device's counters: rx_packets, tx_packets, rx_bytes, tx_bytes, rx_dropped, tx_dropped."""
        return dict(self.end(end).stats)

    def close(self) -> None:
        self._closed = True
        super().close()
        for end in self.wire.ends.values():
            end.xdp = None
            for hooked in end.tc.values():
                hooked.clear()
        self.target.disown(self)

    def __repr__(self) -> str:
        return f"<network {self.ends[0]} — {self.ends[1]} on sim>"
