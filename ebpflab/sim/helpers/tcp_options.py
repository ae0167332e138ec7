"""TCP header options of sock_ops programs (``bpf_sock_ops_load_hdr_opt`` … in ``net/core/filter.c``).

The bytes of the run are the TCP header::

    0                  20                    data end
    +------------------+-----------+---------+
    | fixed header     | options   | room: 40 bytes of options in all
    +------------------+-----------+---------+
"""

from __future__ import annotations

import errno

from ...abi.constants import CONSTANTS
from ...errors import Fault
from ..contexts import get
from .registry import helper

EOL, NOP, EXPERIMENTAL = 0, 1, (253, 254)
FIXED, MOST = 20, 40
F_SYN = 1           # BPF_LOAD_HDR_OPT_TCP_SYN
LENGTH_CB, WRITE_CB = CONSTANTS["BPF_SOCK_OPS_HDR_OPT_LEN_CB"], CONSTANTS["BPF_SOCK_OPS_WRITE_HDR_OPT_CB"]


def _op(run, ctx: int) -> int:
    if run.program.spec.type != "sock_ops" or ctx != run.ctx:
        raise Fault("TCP header options belong to a sock_ops program's own context")
    return get(run.input.shape, run.input.buffer, "op")


def _search(options: bytes, kind: int, magic: bytes) -> bytes | int:
    """The option, or -ENOMSG, or -EINVAL for options that are none (``bpf_search_tcp_opt``)."""
    at = 0
    while at < len(options):
        found = options[at]
        if found == EOL:
            return -errno.ENOMSG
        if found == NOP:
            at += 1
            continue
        if len(options) - at < 2 or not 2 <= options[at + 1] <= len(options) - at:
            return -errno.EINVAL
        option = options[at:at + options[at + 1]]
        if found == kind and option[2:2 + len(magic)] == magic:
            return option
        at += len(option)
    return -errno.ENOMSG


def _ended(options: bytes) -> bool:
    at = 0
    while at < len(options) and options[at] != EOL:
        at += 1 if options[at] == NOP else options[at + 1]
    return at < len(options)


@helper()
def load_hdr_opt(run, ctx, target, size, flags):
    op, size = _op(run, ctx), size & 0xFFFF_FFFF
    wanted = run.memory.read(target, size)
    if flags & ~F_SYN or size < 2:
        return -errno.EINVAL
    kind, length = wanted[:2]
    if kind in (EOL, NOP) or (length not in (4, 6) if kind in EXPERIMENTAL else length):
        return -errno.EINVAL
    if flags & F_SYN:
        return -errno.ENOENT      # no SYN is kept
    if not run.frame.length or op == LENGTH_CB:
        return -errno.EPERM
    found = _search(run.frame.packet()[FIXED:], kind, wanted[2:length] if kind in EXPERIMENTAL else b"")
    if isinstance(found, int):
        return found
    run.memory.write(target, found[:size])
    return len(found) if len(found) <= size else -errno.ENOSPC


def _room(run) -> int:
    return MOST - max(run.frame.length - FIXED, 0) - run.effects.get("reserve_hdr_opt", 0)


@helper(moves=True)
def store_hdr_opt(run, ctx, source, size, flags):
    op, size = _op(run, ctx), size & 0xFFFF_FFFF
    given = run.memory.read(source, size)
    if op != WRITE_CB:
        return -errno.EPERM
    if flags or size < 2 or not 2 <= given[1] <= size or given[0] in (EOL, NOP):
        return -errno.EINVAL
    option, frame = given[:given[1]], run.frame
    if len(option) > _room(run):
        return -errno.ENOSPC
    if option[0] in EXPERIMENTAL and len(option) < 4:
        return -errno.EINVAL
    magic = option[2:6 if len(option) >= 6 else 4] if option[0] in EXPERIMENTAL else b""
    present = frame.packet()[FIXED:]
    found = _search(present, option[0], magic)
    if not isinstance(found, int):
        return -errno.EEXIST
    if found != -errno.ENOMSG:
        return found
    if _ended(present):
        return -errno.ENOSPC
    frame.reshape(0, len(option), frame.meta, "store_hdr_opt")
    run.memory.write(frame.data_end - len(option), option)
    return 0


@helper()
def reserve_hdr_opt(run, ctx, size, flags):
    op, size = _op(run, ctx), size & 0xFFFF_FFFF
    if op != LENGTH_CB:
        return -errno.EPERM
    if flags or size < 2:
        return -errno.EINVAL
    if size > _room(run):
        return -errno.ENOSPC
    run.effects["reserve_hdr_opt"] = run.effects.get("reserve_hdr_opt", 0) + size
    return 0
