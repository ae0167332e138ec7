"""The local kernel's verdict on generated programs, and what differs from ours."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ebpflab.kernel.session import Session
from ebpflab.spec import MapSpec, ProgramSpec
from ebpflab.targets.kernel import KernelMap, KernelTarget, KernelTypes
from ebpflab.verify import verify

TOO_LONG = 30_000        # instructions walked: beyond it the kernel is not asked, its log would take minutes
_TIME = re.compile(r"verification time \d+ usec\n")
_DEPTH = re.compile(r"stack depth .*\n")
_ADDRESS = re.compile(r"(\(18\) r\d+ = )(?:0xffff[0-9a-f]{12}|map\[[^]]+\](?:\[0\])?(?:\+\d+)?) *")


@dataclass(frozen=True, slots=True)
class Difference:
    """``kind``: ``accepts`` (ours accepts, the kernel does not: the worst), ``rejects``, ``error``, ``processed``,
    ``log``."""

    kind: str
    ours: str
    theirs: str


def kernel_log(text: str) -> str:
    """A log without what only the kernel that will run the program knows: times, stack depths, addresses of maps."""
    return _ADDRESS.sub(r"\1map ", _DEPTH.sub("", _TIME.sub("", text)))


def processed(log: str) -> str:
    return found[-1] if (found := re.findall(r"^processed (\d+) insns", log, re.M)) else ""


def last_line(log: str) -> str:
    lines = [line for line in log.splitlines() if line and not line.startswith(("processed ", "verification time"))]
    return lines[-1] if lines else ""


class Kernel:
    """A session with maps and types that are made once; programs are loaded and closed at once."""

    def __init__(self, session: Session):
        self.session = session
        self.target = KernelTarget(session, "oracle")
        self.types: dict[bytes, KernelTypes] = {}
        self.maps: dict[tuple[bytes, MapSpec], KernelMap] = {}

    def _types(self, btf: bytes) -> KernelTypes | None:
        if btf and btf not in self.types:
            self.types[btf] = KernelTypes(self.target, btf)
        return self.types.get(btf)

    def _map(self, spec: MapSpec, btf: bytes) -> int:
        if (btf, spec) not in self.maps:
            self.maps[btf, spec] = KernelMap(self.target, spec, self._types(btf))
        return self.maps[btf, spec].handle

    def forget(self) -> None:
        """Close the maps and types."""
        for held in (*self.maps.values(), *self.types.values()):
            held.close()
        self.maps, self.types = {}, {}

    def log(self, spec: ProgramSpec, level: int = 2) -> tuple[bool, str]:
        """Accepted? And the log."""
        types = self._types(spec.btf)
        answer = self.session.prog_load(spec.row.number, spec.bytes, [self._map(one, spec.btf) for one in spec.maps],
                                        spec.license, level, flags=spec.flags, attach_type=spec.attach_number,
                                        btf=types.handle if types else 0, func_info=spec.func_info)
        if answer["prog"]:
            self.session.close(answer["prog"])
        return bool(answer["prog"]), kernel_log(answer["log"])


def compare(kernel: Kernel, spec: ProgramSpec, level: int = 2, limit: int = TOO_LONG) -> tuple[str, Difference | None]:
    """Our verdict (``accept``, ``reject``, ``unsupported``, ``long``) and the first thing that differs.

    ``level`` is the log's: 1 keeps the last path of a rejected program, 2 every path. Programs that are walked for more
    than ``limit`` instructions are ``long``: the kernel is not asked, its log would take minutes.
    """
    trace = verify(spec, log_level=level, limit=limit)
    verdict = trace.verdict
    if verdict.stats.processed is not None and verdict.stats.processed > limit:
        return "long", None
    accepted, theirs = kernel.log(spec, level)
    if verdict.result == "unsupported":
        return verdict.result, None
    ours = kernel_log(trace.log)
    if verdict.ok != accepted:
        kind = "accepts" if verdict.ok else "rejects"
        return verdict.result, Difference(kind, verdict.error or "accepted",
                                          "accepted" if accepted else last_line(theirs))
    if not accepted and last_line(ours) != last_line(theirs):
        return verdict.result, Difference("error", last_line(ours), last_line(theirs))
    if processed(ours) != processed(theirs):
        return verdict.result, Difference("processed", processed(ours), processed(theirs))
    if ours != theirs:
        return verdict.result, Difference("log", *_first_difference(ours, theirs))
    return verdict.result, None


def _first_difference(ours: str, theirs: str) -> tuple[str, str]:
    mine, its = ours.splitlines(), theirs.splitlines()
    for one, other in zip(mine, its, strict=False):
        if one != other:
            return one, other
    shorter = min(len(mine), len(its))
    return (mine[shorter:] or ["(the log ends)"])[0], (its[shorter:] or ["(the log ends)"])[0]
