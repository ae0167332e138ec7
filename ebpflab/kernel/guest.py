"""Is this kernel that of a guest of ours? Only there are programs attached that see the whole machine."""

from __future__ import annotations

import functools
from pathlib import Path

#: process 1 of the guests that ebpflab builds (``vm/guest/init``)
ZYGOTE = b"/run/zygote.py"
#: made when a box is provisioned, with the words below in it
MARK, WORDS = Path("/etc/ebpflab-guest"), "a guest of ebpflab"


@functools.cache
def ours() -> bool:
    """True in a guest that ebpflab made: its process 1 is ours, or it bears our mark."""
    try:
        if ZYGOTE in Path("/proc/1/cmdline").read_bytes().split(b"\0"):
            return True
    except OSError:
        pass
    try:
        return WORDS in MARK.read_text()
    except OSError:
        return False
