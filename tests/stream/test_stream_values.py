"""One key or value to bytes and back: round trips for every kind, and what wrong input is told."""

import ipaddress
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpflab.errors import SpecError
from ebpflab.layout import Field, Layout, parse
from ebpflab.stream.values import pack, unpack

ENUM = Layout("enum", 4, 4, names=((0, "NEW"), (1, "ESTABLISHED")), name="state")
BITS = Layout("struct", 4, 4, fields=(Field("a", parse("u32"), 0, 0, 3), Field("b", parse("u32"), 0, 3, 7),
                                      Field("c", parse("s32"), 0, 10, 5)), name="bits")


@pytest.mark.parametrize("name", ["u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "be16", "be32", "be64"])
@given(data=st.data())
def test_integers_agree_with_struct(name, data):
    layout = parse(name)
    signed, bits = layout.kind == "int", layout.size * 8
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    value = data.draw(st.integers(low, high))
    letter = "bhiq"[layout.size.bit_length() - 1]
    assert pack(layout, value) == struct.pack(layout.order + (letter if signed else letter.upper()), value)
    assert unpack(layout, pack(layout, value)) == value
    for wrong in (low - 1, high + 1):
        with pytest.raises(SpecError, match="does not fit"):
            pack(layout, wrong)


@given(st.floats(allow_nan=False), st.ip_addresses(v=4), st.ip_addresses(v=6), st.binary(min_size=6, max_size=6))
def test_floats_and_addresses(number, four, six, mac):
    assert unpack(parse("f64"), pack(parse("f64"), number)) == number
    assert pack(parse("ipv4"), str(four)) == four.packed and unpack(parse("ipv4"), four.packed) == str(four)
    assert pack(parse("ipv6"), six) == six.packed and ipaddress.ip_address(unpack(parse("ipv6"), six.packed)) == six
    assert pack(parse("mac"), mac.hex(":")) == mac and unpack(parse("mac"), mac) == mac.hex(":")


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8")))
def test_text(word):
    layout = parse("char[16]")
    if len(word.encode()) <= 16:
        assert unpack(layout, pack(layout, word)) == word
    else:
        with pytest.raises(SpecError, match="holds 16"):
            pack(layout, word)


def test_structs_take_sequences_dicts_and_records_and_padding_is_zero():
    layout = parse("struct { u8 proto; be16 port; ipv4 src; u16[2] hist; struct { bool ok; s8 step; } in; }")
    raw = pack(layout, (6, 80, "10.0.0.1", [1, 2], (True, -1)))
    assert raw == bytes([6, 0, 0, 80, 10, 0, 0, 1, 1, 0, 2, 0, 1, 255, 0, 0])
    record = unpack(layout, raw)
    assert (record.proto, record.port, record.src, record.hist) == (6, 80, "10.0.0.1", (1, 2))
    assert pack(layout, record) == raw and hash(record)
    assert pack(layout, {"proto": 6, "port": 80, "src": "10.0.0.1", "hist": (1, 2), "in": {"ok": 1, "step": -1}}) == raw
    assert pack(layout, raw) == raw


def test_unions_enums_and_bit_fields():
    union = parse("union { u32 v4; u8[16] raw; }")
    assert pack(union, {"v4": 1}) == b"\1" + bytes(15)
    assert unpack(union, pack(union, {"raw": range(16)})).v4 == 0x03020100
    assert pack(union, unpack(union, bytes(range(16)))) == bytes(range(16))
    assert unpack(ENUM, pack(ENUM, "ESTABLISHED")) == "ESTABLISHED" and unpack(ENUM, pack(ENUM, 9)) == 9
    raw = pack(BITS, (5, 100, -16))
    assert int.from_bytes(raw, "little") == 5 | 100 << 3 | (-16 & 31) << 10
    assert unpack(BITS, raw) == (5, 100, -16)


@pytest.mark.parametrize(("text", "value", "said"), [
    ("u32", "6", "whole number"), ("u32", 1.5, "whole number"), ("u32", True, "whole number"), ("u8", 256, "0 … 255"),
    ("f32", "x", "must be a number"), ("f32", 1e300, "does not fit"), ("bool", 2, "0 … 1"),
    ("ipv4", "10.0.0.256", '"10.0.0.1"'), ("ipv4", 5, "ipv4 address"), ("ipv6", "10.0.0.1", "fd00::1"),
    ("mac", "02:00:00", "mac address"), ("char[4]", 5, "must be text"), ("bytes[4]", 5, "4 bytes"),
    ("u32", b"abc", "4 bytes"),
    ("u16[2]", [1], "2 elements"), ("u16[2]", [1, 70000], r"\[1\].*does not fit"),
    ("struct { u8 a; u8 b; }", (1,), "2 values"), ("struct { u8 a; u8 b; }", {"a": 1}, "lacks member 'b'"),
    ("struct { u8 a; }", {"a": 1, "z": 1}, "no member 'z'"), ("struct { u8 a; }", {"a": 300}, r"value\.a"),
    ("union { u8 a; u16 b; }", {"a": 1, "b": 1}, "one member"), ("union { u8 a; }", {"z": 1}, "no member"),
])
def test_wrong_values_are_told_what_is_right(text, value, said):
    with pytest.raises(SpecError, match=said):
        pack(parse(text), value)


def test_a_float_that_is_not_a_number_survives():
    assert math.isnan(unpack(parse("f32"), pack(parse("f32"), math.nan)))
