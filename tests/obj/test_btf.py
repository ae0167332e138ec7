"""BTF: the running kernel's own against bpftool's reading of it, built blobs, and damage of every kind."""

import json
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpflab.obj import btf

VMLINUX = Path("/sys/kernel/btf/vmlinux")


class Builder:
    """A small BTF writer for tests."""

    def __init__(self, order="<"):
        self.order, self.types, self.strings, self.count = order, b"", b"\0", 0

    def name(self, text):
        if not text:
            return 0
        self.strings += text.encode() + b"\0"
        return len(self.strings) - len(text) - 1

    def add(self, name, kind, vlen=0, flag=0, size_or_type=0, *words):
        info = flag << 31 | kind << 24 | vlen
        self.types += struct.pack(f"{self.order}III{len(words)}I", self.name(name), info, size_or_type,
                                  *(w & 0xFFFFFFFF for w in words))
        self.count += 1
        return self.count

    def blob(self):
        header = struct.pack(self.order + "HBBIIIII", btf.MAGIC, 1, 0, 24, 0, len(self.types), len(self.types),
                             len(self.strings))
        return header + self.types + self.strings


def sample(order="<"):
    b = Builder(order)
    integer = b.add("int", btf.INT, 0, 0, 4, 1 << 24 | 32)
    short = b.add("u16", btf.TYPEDEF, 0, 0, b.add("unsigned short", btf.INT, 0, 0, 2, 16) )
    row = b.add("", btf.ARRAY, 0, 0, 0, integer, integer, 5)
    b.add("point", btf.STRUCT, 3, 1, 28, b.name("x"), integer, 3 << 24 | 0, b.name("rest"), integer, 29 << 24 | 3,
          b.name("row"), row, 64)
    b.add("colour", btf.ENUM, 2, 1, 4, b.name("RED"), 0, b.name("MINUS"), -1)
    b.add("big", btf.ENUM64, 1, 0, 8, b.name("HUGE"), 5, 1)
    b.add("f", btf.FUNC, 1, 0, b.add("", btf.FUNC_PROTO, 1, 0, integer, b.name("a"), short))
    return b.blob()


@pytest.mark.parametrize("order", "<>")
def test_every_field_is_read_in_both_byte_orders(order):
    types = btf.Btf(sample(order))
    point = types.find("point", btf.STRUCT)
    assert [(m.name, m.offset, m.bits) for m in point.members] == [("x", 0, 3), ("rest", 3, 29), ("row", 64, 0)]
    assert types.size(point.members[2].type) == 20
    assert types.find("colour").values == (("RED", 0), ("MINUS", -1))
    assert types.find("big").values == (("HUGE", (1 << 32) + 5),)
    assert types.strip(types.find("u16").id).name == "unsigned short"
    function = types.find("f", btf.FUNC)
    assert function.flags == 1 and types[function.type].values[0][0] == "a"


def test_split_btf_continues_ids_and_strings_of_its_base():
    base = btf.Btf(sample())
    b = Builder()
    b.types = struct.pack("<III", len(base.data) - base._strings, btf.PTR << 24, base.find("point").id)
    header = struct.pack("<HBBIIIII", btf.MAGIC, 1, 0, 24, 0, len(b.types), len(b.types), 6)
    split = btf.Btf(header + b.types + b"extra\0", base)
    assert len(split) == len(base) + 1
    pointer = split[len(base)]
    assert (pointer.kind_name, pointer.name, split[pointer.type].name) == ("ptr", "extra", "point")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damage_is_an_error_with_an_offset(data):
    blob = bytearray(sample())
    for _ in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    blob = bytes(blob[: data.draw(st.integers(0, len(blob)))])
    try:
        types = btf.Btf(blob)
        for type_ in types:
            types.size(type_.id)
        assert types.names is not None
    except btf.BtfError as error:
        assert "BTF byte" in str(error)


def test_a_chain_without_end_is_an_error():
    b = Builder()
    b.add("a", btf.TYPEDEF, 0, 0, 2)
    b.add("b", btf.TYPEDEF, 0, 0, 1)
    with pytest.raises(btf.BtfError, match="without end"):
        btf.Btf(b.blob()).size(1)


def test_the_running_kernels_types_are_what_bpftool_reads():
    if not VMLINUX.exists():
        pytest.skip("this kernel has no BTF")
    if not shutil.which("bpftool"):
        pytest.skip("bpftool is not installed (Debian: apt-get install bpftool)")
    said = subprocess.run(["bpftool", "-j", "btf", "dump", "file", str(VMLINUX)], capture_output=True, check=True)
    theirs = json.loads(said.stdout)["types"]
    types = btf.Btf(VMLINUX.read_bytes())
    assert len(theirs) == len(types) - 1
    for row, ours in zip(theirs, types, strict=True):
        assert row["kind"].lower() == ours.kind_name
        assert ours.name == ("" if row["name"] == "(anon)" else row["name"])
        if "type_id" in row:
            assert row["type_id"] == ours.type
        if "size" in row:
            assert row["size"] == ours.size
        if ours.kind in (btf.STRUCT, btf.UNION):
            assert [(m["name"], m["type_id"], m["bits_offset"], m.get("bitfield_size", 0)) for m in row["members"]] == [
                (m.name or "(anon)", m.type, m.offset, m.bits) for m in ours.members]
        if ours.kind in (btf.ENUM, btf.ENUM64):
            width = 1 << 8 * ours.size
            assert [(v["name"], v["val"] % width) for v in row["values"]] == [(n, v % width) for n, v in ours.values]
