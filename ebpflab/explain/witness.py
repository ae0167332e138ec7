"""An input that makes a rejected program do what the verifier feared, or the statement that none was found.

    found = witness(spec, trace)        # Witness or NoWitness
    if found: print(found.packet.hex(), found.what)

How it is looked for is in ``search``; what is reported happened in the simulator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from ..spec import ProgramSpec
from ..trace import Trace

#: called with the number of runs done, and the share of the time that is used up
Progress = Callable[[int, float], None]


@dataclass(frozen=True, slots=True)
class Witness:
    """An input and what it does; all of it happened in the simulator.

    packet    the packet's bytes, b"" for program types without one
    context   (field, value) of context fields that matter
    maps      (map, key, value) of entries that must be there
    results   (slot, helper, result) of calls whose result matters; a str is memory that the call filled, in hex
    pc        the instruction that went wrong, ``what`` it did
    """

    packet: bytes
    context: tuple[tuple[str, int], ...]
    maps: tuple[tuple[str, bytes, bytes], ...]
    results: tuple[tuple[int, str, int | str], ...]
    pc: int
    what: str
    regs: tuple[int, ...] = ()
    runs: int = 0
    seconds: float = 0.0

    def __bool__(self) -> bool:
        return True

    def to_dict(self) -> dict:
        return {**asdict(self), "packet": self.packet.hex(), "found": True, "regs": list(self.regs),
                "context": [list(each) for each in self.context], "results": [list(each) for each in self.results],
                "maps": [[name, key.hex(), value.hex()] for name, key, value in self.maps]}

    def __str__(self) -> str:
        lines = [f"This input breaks it, at instruction {self.pc}: {self.what}"]
        if self.packet:
            shown = self.packet[:64].hex(" ")
            tail = " …" if len(self.packet) > 64 else ""
            shown = shown + tail if any(self.packet) else "all zero"
            lines.append(f"  packet   {len(self.packet)} bytes: {shown}")
        lines += [f"  context  {name} = {value:#x}" for name, value in self.context]
        lines += [f"  map      {name}[{key.hex()}] = {value.hex()}" for name, key, value in self.maps]
        for pc, helper, value in self.results:
            shown = f"gives {value:#x}" if isinstance(value, int) else f"fills memory with {value}"
            lines.append(f"  call     bpf_{helper} at {pc} {shown}")
        return "\n".join([*lines, f"  confirmed by the simulator, run {self.runs}"])


@dataclass(frozen=True, slots=True)
class NoWitness:
    """No input was found. ``proved``: none exists on the rejected path (within the bounds that ``why`` names)."""

    why: str
    proved: bool = False
    runs: int = 0
    seconds: float = 0.0

    def __bool__(self) -> bool:
        return False

    def to_dict(self) -> dict:
        return {**asdict(self), "found": False}

    def __str__(self) -> str:
        return f"No input found that breaks it: {self.why}"


def witness(spec: ProgramSpec, trace: Trace, *, seconds: float = 5.0, progress: Progress | None = None
            ) -> Witness | NoWitness:
    """Look for an input that makes the rejected program go wrong, for at most about ``seconds``.

    ``trace`` is the rejection (ours or a kernel's). A program that was accepted has nothing to be shown. Ctrl-C ends
    the search with what is known then. ``progress`` is called before every run.
    """
    from .search import Search

    return Search(spec, trace, seconds, progress).go()


def challenge(spec: ProgramSpec, *, seconds: float = 5.0) -> Witness | NoWitness:
    """Look for an input that makes any program fault: the other way round, it puts a verifier's yes to the test.

    What the program returns, leaves locked or reads unset is not judged, only what a machine must not do.
    """
    from .search import Search

    return Search(spec, None, seconds).go()
