"""Verify recorded programs and compare with what a kernel said of them.

A record is one JSON object a line: ``insns`` (hex, a map's wide load holds its index in ``maps``), ``prog_type``,
``expected_attach_type``, ``prog_flags``, ``license``, ``maps``, ``func_info``, ``btf_sha``; from a kernel also
``verdict``, ``error_lines``, ``stats`` and a level-2 ``log``.  BTF lies beside: ``F.jsonl.gz`` and ``F-btf.jsonl.gz``.

    verify_file("dev.jsonl.gz", "out.jsonl", jobs=2, report=True) -> Agreement
"""

from __future__ import annotations

import gzip
import json
import re
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ..abi import ATTACH_TYPES, map_types, prog_types
from ..errors import EbpflabError, SpecError
from ..isa import slots
from ..layout import opaque
from ..spec import MapSpec, ProgramSpec
from .explore import verify

_ATTACH_NAMES = {number: name for name, number in ATTACH_TYPES.items()}


# ---- reading

def read(path: str | Path) -> Iterator[dict]:
    """The objects of a ``.jsonl`` or ``.jsonl.gz`` file. Raises SpecError with the line that is no JSON."""
    path = Path(path)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise SpecError(f"not a record: {error}", where=f"{path}:{number}") from None


def read_btf(path: str | Path) -> dict[str, bytes]:
    """The BTF objects beside a file of records, by their hash; empty if there is no such file."""
    path = Path(path)
    beside = path.with_name(path.name.replace(".jsonl", "-btf.jsonl"))
    if not beside.exists():
        return {}
    return {entry["btf_sha"]: bytes.fromhex(entry["hex"]) for entry in read(beside)}


def _map(entry: Mapping) -> MapSpec:
    row = map_types.BY_NUMBER[entry["type"]]
    key, value = entry["key_size"], entry["value_size"]
    first = entry.get("value0")
    contents = ((b"\0" * key, bytes.fromhex(first)),) if first else ()
    inner, own = entry.get("inner_map"), entry.get("btf_is_prog_btf")
    return MapSpec(entry["name"], row.name, opaque(key) if key else None, opaque(value) if value else None,
                   entry["max_entries"], flags=entry.get("flags", 0), map_extra=entry.get("map_extra", 0),
                   inner=_map({"name": "", "max_entries": 1, **inner}) if inner else None,
                   contents=contents, frozen=bool(entry.get("frozen")),
                   btf_key=entry.get("btf_key_type_id", 0) if own else 0,
                   btf_value=entry.get("btf_value_type_id", 0) if own else 0)


def program(record: Mapping, btf: Mapping[str, bytes] = {}) -> ProgramSpec:
    """The program of a record. Raises SpecError for a type that nobody knows."""
    row = prog_types.BY_NUMBER.get(record["prog_type"])
    if row is None:
        raise SpecError(f"unknown program type {record['prog_type']}", where=f"record {record.get('id')}")
    functions = record.get("func_info") or []
    attach = record.get("expected_attach_type") or 0
    return ProgramSpec(
        slots(bytes.fromhex(record["insns"])), row.name, record.get("prog") or "prog",
        tuple(_map(entry) for entry in record.get("maps") or ()),
        license=record.get("license") or "", flags=record.get("prog_flags") or 0,
        attach_type=_ATTACH_NAMES.get(attach, "") if attach else "",
        functions={entry["insn_off"]: entry["name"] for entry in functions},
        func_info=b"".join(struct.pack("<II", entry["insn_off"], entry["type_id"]) for entry in functions),
        btf=btf.get(record.get("btf_sha") or "", b""),
    )


# ---- verifying

def verify_record(record: Mapping, btf: Mapping[str, bytes] = {}, *, log_level: int = 2) -> dict:
    """One line of the result file: id, verdict, error, processed, seconds, log."""
    start = time.thread_time()
    try:
        trace = verify(program(record, btf), log_level=log_level)
        verdict, error, processed, log = (trace.verdict.result, trace.verdict.error,
                                          trace.verdict.stats.processed, trace.log)
        if verdict == "reject":     # as it stands in the log: some messages have no end of line
            error = next((line for line in reversed(log.splitlines()) if line.startswith(error)), error)
    except EbpflabError as problem:
        verdict, error, processed, log = "unsupported", str(problem), 0, ""
    except Exception as fault:      # ours; the other records must not suffer from it
        verdict, error, processed, log = "unsupported", f"our own fault: {fault!r}", 0, ""
    return {"id": record.get("id"), "verdict": verdict, "error": error, "processed": processed,
            "seconds": round(time.thread_time() - start, 6), "log": log}


