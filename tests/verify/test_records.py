"""Files of records: read or named, line by line; compared; interrupted without harm to what is written."""

import copy
import gzip
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpflab.abi import prog_types
from ebpflab.errors import EbpflabError, SpecError
from ebpflab.verify import records, verify
from ebpflab.verify.agreement import Agreement, steps_of
from tests.verify.programs import PROGRAMS, program
from tests.verify.test_trace import LONG


def record(id: int, text: str, tier: str = "A") -> dict:
    """A record as a kernel would have made it: what our verifier says."""
    spec = program(text)
    trace = verify(spec)
    maps = [{"name": m.name, "type": m.row.number, "key_size": m.key_size, "value_size": m.value_size,
             "max_entries": m.max_entries, "flags": m.flags} for m in spec.maps]
    return {"id": id, "prog": spec.name, "prog_type": spec.row.number, "insns": spec.bytes.hex(), "maps": maps,
            "license": spec.license, "tier": tier, "verdict": trace.verdict.result,
            "error_lines": list(trace.verdict.error_lines), "stats": {"processed": trace.verdict.stats.processed},
            "log": trace.log}


GOOD = [record(at, row[1], "AB"[at % 2]) for at, row in enumerate(PROGRAMS[:12])]


@pytest.fixture
def write(tmp_path):
    def write(*rows, name="few.jsonl.gz"):
        path = tmp_path / name
        text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path
    return write


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_record_gets_a_line_and_agrees(write, tmp_path, jobs):
    out = tmp_path / "out.jsonl"
    found = records.verify_file(write(*GOOD), out, jobs=jobs, report=True)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(line["id"] for line in lines) == list(range(12)) and found.done == 12
    assert {line["id"]: line["verdict"] for line in lines} == {row["id"]: row["verdict"] for row in GOOD}
    agreement = found.agreement
    assert not agreement.differing and not found.bad and not found.interrupted
    assert agreement.seen == agreement.same and agreement.programs == {"A": 6, "B": 6}


def test_what_differs_is_counted_and_listed():
    agreement = Agreement()
    ours = {"verdict": "accept", "error": "", "processed": 3, "log": "0: (b7) r0 = 0 ; R0=0\n1: (95) exit\n"}
    theirs = {"id": 7, "tier": "A", "prog": "p", "verdict": "reject", "error_lines": ["R0 !read_ok"],
              "stats": {"processed": 3}, "log": "0: (b7) r0 = 0 ; R0=P0\n1: (95) exit\n"}
    agreement.add(theirs, ours)
    agreement.add({**theirs, "verdict": "accept", "error_lines": []}, {**ours, "processed": 4})
    agreement.add({**theirs, "tier": "B"}, {"verdict": "unsupported", "error": "a feature", "processed": 0, "log": ""})
    assert [each.what for each in agreement.wrong] == ["verdict"]
    assert agreement.same["A", "steps"] == 2 and agreement.seen["A", "steps"] == 4
    assert agreement.unsupported == {("a feature", "B"): 1}
    text, data = str(agreement), agreement.to_dict()
    assert "1/2" in text and "50.0 %" in text and "a feature" in text and "kernel: reject R0 !read_ok" in text
    assert data == json.loads(json.dumps(data)) and data["tiers"]["A"]["processed"] == [1, 2]
    assert [each["what"] for each in data["differing"]] == ["verdict", "processed", "log"]
    assert len(text.splitlines()) < 50


def test_the_states_of_steps_are_read_from_both_kinds_of_lines():
    assert steps_of("0: (b7) r1 = 0   ; R1=0\n1: (0f) r2 += r1\nmark_precise: x\n2: R1=0 R2=fp0\n2: (95) exit\n") == [
        ("0: (b7) r1 = 0", "R1=0"), ("1: (0f) r2 += r1", "R1=0 R2=fp0"), ("2: (95) exit", "")]


BAD = {
    "not a record": "{", "a JSON list, no object": "[]", "unknown program type 4000": {"prog_type": 4000},
    "insns is missing": {"insns": None}, "insns is not hex": {"insns": "zz"},
    "not a whole number of 8-byte instructions": {"insns": "b70000"}, "maps is 'x', not a list": {"maps": "x"},
    "maps[0] is 5, not an object": {"maps": [5]},
    "unknown map type 999": {"maps": [{**GOOD[0]["maps"][0], "type": 999}]},
    "maps[0].key_size is -1": {"maps": [{**GOOD[0]["maps"][0], "key_size": -1}]},
    "func_info[0].name is missing": {"func_info": [{"insn_off": 0, "type_id": 1}]},
    "license is 3, not text": {"license": 3},
}


