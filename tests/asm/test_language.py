"""The language by hand: names, directives, labels, dialects, pasted output of other tools."""

import pytest

from ebpflab.abi.constants import CONSTANTS, names
from ebpflab.asm import assemble, disassemble, line
from ebpflab.errors import EbpflabError
from ebpflab.isa import Insn, encode
from ebpflab.spec import SourceLine


def raw(text: str, **options) -> str:
    return encode(assemble(text, **options).insns).hex()


COUNTER = """
    .type xdp
    .map counts percpu_array u32 struct { u64 packets; u64 bytes; } 256
    .equ KEY -4
    .equ ONE 3 - 2
    ; a line comment, then others
    r6 = r1                     # context
    r2 = 0; r3 = ONE            // two statements
    *(u32 *)(r10 + KEY) = r2
    r2 = fp
    r2 += KEY
    r1 = counts ll
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    lock *(u64 *)(r0 + 0) += r3 /* over
                                   lines */
out:
    r0 = XDP_PASS
    exit
"""


def test_a_program_with_everything():
    spec = assemble(COUNTER, name="count")
    assert spec.type == "xdp"
    assert spec.insns == (
        Insn(0xBF, 6, 1), Insn(0xB7, 2), Insn(0xB7, 3, imm=1), Insn(0x63, 10, 2, -4), Insn(0xBF, 2, 10),
        Insn(0x07, 2, imm=-4), Insn(0x18, 1, 1), Insn(0), Insn(0x85, imm=1), Insn(0x15, 0, off=1),
        Insn(0xDB, 0, 3), Insn(0xB7, 0, imm=2), Insn(0x95))
    (counts,) = spec.maps
    assert (counts.name, counts.type, counts.key_size, counts.value_size, counts.max_entries) == (
        "counts", "percpu_array", 4, 16, 256)
    assert spec.map_slots() == {6: counts}
    assert spec.labels == {11: "out"}
    assert spec.functions == {0: "count"}
    assert spec.source == COUNTER
    assert spec.lines[1] == SourceLine("<cell>", 8, 5, "r2 = 0; r3 = ONE            // two statements")
    assert spec.lines[2].line == 8
    assert 7 not in spec.lines          # the second half of the wide load
    assert spec.lines[12].text == "exit"


def test_subprograms_and_their_addresses():
    spec = assemble("""
        r1 = 5
        call double
        r2 = cb ll
        exit
    double:
        r0 = r1
        r0 += r1
        exit
    cb: r0 = 0
        exit
    """)
    assert spec.functions == {0: "prog", 5: "double", 8: "cb"}
    assert spec.insns[1] == Insn(0x85, src=1, imm=3)
    assert spec.insns[2] == Insn(0x18, 2, 4, imm=5)


def test_data_is_a_map():
    spec = assemble(r"""
        .data hits u64
        .rodata limits u32 1, 2, -3
        .rodata greeting "hi\n"
        .data flag u8 1
        r1 = limits ll
        r2 = greeting + 1 ll
        r3 = flag ll
        r4 = &hits
        exit
    """)
    data, rodata = spec.map(".data"), spec.map(".rodata")
    assert (data.value_size, rodata.value_size) == (9, 16)
    assert rodata.contents == ((bytes(4), bytes.fromhex("01000000 02000000 fdffffff 68690a00")),)
    assert data.contents == ((bytes(4), bytes(8) + b"\1"),)
    assert [f.name for f in rodata.value.fields] == ["limits", "greeting"]
    assert rodata.flags == CONSTANTS["BPF_F_RDONLY_PROG"]
    where = {0: (".rodata", 0), 2: (".rodata", 13), 4: (".data", 8), 6: (".data", 0)}
    for pc, (section, offset) in where.items():
        assert spec.insns[pc].src == 2
        assert spec.maps[spec.insns[pc].imm].name == section
        assert spec.insns[pc + 1].imm == offset