_btf: dict[str, bytes] = {}


def _start(btf: dict[str, bytes]) -> None:
    _btf.update(btf)


def _work(record: dict) -> dict:
    return verify_record(record, _btf)


def verify_file(path: str | Path, out: str | Path | None = None, *, jobs: int = 1, report: bool = False,
                progress=None) -> Agreement:
    """Verify every record of a file, write a line each to ``out``, and compare with what the records say.

    ``progress`` is called with the number of records done. Lines come in any order.
    """
    records, btf = list(read(path)), read_btf(path)
    by_id = {record.get("id"): record for record in records}
    agreement = Agreement()
    sink = open(out, "w", encoding="utf-8") if out else None     # noqa: SIM115  closed below
    try:
        for done, result in enumerate(_results(records, btf, jobs), 1):
            if sink:
                sink.write(json.dumps(result) + "\n")
            if report:
                agreement.add(by_id[result["id"]], result)
            if progress:
                progress(done)
    finally:
        if sink:
            sink.close()
    return agreement


def _results(records: Iterable[dict], btf: dict[str, bytes], jobs: int) -> Iterator[dict]:
    if jobs <= 1:
        _start(btf)
        yield from map(_work, records)
        return
    with ProcessPoolExecutor(jobs, initializer=_start, initargs=(btf,)) as pool:
        yield from pool.map(_work, records, chunksize=4)


# ---- comparing

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


@dataclass
class Agreement:
    """How often the results are the kernel's. Counts by tier; ``differences`` lists ids by what differs."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    differences: dict[str, list] = field(default_factory=dict)

    def _count(self, tier: str, what: str, number: int = 1) -> None:
        table = self.counts.setdefault(tier, {})
        table[what] = table.get(what, 0) + number

    def add(self, record: Mapping, result: Mapping) -> None:
        """Compare one result with its record; a record without a verdict counts only as seen."""
        tier = record.get("tier", "?")
        self._count(tier, "programs")
        if "verdict" not in record:
            return
        checks = {"verdict": record["verdict"] == result["verdict"]}
        if result["verdict"] == "unsupported":
            self._count(tier, "unsupported")
            self._note("unsupported", record, result["error"])
        elif not checks["verdict"]:
            self._note(f"wrong {result['verdict']}", record, result["error"])
        if record["verdict"] == "reject" and record.get("error_lines"):
            checks["error"] = record["error_lines"][-1].strip() == result["error"].strip()
        if record.get("stats"):
            checks["processed"] = record["stats"]["processed"] == result["processed"]
        if record.get("log"):
            ours, theirs = steps_of(result["log"]), steps_of(record["log"])
            self._count(tier, "steps", len(theirs))
            self._count(tier, "steps same", sum(a == b for a, b in zip(ours, theirs, strict=False)))
            checks["log"] = plain_log(result["log"]) == plain_log(record["log"])
        for what, same in checks.items():
            self._count(tier, f"{what} seen")
            self._count(tier, f"{what} same", same)
            if not same and checks["verdict"]:
                self._note(what, record, result["error"])

    def _note(self, what: str, record: Mapping, error: str) -> None:
        self.differences.setdefault(what, []).append((record.get("id"), record.get("tier", "?"),
                                                      record.get("prog", ""), error))

    def text(self) -> str:
        """A table: a line a tier, how many of how many are the same."""
        out = [f"{'tier':6}{'programs':>9}{'unsupp.':>9}{'verdict':>13}{'error':>13}{'processed':>13}"
               f"{'steps':>17}{'log':>13}"]
        for tier in sorted(self.counts):
            table = self.counts[tier]

            def share(what: str, table: dict = table) -> str:
                seen, same = (table.get("steps", 0), table.get("steps same", 0)) if what == "steps" \
                    else (table.get(f"{what} seen", 0), table.get(f"{what} same", 0))
                return f"{same}/{seen} {100 * same / seen:.1f}%" if seen else "-"

            out.append(f"{tier:6}{table['programs']:>9}{table.get('unsupported', 0):>9}{share('verdict'):>16}"
                       f"{share('error'):>14}{share('processed'):>17}{share('steps'):>22}{share('log'):>17}")
        for what in sorted(w for w in self.differences if w.startswith("wrong")):
            for id, tier, name, error in self.differences[what]:
                out.append(f"{what}: {tier} {id} {name}: {error}")
        return "\n".join(out)
