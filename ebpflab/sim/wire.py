"""Two network devices joined by a wire, and the hooks that a frame passes on its way.

::

    sender                                                       receiver
      │ tc egress ── taps ── transmit ═══════ wire ═══════ XDP ── taps ── tc ingress ── the stack (``received``)
      │ tcx, clsact                                         └─ XDP_TX, redirect: back on a wire

A tap is a packet socket with its filter. What comes to a device by bpf_redirect with BPF_F_INGRESS or by
bpf_redirect_peer begins there at the taps. The order and what the verdicts mean are ``__netif_receive_skb_core``,
``sch_handle_ingress``, ``sch_handle_egress``, ``tcx_run``, ``cls_bpf_classify`` and ``xdp_do_redirect``.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ..abi import STRUCTS
from ..abi.records import fill
from ..abi.verdicts import verdict
from ..errors import SpecError
from .contexts import TEST_RUN, Arrival, get
from .machine import Machine, Program, Result

SKB = STRUCTS["__sk_buff"]
STATS = ("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_dropped", "tx_dropped")
MAX_HOPS = 32            # two reflecting programs would send a frame to and fro for ever
KEPT_FRAMES, KEPT_STEPS = 1000, 10_000
XDP_PASS, XDP_TX, XDP_REDIRECT = 2, 3, 4
OK, SHOT, STOLEN, QUEUED, REDIRECT, TRAP, NEXT = 0, 2, 4, 5, 7, 8, 0xFFFF_FFFF      # TC_ACT_*, TCX_NEXT
DIRECT_ACTION = (OK, SHOT, STOLEN, TRAP, REDIRECT)      # cls_bpf_exec_opcode; others go on to the next filter
TCX = (OK, SHOT, REDIRECT)                              # tcx_action_code; others go on to the filters
BROADCAST, EXCLUDE_INGRESS = 8, 16


@dataclass(slots=True)
class Packet:
    """A frame in the stack: what a socket buffer keeps from hook to hook."""

    data: bytes
    meta: bytes = b""       # XDP metadata in front of it
    mark: int = 0
    priority: int = 0
    iif: int = 0            # ifindex that it came in by
    cb: bytes = bytes(20)


@dataclass(eq=False, slots=True)
class Hooked:
    """A program at a hook: ``kind`` is xdp, tcx, clsact, action or socket_filter."""

    program: Program
    kind: str
    priority: int = 0


@dataclass(eq=False, slots=True)
class Tap:
    """A packet socket: frames that its filter keeps, cut to what it says; ``lost`` found no room."""

    filter: Hooked | None = None
    frames: deque[bytes] = field(default_factory=deque)
    lost: int = 0

    def take(self, data: bytes) -> None:
        if len(self.frames) >= KEPT_FRAMES:
            self.lost += 1
        else:
            self.frames.append(data)


class End:
    """One device of the wire."""

    def __init__(self, name: str, ifindex: int, mac: bytes):
        self.name, self.ifindex, self.mac = name, ifindex, mac
        self.xdp: Hooked | None = None
        self.tc: dict[str, list[Hooked]] = {"ingress": [], "egress": []}
        self.taps: list[Tap] = []
        self.stats = dict.fromkeys(STATS, 0)
        self.received: deque[bytes] = deque(maxlen=KEPT_FRAMES)

    def count(self, way: str, data: bytes) -> None:
        self.stats[f"{way}_packets"] += 1
        self.stats[f"{way}_bytes"] += len(data)


@dataclass(frozen=True, slots=True)
class Step:
    """One program that saw a packet. ``packet`` numbers the frames sent, ``before`` and ``after`` are lengths in bytes,
    ``to`` where it was redirected, ``fate``: on, dropped, stolen, sent back, redirected, kept, not kept."""

    packet: int
    end: str
    hook: str
    program: str
    verdict: str
    retval: int
    before: int
    after: int
    to: str
    fate: str


class Wire:
    """The two ends. ``dropped`` counts frames that met too many programs, or were not sent; ``untraced`` the steps that
    found no room in ``steps``."""

    def __init__(self, machine: Machine, names: tuple[str, str]):
        self.machine = machine
        self.ends = {name: End(name, ifindex, bytes((2, 0, 0, 0, 0, ifindex - 1)))
                     for ifindex, name in enumerate(names, 2)}       # 1 is the loopback device
        self.steps: deque[Step] = deque()
        self.dropped = self.untraced = self.sent = 0
        self._hops = 0

    def send(self, end: End, frame: bytes) -> bool:
        """Put a frame on the wire: does it arrive? Raises Fault if a program faults."""
        self.sent, self._hops = self.sent + 1, 0
        arrives = self._leave(end, Packet(frame))
        self.dropped += not arrives
        return arrives

    # -- the way of a frame --------------------------------------------------------------------------

    def _leave(self, end: End, packet: Packet) -> bool:
        """Out of a device (``__dev_queue_xmit``); the sender hears only of what TC_ACT_SHOT dropped."""
        fate = self._classify(end, "egress", packet)
        if fate == "on":
            self._tap(end, packet)
            self._transmit(end, packet.data)
        return fate != "shot"

    def _transmit(self, end: End, data: bytes) -> None:
        self._hops += 1
        if self._hops > MAX_HOPS:
            self.dropped += 1
            return
        end.count("tx", data)
        self._arrive(self._peer(end), data)

    def _peer(self, end: End) -> End:
        return next(other for other in self.ends.values() if other is not end)

    def _arrive(self, end: End, data: bytes) -> None:
        """Off the wire (``veth_xdp_rcv``)."""
        end.count("rx", data)
        packet = Packet(data, iif=end.ifindex)
        if end.xdp is None:
            self._receive(end, packet)
            return
        done = self._run(end.xdp.program, end, packet.data, cpu=self._cpu(data))
        packet.meta, packet.data = done.data[:done.meta], done.data[done.meta:]
        outs = self._xdp_outs(end, end.xdp.program, done) if done.retval == XDP_REDIRECT else []
        fate = {XDP_PASS: "on", XDP_TX: "sent back"}.get(done.retval, "redirected" if outs else "dropped")
        self._note(end, "xdp", end.xdp, done, data, packet.data, ", ".join(str(out[0]) for out in outs), fate)
        if fate == "on":
            self._receive(end, packet)
        elif fate == "sent back":
            self._transmit(end, packet.data)
        elif outs:
            for _, go in outs:
                go(packet)
        else:
            end.stats["rx_dropped"] += 1

    def _receive(self, end: End, packet: Packet) -> None:
        """Into the stack (``__netif_receive_skb_core``)."""
        self._hops += 1
        if self._hops > MAX_HOPS:
            self.dropped += 1
            return
        packet.iif = end.ifindex
        self._tap(end, packet)
        if self._classify(end, "ingress", packet) == "on":
            end.received.append(packet.data)

    def _tap(self, end: End, packet: Packet) -> None:
        for tap in end.taps:
            if tap.filter is None:
                tap.take(packet.data)
                continue
            done = self._skb(tap.filter.program, end, packet, "socket")
            self._note(end, "socket", tap.filter, done, packet.data, packet.data[:done.retval], "",
                       "kept" if done.retval else "not kept")
            if done.retval:
                tap.take(packet.data[:done.retval])

    # -- traffic control -----------------------------------------------------------------------------

    def _classify(self, end: End, direction: str, packet: Packet) -> str:
        """Run the programs of one direction: ``on``, ``shot`` (TC_ACT_SHOT) or ``gone`` (elsewhere, or nowhere)."""
        packet.cb = bytes(20)
        hooked = end.tc[direction]
        code, by, done, before = NEXT, None, None, packet.data
        for kind, codes in (("tcx", TCX), ("clsact", DIRECT_ACTION)):
            for each in sorted((one for one in hooked if (one.kind == "tcx") == (kind == "tcx")),
                               key=lambda one: one.priority):
                before = packet.data
                done, by = self._skb(each.program, end, packet, direction), each
                code = self._code(each, done.retval, codes)
                self._clones(done, packet.iif)
                if code != NEXT or (kind == "tcx" and done.retval != NEXT):
                    break
                self._note(end, f"tc {direction}", each, done, before, packet.data, "", "on")
                by = None
            if code != NEXT:
                break
        if by is None or done is None:
            return "on"
        out = self._tc_out(done, direction) if code == REDIRECT else None
        fate = {SHOT: "dropped", STOLEN: "stolen", QUEUED: "stolen", TRAP: "stolen",
                REDIRECT: "redirected" if out else "dropped"}.get(code, "on")
        self._note(end, f"tc {direction}", by, done, before, packet.data, out[0] if out else "", fate)
        if out:
            out[1](packet)
        return "on" if fate == "on" else "shot" if code == SHOT else "gone"

    @staticmethod
    def _code(hooked: Hooked, retval: int, codes: tuple[int, ...]) -> int:
        """What a program's value is to its hook; an action's values but SHOT, STOLEN … let the packet on."""
        if hooked.kind == "action":
            return retval if retval in (SHOT, STOLEN, QUEUED, TRAP, REDIRECT) else OK
        return retval if retval in codes else NEXT

    def _tc_out(self, done: Result, direction: str) -> tuple[str, Callable[[Packet], Any]] | None:
        """Where TC_ACT_REDIRECT sends it; None drops it, as ``skb_do_redirect`` does what goes to a peer at egress."""
        end, way = self._end(done.redirect), str(done.effects.get("redirect", "egress"))
        return None if end is None or (way, direction) == ("peer", "egress") else self._way(end, way)

    def _way(self, end: End, way: str) -> tuple[str, Callable[[Packet], Any]]:
        """Out of a device, into its stack, or into that of the device at its other end."""
        if way == "egress":
            return end.name, lambda packet: self._leave(end, packet)
        if way == "peer":
            peer = self._peer(end)
            return f"{peer.name} peer", lambda packet: self._receive(peer, packet)
        # __dev_forward_skb clears the priority
        return f"{end.name} ingress", lambda packet: self._receive(end, replace(packet, priority=0))

    def _clones(self, done: Result, iif: int) -> None:
        for clone in done.effects.get("clone_redirect", ()):
            if (end := self._end(clone.ifindex)) is not None:
                self._way(end, "ingress" if clone.ingress else "egress")[1](
                    Packet(clone.data, mark=clone.mark, priority=clone.priority, iif=iif))

    # -- XDP redirects -------------------------------------------------------------------------------

    def _xdp_outs(self, end: End, program: Program, done: Result) -> list[tuple[str, Callable[[Packet], Any]]]:
        """(name, what to do with the packet) of every device or CPU that a redirect names; empty: it is dropped."""
        if not isinstance(done.redirect, tuple):
            out = self._end(done.redirect)
            return [self._straight(out)] if out else []
        held, index = program.maps[done.redirect[0]], done.redirect[1]
        if held.spec.type == "cpumap":
            return [(f"CPU {index}", lambda packet: self._receive(end, packet))]
        if held.spec.type == "xskmap":       # no AF_XDP socket is simulated
            return []
        flags = int(done.effects.get("redirect_map", 0))
        indexes = sorted(held.things) if flags & BROADCAST else [index]
        outs = [self._end(held.at(each)) for each in indexes]
        return [self._straight(out) for out in outs if out and not (flags & EXCLUDE_INGRESS and out is end)]

    def _straight(self, end: End) -> tuple[str, Callable[[Packet], Any]]:
        """XDP transmits without traffic control."""
        return end.name, lambda packet: self._transmit(end, packet.data)

    def _end(self, ifindex: object) -> End | None:
        return next((end for end in self.ends.values() if end.ifindex == ifindex), None)

    # -- running -------------------------------------------------------------------------------------

    def _cpu(self, data: bytes) -> int:
        """The CPU that takes a frame: chosen by its flow, as receive-side scaling does."""
        return zlib.crc32(data[26:38]) % self.machine.cpus

    def _run(self, program: Program, end: End, data: bytes, *, ctx: bytes = b"", cpu: int = 0,
             arrival: Arrival = TEST_RUN) -> Result:
        return self.machine.run(program, data, ctx=ctx, cpu=cpu, ifindex=end.ifindex, arrival=arrival)

    def _skb(self, program: Program, end: End, packet: Packet, hook: str) -> Result:
        """Run a program on a socket buffer; what it changes stays, but for a socket's filter, which has a copy."""
        ctx = fill(SKB, {"mark": packet.mark, "priority": packet.priority, "ingress_ifindex": packet.iif,
                         "ifindex": end.ifindex, "cb": packet.cb})
        arrival = Arrival(packet.meta if hook == "ingress" else b"", hook == "ingress", end.mac)
        done = self._run(program, end, packet.data, ctx=ctx, cpu=self._cpu(packet.data), arrival=arrival)
        if hook != "socket":
            packet.data = done.data
            packet.mark, packet.priority = get(SKB, done.ctx, "mark"), get(SKB, done.ctx, "priority")
            member = SKB.member("cb")
            packet.cb = done.ctx[member.offset:member.end]
        return done

    def _note(self, end: End, hook: str, hooked: Hooked, done: Result, before: bytes, after: bytes, to: str,
              fate: str) -> None:
        if len(self.steps) >= KEPT_STEPS:
            self.steps.popleft()
            self.untraced += 1
        spec = hooked.program.spec
        self.steps.append(Step(self.sent, end.name, hook, spec.name, verdict(spec.type, done.retval), done.retval,
                               len(before), len(after), to, fate))

    # -- hooks ---------------------------------------------------------------------------------------

    def end(self, name: str) -> End:
        if name not in self.ends:
            raise SpecError(f"this network has no device {name!r}", hint="its ends are " + " and ".join(self.ends))
        return self.ends[name]
