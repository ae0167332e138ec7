"""The kernel's types and configuration, and types that it is given."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from ebpflab.errors import KernelError
from ebpflab.kernel import types

from .test_maps import locked_btf

pytestmark = pytest.mark.kernel


def test_the_kernels_own_types(session):
    data = session.btf()
    if not data:
        pytest.skip("this kernel has no BTF")
    assert data[:2] == b"\x9f\xeb" and len(data) == Path(types.VMLINUX).stat().st_size
    assert session.btf_hash() == hashlib.sha256(data).hexdigest()


def test_its_configuration(session):
    text = session.kconfig()
    if not text:
        pytest.skip("this kernel does not show how it was configured")
    assert "\nCONFIG_BPF_SYSCALL=y\n" in text


def test_kinds_are_found_by_trying(session):
    kinds = session.btf_kinds()
    release = tuple(map(int, session.facts()["version"].split(".")[:2]))
    for kind, since in ((0, (5, 6)), (15, (5, 2)), (16, (5, 13)), (17, (5, 16)), (18, (5, 17)), (19, (6, 0))):
        assert (kind in kinds) == (release >= since), kind


def test_types_live_as_long_as_their_handle(session):
    before = set(session.ids("btf"))
    made = session.btf_load(locked_btf())
    assert set(session.ids("btf")) - before == {made["id"]}
    assert session.handles()[-1] == {"handle": made["btf"], "kind": "btf", "id": made["id"]}
    session.close(made["btf"])
    assert made["id"] not in session.ids("btf")


def test_nonsense_is_refused_in_the_kernels_words(session):
    with pytest.raises(KernelError, match="type information") as caught:
        session.btf_load(b"nonsense" * 10)
    assert caught.value.errno == errno.EINVAL and caught.value.call == "BPF_BTF_LOAD"
    assert not [fd for fd in os.listdir("/proc/self/fd") if "btf" in _where(fd)]


def _where(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""