@pytest.mark.parametrize("text", [
    "goto out\nr0 = 1\nout: exit", "goto +1\nr0 = 1\nexit", "goto pc+1\nr0 = 1\nexit", "goto 1f\nr0 = 1\n1: exit",
    "ja out\nmov %r0, 1\nout: exit", "ja +1\nmov r0, 1\nexit", "ja exit\nmov %r0, 0x1\nexit",
    "(05) goto pc+1\n1: (b7) r0 = 1\n2: (95) exit",
    "0: (05) goto pc+1\n1: (b7) r0 = 1   ; R0_w=1 R10=fp0\n2: (95) exit  ; a comment",
    "       0:\t05 00 01 00 00 00 00 00\tgoto +1 <LBB0_2>\n       1:\tb7 00 00 00 01 00 00 00\tr0 = 1\n"
    "0000000000000010 <LBB0_2>:\n       2:\t95 00 00 00 00 00 00 00\texit",
    ".equ N 1\ngoto +N\nr0=N\nexit", "goto   out ; r0   =   1 ; out: exit",
    ".text\n.globl f\n.type f,@function\nf:\n goto .L1\n r0 = 1\n.L1:\n exit\n.Lend:\n.size f, .Lend-f",
    ".8byte 0x00010005, 0x00000001000000b7\n.8byte 0x95",
])
def test_many_ways_to_say_the_same(text):
    assert raw(text) == "0500010000000000" "b700000001000000" "9500000000000000"


@pytest.mark.parametrize(("texts", "code"), [
    (["call map_lookup_elem", "call bpf_map_lookup_elem", "call 1", "call bpf_map_lookup_elem#1", "call helper 1",
      "(85) call bpf_map_lookup_elem#1"], "8500000001000000"),
    (["call bpf_rcu_read_lock#4711", "call kfunc#4711", "call kfunc x#4711", "call runtime 4711"], "8520000067120000"),
    (["r1 = *(u32 *)(r2 + 4)", "w1 = *(u32 *)(r2 + 0x4)", "ldxw %r1, [%r2+4]", "ldxw r1, [r2 + 4]",
      "r1=*(u32*)(r2+4)", "r1 = *(u32 *)(r2 +xdp_md.data_end)", "(61) r1 = *(u32 *)(r2 +4)"], "6121040000000000"),
    (["r3 = -1 ll", "r3 = 0xffffffffffffffff ll", "lddw %r3, -1", "(18) r3 = 0xffffffffffffffff"],
     "18030000ffffffff00000000ffffffff"),
    (["w2 = atomic_fetch_add((u32 *)(r1 - 8), w2)", "lock fetch add32 [%r1-8], %r2",
      "lock fetch_add32 [%r1-8], %r2", "(c3) r2 = atomic_fetch_add((u32 *)(r1 -8), r2)"], "c321f8ff01000000"),
    (["r0 = cmpxchg_64(r1 + 0, r0, r2)", "lock cmpxchg [%r1], %r2", "r0 = atomic64_cmpxchg((u64 *)(r1 +0), r0, r2)"],
     "db210000f1000000"),
    (["swap32 %r4", "bswap32 %r4", "r4 = bswap32 r4"], "d704000020000000"),
    (["callx r2", "callx %r2", "call %r2"], "8d02000000000000"),
    (["r0 = *(u8 *)skb[r7 + -2]", "r0 = *(u8 *)skb[r7 - 2]", "ldindb %r7, -2"], "50700000feffffff"),
    (["r0 = 1 << 4 | 3", "r0 = 0x13", "r0 = 19"], "b700000013000000"),
    (["r1 += - 4", "r1 += -4", ".equ A 4\nr1 += -A"], "07010000fcffffff"),
])
def test_spellings(texts, code):
    for text in texts:
        assert raw(text) == code, text


