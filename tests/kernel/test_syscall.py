"""The drawn structs against the C compiler's idea of the kernel's header; names, versions, CPU lists."""

import ast
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import ebpflab.kernel
from ebpflab import errors
from ebpflab.kernel import ids, syscall

HEADER = Path("/usr/include/linux/bpf.h")
#: commands whose struct has a name in union bpf_attr
MEMBER = {"PROG_TEST_RUN": "test.", "OBJ_GET_INFO_BY_FD": "info.", "LINK_CREATE": "link_create.",
          "RAW_TRACEPOINT_OPEN": "raw_tracepoint.", "ENABLE_STATS": "enable_stats.", "MAP_LOOKUP_BATCH": "batch.",
          "MAP_UPDATE_BATCH": "batch."}
#: ours -> the header's name, where ours is shorter; None: a bit field or part of a union, without an offset in C
RENAMED = {"jited_len": "jited_prog_len", "xlated_len": "xlated_prog_len", "jited_insns": "jited_prog_insns",
           "xlated_insns": "xlated_prog_insns", "gpl_compatible": None, "detail0": None, "detail1": None,
           "detail2": None, "detail3": None}


def _expressions():
    text = HEADER.read_text()
    for command, layout in syscall.ATTRS.items():
        yield f"BPF_{command}", layout.number
        for name, (offset, _) in layout.offsets.items():
            if name in text:  # an older header lacks what newer kernels added
                yield f"offsetof(union bpf_attr, {MEMBER.get(command, '')}{name})", offset
    for kind, layout in ids._INFO.items():
        for name, (offset, _) in layout.offsets.items():
            real = "map_flags" if (kind, name) == ("MAP", "flags") else RENAMED.get(name, name)
            if real and real in text:
                yield f"offsetof(struct bpf_{kind.lower()}_info, {real})", offset


def test_layouts_are_the_kernels(tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler or not HEADER.exists():
        pytest.skip("no C compiler with linux/bpf.h to compare the struct layouts with")
    expected = list(_expressions())
    assert len(expected) > 100
    checks = "\n".join(f'_Static_assert({c} == {value}, "{c} is not {value}");' for c, value in expected)
    source = tmp_path / "layout.c"
    source.write_text(f"#include <stddef.h>\n#include <linux/bpf.h>\n{checks}\n")
    done = subprocess.run([compiler, "-fsyntax-only", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_unknown_field_is_a_mistake_of_ours():
    with pytest.raises(TypeError, match="no field"):
        syscall.ATTRS["MAP_CREATE"].pack({"map_typ": 1})


@pytest.mark.parametrize(("name", "kernel"), [
    ("counts", b"counts"), ("count packets", b"count_packets"), ("a" * 20, b"a" * 15), ("zähler", b"z_hler"),
    ("", b"")])
def test_names_fit_the_kernel(name, kernel):
    assert syscall.kernel_name(name) == kernel


@pytest.mark.parametrize(("text", "count"), [("0", 1), ("0-3", 4), ("0,2-3", 3), ("0-1,8-11", 6), ("", 0)])
def test_cpu_lists(text, count):
    assert syscall.count_ranges(text) == count


def test_guest_python_can_read_it():
    """What runs in a guest is Python 3.9: no newer syntax, dataclass(slots=), zip(strict=) or runtime unions."""
    files = [*Path(ebpflab.kernel.__file__).parent.glob("*.py"), Path(errors.__file__)]
    for path in files:
        tree = ast.parse(path.read_text(), feature_version=(3, 9))
        for node in ast.walk(tree):
            if isinstance(node, ast.Match):
                raise AssertionError(f"{path.name}:{node.lineno}: match")
            if isinstance(node, ast.keyword):
                assert node.arg not in ("slots", "strict", "kw_only"), f"{path.name}:{node.value.lineno}: {node.arg}="
        assert "from __future__ import annotations" in path.read_text() or path.name == "__init__.py", path


@pytest.mark.parametrize(("release", "version", "expected"), [
    ("6.18.44-custom", "#1 SMP PREEMPT_DYNAMIC @0", (6, 18, 44)),
    ("5.10.0-36-amd64", "#1 SMP Debian 5.10.244-1 (2025-09-29)", (5, 10, 244)),
    ("6.12.57+deb13-cloud-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.57-1 (2025-11-05)", (6, 12, 57)),
    ("7.0-rc3", "#1", (7, 0, 0)), ("strange", "", (0, 0, 0))])
def test_upstream_version(monkeypatch, release, version, expected):
    monkeypatch.setattr(syscall.os, "uname", lambda: os.uname_result(("Linux", "host", release, version, "x86_64")))
    assert syscall.version() == expected


def test_another_system_or_machine_is_told(monkeypatch):
    monkeypatch.setattr(syscall, "_number", None)
    with pytest.raises(errors.KernelError, match="do not know bpf") as caught:
        syscall.bpf("MAP_CREATE", map_type=1)
    assert "sim" in str(caught.value)
