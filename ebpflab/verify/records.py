"""Verify recorded programs and compare with what a kernel said of them.

A record is one JSON object a line: ``insns`` (hex, a map's wide load holds its index in ``maps``), ``prog_type``,
``expected_attach_type``, ``prog_flags``, ``license``, ``maps``, ``func_info``, ``btf_sha``; from a kernel also
``verdict``, ``error_lines``, ``stats`` and a level-2 ``log``.  BTF lies beside: ``F.jsonl.gz`` and ``F-btf.jsonl.gz``.

    verify_file("dev.jsonl.gz", "out.jsonl", jobs=2, report=True) -> Run(agreement, bad)
"""

from __future__ import annotations

import gzip
import json
import multiprocessing
import signal
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from ..abi import ATTACH_TYPES, map_types, prog_types
from ..errors import EbpflabError, SpecError
from ..isa import slots
from ..layout import opaque
from ..spec import MapSpec, ProgramSpec
from .agreement import Agreement
from .explore import verify

LOG_SIZE = 64 << 20     # characters of a log that are kept; only walks of several 100,000 instructions have more
_ATTACH_NAMES = {number: name for name, number in ATTACH_TYPES.items()}


# ---- reading

def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that hold something, with their numbers. Raises SpecError where the file ends too early."""
    number = 0
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line
    except OSError as error:        # gzip.BadGzipFile is one
        raise SpecError(error.strerror or str(error), where=f"{path}:{number + 1}" if number else str(path)) from None
    except (EOFError, zlib.error, UnicodeDecodeError) as error:
        raise SpecError(f"the file is damaged or cut off: {error}", where=f"{path}:{number + 1}") from None


def _object(line: str) -> dict:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"not a record: {error}") from None
    if not isinstance(found, dict):
        raise SpecError(f"not a record: a JSON {type(found).__name__}, no object")
    return found


def read(path: str | Path) -> Iterator[dict]:
    """The objects of a ``.jsonl`` or ``.jsonl.gz`` file. Raises SpecError with the line that is no JSON."""
    path = Path(path)
    for number, line in _lines(path):
        try:
            yield _object(line)
        except SpecError as error:
            raise SpecError(error.what, where=f"{path}:{number}") from None


def btf_file(path: str | Path) -> Path:
    """Where the BTF objects of a file of records lie."""
    path = Path(path)
    return path.with_name(path.name.replace(".jsonl", "-btf.jsonl"))


def read_btf(path: str | Path) -> dict[str, bytes]:
    """The BTF objects beside a file of records, by their hash; empty if there is no such file."""
    beside = btf_file(path)
    if not beside.exists():
        return {}
    try:
        return {entry["btf_sha"]: bytes.fromhex(entry["hex"]) for entry in read(beside)}
    except (KeyError, TypeError, ValueError) as error:
        raise SpecError(f"not a file of BTF objects: {error!r}", where=str(beside)) from None


#: field -> (what it must be, may it be absent or null?)
_RECORD = {"insns": (str, False), "prog_type": (int, False), "expected_attach_type": (int, True),
           "prog_flags": (int, True), "license": (str, True), "prog": (str, True), "maps": (list, True),
           "func_info": (list, True), "btf_sha": (str, True)}
_MAP = {"name": (str, False), "type": (int, False), "key_size": (int, False), "value_size": (int, False),
        "max_entries": (int, False), "flags": (int, True), "map_extra": (int, True), "value0": (str, True),
        "inner_map": (dict, True), "btf_key_type_id": (int, True), "btf_value_type_id": (int, True)}
_INNER = {name: (kind, name in ("name", "max_entries") or absent) for name, (kind, absent) in _MAP.items()}
_FUNCTION = {"insn_off": (int, False), "type_id": (int, False), "name": (str, False)}
_KINDS = {str: "text", int: "a number that fits", list: "a list", dict: "an object"}


def _check(found: object, fields: Mapping[str, tuple[type, bool]], where: str = "") -> None:
    """Is it an object with these fields? Raises SpecError that names the field."""
    if not isinstance(found, dict):
        raise SpecError(f"{where or 'it'} is {found!r:.40}, not an object")
    for name, (kind, absent) in fields.items():
        value = found.get(name)
        fits = isinstance(value, kind) and not isinstance(value, bool) and (
            kind is not int or 0 <= value < 1 << (64 if name == "map_extra" else 32))
        if not fits and not (absent and value is None):
            place = f"{where}.{name}" if where else name
            raise SpecError(f"{place} is {value!r:.40}, not {_KINDS[kind]}" if name in found else f"{place} is missing")


def _map(entry: Mapping) -> MapSpec:
    entry = {name: value for name, value in entry.items() if value is not None}
    row = map_types.BY_NUMBER.get(entry["type"])
    if row is None:
        raise SpecError(f"unknown map type {entry['type']}")
    key, value = entry["key_size"], entry["value_size"]
    first = entry.get("value0")
    contents = ((b"\0" * key, _bytes(first, "value0")),) if first else ()
    inner, own = entry.get("inner_map"), entry.get("btf_is_prog_btf")
    return MapSpec(entry["name"], row.name, opaque(key) if key else None, opaque(value) if value else None,
                   entry["max_entries"], flags=entry.get("flags", 0), map_extra=entry.get("map_extra", 0),
                   inner=_map({"name": "", "max_entries": 1, **inner}) if inner else None,
                   contents=contents, frozen=bool(entry.get("frozen")),
                   btf_key=entry.get("btf_key_type_id", 0) if own else 0,
                   btf_value=entry.get("btf_value_type_id", 0) if own else 0)


def _bytes(text: str, where: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise SpecError(f"{where} is not hex: {error}") from None


def program(record: Mapping, btf: Mapping[str, bytes] = {}) -> ProgramSpec:
    """The program of a record. Raises SpecError for a field or a type that nobody knows, DecodeError."""
    _check(record, _RECORD)
    for at, entry in enumerate(record.get("maps") or ()):
        _check(entry, _MAP, f"maps[{at}]")
        if entry.get("inner_map"):
            _check(entry["inner_map"], _INNER, f"maps[{at}].inner_map")
    for at, entry in enumerate(record.get("func_info") or ()):
        _check(entry, _FUNCTION, f"func_info[{at}]")
    row = prog_types.BY_NUMBER.get(record["prog_type"])
    if row is None:
        raise SpecError(f"unknown program type {record['prog_type']}")
    functions = record.get("func_info") or []
    attach = record.get("expected_attach_type") or 0
    return ProgramSpec(
        slots(_bytes(record["insns"], "insns")), row.name, record.get("prog") or "prog",
        tuple(_map(entry) for entry in record.get("maps") or ()),
        license=record.get("license") or "", flags=record.get("prog_flags") or 0,
        attach_type=_ATTACH_NAMES.get(attach, "") if attach else "",
        functions={entry["insn_off"]: entry["name"] for entry in functions},
        func_info=b"".join(struct.pack("<II", entry["insn_off"], entry["type_id"]) for entry in functions),
        btf=btf.get(record.get("btf_sha") or "", b""),
    )


# ---- verifying

def verify_record(record: Mapping, btf: Mapping[str, bytes] = {}, *, log_level: int = 2,
                  log_size: int = LOG_SIZE) -> dict:
    """One line of the result file: id, verdict, error, processed, seconds, log. Raises SpecError, DecodeError.

    Of a log of more than ``log_size`` characters the last lines are there, as in a kernel's buffer, and the line says
    ``log_truncated``.
    """
    start = time.thread_time()
    spec = program(record, btf)
    try:
        trace = verify(spec, log_level=log_level)
        verdict, error, processed = trace.verdict.result, trace.verdict.error, trace.verdict.stats.processed
        log, whole = trace.log_tail(log_size)
        if verdict == "reject":     # as it stands in the log: some messages have no end of line
            error = next((line for line in reversed(log.splitlines()) if line.startswith(error)), error)
    except EbpflabError:
        raise
    except Exception as fault:      # ours; the other records must not suffer from it
        verdict, error, processed, log, whole = "unsupported", f"our own fault: {fault!r}", 0, "", True
    line = _line(record.get("id"), verdict, error, processed, time.thread_time() - start, log)
    return line if whole else {**line, "log_truncated": True}


def _line(id: object, verdict: str, error: str, processed: int = 0, seconds: float = 0.0, log: str = "") -> dict:
    return {"id": id, "verdict": verdict, "error": error, "processed": processed, "seconds": round(seconds, 6),
            "log": log}


@dataclass(slots=True)
class Outcome:
    """What came of a file: the ``agreement``, how many records were ``done``, one line for each that could not be
    read (``bad``), and whether Ctrl-C ended it."""

    agreement: Agreement = field(default_factory=Agreement)
    done: int = 0
    bad: list[str] = field(default_factory=list)
    interrupted: bool = False


@dataclass(slots=True)
class _Worker:
    """What a process needs to turn a line of the file into a line of results; made once in each."""

    path: Path
    btf: dict[str, bytes]
    report: bool

    def __call__(self, task: tuple[int, str]) -> tuple[str, Agreement | None, str]:
        """(line of results, agreement with the record if it was asked for, what is wrong with the record)"""
        number, line = task
        record: dict = {}
        try:
            record = _object(line)
            result = verify_record(record, self.btf)
        except EbpflabError as error:
            wrong = f"{self.path}:{number}: record {record.get('id', '(without an id)')}: {error.what}"
            return json.dumps(_line(record.get("id"), "unsupported", wrong)), None, wrong
        if result["verdict"] == "unsupported" and result["error"] == "interrupted":
            raise KeyboardInterrupt
        agreement = Agreement() if self.report else None
        if agreement is not None:
            agreement.add(record, result)
        return json.dumps(result), agreement, ""


_worker: _Worker


def _start(worker: _Worker) -> None:
    global _worker
    _worker = worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)        # Ctrl-C goes to every process; the first one ends the others


def _work(task: tuple[int, str]) -> tuple[str, Agreement | None, str]:
    return _worker(task)


def verify_file(path: str | Path, out: TextIO | str | Path | None = None, *, jobs: int = 1, report: bool = False,
                progress: Callable[[int], None] | None = None) -> Outcome:
    """Verify every record of a file, write a line each to ``out``, and with ``report`` compare with what they say.

    ``progress`` is called with the number of records done. Lines come in any order. A record that cannot be read gets
    a line too (``unsupported``, with the reason). Ctrl-C ends it: whole lines are in ``out`` then. Raises SpecError if
    the file cannot be read.
    """
    path, outcome = Path(path), Outcome()
    if not path.exists():
        raise SpecError("no such file", where=str(path))
    worker = _Worker(path, read_btf(path), report)
    sink = open(out, "w", encoding="utf-8", buffering=1) if isinstance(out, (str, Path)) else out   # noqa: SIM115
    try:
        for text, agreement, wrong in _results(worker, jobs):
            if sink:
                sink.write(text + "\n")
            if agreement is not None:
                outcome.agreement.merge(agreement)
            if wrong:
                outcome.bad.append(wrong)
            outcome.done += 1
            if progress:
                progress(outcome.done)
    except KeyboardInterrupt:
        outcome.interrupted = True
    finally:
        if sink and sink is not out:
            sink.close()
    return outcome


def _results(worker: _Worker, jobs: int) -> Iterator[tuple[str, Agreement | None, str]]:
    tasks = _lines(worker.path)
    if jobs <= 1:
        yield from map(worker, tasks)
        return
    with multiprocessing.Pool(jobs, _start, (worker,)) as pool:
        yield from pool.imap_unordered(_work, tasks)