def test_a_label_wins_over_a_helper_of_its_name():
    assert assemble("call redirect\nexit\nredirect: exit").insns[0] == Insn(0x85, src=1, imm=1)
    assert assemble("call bpf_redirect\nexit").insns[0].src == 0


@pytest.mark.parametrize(("syntax", "text"), [
    ("mnemonic", "r0 = 1"), ("llvm", "mov %r0, 1"), ("kernel", "r0 = 1 ll"), ("llvm", "0: (b7) r0 = 1"),
    ("llvm", "ldxw %r1, [%r2+4]"),
])
def test_a_named_dialect_takes_no_other(syntax, text):
    assemble(text)
    with pytest.raises(EbpflabError):
        assemble(text, syntax=syntax)


def test_unknown_dialect():
    with pytest.raises(EbpflabError, match="known: auto, llvm, kernel, mnemonic"):
        assemble("exit", syntax="intel")
    with pytest.raises(EbpflabError, match="known: llvm, kernel, mnemonic"):
        disassemble(assemble("exit"), syntax="intel")


@pytest.mark.parametrize(("insns", "text"), [
    ([Insn(0xB7, 0, imm=2)], "(b7) r0 = 2"),
    ([Insn(0x85, imm=1)], "(85) call bpf_map_lookup_elem#1"),
    ([Insn(0x85, src=1, imm=-3)], "(85) call pc-3"),
    ([Insn(0x85, src=2, imm=77)], "(85) call kfunc#77"),
    ([Insn(0x18, 1, 0, imm=-1), Insn(0, imm=1)], "(18) r1 = 0x1ffffffff"),
    ([Insn(0x16, 0, off=-5, imm=-1)], "(16) if w0 == 0xffffffff goto pc-5"),
    ([Insn(0xE5, off=2)], "(e5) may_goto pc+2"),
    ([Insn(0x62, 1, off=8, imm=42)], "(62) *(u32 *)(r1 +8) = 42"),
    ([Insn(0xDC, 4, imm=16)], "(dc) r4 = be16 r4"),
    ([Insn(0xBF, 2, 3, 1, 1)], "(bf) r2 = addr_space_cast(r3, 0, 1)"),
    ([Insn(0x06, imm=-70000)], "(06) gotol pc-70000"),
    ([Insn(0xFF)], ".8byte 0x00000000000000ff"),
])
def test_the_kernels_spelling(insns, text):
    assert line(insns, 0) == text


def test_lines_with_names():
    spec = assemble(".map counts array u32 u64 1\nr1 = counts ll\nr2 = map[counts][0]+8 ll\ncall a_kfunc#9\nexit")
    assert line(spec.insns, 0, maps=spec.maps) == "(18) r1 = map[counts]"
    assert line(spec.insns, 2, maps=spec.maps) == "(18) r2 = map[counts][0]+8"
    assert line(spec.insns, 0) == "(18) r1 = map[0]"
    assert line(spec.insns, 4, kfuncs={9: "bpf_x"}) == "(85) call bpf_x#9"


def test_constants_by_program_type():
    assert names("xdp")["XDP_PASS"] == 2
    assert "XDP_PASS" not in names("kprobe")
    assert names("sched_cls")["TC_ACT_UNSPEC"] == -1
    assert names("sched_cls")["BPF_F_INGRESS"] == 1
    assert CONSTANTS["xdp_md.data_end"] == 4
    assert CONSTANTS["ETH_P_IPV6"] == 0x86DD
    assert raw("r2 = BPF_F_CURRENT_CPU ll") == "18020000ffffffff0000000000000000"


def test_nothing_is_a_program_too():
    assert assemble("").insns == ()
    assert assemble("# only a comment\n\n").insns == ()
    assert disassemble(()) == ""


def test_garbage_collection_is_left_as_found():
    import gc

    assemble("exit")
    assert gc.isenabled()
    gc.disable()
    try:
        assemble("exit")
        assert not gc.isenabled()
    finally:
        gc.enable()
