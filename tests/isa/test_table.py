"""The instruction table against the RFC's registry, and the encoder and decoder against the table."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpflab.errors import DecodeError
from ebpflab.isa import OPS, Insn, Op, bits, check, decode, encode, imm64, op_of, rows, slots
from tests.isa.programs import SLOTS, instructions, programs

#: RFC 9669, appendix A, by conformance group: opcode, then .src, :offset or /imm (hex) where it takes several rows
REGISTRY = {
    "base64": """07 0f 15 17 18.0 18.1 18.2 18.3 18.4 18.5 18.6 1d 1f 25 2d 35 3d 45 47 4d 4f 55 57 5d 5f 65 67 6d
        6f 75 77 79 7a 7b 7d 7f 87 a5 a7 ad af b5 b7 bd bf:0 bf:8 bf:16 bf:32 c5 c7 cd cf d4/40 d5 d7/40 dc/40 dd""",
    "base32": """04 05 06 0c 14 16 1c 1e 26 2e 36 3e 44 46 4c 4e 54 56 5c 5e 61 62 63 64 66 69 6a 6b 6c 6e 71 72 73
        74 76 7c 7e 84 85.0 85.1 85.2 95 a4 a6 ac ae b4 b6 bc:0 bc:8 bc:16 be c4 c6 cc ce d4/10 d4/20 d6 d7/10
        d7/20 dc/10 dc/20 de""",
    "packet": "20 28 30 40 48 50",
    "divmul32": "24 2c 34:0 34:1 3c:0 3c:1 94:0 94:1 9c:0 9c:1",
    "divmul64": "27 2f 37:0 37:1 3f:0 3f:1 97:0 97:1 9f:0 9f:1",
    "atomic32": "c3/0 c3/1 c3/40 c3/41 c3/50 c3/51 c3/a0 c3/a1 c3/e1 c3/f1",
    "atomic64": "db/0 db/1 db/40 db/41 db/50 db/51 db/a0 db/a1 db/e1 db/f1",
}
#: section 5.2 defines them, the appendix forgot them
SIGN_EXTENDING_LOADS = {0x81, 0x89, 0x91}


def registry_name(op: Op) -> str:
    name = f"{op.opcode:02x}"
    if op.opcode in (0x18, 0x85):
        return f"{name}.{op.fixed['src']}"
    if "imm" in op.fixed:
        return f"{name}/{op.fixed['imm']:x}"
    return f"{name}:{op.fixed['off']}" if op.verb in ("div", "mod", "sdiv", "smod", "mov", "movsx") and (
        op.source == "x" or op.verb not in ("mov", "movsx")) else name


def test_every_row_of_the_registry_is_in_the_table_with_its_group():
    ours = {}
    for op in OPS:
        if op.group and op.opcode not in SIGN_EXTENDING_LOADS:
            ours.setdefault(op.group, set()).add(registry_name(op))
    assert ours == {group: set(text.split()) for group, text in REGISTRY.items()}


def test_what_the_rfc_does_not_have_is_the_kernels():
    extra = {op.name for op in OPS if not op.group}
    sizes = (8, 16, 32, 64)
    assert extra == {"addr_space_cast", "gotox", "callx", "may_goto",
                     *(f"{verb}{size}" for verb in ("load_acquire", "store_release") for size in sizes)}
    assert {op.opcode for op in OPS if op.verb == "memsx"} == SIGN_EXTENDING_LOADS


def test_fields_are_operand_selector_or_zero_never_two():
    for op in OPS:
        assert not set(op.operands) & set(op.fixed), op.name
        assert set(op.operands) <= {"dst", "src", "off", "imm", "next"}
        assert bool(op.rfc) == bool(op.group), op.name
        assert op.isa in ("v1", "v2", "v3", "v4", "")


@given(instructions())
def test_each_encoding_selects_its_row(case):
    op, insns = case
    assert op_of(insns[0]) is op
    assert decode(encode(insns)) == insns


@given(programs())
def test_encode_and_decode_are_inverse(insns):
    assert decode(encode(insns)) == insns
    assert len(encode(insns)) == 8 * len(insns)


@given(SLOTS)
def test_a_slot_is_the_kernels_struct(insn):
    raw = encode((insn,))
    assert raw == struct.pack("<BBhi", insn.opcode, insn.src << 4 | insn.dst, insn.off, insn.imm)
    assert slots(raw) == (insn,)


@given(st.binary(max_size=64))
def test_any_bytes_decode_or_say_where_not(data):
    try:
        assert encode(decode(data)) == data
    except DecodeError as error:
        assert 0 <= error.pc <= len(data) // 8
        assert error.raw in data


@pytest.mark.parametrize(("insns", "pc", "says"), [
    ([Insn(0xFF)], 0, "unknown opcode 0xff (ff 00 00 00 00 00 00 00)"),
    ([Insn(0xB7), Insn(0xB7, 0, 3, 0, 5)], 1, "(mov) with a reserved field set"),
    ([Insn(0xB7, 11)], 0, "register r11 does not exist"),
    ([Insn(0x95, 1)], 0, "reserved field set"),
    ([Insn(0x18)], 0, "without its second slot"),
    ([Insn(0x18), Insn(0xB7)], 0, "without its second slot"),
    ([Insn(0x18, 0, 1), Insn(0, imm=1)], 0, "reserved field set in its second slot"),
    ([Insn(0xDB, 1, 2, 0, 0x33)], 0, "reserved field set"),
    ([Insn(0x3F, 1, 2, 2)], 0, "reserved field set"),
    ([Insn(0)], 0, "unknown opcode 0x00"),
])
def test_malformed(insns, pc, says):
    with pytest.raises(DecodeError) as caught:
        check(insns)
    assert says in str(caught.value)
    assert caught.value.pc == pc


def test_half_an_instruction():
    with pytest.raises(DecodeError, match="12 bytes are not a whole number"):
        slots(bytes(12))


def test_wide_constant():
    insns = slots(bytes.fromhex("18010000efbeadde00000000efcdab89"))
    assert imm64(insns, 0) == 0x89ABCDEF_DEADBEEF


def test_rows_share_an_opcode_byte():
    assert {op.name for op in rows(0xBF)} == {"mov", "movsx864", "movsx1664", "movsx3264", "addr_space_cast"}
    assert rows(0xF7) == ()
    assert {op.opcode & 7 for op in OPS} == set(range(8))
    assert bits.JMP == 5