@pytest.mark.parametrize("said", BAD)
def test_a_bad_record_is_named_with_its_line_and_the_others_are_done(write, tmp_path, said):
    row = BAD[said]
    if isinstance(row, dict):
        row = {name: value for name, value in {**GOOD[0], "id": 77, **row}.items() if value is not None}
    path, out = write(GOOD[1], row, GOOD[2]), tmp_path / "out.jsonl"
    found = records.verify_file(path, out, report=True)
    assert len(found.bad) == 1 and found.done == 3
    assert found.bad[0].startswith(f"{path}:2: record ") and said in found.bad[0] and "\n" not in found.bad[0]
    assert isinstance(row, str) or "record 77" in found.bad[0]
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines[1]["verdict"] == "unsupported" and lines[1]["error"] == found.bad[0]
    assert [lines[at]["verdict"] for at in (0, 2)] == [GOOD[1]["verdict"], GOOD[2]["verdict"]]


def test_the_end_of_a_long_log_is_kept_and_the_line_says_so():
    whole = records.verify_record(GOOD[0])
    short = records.verify_record(GOOD[0], log_size=200)
    assert short.pop("log_truncated") and "log_truncated" not in whole
    assert 100 < len(short["log"]) <= 200 and whole["log"].endswith(short["log"])
    assert {**short, "log": "", "seconds": 0} == {**whole, "log": "", "seconds": 0}


def test_null_is_as_good_as_absent():
    with_map = next(row for row in GOOD if row["maps"])
    absent = [name for name, (_, may) in records._MAP.items() if may]
    null = {**with_map, "maps": [{**entry, **{name: None for name in absent if name not in entry}}
                                 for entry in with_map["maps"]]}
    bare = {**with_map, "maps": [{name: entry[name] for name in entry if name not in absent or entry[name]}
                                 for entry in with_map["maps"]]}
    assert records.program(null) == records.program(with_map) == records.program(bare)


def test_files_that_are_no_files_of_records(write, tmp_path):
    with pytest.raises(SpecError, match="no such file"):
        records.verify_file(tmp_path / "none.jsonl")
    whole = write(*GOOD)
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(whole.read_bytes()[:-40])
    with pytest.raises(SpecError, match="damaged or cut off"):
        records.verify_file(cut)
    text = tmp_path / "text.jsonl.gz"
    text.write_text("no gzip at all")
    with pytest.raises(SpecError):
        records.verify_file(text)
    write("[1]", name="few-btf.jsonl.gz")
    with pytest.raises(SpecError, match="not a record"):
        records.verify_file(whole)


WILD = st.recursive(st.one_of(st.none(), st.booleans(), st.integers(-(1 << 70), 1 << 70), st.text(max_size=8),
                              st.sampled_from(["", "00", "b70000000000000095"]), st.floats(allow_nan=False)),
                    lambda inner: st.one_of(st.lists(inner, max_size=3),
                                            st.dictionaries(st.text(max_size=5), inner, max_size=3)), max_leaves=6)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_wild_fields_give_a_line_or_one_clear_error(data):
    wild = copy.deepcopy(data.draw(st.sampled_from(GOOD)))
    where = data.draw(st.sampled_from([wild, *wild["maps"]]))
    for name in data.draw(st.lists(st.sampled_from([*records._RECORD, *records._MAP]), min_size=1, max_size=3)):
        where[name] = data.draw(WILD)
    try:
        found = records.verify_record(wild)
    except EbpflabError:
        return
    assert found["verdict"] in ("accept", "reject", "unsupported")
    assert "our own fault" not in found["error"], (found["error"], wild)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([row.number for row in prog_types.PROG_TYPES]), st.integers(0, 70), st.integers(0, 1 << 20),
       st.sampled_from(GOOD))
def test_any_program_type_attach_type_and_flags(number, attach, flags, row):
    found = records.verify_record({**row, "prog_type": number, "expected_attach_type": attach, "prog_flags": flags})
    assert "our own fault" not in found["error"], found["error"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_leaves_whole_lines(write, tmp_path, jobs):
    """A real signal to the whole process group, as a terminal sends it."""
    slow = {**GOOD[0], "insns": program(LONG).bytes.hex()}
    path, out = write(*GOOD, *({**slow, "id": 100 + n} for n in range(40))), tmp_path / "out.jsonl"
    running = subprocess.Popen([sys.executable, "-m", "ebpflab", "verify", "--records", path, "--out", out, "--report",
                                "--jobs", str(jobs)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True)
    end = time.monotonic() + 60
    while time.monotonic() < end and (not out.exists() or out.read_text().count("\n") < 12):
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)
    said, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    done = [json.loads(line) for line in out.read_text().splitlines()]
    assert 12 <= len(done) < 52 and not any(line["error"] == "interrupted" for line in done)
    assert f"interrupted after {len(done)} records".encode() in errors
    assert b"programs" in said and b"Traceback" not in errors
