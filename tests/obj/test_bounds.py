"""Hostile input: never a crash, never more work or memory than the input's size allows."""

import struct
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ebpflab.errors import EbpflabError
from ebpflab.obj import btf, btf_c, btf_text, core, elf
from ebpflab.obj.accepted import accepted
from ebpflab.obj.compile import compile_c
from ebpflab.obj.layouts import layout_of
from ebpflab.obj.objects import read_object

from .test_btf import Builder, sample
from .test_core import LOCAL
from .test_objects import FULL

#: what a reader may take for bookkeeping, however small the input is
FLOOR = 256 << 10


class Counter:
    """Lines of ebpflab/obj that were executed: a measure of work that no clock disturbs."""

    def __init__(self):
        self.lines = 0

    def __enter__(self):
        def local(frame, event, argument):
            self.lines += event == "line"
            return local

        self._before = sys.gettrace()
        sys.settrace(lambda frame, event, argument: local if "/ebpflab/" in frame.f_code.co_filename else None)
        return self

    def __exit__(self, *exc):
        sys.settrace(self._before)


def peak(function, data):
    """Bytes that ``function(data)`` had at most at one time."""
    tracemalloc.start()
    try:
        function(data)
    except EbpflabError as error:
        assert str(error)
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return most


def every_type(data):
    types = btf.Btf(data)
    for found in types:
        types.size(found.id)
        btf_text.raw(found)
    return types


@pytest.fixture(scope="module")
def objects():
    return [compile_c(text, flags=("-Wno-everything",)).data
            for text in (FULL, LOCAL.replace("EXPRESSION", "t->a + bpf_core_field_exists(t->gone)"))]


def mangled(data, draw):
    """A few bytes changed, words made extreme, the end cut off or doubled."""
    blob = bytearray(data)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(blob) - 1))
        size = min(draw(st.sampled_from((1, 2, 4, 8))), len(blob) - at)
        extremes = b"\xff" * size, bytes(size), b"\x7f" * size, b"\1" + bytes(size - 1)
        blob[at:at + size] = draw(st.sampled_from(extremes))
    return bytes(blob[:draw(st.integers(0, len(blob)))] if draw(st.booleans()) else blob)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_damaged_object_takes_little_memory(objects, data):
    blob = mangled(data.draw(st.sampled_from(objects)), data.draw)
    assert peak(read_object, blob) <= 10 * len(blob) + FLOOR


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_damaged_object_takes_little_work(objects, data):
    blob = mangled(data.draw(st.sampled_from(objects)), data.draw)
    with Counter() as counter:
        try:
            read_object(blob)
        except EbpflabError as error:
            assert str(error)
    assert counter.lines <= 40 * len(blob) + 20_000


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_types_take_little_memory(data):
    blob = mangled(sample() * data.draw(st.integers(1, 3)), data.draw)
    assert peak(every_type, blob) <= 10 * len(blob) + FLOOR


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_types_print_or_fail(data):
    blob = mangled(sample(), data.draw)
    try:
        btf_c.header(btf.Btf(blob))
        btf.Btf(accepted(blob, ()))
    except EbpflabError as error:
        assert str(error)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_types_have_a_layout_or_an_error(data):
    blob = mangled(sample(), data.draw)
    try:
        types = btf.Btf(blob)
        for id in range(1, len(types)):
            try:
                layout_of(types, id)
            except EbpflabError as error:
                assert str(error)
    except btf.BtfError as error:
        assert "BTF byte" in str(error)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_relocations_are_errors(objects, data):
    blob = mangled(objects[1], data.draw)
    try:
        spec = read_object(blob).program()
        core.relocate(spec, btf.Btf(spec.btf))
    except EbpflabError as error:
        assert str(error)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_neither(blob):
    for function in (every_type, elf.read, read_object):
        with pytest.raises(EbpflabError):
            function(blob)


def test_a_claim_of_many_members_needs_their_bytes():
    builder = Builder()
    builder.add("s", btf.STRUCT, 0xFFFF, 0, 8)
    with pytest.raises(btf.BtfError, match="does not end"):
        btf.Btf(builder.blob())


def test_a_type_that_contains_itself_is_an_error():
    """No compiler writes it; every walk must end all the same."""
    builder = Builder()
    builder.add("s", btf.STRUCT, 1, 0, 8, 1, 1, 0)
    builder.add("t", btf.TYPEDEF, 0, 0, 1)
    types = btf.Btf(builder.blob())
    with pytest.raises(EbpflabError):
        btf_c.header(types)


def test_arrays_of_arrays_do_not_grow_without_end():
    builder = Builder()
    builder.add("int", btf.INT, 0, 0, 4, 32)
    for _ in range(30):
        builder.add("", btf.ARRAY, 0, 0, 0, builder.count, 1, 0xFFFFFFFF)
    builder.add("v", btf.VAR, 0, 0, builder.count, 1)
    types = btf.Btf(builder.blob())
    assert types.size(builder.count) > 1 << 64      # a number, not memory
    assert peak(every_type, builder.blob()) < FLOOR


def test_a_section_of_zeros_is_not_believed():
    blob = bytearray(compile_c("int big[64]; int f(void) { return big[3]; }").data)
    parsed = elf.read(bytes(blob))
    bss = parsed.section(".bss")
    (table,) = struct.unpack_from("<Q", blob, 40)
    struct.pack_into("<Q", blob, table + 64 * bss.index + 32, 1 << 40)
    with pytest.raises(elf.ObjectError, match="of zeros"):
        elf.read(bytes(blob))


def doubling(kind, levels=31):
    """Unnamed types, each with two members of the next: small to write, endless to expand."""
    builder = Builder()
    builder.add("int", btf.INT, 0, 0, 4, 32)
    for level in range(levels):
        builder.add("", kind, 2, 0, 4, 0, level + 1, 0, 0, level + 1, 0)
    builder.add("top", kind, 1, 0, 4, 0, levels + 1, 0)
    return builder.blob()


def test_types_that_double_are_bounded():
    types = btf.Btf(doubling(btf.UNION))
    with pytest.raises(btf.BtfError, match="too often"):
        btf_c.c_type(types, "top")
    assert peak(lambda blob: layout_of(btf.Btf(blob), 20), doubling(btf.UNION)) < FLOOR


def test_the_running_kernels_types_in_ten_times_their_size():
    path = Path("/sys/kernel/btf/vmlinux")
    if not path.exists():
        pytest.skip("this kernel has no BTF")
    data = path.read_bytes()
    assert peak(lambda blob: [len(types := btf.Btf(blob)), sum(1 for _ in types), len(types.names)], data) \
        <= 10 * len(data)
