"""What a trace knows at the place where it was rejected, as names for the catalogue's templates and as numbers."""

from __future__ import annotations

from dataclasses import dataclass

from ..isa import Insn, bits, op_of
from ..trace import Step, Trace, Value
from ..trace.words import number, value_words
from .catalogue import Match, fill

MAX_OFFSET = 1 << 29      # BPF_MAX_VAR_OFF
_LOOK_BACK = 64           # steps searched for the instruction that moved a pointer
#: catalogue entries about a size that is given to a helper
SIZES = frozenset(("size-negative", "size-unbounded", "size-zero"))
#: entries whose numbers are an offset into memory that begins at 0
OFFSETS = frozenset(("value-range", "key-range", "memory-range", "offset-negative", "offset-unbounded", "packet-range"))
STACKS = frozenset(("stack-write-range", "stack-read-range", "stack-variable"))


@dataclass(frozen=True, slots=True)
class Need:
    """Needed against known, in words and, where it is a matter of numbers, in numbers.

    ``allowed`` and ``known`` are (smallest, largest): of the offset at which an access of ``size`` bytes starts, of a
    size, or of a result, as ``unit`` says. None where there is no number; ``allowed`` is empty (smallest > largest) if
    no offset at all would do.
    """

    needs: str
    has: str
    unit: str = ""
    allowed: tuple[int, int] | None = None
    known: tuple[int, int] | None = None
    size: int = 0


def rejected_step(trace: Trace) -> Step | None:
    """The step at which the verifier gave up; None if it refused before it walked anything."""
    if trace.verdict.result != "reject" or not trace.steps:
        return None
    last = trace.steps[len(trace.steps) - 1]
    return last if last.kind == "rejected" or trace.verdict.pc is not None else None


def _insn(trace: Trace, step: Step | None) -> Insn | None:
    insns = trace.program.insns
    return insns[step.pc] if step is not None and step.pc < len(insns) else None


def register(match: Match | None, insn: Insn | None) -> int | None:
    """The register that a rejection is about: named by the message, by the entry, or an operand."""
    if match is not None and isinstance(match.parts.get("reg"), int):
        return match.parts["reg"]
    if match is not None and match.entry.reg is not None:
        return match.entry.reg
    op = op_of(insn) if insn is not None else None
    if op is None:
        return None
    if op.kind in ("alu", "ldx"):
        return insn.src if op.source == "x" or op.kind == "ldx" else insn.dst
    return insn.dst if op.kind in ("st", "stx", "atomic") else 0 if op.kind == "exit" else None


def _reach(value: Value, insn: Insn | None) -> tuple[int, int]:
    """Smallest and largest offset that an access through a pointer can start at; of a number, its range."""
    if value.type == "scalar":
        return value.smin, value.umax if value.smin >= 0 else value.smax
    op = op_of(insn) if insn is not None else None
    extra = insn.off if op is not None and op.kind in ("ldx", "st", "stx", "atomic") else 0
    high = value.umax if value.umax < 1 << 63 else value.smax
    return value.off + extra + value.smin, value.off + extra + high


def facts(trace: Trace, match: Match | None) -> dict[str, object]:
    """Everything that a template may name. What the message says goes before what the trace says."""
    step = rejected_step(trace)
    insn = _insn(trace, step)
    at = register(match, insn)
    found: dict[str, object] = {"program": trace.program.type, "have": "something else"}
    if step is not None:
        found |= {"pc": step.pc, "insn": step.text, "statement": step.text.partition(") ")[2]}
    elif trace.verdict.pc is not None:
        found["pc"] = trace.verdict.pc
    value = step.before.frame.regs.get(at) if step is not None and at is not None else None
    if at is not None:
        found["reg"] = at
        found["have"] = value_words(value) if value is not None else "nothing was written to it"
    if step is not None:
        found |= _registers(trace, step, at)
    if value is not None:
        low, high = _reach(value, insn)
        found |= {"low": number(low), "high": number(high), "map": value.map or "(unnamed)", "type": value.type,
                  "off": low}
    op = op_of(insn) if insn is not None else None
    if op is not None and op.kind in ("ldx", "st", "stx", "atomic"):
        found["size"] = op.bytes
    parts = dict(match.parts) if match is not None else {}
    if found.get("map") == "(unnamed)" or "map" not in found:
        found["map"] = next((each.name for each in trace.program.maps if each.flags & 0x180), "") or "of this access"
    found |= parts
    if value is not None and "limit" not in found:
        room = value.size or _map_size(trace, value)
        found |= {"limit": room} if room else {}
    off, size, limit = (parts.get(name, found.get(name)) for name in ("off", "size", "limit"))
    if isinstance(off, int) and isinstance(size, int):
        found["end"] = found.get("end", max(off + size, size))
    if isinstance(size, int) and isinstance(limit, int):
        found["most"] = max(limit - size, 0)
    if isinstance(off, int) and match is not None and match.entry.theme == "stack":
        found["off"] = f"{'+' if off >= 0 else '−'} {abs(off)}"
    return found


