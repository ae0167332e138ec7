"""``vmlinux.h`` of a kernel, printed from its BTF once and kept in the user's cache by the BTF's hash."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from functools import lru_cache
from pathlib import Path

from . import btf_c
from .btf import Btf

#: where a running kernel shows its types
HERE = Path("/sys/kernel/btf/vmlinux")
_WANTED = re.compile(r'^\s*#\s*include\s*[<"]vmlinux\.h[>"]', re.M)


def cache_folder(*parts: str) -> Path:
    """A folder of ebpflab's cache, made if it is not there."""
    import platformdirs

    folder = Path(platformdirs.user_cache_dir("ebpflab"), *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def put(path: Path, data: bytes) -> None:
    """Write a file of the cache whole or not at all, whoever else writes it at the same time."""
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as out:
        out.write(data)
    os.replace(name, path)


def header_folder(data: bytes) -> Path:
    """A folder with the ``vmlinux.h`` of this BTF, to be given to the compiler. Raises BtfError."""
    folder = cache_folder("vmlinux", f"{hashlib.sha256(data).hexdigest()[:16]}-{_printer()}")
    if not (folder / "vmlinux.h").exists():
        put(folder / "vmlinux.h", btf_c.header(Btf(data)).encode())
    return folder


@lru_cache(maxsize=1)
def _printer() -> str:
    """A header that another version of the printer wrote is not used."""
    return hashlib.sha256(Path(btf_c.__file__).read_bytes()).hexdigest()[:8]


def wanted(source: str) -> bool:
    """Does this C include ``vmlinux.h``?"""
    return bool(_WANTED.search(source))
