"""What the disassembler prints, in any dialect, assembles back to the same bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpflab.asm import DIALECTS, assemble, disassemble, line
from ebpflab.isa import OPS, Insn, encode
from ebpflab.spec import ProgramSpec, map_spec
from tests.isa.programs import SLOTS, instructions, programs

SYNTAXES = pytest.mark.parametrize("syntax", DIALECTS)


@SYNTAXES
@pytest.mark.parametrize("op", OPS, ids=lambda op: f"{op.name}-{op.source}")
def test_every_row(op, syntax):
    """One test a row: hypothesis below may leave rows out, this does not."""
    fields = {"dst": 1, "src": 2, "off": -3, "imm": 0x7FFF_FFF1, "next": -5}
    get = lambda name: fields[name] if name in op.operands else op.fixed.get(name, 0)
    first = Insn(op.opcode, get("dst"), get("src"), get("off"), get("imm"))
    insns = (first, Insn(0, imm=get("next"))) if op.kind == "lddw" else (first,)
    for text in (disassemble(insns, syntax=syntax), line(insns, 0, syntax=syntax)):
        assert ".8byte" not in text
        assert assemble(text, syntax=syntax).insns == insns, text
        assert assemble(text).insns == insns, text


@SYNTAXES
@given(instructions())
def test_one_instruction(syntax, case):
    _, insns = case
    assert assemble(line(insns, 0, syntax=syntax), syntax=syntax).insns == insns


@SYNTAXES
@settings(max_examples=300)
@given(insns=programs(), symbols=st.booleans())
def test_programs_with_and_without_symbols(syntax, insns, symbols):
    text = disassemble(insns, syntax=syntax, symbols=symbols)
    assert assemble(text, syntax=syntax).insns == insns
    assert assemble(text).insns == insns


@SYNTAXES
@given(insns=st.lists(SLOTS, max_size=6).map(tuple))
def test_any_bytes(syntax, insns):
    """Bytes that are no instructions keep their bytes too."""
    assert assemble(disassemble(insns, syntax=syntax), syntax=syntax).bytes == encode(insns)


NAMES = st.one_of(st.text("abr1_.", max_size=5), st.sampled_from(
    ["", "counts", "add", "r1", "lock", "exit", "goto", "map", "XDP_PASS", ".rodata", "a b"]))


@SYNTAXES
@given(insns=programs(), names=st.lists(NAMES, max_size=4), labels=st.dictionaries(st.integers(0, 12), NAMES))
def test_names_of_maps_and_labels_never_change_the_bytes(syntax, insns, names, labels):
    from dataclasses import replace

    maps = tuple(replace(map_spec("m", "hash", "u32", "struct { u64 a; u8 b[3]; }", 7), name=name) for name in names)
    spec = ProgramSpec(insns, maps=maps, labels=labels)
    back = assemble(disassemble(spec, syntax=syntax), syntax=syntax)
    assert back.insns == insns
    assert [replace(m, name="") for m in back.maps] == [replace(m, name="") for m in maps]


def test_directives_come_back():
    spec = assemble("""
        .type sched_cls
        .name mark
        .license MIT
        .flags 2
        .map inner_ array u32 u32 4
        .map outer array_of_maps u32 u32 8 inner=inner_
        .map flows hash "struct { ipv4 a; be16 p[2]; }" u64 1024 flags=BPF_F_NO_PREALLOC
        .map events ringbuf 4096
        .map pins array u32 char[16] 1 pin=/sys/fs/bpf/x
        r1 = flows ll
        r2 = outer ll
        exit
    """)
    back = assemble(disassemble(spec))
    assert back.maps == spec.maps
    assert (back.type, back.name, back.license, back.flags) == ("sched_cls", "mark", "MIT", 2)
    assert spec.map("flows").key_size == 8
    assert spec.map("flows").flags == 1
    assert spec.map("events").max_entries == 4096
    assert spec.map("outer").inner.name == "inner_"


def test_bytes_of_a_wide_load_cut_in_two():
    insns = (Insn(0x18, 1, 0, 0, 5),)
    text = disassemble(insns)
    assert "without its second slot" in text
    assert assemble(text).insns == insns


def test_source_between_the_instructions():
    spec = assemble("  r0 = 1 // one\nr0 += 2; exit\n")
    text = disassemble(spec, source=True)
    assert text.splitlines()[2:] == ["; r0 = 1 // one", "r0 = 1", "; r0 += 2; exit", "r0 += 2", "exit"]
    assert assemble(text).insns == spec.insns
