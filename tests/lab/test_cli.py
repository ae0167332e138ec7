"""The command line: results on stdout, errors on stderr in a few lines, exit status 0, 1 or 2."""

import gzip
import json
import subprocess
import sys

import pytest

from ebpflab.isa import Insn, encode

PASS = "r0 = 2\nexit\n"


def ebpflab(*args, stdin=b"", cwd=None):
    return subprocess.run([sys.executable, "-m", "ebpflab", *map(str, args)], input=stdin, capture_output=True, cwd=cwd)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "pass.s"
    path.write_text(PASS)
    return path


def test_asm_and_disasm_are_inverse(tmp_path, source):
    out = tmp_path / "pass.bin"
    assert ebpflab("asm", source, "-o", out).returncode == 0
    assert out.read_bytes() == encode([Insn(0xB7, 0, 0, 0, 2), Insn(0x95)])
    for syntax in ("llvm", "kernel", "mnemonic"):
        text = ebpflab("disasm", out, "--syntax", syntax)
        assert text.returncode == 0, text.stderr
        again = ebpflab("asm", "-", "--syntax", syntax, stdin=text.stdout)
        assert again.stdout == out.read_bytes(), again.stderr


def test_verify_exit_status_is_the_verdict(tmp_path, source):
    assert ebpflab("verify", source).returncode == 0
    bad = tmp_path / "bad.s"
    bad.write_text("r0 = r3\nexit\n")
    done = ebpflab("verify", bad)
    assert done.returncode == 1 and b"R3 !read_ok" in done.stdout


def test_verify_json_has_every_step(source):
    said = json.loads(ebpflab("verify", source, "--json").stdout)
    assert said["verdict"]["result"] == "accept"
    assert [step["pc"] for step in said["steps"]] == [0, 1]


def test_verify_log_is_in_the_kernels_format(source):
    log = ebpflab("verify", source, "--log").stdout.decode()
    assert "0: (b7) r0 = 2" in log and "processed 2 insns" in log


def test_run(source):
    said = json.loads(ebpflab("run", source, "--data", "00" * 64, "--json").stdout)
    assert (said["retval"], said["verdict"]) == (2, "XDP_PASS")


@pytest.mark.parametrize("args, words", [
    (("asm", "/nonexistent.s"), "nonexistent"),
    (("frobnicate",), "frobnicate"),
    (("run", "PASS", "--data", "xyz"), "not hex"),
    (("run", "PASS", "--target", "moon"), "moon"),
    (("verify", "PASS", "--type", "xpd"), "did you mean 'xdp'"),
])
def test_bad_usage_is_status_2_and_a_few_lines(source, args, words):
    done = ebpflab(*[source if a == "PASS" else a for a in args])
    assert done.returncode == 2, done.stdout + done.stderr
    assert words in done.stderr.decode() and b"Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) < 25 and not done.stdout


def test_a_syntax_error_has_line_column_and_caret(tmp_path):
    path = tmp_path / "bad.s"
    path.write_text("r0 = 2\nr1 =* 3\nexit\n")
    done = ebpflab("asm", path)
    assert done.returncode == 2
    assert "bad.s:2:" in done.stderr.decode() and "^" in done.stderr.decode()


def test_bytes_that_are_no_instruction(tmp_path):
    path = tmp_path / "junk.bin"
    path.write_bytes(b"\xff" * 8)
    done = ebpflab("disasm", path)
    assert done.returncode == 2 and "instruction 0" in done.stderr.decode()


def test_explain_says_the_rule_and_the_fix(tmp_path, source):
    bad = tmp_path / "bad.s"
    bad.write_text("r0 = r3\nexit\n")
    done = ebpflab("explain", bad)
    assert done.returncode == 1
    for words in ("R3 !read_ok", "register-unset", "fix in assembly", "instruction 0"):
        assert words in done.stdout.decode()
    assert json.loads(ebpflab("explain", bad, "--json").stdout)["id"] == "register-unset"
    assert ebpflab("explain", source).returncode == 0


def test_records_are_verified_and_compared(tmp_path):
    record = {"id": 7, "prog": "p", "prog_type": 6, "expected_attach_type": 0, "license": "GPL", "prog_flags": 0,
              "maps": [], "func_info": [], "btf_sha": None, "tier": "A"}
    lines = [{**record, "id": 1, "insns": "b7000000020000009500000000000000", "verdict": "accept", "error_lines": [],
              "stats": {"processed": 2}},
             {**record, "id": 2, "insns": "bf300000000000009500000000000000", "verdict": "reject",
              "error_lines": ["R3 !read_ok"], "stats": {"processed": 1}},
             {**record, "id": 3, "insns": "9500000000000000"}]
    path, out = tmp_path / "some.jsonl.gz", tmp_path / "out.jsonl"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    done = ebpflab("verify", "--records", path, "--out", out, "--jobs", 2, "--report")
    assert done.returncode == 0, done.stderr
    found = {row["id"]: row for row in map(json.loads, out.read_text().splitlines())}
    assert {n: (r["verdict"], r["error"], r["processed"]) for n, r in found.items()} == {
        1: ("accept", "", 2), 2: ("reject", "R3 !read_ok", 1), 3: ("reject", "R0 !read_ok", 1)}
    assert "processed 2 insns" in found[1]["log"] and found[2]["seconds"] >= 0


def test_verify_needs_something_to_verify():
    done = ebpflab("verify")
    assert done.returncode == 2 and b"nothing to verify" in done.stderr
