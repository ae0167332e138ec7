"""Register texts: what the kernel prints, what it leaves out, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpflab.isa.bits import U32, U64
from ebpflab.trace.model import Value
from ebpflab.trace.values import (
    S32_MAX,
    S32_MIN,
    S64_MAX,
    S64_MIN,
    cells,
    constant,
    parse_slot,
    parse_value,
    shifted,
    sign,
    spell,
)


def span(low, high):
    edges = st.sampled_from([low, high, 0, 1, 7, 255, 0xFFFF, 0x10000, S32_MAX, min(high, U32), max(low, -1)])
    one = st.one_of(edges.filter(lambda x: low <= x <= high), st.integers(low, high))
    return st.tuples(one, one).map(sorted)


@st.composite
def scalars(draw):
    (smin, smax), (umin, umax) = draw(span(S64_MIN, S64_MAX)), draw(span(0, U64))
    (s32_min, s32_max), (u32_min, u32_max) = draw(span(S32_MIN, S32_MAX)), draw(span(0, U32))
    mask = draw(st.integers(1, U64))
    value = draw(st.integers(0, U64)) & ~mask
    identity = draw(st.integers(0, 9))
    return Value("scalar", "", value=value, mask=mask, umin=umin, umax=umax, smin=smin, smax=smax, u32_min=u32_min,
                 u32_max=u32_max, s32_min=s32_min, s32_max=s32_max, id=identity,
                 off=draw(st.integers(-9, 9)) if identity else 0)


@given(scalars())
def test_printed_and_read_again(value):
    from dataclasses import replace

    text = spell(value)
    assert parse_value(text) == replace(value, text=text)


@given(st.integers(-(1 << 63), (1 << 64) - 1))
def test_constants(number):
    value = constant(number)
    assert value.const == number & U64 and value.smin == value.smax == sign(number)
    assert value.u32_min == number & U32 and value.s32_max == sign(number, 32)
    assert parse_value(value.text) == value


@given(st.integers(0, U64), st.integers(0, U64), st.integers(-1000, 1000))
def test_a_shifted_range_holds_every_shifted_number(a, b, delta):
    low, high = sorted((a, b))
    text = f"scalar(umin={low},umax={high})"
    moved = shifted(parse_value(text, old=True), delta, Value("scalar", ""))
    for number in (low, high, (low + high) // 2):
        there = (number + delta) & U64
        assert moved.umin <= there <= moved.umax and moved.smin <= sign(there) <= moved.smax
        assert moved.u32_min <= there & U32 <= moved.u32_max and moved.s32_min <= sign(there, 32) <= moved.s32_max
        assert there & ~moved.mask == moved.value


@given(st.integers(0, U64), st.integers(0, U64), st.integers(0, U64))
def test_what_old_kernels_omit_is_deduced_soundly(a, b, inside):
    low, high = sorted((a, b))
    number = low + inside % (high - low + 1)
    known = parse_value(f"scalar(umin={low},umax={high})", old=True)
    assert known.smin <= sign(number) <= known.smax and known.u32_min <= number & U32 <= known.u32_max
    assert known.s32_min <= sign(number, 32) <= known.s32_max and number & ~known.mask == known.value


@pytest.mark.parametrize(("text", "fields"), [
    ("ctx()", {"type": "ctx", "off": 0}),
    ("fp-16", {"type": "fp", "off": -16, "frame": None}),
    ("fp[0]-32", {"type": "fp", "off": -32, "frame": 0}),
    ("fp(smin=smin32=-24,smax=smax32=-16,var_off=(0xffffffffffffffe0; 0x1f))",
     {"type": "fp", "smin": -24, "smax": -16}),
    ("pkt(id=2,off=14,r=34,smin=smin32=0,smax=umax=smax32=umax32=60,var_off=(0x0; 0x3c))",
     {"type": "pkt", "id": 2, "off": 14, "range": 34, "umax": 60, "mask": 0x3C}),
    ("pkt(off=8,r=0xfffffffffffffffe)", {"range": 0}),
    ("map_value_or_null(id=1,map=m,ks=4,vs=8)", {"type": "map_value_or_null", "id": 1, "map": "m", "size": 8}),
    ("map_value(map=m,ks=4,vs=8,imm=0x10000)", {"off": 65536, "umin": 0, "mask": 0}),
    ("ringbuf_mem(ref_obj_id=2,sz=16)", {"type": "ringbuf_mem", "ref_id": 2, "size": 16}),
    ("scalar(id=3+4,umax=7)", {"id": 3, "off": 4}),
    ("Pscalar(smax=-1)", {"precise": True, "smax": -1}),
    ("P5", {"precise": True, "value": 5}),
    ("0xffffffff80000000", {"smin": -0x80000000}),
    ("trusted_ptr_task_struct(id=1,off=8)", {"type": "trusted_ptr_task_struct", "off": 8}),
    ("scalar(smin32=0x80000001,smax32=-1)", {"s32_min": -0x7FFFFFFF, "s32_max": -1}),
])
def test_texts_of_today(text, fields):
    value = parse_value(text)
    assert {name: getattr(value, name) for name in fields} == fields


@pytest.mark.parametrize(("text", "fields"), [
    ("inv0", {"value": 0, "mask": 0}),
    ("invP5", {"value": 5, "precise": True}),
    ("inv(id=0)", {"umax": U64, "smin": S64_MIN}),
    ("invP(id=0,smax_value=9)", {"precise": True, "smax": 9}),
    ("inv", {"type": "scalar", "umax": U64}),
    ("map_value(id=0,off=0,ks=4,vs=8,imm=10)", {"off": 16}),        # hexadecimal before 6.7
    ("scalar(umax=15,var_off=(0x0; 0xf))", {"smin": 0, "smax": 15, "u32_max": 15, "s32_max": 15}),
    ("scalar(s32_min=0,s32_max=7,u32_max=7)", {"s32_max": 7, "u32_max": 7, "umax": U64}),
])
def test_texts_of_older_kernels(text, fields):
    value = parse_value(text, old=True)
    assert {name: getattr(value, name) for name in fields} == fields


@pytest.mark.parametrize(("text", "letters", "value"), [
    ("mmmmmmmm", "mmmmmmmm", None), ("0000mmmm", "0000mmmm", None), ("????mmmm", "????mmmm", None),
    ("ctx()", "rrrrrrrr", "ctx()"), ("0", "rrrrrrrr", "0"), ("0x1234567890", "rrrrrrrr", "0x1234567890"),
    ("????5", "????rrrr", "5"), ("mmmm0", "mmmmrrrr", "0"), ("00005", "0000rrrr", "5"),
    ("??????scalar()", "??????rr", "scalar()"), ("???????P1", "???????r", "1"), ("00000x12", "0000rrrr", "0x12"),
    ("map_value(map=m,ks=4,vs=8)", "rrrrrrrr", "map_value(map=m,ks=4,vs=8)"), ("12345678", "rrrrrrrr", "12345678"),
    ("iter_num(ref_id=1,state=active,depth=0)", "iiiiiiii", "iter_num(ref_id=1,state=active,depth=0)"),
    ("dynptr_ringbuf(id=2,ref_id=2)", "dddddddd", "dynptr_ringbuf(id=2,ref_id=2)"), ("", "rrrrrrrr", "scalar"),
])
def test_stack_slots(text, letters, value):
    slot = parse_slot(-8, text)
    assert slot.bytes == letters and (slot.value and slot.value.text) == value
    if text and "P" not in text:
        assert slot.text == text


def test_cells_of_a_line():
    line = (" R0_w=map_value(off=0,ks=4,vs=8,imm=0) R1_rw=scalar(var_off=(0x0; 0xff)) R10=fp0 fp-8_w=mmmm???? fp-16="
            " refs=2")
    assert cells(line) == [("R0", "map_value(off=0,ks=4,vs=8,imm=0)"), ("R1", "scalar(var_off=(0x0; 0xff))"),
                           ("R10", "fp0"), ("fp-8", "mmmm????"), ("fp-16", "")]


@pytest.mark.parametrize("text", ["scalar(umax=x)", "ctx(off=1", "fp[x]-8("])
def test_what_no_kernel_prints(text):
    with pytest.raises(ValueError):
        parse_value(text)
