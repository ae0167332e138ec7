"""Helpers on the message that an sk_msg program was given (``bpf_msg_*`` in ``net/core/filter.c``)."""

from __future__ import annotations

import errno

from ...errors import Fault
from ..contexts import put
from ..frame import Frame
from .registry import helper


def _message(run, ctx: int) -> Frame:
    if run.program.spec.type != "sk_msg" or ctx != run.ctx:
        raise Fault("this helper works on the message of an sk_msg program")
    return run.frame


def _noting(name: str):
    def note(run, ctx, size):
        """For how many bytes the verdict holds, or how many the program waits for."""
        _message(run, ctx)
        run.effects[name] = size & 0xFFFF_FFFF
        return 0
    return note


for _name in ("msg_apply_bytes", "msg_cork_bytes"):
    helper(_name)(_noting(_name))


@helper(moves=True)
def msg_pull_data(run, ctx, start, end, flags):
    """``data`` … ``data_end`` become the bytes ``start`` … ``end`` of the message."""
    frame, start, end = _message(run, ctx), start & 0xFFFF_FFFF, end & 0xFFFF_FFFF
    if flags or end <= start or end > frame.length:
        return -errno.EINVAL
    frame.reshape(0, 0, 0, "msg_pull_data")
    put(run.input.shape, run.input.buffer, "data", frame.data + start)
    put(run.input.shape, run.input.buffer, "data_end", frame.data + end)
    return 0


@helper(moves=True)
def msg_push_data(run, ctx, start, size, flags):
    """``size`` zeros at ``start``; the kernel leaves there what was in the memory."""
    frame, start, size = _message(run, ctx), start & 0xFFFF_FFFF, size & 0xFFFF_FFFF
    if flags or start > frame.length:
        return -errno.EINVAL
    if size:
        frame.insert(start, size, "msg_push_data")
    return 0


@helper(moves=True)
def msg_pop_data(run, ctx, start, size, flags):
    frame, start, size = _message(run, ctx), start & 0xFFFF_FFFF, size & 0xFFFF_FFFF
    if flags or start >= frame.length or size > frame.length - start:
        return -errno.EINVAL
    if size:
        frame.remove(start, size, "msg_pop_data")
    return 0
