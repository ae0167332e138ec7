"""How often our results are the kernel's: counts by tier, what is not supported, and which records differ.

``steps`` are compared with the state that the log prints after each; ``log``: is the whole log the same, line by line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

#: what is compared, in the table's order
MEASURES = ("verdict", "error", "processed", "steps", "log")
SHOWN = 12          # records that the text lists; all of them are in ``to_dict``
_ADDRESS = re.compile(r"(\(18\) r\d+ = )\S+\s*")
_STEP = re.compile(r"(\d+): \(([0-9a-f]{2})\) ")
_STATE = re.compile(r"(\d+): ((?:frame\d+: )?R\d+=.*|frame\d+:.*)")


def plain_log(log: str) -> list[str]:
    """The log's lines without what differs from boot to boot (addresses) and without C source lines."""
    return [_ADDRESS.sub(r"\1 ", line).rstrip() for line in log.split("\n") if not line.startswith("; ")]


def steps_of(log: str) -> list[tuple[str, str]]:
    """Each instruction that was walked, with the state printed after it."""
    found: list[tuple[str, str]] = []
    for line in plain_log(log):
        if _STEP.match(line):
            text, _, state = line.partition(" ; ")
            found.append((text.rstrip(), state.strip()))
        elif found and (match := _STATE.match(line)) and not found[-1][1]:
            found[-1] = (found[-1][0], match[2])
    return found


@dataclass(frozen=True, slots=True)
class Differing:
    """A record of which something is not the kernel's: ``what`` is ``verdict`` (the worst) or another measure."""

    what: str
    tier: str
    id: object
    program: str
    ours: str
    theirs: str


@dataclass
class Agreement:
    """``seen`` and ``same`` count (tier, measure); ``programs`` and ``unsupported`` by tier and by (feature, tier)."""

    programs: Counter = field(default_factory=Counter)
    seen: Counter = field(default_factory=Counter)
    same: Counter = field(default_factory=Counter)
    unsupported: Counter = field(default_factory=Counter)
    differing: list[Differing] = field(default_factory=list)

    @property
    def wrong(self) -> list[Differing]:
        """Where we give the other verdict."""
        return [each for each in self.differing if each.what == "verdict"]

    def add(self, record: Mapping, result: Mapping) -> None:
        """Compare one result with its record; a record without a verdict counts only as a program."""
        tier, theirs, ours = str(record.get("tier") or "?"), record.get("verdict"), result["verdict"]
        self.programs[tier] += 1
        if ours == "unsupported":
            self.unsupported[result["error"], tier] += 1
        if theirs is None:
            return
        last = (record.get("error_lines") or [""])[-1].strip()
        self._measure(tier, "verdict", int(ours == theirs))
        if ours not in (theirs, "unsupported"):
            self._note("verdict", tier, record, f"{ours} {result['error']}".strip(), f"{theirs} {last}".strip())
        if theirs == "reject" and last:
            self._compared("error", tier, record, ours == theirs, result["error"].strip(), last)
        if record.get("stats"):
            self._compared("processed", tier, record, ours == theirs, result["processed"], record["stats"]["processed"])
        if record.get("log"):
            mine, kernels = steps_of(result["log"]), steps_of(record["log"])
            self._measure(tier, "steps", sum(a == b for a, b in zip(mine, kernels, strict=False)), len(kernels))
            self._log(tier, record, ours == theirs, plain_log(result["log"]), plain_log(record["log"]))

    def merge(self, other: Agreement) -> None:
        for name in ("programs", "seen", "same", "unsupported"):
            getattr(self, name).update(getattr(other, name))
        self.differing += other.differing

    def _measure(self, tier: str, what: str, same: int, seen: int = 1) -> None:
        self.seen[tier, what] += seen
        self.same[tier, what] += same

    def _compared(self, what: str, tier: str, record: Mapping, judged: bool, ours, theirs) -> None:
        self._measure(tier, what, int(ours == theirs))
        if judged and ours != theirs:
            self._note(what, tier, record, str(ours), str(theirs))

    def _log(self, tier: str, record: Mapping, judged: bool, ours: list[str], theirs: list[str]) -> None:
        self._measure(tier, "log", int(ours == theirs))
        if judged and ours != theirs:
            at = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b),
                      min(len(ours), len(theirs)))
            lines = [log[at] if at < len(log) else "(the end)" for log in (ours, theirs)]
            self._note("log", tier, record, *(f"line {at + 1}: {line}" for line in lines))

    def _note(self, what: str, tier: str, record: Mapping, ours: str, theirs: str) -> None:
        self.differing.append(Differing(what, tier, record.get("id"), str(record.get("prog") or ""), ours, theirs))

    # ---- shown

    def to_dict(self) -> dict:
        """Everything, as plain data: {"tiers": {tier: {"programs", "unsupported", measure: [same, seen]}}, …}."""
        tiers = {tier: {"programs": self.programs[tier], "unsupported": self._unsupported(tier),
                        **{what: [self.same[tier, what], self.seen[tier, what]] for what in MEASURES}}
                 for tier in sorted(self.programs)}
        return {"tiers": tiers,
                "unsupported": [{"feature": feature, "tier": tier, "records": count}
                                for (feature, tier), count in self.unsupported.most_common()],
                "differing": [{name: getattr(each, name) for name in Differing.__slots__} for each in self._ordered()]}

    def _unsupported(self, tier: str) -> int:
        return sum(count for (_, where), count in self.unsupported.items() if where == tier)

    def _ordered(self) -> list[Differing]:
        return sorted(self.differing, key=lambda each: (MEASURES.index(each.what), each.tier, str(each.id)))

    def __str__(self) -> str:
        """The table, the features that are not supported, and the first records that differ: one screen."""
        rows = [["tier", "programs", "unsupported", *(word for what in MEASURES for word in (what, ""))]]
        for tier in sorted(self.programs):
            cells = [self._share(tier, what) for what in MEASURES]
            rows.append([tier, str(self.programs[tier]), str(self._unsupported(tier)),
                         *(word for cell in cells for word in cell)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        out = ["  ".join(cell.ljust(width) if at == 0 else cell.rjust(width)
                         for at, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip() for row in rows]
        features: dict[str, Counter] = {}
        for (feature, tier), count in self.unsupported.most_common():
            features.setdefault(feature, Counter())[tier] += count
        if features:
            out += ["", "not supported"]
            out += [f"  {sum(tiers.values()):5}  {feature[:90]}  ({', '.join(sorted(tiers))})"
                    for feature, tiers in list(features.items())[:SHOWN]]
            out += _rest(len(features) - SHOWN, "features")
        if self.differing:
            kinds = Counter(each.what for each in self.differing)
            out += ["", "differing: " + ", ".join(f"{kinds[what]} {what}" for what in MEASURES if kinds[what])]
            for each in self._ordered()[:SHOWN]:
                out.append(f"  {each.what:9} {each.tier} {each.id} {each.program}: {each.ours}"[:118])
                out.append(f"  {'':9} kernel: {each.theirs}"[:118])
            out += _rest(len(self.differing) - SHOWN, "differences (--json lists all)")
        return "\n".join(out)

    def _share(self, tier: str, what: str) -> tuple[str, str]:
        same, seen = self.same[tier, what], self.seen[tier, what]
        return (f"{same}/{seen}", f"{100 * same / seen:.1f} %") if seen else ("–", "")


def _rest(count: int, what: str) -> list[str]:
    return [f"  … {count} more {what}"] if count > 0 else []
