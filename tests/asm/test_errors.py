"""What the assembler says: line, column, caret, reason, and what was probably meant."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpflab.asm import assemble
from ebpflab.errors import AsmError, EbpflabError

CASES = [  # text, what stands under the caret, part of the message
    ("r0 = 2\nr11 = 5", "r11", "register r11 does not exist"),
    ("r0 = 70000000000", "70000000000", "does not fit 32 bits"),
    ("r1 = *(u32 *)(r2 + 70000)", "+ 70000", "offset 70000 does not fit 16 bits"),
    ("r1 = *(u33 *)(r2 + 4)", "u33", "known: u8, u16, u32, u64"),
    ("r1 = *(u32 *)(r1 4)", "4", "a sign is missing"),
    ("gotoo out", "gotoo", "did you mean 'goto'?"),
    ("goto ou\nout: exit", "ou", "did you mean 'out'?"),
    ("call bpf_map_lookup_elm", "bpf_map_lookup_elm", "did you mean 'bpf_map_lookup_elem'?"),
    ("call +5", "+5", "call pc+4"),
    ("r1 = conts ll\n.map counts hash u32 u64 5", "conts", "did you mean 'counts'?"),
    ("r1 = map[conts] ll\n.map counts hash u32 u64 5", "conts", "did you mean 'counts'?"),
    (".map counts hsh u32 u64 5", "hsh", "did you mean 'hash'?"),
    (".map m array u64 u64 5", ".map m array u64 u64 5", "key of 4 bytes, not 8"),
    (".map m hash u32 u65 5", ".map m hash u32 u65 5", "did you mean 'u64'?"),
    (".map m hash u32 u64 5\n.map m hash u32 u64 5", "m", "declared twice"),
    (".map m hash u32 u64 5000000000", ".map m hash u32 u64 5000000000", "a number of 32 bits"),
    (".map m hash u32 u64 4 flags=BPF_F_NOPE", ".map m hash u32 u64 4 flags=BPF_F_NOPE", "unknown name 'BPF_F_NOPE'"),
    (".typ xdp", ".typ", "did you mean .type?"),
    (".type xdpp", "xdpp", "did you mean 'xdp'?"),
    ("r0 = XDP_PAS", "XDP_PAS", "did you mean 'XDP_PASS'?"),
    ("r0 = 2 ; pass it on", "pass", "a comment starts with '#'"),
    ("if r1 = 0 goto +1", "if r1 = 0 goto +1", "compare with =="),
    ("r0 = -r1", "r1", "r1 must be r0 here"),
    ("r3 = cmpxchg_64(r1 + 0, r0, r2)", "r3", "r3 must be r0 here"),
    ("r0 = 08", "08", "octal"),
    ("r0 = 0x1g", "0x1g", "not a number"),
    ("a: exit\n  a: exit", "a", "defined twice"),
    ("w1 = *(u64 *)(r1 + 0)", "u64", "a w register has 32 bits"),
    ("lock *(u8 *)(r1 + 0) += r2", "u8", "32 or 64 bits wide"),
    ("r2 = r10 - 4", "r2 = r10 - 4", "one operation an instruction"),
    ("return XDP_PASS", "return", "put the value in r0"),
    ("int x = 5;", "int", "looks like C"),
    ("0: (b7) r0 = *(u32 *)(r1 +0)", "(b7)", "it is (61)"),
    ("(ff) r0 = 1", "(ff)", "unknown opcode 0xff"),
    ("goto +99999", "+99999", "gotol"),
    ("jeq %r1, 5", "jeq %r1, 5", "jeq %r1, 7, label"),
    ("mov %r0", "mov %r0", "mov %r1, 7"),
    ("call local foo", "foo", "label 'foo' is not defined"),
    (".8byte zzz", "zzz", "not a number"),
    (".equ X 1/0", ".equ X 1/0", "division by zero"),
    (".equ r0 4", "r0", "cannot be a name"),
    (".data foo u8 300", "300", "does not fit a u8"),
    ('.section .maps,"aw"', ".maps", "holds data"),
    ("\t\tr0 = r1 r2", "r0 = r1 r2", "not an instruction"),
    ("goto far\n" + "r0 = 0\n" * 40000 + "far: exit", "far", "a jump reaches 32767"),
]


@pytest.mark.parametrize(("text", "under", "says"), CASES, ids=[text[:30] for text, _, _ in CASES])
def test_error(text, under, says):
    with pytest.raises(AsmError) as caught:
        assemble(text, file="x.s")
    error = caught.value
    source = text.splitlines()[error.line - 1]
    assert source[error.column - 1:error.column - 1 + error.length] == under
    assert under not in ("m", "r0") or not source[error.column - 2:error.column - 1].isalnum()   # a whole word
    assert says in str(error)
    assert str(error).startswith(f"x.s:{error.line}:{error.column}: ")
    shown, caret = str(error).splitlines()[1:3]
    assert shown.strip() == source.replace("\t", " ").strip()
    assert caret.strip() == "^" + "~" * (error.length - 1)


PIECES = st.sampled_from([
    "r0", "r1", "w2", "r11", " = ", " += ", "*(u32 *)", "(r1 + 4)", " goto ", "if ", "out", "out:", "\n", ";", "#",
    "(b7) ", "0: ", "call ", "bpf_redirect", "lock ", "[%r1+8]", "ldxw ", ", ", ".map m hash u32 u64 1", ".equ A ",
    ".data x ", '"', "map[", "]", " ll", "5", "-1", "0x1f", "'", "/*", "*/", ".8byte ", "{", "}", "%", "&x", "exit",
    ".type xdp", "\t", "é", "\0", "\r"])


@given(st.lists(PIECES, max_size=14).map("".join))
def test_any_text_is_a_program_or_an_error(text):
    try:
        assemble(text)
    except AsmError as error:
        assert 1 <= error.line <= text.count("\n") + 1
    except EbpflabError as error:
        raise AssertionError("an error without a place") from error


@given(st.text(max_size=40))
def test_any_characters(text):
    with contextlib.suppress(AsmError):
        assemble(text)
