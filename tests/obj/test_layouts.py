"""BTF types as layouts."""

from pathlib import Path

import pytest

from ebpflab.errors import SpecError
from ebpflab.obj import btf
from ebpflab.obj.layouts import layout_of

from .test_btf import sample

VMLINUX = Path("/sys/kernel/btf/vmlinux")


def test_bit_fields_arrays_and_enums():
    types = btf.Btf(sample())
    point = layout_of(types, types.find("point").id)
    assert [(f.name, f.offset, f.bit_offset, f.bits) for f in point.fields] == [
        ("x", 0, 0, 3), ("rest", 0, 3, 29), ("row", 8, 0, 0)]
    assert (point.size, point.fields[2].type.count, point.fields[2].type.element.name) == (28, 5, "s32")
    assert layout_of(types, types.find("colour").id).names == ((0, "RED"), (-1, "MINUS"))
    assert layout_of(types, types.find("u16").id).name == "u16"


def test_what_has_no_size_is_an_error():
    types = btf.Btf(sample())
    with pytest.raises(SpecError, match="has no size"):
        layout_of(types, types.find("f", btf.FUNC).id)


def test_the_sizes_of_this_kernels_structs():
    if not VMLINUX.exists():
        pytest.skip("this kernel has no BTF")
    types = btf.Btf(VMLINUX.read_bytes())
    for name in ("iphdr", "ipv6hdr", "tcphdr", "udphdr", "ethhdr", "in6_addr", "timespec64", "bpf_insn", "list_head"):
        found = types.find(name, btf.STRUCT)
        assert layout_of(types, found.id).size == found.size, name
    header = layout_of(types, types.find("iphdr").id)
    fields = {f.name: f for f in header.fields}
    assert (fields["ihl"].bits, fields["version"].bit_offset, fields["tot_len"].type.order) == (4, 4, ">")
