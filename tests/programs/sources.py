"""Programs that the tests of hooks and maps share, in assembly."""

from ebpflab import assemble
from ebpflab.program import Program

SEEN = """
.map seen array u32 u64 8
    *(u32 *)(r10 - 4) = {index}
    r2 = r10
    r2 += -4
    r1 = seen ll
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
out:
    r0 = {verdict}
    exit
"""


def counting(kernel, type: str, verdict: int, index: int = 0, **spec) -> Program:
    """A program that counts in seen[index] how often it ran, and returns ``verdict``."""
    return load(kernel, SEEN.format(verdict=verdict, index=index), type, **spec)


def load(kernel, text: str, type: str, name: str = "lab_test", maps=None, **spec) -> Program:
    from dataclasses import replace

    return Program(replace(assemble(text, type=type, name=name), **spec), kernel, maps=maps)


def seen(program: Program, index: int = 0) -> int:
    return program["seen"][index]


def udp(net, sender="lab0", receiver="lab1", port=5555):
    """A receiving socket and one that sends to it."""
    there = f"{net.addresses[receiver][0]}:{port}"
    return net.socket("udp", receiver, bind=there), net.socket("udp", sender, connect=there)


def frame(payload: bytes = b"", kind: int = 0x88B5) -> bytes:
    """An Ethernet frame from lab0 to lab1 with an experimental EtherType."""
    return bytes.fromhex("020000000001020000000000") + kind.to_bytes(2, "big") + payload.ljust(46, b"\0")
