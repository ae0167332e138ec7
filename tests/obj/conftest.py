"""Objects compiled from sources written for these tests."""

import shutil
import subprocess

import pytest


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory):
    """``compile_c(text, *flags)`` -> bytes of a BPF object, by the clang on PATH."""
    if not shutil.which("clang"):
        pytest.skip("clang is not installed (Debian: apt-get install clang)")
    folder = tmp_path_factory.mktemp("objects")

    def compile_(text, *flags):
        source, out = folder / "test.c", folder / "test.o"
        source.write_text(text)
        done = subprocess.run(["clang", "-target", "bpf", "-O2", "-g", *flags, "-c", source, "-o", out],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return out.read_bytes()

    return compile_


@pytest.fixture(scope="module", params=["6.1", "6.12"])
def core_guest(request):
    """Guests with other kernels than this machine's, one after the other."""
    from ebpflab.targets.registry import open_target

    from ..vm.conftest import needs_qemu

    needs_qemu()
    with open_target(f"qemu:{request.param}") as target:
        yield target