def _registers(trace: Trace, step: Step, at: int | None) -> dict[str, object]:
    """``index``: the register that is added, or was last added, to the one in question; ``data_end``: the one with the
    end."""
    regs = step.before.frame.regs
    found: dict[str, object] = {
        "data_end": next((n for n, value in regs.items() if value.type == "pkt_end"), 3), "index": 1}
    insns, before = trace.program.insns, step.parent
    here = _insn(trace, step)
    op = op_of(here) if here is not None else None
    if here is not None and op is not None and (op.kind, op.source, op.verb) == ("alu", "x", "add"):
        source = regs.get(here.src)
        return found | {"index": here.src if source is None or source.type == "scalar" else here.dst}
    for _ in range(_LOOK_BACK):
        if before is None:
            break
        earlier = trace.steps[before]
        insn = insns[earlier.pc]
        op, before = op_of(insn), earlier.parent
        if op is None or insn.dst != at or op.kind != "alu" or op.source != "x":
            continue
        if op.verb == "mov":
            at = insn.src
        elif op.verb == "add":
            known = earlier.before.frame.regs
            added = known.get(insn.src)
            return found | {"index": insn.src if added is None or added.type == "scalar" else insn.dst}
    return found


def need(trace: Trace, match: Match, known: dict[str, object]) -> Need:
    """Needed against known for a rejection that the catalogue has."""
    step = rejected_step(trace)
    insn = _insn(trace, step)
    at, entry, parts = register(match, insn), match.entry, match.parts
    value = step.before.frame.regs.get(at) if step is not None and at is not None else None
    words = fill(entry.needs, known), fill(entry.known, known)
    size, limit = parts.get("size", known.get("size")), parts.get("limit")
    if entry.id == "return-range" and "low" in parts:
        has = (value.smin, value.smax) if value is not None and value.type == "scalar" else None
        return Need(*words, "result", (int(parts["low"]), int(parts["high"])), has)
    if value is None:
        return Need(*words)
    if entry.id in SIZES:
        room = _room(step.before.frame.regs.get(at - 1))
        return Need(*words, "size in bytes", (1, room) if room else None, _reach(value, None))
    if entry.id in OFFSETS and value.type != "scalar" and isinstance(size, int):
        limit = limit if isinstance(limit, int) else value.size or _map_size(trace, value)
        reach = _reach(value, insn)
        if entry.id == "packet-range":
            reach = (int(parts["off"]), int(parts["off"]))
        return Need(*words, "offset in bytes", (0, limit - size) if limit is not None else None, reach, size)
    if entry.id in STACKS and isinstance(size, int):
        return Need(*words, "offset from the frame pointer", (-bits.STACK_SIZE, -size), _reach(value, insn), size)
    return Need(*words)


def _map_size(trace: Trace, value: Value) -> int | None:
    return next((each.value_size for each in trace.program.maps if each.name == value.map), None)


def _room(pointer: Value | None) -> int:
    """Bytes that a helper may use at a pointer."""
    if pointer is None:
        return 0
    if pointer.type == "fp":
        return max(-(pointer.off + pointer.smin), 0)
    return max((pointer.size or pointer.range) - pointer.off, 0)
