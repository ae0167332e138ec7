"""Plain words: every form of the kernel's values and the common errors have some."""

import pytest

from ebpflab.spec import SourceLine
from ebpflab.trace import Slot, Value
from ebpflab.view.payload import const_bounds, region_of
from ebpflab.view.words import news, slot_words, value_words

U64 = (1 << 64) - 1


def const(n: int) -> Value:
    return Value("scalar", str(n), value=n & U64, **const_bounds(n & U64))


def unsigned(low: int, high: int, mask: int, **more) -> Value:
    return Value("scalar", "…", mask=mask, umin=low, umax=high, smin=low, smax=high, **more)


@pytest.mark.parametrize(("value", "words"), [
    (const(4), "the number 4"),
    (const(48), "the number 48 (0x30)"),
    (const(-1), "the number −1"),
    (const(-4096), "the number −4096 (0xfffffffffffff000)"),
    (const(1 << 40), "the number 0x10000000000"),
    (unsigned(0, 255, 255), "any byte, 0 to 255"),
    (unsigned(0, 252, 252), "0 to 252, a multiple of 4"),
    (Value("scalar", "scalar()", mask=U64, umax=U64, smin=-(1 << 63), smax=(1 << 63) - 1),
     "any 64-bit number; nothing is known of it"),
    (Value("scalar", "…", mask=U64, umax=U64, smin=-5, smax=10), "−5 to 10"),
    (Value("pkt", "pkt(off=14,r=34)", off=14, range=34), "packet pointer + 14, 34 bytes proved"),
    (Value("pkt", "pkt(r=0)"), "packet pointer, no byte proved yet"),
    (Value("pkt", "…", off=14, range=-2), "packet pointer + 14, known to be at or past the end"),
    (Value("pkt", "…", off=14, range=U64 - 1), "packet pointer + 14, known to be at or past the end"),
    (Value("fp", "fp-8", off=-8), "stack address, frame pointer − 8"),
    (Value("map_value_or_null", "…", map="counts", size=8),
     "value of map counts, or NULL: compare with 0 before use"),
    (Value("map_value", "…", map="counts", size=48, off=4, mask=255, umax=255, smax=255),
     "value of map counts + 4 + (any byte, 0 to 255)"),
    (Value("rdonly_mem_or_null", "…", size=16), "read-only memory of 16 bytes, or NULL: compare with 0 before use"),
    (Value("trusted_ptr_sk_buff", "…"), "trusted pointer to a kernel object"),
    (Value("something_new", "something_new()"), "something new"),
])
def test_values(value, words):
    assert value_words(value) == words


def test_slots():
    assert slot_words(Slot(-8, "rrrrrrrr", const(7))) == "saved: the number 7"
    assert slot_words(Slot(-8, "mmmm????")) == "some bytes, nothing known of them (4 of 8 bytes written)"
    assert slot_words(Slot(-8, "00000000")) == "zeros"


def test_regions():
    assert region_of(Value("map_value", "…", size=48, off=8, mask=255, umax=255, smax=255)) == ["map_value", 48, 8, 263]
    assert region_of(Value("fp", "fp-8", off=-8)) == ["fp", 512, 504, 504]
    assert region_of(Value("pkt", "…", off=2, range=14)) == ["pkt", 14, 2, 2]
    assert region_of(Value("ctx", "ctx()")) is None


@pytest.mark.parametrize(("source", "insn", "left"), [
    ("r0 = 2", "(b7) r0 = 2", ""),
    ("*(u32 *)(r10 - 4) = 0x10  // sixteen", "(62) *(u32 *)(r10 -4) = 16", "// sixteen"),
    ("if r0 == 0 goto out;", "(15) if r0 == 0x0 goto pc+2", ""),
    ("r1 = counts ll", "(18) r1 = 0xffff888100000000", ""),
    ("r1 = counts ll", "(18) r1 = map[counts]", ""),
    ("call map_lookup_elem # find it", "(85) call bpf_map_lookup_elem#1", "# find it"),
    ("if (ptr + 1 > data_end)", "(2d) if r1 > r7 goto pc+104", "if (ptr + 1 > data_end)"),
    ("int x = 0; // C says more", "(b7) r0 = 0", "int x = 0; // C says more"),
])
def test_what_a_source_line_adds(source, insn, left):
    assert news(SourceLine("f", 1, 1, source), insn) == left
