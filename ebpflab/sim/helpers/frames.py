"""The packet of a run as helpers reach it: which kind of buffer it is, where its bytes are, the packet loads."""

from __future__ import annotations

from ...errors import Fault
from ..contexts import ETH_HLEN
from ..frame import Frame
from .registry import signed32

P_IP, P_IPV6, P_8021Q, P_8021AD = 0x0008, 0xDD86, 0x0081, 0xA888   # __sk_buff.protocol: a little-endian load
NET_OFF, LL_OFF = -0x100000, -0x200000     # SKF_NET_OFF, SKF_LL_OFF


def _frame(run, ctx: int, xdp: bool) -> Frame:
    if run.frame is None or not (run.input.xdp if xdp else run.input.skb):
        raise Fault(f"this helper works on {'an XDP frame' if xdp else 'a socket buffer'}, which a"
                    f" {run.program.spec.type} program does not have")
    if ctx != run.ctx:
        raise Fault(f"r1 is {ctx:#x} ({run.memory.describe(ctx)}), not the context")
    return run.frame


def xdp_frame(run, ctx: int) -> Frame:
    return _frame(run, ctx, True)


def skb_frame(run, ctx: int) -> Frame:
    return _frame(run, ctx, False)


def span(frame: Frame, offset: int, size: int) -> int | None:
    """Address of ``size`` bytes at ``offset`` of the packet, None if they are not all inside."""
    return frame.data + offset if offset + size <= frame.length else None


def from_mac(run) -> bytes:
    """The packet from its link-layer header, which for types without one is still in the headroom."""
    frame = run.frame
    return frame.packet() if run.input.l2 else bytes(frame.head[-ETH_HLEN:]) + frame.packet()


def load_packet(run, code, index: int) -> int | None:
    """The packet loads of RFC 9669 section 5.5 (LD_ABS, LD_IND): network order, None outside the packet."""
    if run.frame is None or not run.input.skb:
        raise Fault(f"a {run.program.spec.type} program has no socket buffer to load from")
    size, offset = code.op.bytes, signed32(code.imm + index)
    if offset >= 0:
        data = run.frame.window
    elif offset >= NET_OFF:
        data, offset = from_mac(run)[ETH_HLEN:], offset - NET_OFF
    elif offset >= LL_OFF:
        data, offset = from_mac(run), offset - LL_OFF
    else:
        return None
    return int.from_bytes(data[offset:offset + size], "big") if offset + size <= len(data) else None
