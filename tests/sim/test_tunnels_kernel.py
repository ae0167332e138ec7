"""Tunnel keys and options, and redirections to neighbours and peers, against the kernel's TEST_RUN."""

import struct

import pytest

from ebpflab.sim import packets

from .test_packets_kernel import both, program

# 64 bytes of the packet are the key to set; what get makes of it goes over them, the results after them.
TEXT = """
    r6 = r1
    r7 = *(u32 *)(r6 + 76)
    r2 = *(u32 *)(r6 + 80)
    r3 = r7
    r3 += 96
    if r3 > r2 goto out
    {copy_in}
    r1 = r6
    r2 = r10
    r2 += -48
    r3 = {size}
    r4 = {flags}
    call bpf_skb_set_tunnel_key
    *(u32 *)(r7 + 64) = r0
    {options}
    r1 = r6
    r2 = r10
    r2 += -48
    r3 = {got}
    r4 = {asked}
    call bpf_skb_get_tunnel_key
    *(u32 *)(r7 + 68) = r0
    {copy_out}
out:
    r0 = 0
    exit
"""
OPTIONS = """
    r1 = r6
    r2 = r10
    r2 += -48
    r3 = {set}
    call bpf_skb_set_tunnel_opt
    *(u32 *)(r7 + 72) = r0
    r1 = r6
    r2 = r10
    r2 += -48
    r3 = {get}
    call bpf_skb_get_tunnel_opt
    *(u32 *)(r7 + 76) = r0
"""
IN = "\n".join(f"r1 = *(u64 *)(r7 + {16 + at})\n    *(u64 *)(r10 - {48 - at}) = r1" for at in range(0, 48, 8))
OUT = "\n".join(f"r1 = *(u64 *)(r10 - {48 - at})\n    *(u64 *)(r7 + {16 + at}) = r1" for at in range(0, 48, 8))
KEYS = [struct.pack("<I16sBBHI16s", key, remote, 3, 64, ext, label, local) + bytes(4)
        for key, remote, ext, label, local in (
            (7, bytes(range(16)), 0, 0, bytes(range(16, 32))),
            (0xFFFF_FFFF, b"\x0a\0\0\1" + bytes(12), 0, 0, bytes(16)),
            (1, bytes(16), 0, 0xFF_FFFF, b"\xfe" * 16), (1, bytes(16), 5, 0, bytes(16)))]


@pytest.mark.parametrize(("flags", "asked"), [
    (0, 0), (1, 1), (1, 0), (0, 1), (2, 16), (12, 16), (16, 16), (32, 0), (0, 2)])
@pytest.mark.parametrize(("size", "got"), [(44, 44), (28, 44), (24, 24), (8, 8), (44, 28), (43, 44), (44, 12)])
def test_keys(flags, asked, size, got, oracle):
    text = TEXT.format(copy_in=IN, copy_out=OUT, size=size, flags=flags, got=got, asked=asked, options="")
    both(oracle, program(text), [(bytes(16) + key + bytes(48), b"") for key in KEYS])


@pytest.mark.parametrize(("set_", "get"), [(16, 16), (16, 8), (16, 40), (6, 16), (4, 4)])
def test_options(set_, get, oracle):
    text = TEXT.format(copy_in=IN, copy_out=OUT, size=44, flags=0, got=44, asked=16,
                       options=OPTIONS.format(set=set_, get=get))
    both(oracle, program(text), [(bytes(16) + key + bytes(48), b"") for key in KEYS[:2]])


@pytest.mark.parametrize("text", [
    "r1 = 1\nr2 = 0\ncall bpf_redirect_peer\nexit", "r1 = 1\nr2 = 1\ncall bpf_redirect_peer\nexit",
    "r1 = 1\nr2 = 0\nr3 = 0\nr4 = 0\ncall bpf_redirect_neigh\nexit",
    "r1 = 1\nr2 = 0\nr3 = 0\nr4 = 1\ncall bpf_redirect_neigh\nexit",
])
def test_redirections(text, oracle):
    both(oracle, program(text), [(packets.udp(), b"")])
