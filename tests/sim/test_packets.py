"""The packet builders: lengths and checksums, seen by the kernel's own stack where there is one."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpflab.abi import STRUCTS
from ebpflab.asm import assemble
from ebpflab.errors import SpecError
from ebpflab.sim import Machine, packets

payloads = st.binary(max_size=64)
IPV6 = {"src": "fd00::1", "dst": "fd00::2"}


def test_bytes_of_a_known_frame():
    """An ICMP echo request, made with another tool's independent arithmetic (RFC 1071 by hand)."""
    frame = packets.icmp(b"", ident=1, seq=2)
    assert frame[14:34].hex() == "4500001c00004000400126df0a0000010a000002"
    assert frame[34:].hex() == "0800f7fc00010002"


def ones_sum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@given(payloads, st.sampled_from(["udp", "tcp", "icmp"]), st.booleans())
def test_checksums_add_up(payload, kind, six):
    frame = getattr(packets, kind)(payload, **(IPV6 if six else {}))
    if six:
        assert frame[12:14] == b"\x86\xdd"
        addresses, segment, protocol = frame[22:54], frame[54:], frame[20]
        assert struct.unpack(">H", frame[18:20])[0] == len(segment)
        pseudo = addresses + struct.pack(">II", len(segment), protocol)
    else:
        assert frame[12:14] == b"\x08\0" and ones_sum(frame[14:34]) == 0xFFFF
        addresses, segment, protocol = frame[26:34], frame[34:], frame[23]
        assert struct.unpack(">H", frame[16:18])[0] == 20 + len(segment)
        pseudo = addresses + struct.pack(">HH", protocol, len(segment))
    if protocol == 1:
        pseudo = b""
    assert ones_sum(pseudo + segment) == 0xFFFF
    assert segment.endswith(payload)


def test_options():
    frame = packets.tcp(flags="SA", options=b"\x02\x04\x05\xb4", ttl=7, src_mac="0a:0b:0c:0d:0e:0f")
    assert frame[46] >> 4 == 6 and frame[47] == 0x12 and frame[22] == 7
    assert frame[6:12].hex() == "0a0b0c0d0e0f"
    tagged = packets.vlan(packets.vlan(packets.udp(), 5), 9, priority=3, ethertype=0x88A8)
    assert tagged[12:22].hex() == "88a8600981000005" + "0800"
    assert packets.arp()[:6] == b"\xff" * 6 and packets.arp(reply=True, dst_mac="02:00:00:00:00:02")[21] == 2


@pytest.mark.parametrize(("call", "says"), [
    (lambda: packets.udp(src="10.0.0.300"), "no IP address"),
    (lambda: packets.udp(src="fd00::1"), "not of one IP version"),
    (lambda: packets.tcp(flags="SX"), "TCP flag 'X'"),
    (lambda: packets.udp(src_mac="02:00"), "no MAC address"),
    (lambda: packets.vlan(packets.udp(), 4096), "VLAN 4096"),
])
def test_bad_input(call, says):
    with pytest.raises(SpecError, match=says):
        call()


def test_the_kernels_stack_accepts_them():
    """Frames sent into a namespace of our own are counted as delivered, not as checksum errors."""
    pytest.importorskip("fcntl", reason="no Linux network stack here")
    from ebpflab.errors import KernelError, TargetError
    from ebpflab.targets.registry import open_target

    try:
        target = open_target("local")
    except (TargetError, KernelError) as error:
        pytest.skip(f"no local kernel target: {error}")
    with target, target.net() as net:
        sent = net.send([packets.udp(), packets.tcp(), packets.icmp(), packets.udp(**IPV6)], end="lab0", count=3)
        assert sent == 12 and net.stats("lab1")["rx_packets"] >= 12


def test_a_tag_beside_the_packet_has_sixteen_bits():
    """A context can hold more in ``vlan_proto`` and ``vlan_tci`` than a packet has room for."""
    shape, machine = STRUCTS["__sk_buff"], Machine()
    program = machine.load(assemble("r2 = 0x88a8\nr3 = 5\ncall bpf_skb_vlan_push\nexit", type="sched_cls"))

    def tagged(running, code, regs, depth):
        if code.pc == 0:
            for name, value in (("vlan_present", 1), ("vlan_proto", 0xABCD_0081), ("vlan_tci", 0x1_0007)):
                machine.memory.store(regs[1] + shape.member(name).offset, 4, value)

    done = program.run(packets.udp(), hook=tagged)
    assert done.retval == 0 and done.data[12:16] == b"\x81\x00\x00\x07"
