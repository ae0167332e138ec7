"""The C that we print from BTF compiles, and its sizes and offsets are BTF's: a compiler is the judge."""

import shutil
import subprocess
from pathlib import Path

import pytest

from ebpflab.obj import btf, btf_c

from .test_btf import sample

VMLINUX = Path("/sys/kernel/btf/vmlinux")


def test_a_struct_with_bit_fields_an_array_and_its_neighbours():
    assert btf_c.c_type(btf.Btf(sample()), "point") == """\
struct point {
\tint x: 3;
\tint rest: 29;
\tint: 32;
\tint row[5];
};

"""


def test_enums_keep_their_width_and_sign():
    types = btf.Btf(sample())
    assert "MINUS = -1,\n" in btf_c.c_type(types, "colour")
    assert f"HUGE = {(1 << 32) + 5}ULL,\n" in btf_c.c_type(types, "big")


def test_this_kernels_header_compiles_with_its_own_layout(tmp_path):
    if not VMLINUX.exists():
        pytest.skip("this kernel has no BTF")
    if not shutil.which("clang"):
        pytest.skip("clang is not installed (Debian: apt-get install clang)")
    types = btf.Btf(VMLINUX.read_bytes())
    (tmp_path / "vmlinux.h").write_text(btf_c.header(types))
    lines = ["#define BPF_NO_PRESERVE_ACCESS_INDEX", '#include "vmlinux.h"']
    for name, ids in types.names.items():
        tagged = [types[i] for i in ids if types[i].kind in (btf.STRUCT, btf.UNION)]
        if len(tagged) != 1 or any(types[i].kind in (btf.FWD, btf.ENUM, btf.ENUM64) for i in ids):
            continue
        what = f"{tagged[0].kind_name} {name}"
        lines.append(f'_Static_assert(sizeof({what}) == {tagged[0].size}, "");')
        lines += [f'_Static_assert(__builtin_offsetof({what}, {m.name}) * 8 == {m.offset}, "");'
                  for m in tagged[0].members if m.name and not m.bits]
    assert len(lines) > 10_000
    (tmp_path / "check.c").write_text("\n".join(lines))
    done = subprocess.run(["clang", "-target", "bpf", "-fsyntax-only", "-Wno-everything", "check.c"], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:2000]
