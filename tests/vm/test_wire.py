"""The wire's values and frames, and what it does with nonsense."""

import contextlib
import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpflab.kernel import wire

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=5)
                      | st.dictionaries(st.text() | st.integers(), inner, max_size=5), max_leaves=30)


def packed(value) -> bytes:
    return b"".join(wire.pack(value))


@given(values)
def test_a_value_arrives_as_it_left(value):
    back = wire.unpack(packed(value))
    assert back == value and type(back) is type(value)


@pytest.mark.parametrize("value, arrives", [
    ((1, "a"), [1, "a"]), (bytearray(b"xy"), b"xy"), (memoryview(b"xyz")[1:], b"yz"),
    (1 << 63, 1 << 63), (-(1 << 63), -(1 << 63)), (-(1 << 63) - 1, -(1 << 63) - 1), ("\ud800", "\ud800"),
], ids=repr)
def test_what_is_not_quite_plain(value, arrives):
    assert wire.unpack(packed(value)) == arrives


@pytest.mark.parametrize("value", [object(), {1, 2}, [1, [2, print]], 3 + 4j], ids=repr)
def test_what_cannot_be_sent_is_refused_here(value):
    with pytest.raises(wire.WireError, match="cannot be sent"):
        wire.pack(value)


def test_depth_is_bounded_on_both_sides():
    deep = []
    for _ in range(40):
        deep = [deep]
    with pytest.raises(wire.WireError, match="deep"):
        wire.pack(deep)
    with pytest.raises(wire.WireError, match="deep"):
        wire.unpack(b"l\1\0\0\0" * 40 + b"N")


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_nonsense_is_an_error_of_the_wire_and_nothing_else(body):
    with contextlib.suppress(wire.WireError):
        wire.unpack(body)


@settings(max_examples=200)
@given(values, st.data())
def test_a_damaged_value_is_an_error_or_another_value(value, data):
    body = bytearray(packed(value))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(wire.WireError):
        wire.unpack(body[: data.draw(st.integers(0, len(body)))])


def pipe():
    reading, writing = os.pipe()
    return wire.Stream(reading), writing


def test_frames_follow_each_other_whatever_their_size():
    reader, writing = pipe()
    sent = [b"", b"x" * 10, b"y" * 20_000, [b"z" * 300_000, "end", {"k": 1.5}], list(range(50_000))]
    out = wire.Stream(os.open(os.devnull, os.O_RDONLY), writing)

    def send():
        for number, value in enumerate(sent):
            out.send(wire.CALL, number, number % wire.LANES, value)
        out.close()

    thread = threading.Thread(target=send)
    thread.start()
    got = [reader.receive() for _ in sent]
    thread.join()
    assert got == [(wire.CALL, number, number % wire.LANES, value) for number, value in enumerate(sent)]
    assert reader.received == out.sent
    with pytest.raises(EOFError):
        reader.receive()
    reader.close()


@pytest.mark.parametrize("head", [b"\xff" * 12, b"GET / HTTP/1.1", b"\0\0\0\0" + b"\0" * 4 + b"\x09\0\0\0"])
def test_another_protocol_is_noticed_at_the_header(head):
    reader, writing = pipe()
    os.write(writing, head)
    with pytest.raises(wire.WireError):
        reader.receive()
    os.close(writing)
    reader.close()


def test_a_frame_cut_short_is_the_end_of_file():
    reader, writing = pipe()
    os.write(writing, b"".join(wire.frame(wire.CALL, 1, 0, b"abc"))[:-1])
    os.close(writing)
    with pytest.raises(EOFError):
        reader.receive()
    reader.close()


def test_a_huge_length_does_not_take_the_memory_before_the_bytes_come():
    reader, writing = pipe()
    os.write(writing, (1 << 29).to_bytes(4, "little") + bytes(8))
    os.close(writing)
    with pytest.raises(EOFError):
        reader.receive()
    reader.close()
