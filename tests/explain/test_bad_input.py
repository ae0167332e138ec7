"""Any byte string is refused as no program, or it is verified, printed, explained and searched for an input that
breaks it."""

import os
import signal
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpflab.abi import prog_types
from ebpflab.asm import assemble, disassemble
from ebpflab.cli import main
from ebpflab.errors import DecodeError, SpecError
from ebpflab.explain import explain, witness
from ebpflab.explain.catalogue import entries
from ebpflab.isa import decode, encode, slots
from ebpflab.spec import ProgramSpec
from ebpflab.trace.slice import matter
from ebpflab.verify import verify
from tests.lab.test_magics import shell  # noqa: F401  a fixture
from tests.verify.programs import PROGRAMS, program
from tests.verify.test_trace import LONG

MAPS = program("r0 = 0\nexit").maps
VALID = [program(row[1]).bytes for row in PROGRAMS] + [assemble(each.program).bytes for each in entries()
                                                      if each.trigger and each.flow]
TYPES = [row.name for row in prog_types.PROG_TYPES]


def everything(raw: bytes, type: str) -> str:
    """Verify, print, explain, slice and break it; -> the verdict."""
    try:
        insns = slots(raw)
    except DecodeError as error:
        assert str(error)
        return "none"
    if not raw:
        with pytest.raises(SpecError, match="no instructions"):
            verify(ProgramSpec(insns, type))
        return "none"
    trace = verify(ProgramSpec(insns, type, maps=MAPS), limit=3000)
    said = explain(trace)
    assert said.verdict == trace.verdict.result and str(said) and said.to_dict()
    assert all(0 <= at < len(trace.steps) for at in matter(trace))
    if said.verdict == "reject":
        assert said.message
        assert str(witness(trace.program, trace, seconds=0.02))
    return said.verdict


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(TYPES))
def test_random_bytes_of_any_length(raw, type):
    verdict = everything(raw, type)
    assert (verdict == "none") == (len(raw) % 8 != 0 or not raw)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(VALID), st.sampled_from(TYPES), st.data())
def test_valid_programs_with_some_bytes_changed(raw, type, data):
    changed = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    everything(bytes(changed), type)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(VALID), st.sampled_from(TYPES), st.data())
def test_valid_programs_cut_and_glued(raw, type, data):
    at = data.draw(st.integers(0, len(raw) // 8)) * 8
    other = data.draw(st.sampled_from(VALID))
    everything(raw[:at] + other[data.draw(st.integers(0, len(other) // 8)) * 8:], type)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=120), st.sampled_from(VALID)), st.sampled_from(["llvm", "kernel", "mnemonic"]))
def test_what_can_be_decoded_is_printed_and_read_back(raw, syntax):
    try:
        insns = decode(raw)
    except DecodeError as error:
        assert str(error)
        return
    text = disassemble(insns, syntax=syntax)
    if insns:
        assert encode(assemble(text, syntax=syntax).insns) == raw


@pytest.mark.parametrize("verb", [("verify",), ("explain",), ("explain", "--witness", "--seconds", "0.1"), ("disasm",),
                                  ("compare", "--with", "sim:2")], ids=" ".join)
@pytest.mark.parametrize("raw", [b"", b"\xff" * 8, b"\x95", os.urandom(64), VALID[3][:-8]], ids=[
    "empty", "one bad instruction", "one byte", "random", "cut"])
def test_the_command_line_says_a_verdict_or_one_error(tmp_path, capsys, verb, raw):
    path = tmp_path / "bad.bin"
    path.write_bytes(raw)
    with pytest.raises(SystemExit) as ended:
        main([verb[0], str(path), *verb[1:]])
    said, errors = capsys.readouterr()
    assert ended.value.code in (0, 1, 2)
    assert len(errors.splitlines()) < 10
    assert said or errors or not raw


def test_ctrl_c_in_a_cell_shows_the_trace_so_far(shell, capsys):  # noqa: F811
    """A real signal; the program is bound, with the steps that were walked."""
    pressed = threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT))
    pressed.start()
    try:
        result = shell.run_cell(f"%%bpf prog --view text\n{LONG}")
    finally:
        pressed.join()
    assert result.success, result.error_in_exec
    trace = shell.user_ns["prog"].trace
    assert (trace.verdict.result, trace.verdict.error) == ("unsupported", "interrupted")
    assert trace.steps and "interrupted" in capsys.readouterr().out
