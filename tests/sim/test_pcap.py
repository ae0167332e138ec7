"""Captures in and out: round trips, other writers' files, and corrupt ones."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpflab.errors import SpecError
from ebpflab.sim import packets, pcap

UDP = packets.udp(b"hello")
PACKETS = st.lists(st.builds(pcap.Packet, st.binary(max_size=80), st.integers(0, (1 << 32) * 10**9 - 1)), max_size=8)


@given(PACKETS, st.sampled_from(("pcap", "pcapng")))
def test_what_is_written_is_read(found, format):
    back = pcap.parse(pcap.render(found, format))
    assert [(one.data, one.ns, one.length) for one in back] == [(one.data, one.ns, len(one.data)) for one in found]


def test_files_and_anything_with_bytes(tmp_path):
    for name in ("a.pcap", "a.pcapng"):
        assert pcap.write(tmp_path / name, [UDP, pcap.Packet(UDP[:20], 7, 60)]) == 2
        first, second = pcap.read(tmp_path / name)
        assert (bytes(first), first.length, len(second), second.ns, second.length) == (UDP, len(UDP), 20, 7, 60)
    assert (tmp_path / "a.pcap").read_bytes()[:4] == b"\x4d\x3c\xb2\xa1"
    assert (tmp_path / "a.pcapng").read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("magic", "units"), [(0xA1B2C3D4, 10**6), (0xA1B23C4D, 10**9)])
def test_both_byte_orders_and_resolutions(order, magic, units):
    head = struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 65535, 113)
    raw = head + struct.pack(order + "IIII", 5, 7, 3, 9) + b"abc"
    assert pcap.parse(raw) == [pcap.Packet(b"abc", 5 * 10**9 + 7 * 10**9 // units, 9, 113)]


@pytest.mark.parametrize("order", "<>")
def test_pcapng_blocks(order):
    """Resolution, offset, simple and unknown blocks, a second section."""
    def block(kind, body):
        total = struct.pack(order + "I", len(body) + 12)
        return struct.pack(order + "I", kind) + total + body + total

    section = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    options = struct.pack(order + "HHB3xHHqHH", 9, 1, 3, 14, 8, 100, 0, 0)
    millis = block(1, struct.pack(order + "HHI", 1, 0, 4) + options)
    enhanced = block(6, struct.pack(order + "IIIII", 0, 0, 2500, 3, 60) + b"xyz\0")
    simple = block(3, struct.pack(order + "I", 60) + b"abcd")
    raw = section + millis + block(0xBAD, b"what") + enhanced + simple + section + millis + enhanced
    enh = pcap.Packet(b"xyz", 102_500_000_000, 60)
    assert pcap.parse(raw) == [enh, pcap.Packet(b"abcd", 0, 60), enh]


def damage():
    whole = pcap.render([pcap.Packet(UDP), pcap.Packet(UDP)])
    second = 24 + 16 + len(UDP)
    yield "cut header", whole[:second + 5], f"packet 1 at offset {second}"
    yield "cut bytes", whole[:-1], f"packet 1 at offset {second + 16}"
    yield "huge", whole[:second + 8] + b"\xff\xff\xff\x7f" + whole[second + 12:], f"packet 1 at offset {second + 8}"
    yield "time", whole[:second + 4] + b"\xff" * 4 + whole[second + 8:], f"packet 1 at offset {second + 4}"
    yield "version", whole[:4] + b"\x09" + whole[5:], "packet 0 at offset 4"
    yield "empty", b"", "packet 0 at offset 0"
    yield "text", b"hello, world", "packet 0 at offset 0"
    newer = pcap.render([pcap.Packet(UDP), pcap.Packet(UDP)], "pcapng")
    size = len(newer) - len(pcap.render([pcap.Packet(UDP)], "pcapng"))
    last = len(newer) - size
    yield "ng cut", newer[:-3], "packet 1 at offset"
    yield "ng lengths", newer[:-4] + b"\0" * 4, "packet 1 at offset"
    yield "ng length", newer[:last + 4] + b"\x07" + newer[last + 5:], f"packet 1 at offset {last + 4}"
    yield "ng interface", newer[:last + 8] + b"\x07" + newer[last + 9:], f"packet 1 at offset {last}"
    yield "ng captured", newer[:last + 20] + b"\xff" + newer[last + 21:], f"packet 1 at offset {last}"


@pytest.mark.parametrize(("raw", "where"), [row[1:] for row in damage()], ids=[row[0] for row in damage()])
def test_corrupt_files_name_packet_and_offset(raw, where, tmp_path):
    (tmp_path / "bad.pcap").write_bytes(raw)
    with pytest.raises(SpecError) as caught:
        pcap.read(tmp_path / "bad.pcap")
    assert where in str(caught.value) and "bad.pcap" in str(caught.value)
    if where.startswith("packet 1"):
        assert [one.data for one in pcap.read(tmp_path / "bad.pcap", partial=True)] == [UDP]


@given(st.data(), st.sampled_from(("pcap", "pcapng")))
def test_any_damage_is_told_or_harmless(data, format):
    raw = bytearray(pcap.render([pcap.Packet(UDP, 5), pcap.Packet(UDP, 9)], format))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        pcap.parse(bytes(raw[:data.draw(st.integers(0, len(raw)))]))
    except SpecError as error:
        assert "packet" in str(error) and "offset" in str(error)


def test_what_cannot_be_written_is_told(tmp_path):
    with pytest.raises(SpecError, match="one link type"):
        pcap.write(tmp_path / "a.pcap", [pcap.Packet(b"a"), pcap.Packet(b"b", linktype=101)])
    with pytest.raises(SpecError, match="capture format"):
        pcap.write(tmp_path / "a", [], format="erf")
    with pytest.raises(SpecError, match="cannot read"):
        pcap.read(tmp_path / "absent.pcap")
