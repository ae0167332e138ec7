"""Dynptrs: every helper's answers, here and in the kernel."""

from errno import E2BIG, EINVAL

import pytest

from ebpflab.asm import assemble
from ebpflab.sim import Machine

from .agree import FRAME, agreed, signed, simulated
from .conftest import TIERS

VALUE = """.map m array u32 bytes[64] 1
    r9 = map[m][0] ll
    r1 = 0x1122334455667788 ll
    *(u64 *)(r9 + 0) = r1
    *(u64 *)(r9 + 8) = 7
    *(u64 *)(r10 - 8) = 0
"""
FROM_MEM = """
    r1 = r9
    r2 = {size}
    r3 = {flags}
    r4 = r10
    r4 += -32
    call bpf_dynptr_from_mem
"""
READ = """
    r1 = r10
    r1 += -8
    r2 = {length}
    r3 = r10
    r3 += -32
    r4 = {offset}
    r5 = {flags}
    call bpf_dynptr_read
"""
WRITE = """
    r1 = r10
    r1 += -32
    r2 = {offset}
    r3 = r10
    r3 += -8
    r4 = {length}
    r5 = {flags}
    call bpf_dynptr_write
"""
DATA = """
    r1 = r10
    r1 += -32
    r2 = {offset}
    r3 = {length}
    call bpf_dynptr_data
"""
MEM = FROM_MEM.format(size=16, flags=0)
NULL = FROM_MEM.format(size=16, flags=1)
END, LOADED = "exit", "r0 = *(u32 *)(r10 - 8)\nexit"

CASES = [   # name, program after VALUE, answer
    ("made", MEM + END, 0),
    ("made with flags", NULL + END, -EINVAL),
    ("read", MEM + READ.format(length=8, offset=0, flags=0) + LOADED, 0x55667788),
    ("read at an offset", MEM + READ.format(length=2, offset=4, flags=0) + LOADED, 0x3344),
    ("read nothing at the end", MEM + READ.format(length=0, offset=16, flags=0) + END, 0),
    ("read past the end", MEM + READ.format(length=8, offset=9, flags=0) + END, -E2BIG),
    ("read far away", MEM + READ.format(length=8, offset=0xFFFFFFF, flags=0) + END, -E2BIG),
    ("an offset is a u32", MEM + "r8 = 0x100000000 ll\n" + READ.format(length=1, offset="r8", flags=0) + LOADED, 0x88),
    ("read with flags", MEM + READ.format(length=8, offset=0, flags=1) + END, -EINVAL),
    ("read a null dynptr", NULL + READ.format(length=8, offset=0, flags=0) + END, -EINVAL),
    ("written", MEM + "*(u64 *)(r10 - 8) = 99\n" + WRITE.format(length=4, offset=2, flags=0)
     + "r0 = *(u32 *)(r9 + 2)\nexit", 99),
    ("write past the end", MEM + WRITE.format(length=8, offset=9, flags=0) + END, -E2BIG),
    ("write with flags", MEM + WRITE.format(length=8, offset=0, flags=1) + END, -EINVAL),
    ("write with flags past the end", MEM + WRITE.format(length=8, offset=9, flags=1) + END, -E2BIG),
    ("write a null dynptr", NULL + WRITE.format(length=8, offset=0, flags=0) + END, -EINVAL),
    ("a slice", MEM + DATA.format(offset=8, length=8) + "if r0 == 0 goto +1\nr0 = *(u32 *)(r0 + 0)\nexit", 7),
    ("a slice past the end", MEM + DATA.format(offset=9, length=8) + END, 0),
    ("a slice of a null dynptr", NULL + DATA.format(offset=0, length=8) + END, 0),
]


@pytest.mark.parametrize(("text", "answer"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_memory(text, answer, oracle):
    assert agreed(oracle, VALUE + text) == answer


RESERVE = """.map rb ringbuf max_entries=4096
    *(u64 *)(r10 - 8) = {word}
    r1 = map[rb] ll
    r2 = {size}
    r3 = {flags}
    r4 = r10
    r4 += -32
    call bpf_ringbuf_reserve_dynptr
    r6 = r0
"""
FINISH = """
    r1 = r10
    r1 += -32
    r2 = 0
    call bpf_ringbuf_{end}_dynptr
    r0 = r6
    exit
"""
RESERVED = RESERVE.format(word=5, size=16, flags=0)
AGAIN = "r6 = r0\n"
RING_CASES = [
    ("reserved", RESERVED, 0),
    ("with flags", RESERVE.format(word=0, size=16, flags=1), -EINVAL),
    ("no room", RESERVE.format(word=0, size=5000, flags=0), -EINVAL),
    ("too large", RESERVE.format(word=0, size=1 << 24, flags=0), -E2BIG),
    ("written", RESERVED + WRITE.format(length=8, offset=8, flags=0) + AGAIN, 0),
    ("written past the end", RESERVED + WRITE.format(length=8, offset=9, flags=0) + AGAIN, -E2BIG),
    ("written without room", RESERVE.format(word=5, size=5000, flags=0) + WRITE.format(length=8, offset=0, flags=0)
     + AGAIN, -EINVAL),
]


@pytest.mark.parametrize("end", ("submit", "discard"))
@pytest.mark.parametrize(("text", "answer"), [row[1:] for row in RING_CASES], ids=[row[0] for row in RING_CASES])
def test_ring_buffers(text, answer, end, oracle):
    assert agreed(oracle, text + FINISH.format(end=end)) == answer


@pytest.mark.parametrize("tier", TIERS)
def test_what_was_written_arrives(tier):
    text = RESERVED + WRITE.format(length=8, offset=8, flags=0) + FINISH.format(end="submit")
    program = Machine().load(assemble(text, type="xdp"))
    assert signed(program.run(FRAME, tier=tier).retval) == 0
    [event] = program.maps["rb"].consume()
    assert event.data == bytes(8) + (5).to_bytes(8, "little")


def test_overlapping_memory_moves():
    text = VALUE + MEM + """
    r1 = r9
    r1 += 4
    r2 = 8
    r3 = r10
    r3 += -32
    r4 = 0
    r5 = 0
    call bpf_dynptr_read
    r0 = *(u32 *)(r9 + 8)
    exit"""
    assert simulated(text) == 0x11223344
