"""The ELF reader against pyelftools on compiled objects, and against damage."""

from io import BytesIO

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpflab.obj import elf

SOURCE = """
#define SEC(n) __attribute__((section(n), used))
struct { int (*type)[6]; int (*max_entries)[256]; unsigned *key; unsigned long long *value; } counts SEC(".maps");
static void *(*lookup)(void *, const void *) = (void *)1;
const volatile unsigned limit = 7;
unsigned seen, start = 3;
static __attribute__((noinline)) int sub(int x) { return x * limit + 1; }
SEC("xdp") int prog(void *ctx)
{
    unsigned key = 0;
    unsigned long long *value = lookup(&counts, &key);
    if (value)
        ++*value;
    seen++;
    return sub(start);
}
char _license[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def blob(compile_c):
    return compile_c(SOURCE)


def test_it_reads_what_pyelftools_reads(blob):
    ours, theirs = elf.read(blob), ELFFile(BytesIO(blob))
    assert [s.name for s in ours.sections] == [s.name for s in theirs.iter_sections()]
    for mine, other in zip(ours.sections[1:], list(theirs.iter_sections())[1:], strict=True):
        assert (mine.offset, mine.size, mine.flags) == (other["sh_offset"], other["sh_size"], other["sh_flags"])
        assert mine.type == elf.SHT_NOBITS or mine.data == other.data()
    table = theirs.get_section_by_name(".symtab")
    assert [(s.name, s.value, s.size) for s in ours.symbols] == [
        (s.name if s["st_info"]["type"] != "STT_SECTION" else "", s["st_value"], s["st_size"])
        for s in table.iter_symbols()]
    for section in theirs.iter_sections():
        if isinstance(section, RelocationSection):
            assert [(r.offset, r.type, r.symbol.index) for r in ours.relocs[section["sh_info"]]] == sorted(
                (r["r_offset"], r["r_info_type"], r["r_info_sym"]) for r in section.iter_relocations())


@pytest.mark.parametrize("offset, value, words", [
    (0, 0, "not an ELF"), (4, 1, "32-bit"), (5, 2, "big-endian"), (18, 62, "machine 62"), (16, 2, "relocatable"),
])
def test_other_files_are_refused_by_name(blob, offset, value, words):
    changed = bytearray(blob)
    changed[offset] = value
    with pytest.raises(elf.ObjectError, match=words) as caught:
        elf.read(bytes(changed))
    assert caught.value.offset == offset


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_damage_is_an_error_with_an_offset(blob, data):
    changed = bytearray(blob)
    for _ in range(data.draw(st.integers(0, 6))):
        changed[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    try:
        elf.read(bytes(changed[: data.draw(st.integers(0, len(blob)))]))
    except elf.ObjectError as error:
        assert "byte 0x" in str(error)
