"""What a chain of programs does to one packet, hook after hook.

    found = lab.journey(packets.udp(), [prog_xdp, prog_tc, prog_cgroup])
    print(found)                    # a line a program: verdict, bytes changed, entries changed, where it went

The packet goes from one program to the next while they pass it on; what each changed in it is what the next one sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..abi.verdicts import verdict as name_of
from ..sim.contexts import ETH_HLEN, L2
from ..sim.history import TABLES, record
from ..sim.machine import Program
from .places import entries

_TC = {0: "on", 1: "on", 2: "dropped", 3: "on", 4: "stolen", 5: "stolen", 6: "on", 7: "redirected", 0xFFFF_FFFF: "on"}
#: program type -> return value -> what becomes of the packet; what is not here is ``dropped``. Linux 6.18:
#: ``bpf_prog_run_xdp``'s callers, ``sch_handle_ingress``, ``__cgroup_bpf_run_filter_skb``, ``run_lwt_bpf``.
FATES = {
    "xdp": {2: "on", 3: "sent back", 4: "redirected"}, "sched_cls": _TC, "sched_act": _TC,
    "cgroup_skb": {1: "on", 3: "on"}, "sk_skb": {1: "on"}, "flow_dissector": {0: "on", 129: "on"},
    "lwt_in": {0: "on"}, "lwt_out": {0: "on"}, "lwt_xmit": {0: "on", 7: "redirected", 128: "on"},
}


@dataclass(frozen=True, slots=True)
class Hop:
    """One program and what it did.

    ``before`` and ``after``: the packet from its link-layer header; ``changed``: (offset, old bytes, new bytes) of
    each run of bytes that differ, counted from the start, none if the packet was made longer or shorter; ``maps``:
    name -> key -> (old value, new value), None for no entry; ``fate``: ``on`` | ``dropped`` | ``stolen`` | ``sent
    back`` | ``redirected`` | ``fault``; ``redirect``: where to, as in ``Result``.
    """

    program: str
    type: str
    verdict: str
    fate: str
    insns: int
    before: bytes = field(repr=False)
    after: bytes = field(repr=False)
    changed: tuple[tuple[int, bytes, bytes], ...] = ()
    maps: dict[str, dict[bytes, tuple[bytes | None, bytes | None]]] = field(default_factory=dict)
    redirect: object = None
    fault: str = ""

    def __str__(self) -> str:
        parts = [f"{self.program} ({self.type}): {self.verdict or self.fault or 'ran'}, {self.insns} instructions"]
        if len(self.after) != len(self.before):
            parts.append(f"{len(self.before)} → {len(self.after)} bytes")
        parts += [f"byte {at}: {old.hex()} → {new.hex()}" for at, old, new in self.changed]
        parts += [f"{name}[{key.hex()}]: {_hex(old)} → {_hex(new)}"
                  for name, keys in self.maps.items() for key, (old, new) in keys.items()]
        where = f" to {self.redirect}" if self.fate == "redirected" and self.redirect is not None else ""
        return "; ".join([*parts, f"{self.fate}{where}"])


def _hex(value: bytes | None) -> str:
    return "none" if value is None else value.hex()


@dataclass(frozen=True, slots=True)
class Journey:
    """``hops`` in order; ``fate`` of the packet after the last of them."""

    hops: tuple[Hop, ...]

    @property
    def fate(self) -> str:
        return self.hops[-1].fate if self.hops else "on"

    def to_frame(self) -> Any:
        """One row a hop, as a DataFrame."""
        import pandas

        return pandas.DataFrame([{name: getattr(hop, name) for name in Hop.__dataclass_fields__} for hop in self.hops])

    def __str__(self) -> str:
        return "\n".join(map(str, self.hops))


def journey(frame: bytes, programs: Sequence[Program], *, cpu: int = 0) -> Journey:
    """Send a frame through programs of the simulator, until one does not pass it on."""
    hops: list[Hop] = []
    packet = bytes(frame)
    for program in programs:
        hops.append(_hop(program, packet, cpu))
        packet = hops[-1].after
        if hops[-1].fate != "on":
            break
    return Journey(tuple(hops))


def _hop(program: Program, packet: bytes, cpu: int) -> Hop:
    history = record(program, packet, cpu=cpu)
    spec, end = program.spec, len(history)
    maps = {}
    for name, held in history.maps.items():
        if held.spec.type in TABLES:
            old, new = entries(history, name, 0), entries(history, name, end)
            if found := {key: (old.get(key), new.get(key)) for key in {**old, **new} if old.get(key) != new.get(key)}:
                maps[name] = found
    if history.fault is not None:
        return Hop(spec.name, spec.type, "", "fault", end, packet, packet, maps=maps, fault=history.fault.what)
    done = history.result
    assert done is not None
    after = done.data if spec.type in L2 else packet[:ETH_HLEN] + done.data[ETH_HLEN:]
    if spec.type == "socket_filter":
        fate, after = ("on", after[:done.retval]) if done.retval else ("dropped", after)
    else:
        fate = FATES.get(spec.type, {}).get(done.retval, "dropped")
    return Hop(spec.name, spec.type, name_of(spec.type, done.retval), fate, end, packet, after, _changed(packet, after),
               maps, done.redirect)


def _changed(old: bytes, new: bytes) -> tuple[tuple[int, bytes, bytes], ...]:
    if len(old) != len(new):
        return ()
    found: list[tuple[int, bytes, bytes]] = []
    for at, (a, b) in enumerate(zip(old, new, strict=True)):
        if a == b:
            continue
        if found and found[-1][0] + len(found[-1][1]) == at:
            start, was, now = found.pop()
            found.append((start, was + bytes([a]), now + bytes([b])))
        else:
            found.append((at, bytes([a]), bytes([b])))
    return tuple(found)
