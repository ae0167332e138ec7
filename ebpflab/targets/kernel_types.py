"""The types of a target's kernel: fetched once, kept in the user's cache by their hash, parsed once a process."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from ..errors import TargetError
from ..obj.btf import Btf
from ..obj.resolve import Kernel
from ..obj.vmlinux import cache_folder, put
from .base import Facts


def btf_of(session) -> bytes:
    """The BTF of a session's kernel, b"" if it has none. A guest sends its megabytes only the first time."""
    sha = session.btf_hash()
    if not sha:
        return b""
    path = cache_folder("btf") / f"{sha}.btf"
    if path.exists():
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() == sha:
            return data
    data = session.btf()
    if hashlib.sha256(data).hexdigest() != sha:
        raise TargetError("the kernel's BTF changed while it was read")
    put(path, data)
    return data


@lru_cache(maxsize=4)
def _parsed(data: bytes) -> Btf:
    return Btf(data)


def kernel_of(session, facts: Facts) -> Kernel:
    """What programs are made ready for."""
    data = btf_of(session)
    version = tuple(int(part) for part in facts.kernel.split(".")[:3])
    return Kernel(f"Linux {facts.kernel} on {facts.name}", _parsed(data) if data else None, (*version, 0, 0)[:3],
                  session.kconfig())
