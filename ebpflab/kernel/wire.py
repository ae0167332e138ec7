"""Plain data over a byte stream: how a Session in a guest (or in another process) is spoken to.

A frame is a header of 12 bytes and a body, little endian::

     0        4        8     9     10       12
    +--------+--------+-----+-----+--------+------------- ...
    | length |   id   |kind |lane |   0    | body: one value
    +--------+--------+-----+-----+--------+------------- ...

``length`` counts the body's bytes.  A request carries an ``id`` that its answer repeats, and a ``lane``:
requests of one lane are carried out in order, those of different lanes side by side.

A value is a tag byte and what belongs to it; sizes and counts are 32 bits::

    N T F           None, True, False          s size utf-8      l count value…
    i 8 bytes       int, signed 64 bit         b size raw        m count (key value)…
    I size bytes    any larger int             d 8 bytes         float

Bytes travel as they are, so a map's columns cost one copy on either side.  Whatever does not fit this raises
WireError: a peer that sends nonsense is cut off, never guessed at.
"""

from __future__ import annotations

import os
import socket
import struct

VERSION = 1
HELLO, CALL, RESULT, ERROR, CANCEL = range(5)
LANES = 16
MAX_FRAME = 1 << 30
MAX_DEPTH = 32
_HEADER = struct.Struct("<IIBBH")
_SIZE = struct.Struct("<I")
_INT = struct.Struct("<q")
_FLOAT = struct.Struct("<d")
_COPY_BELOW = 1 << 14   # smaller pieces are joined before they are written
_PIECE = 1 << 16


class WireError(ConnectionError):
    """The peer sent what is not this protocol, or a value was to be sent that the protocol does not have."""


# values

def pack(value) -> list:
    """The encoding of ``value`` as a list of bytes-like pieces (large ones are not copied)."""
    out: list = []
    _pack(value, out, MAX_DEPTH)
    return out


def _pack(value, out: list, depth: int) -> None:
    if not depth:
        raise WireError(f"data nested more than {MAX_DEPTH} deep cannot be sent")
    if value is None:
        out.append(b"N")
    elif value is True:
        out.append(b"T")
    elif value is False:
        out.append(b"F")
    elif isinstance(value, str):
        raw = value.encode("utf-8", "surrogatepass")
        out += (b"s", _size(len(raw)), raw)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        piece = value if isinstance(value, bytes) else memoryview(value).cast("B")
        out += (b"b", _size(len(piece)), piece)
    elif isinstance(value, float):
        out += (b"d", _FLOAT.pack(value))
    elif isinstance(value, (list, tuple)):
        out += (b"l", _size(len(value)))
        for item in value:
            _pack(item, out, depth - 1)
    elif isinstance(value, dict):
        out += (b"m", _size(len(value)))
        for key, item in value.items():
            _pack(key, out, depth - 1)
            _pack(item, out, depth - 1)
    elif hasattr(value, "__index__"):
        number = int(value.__index__())
        if -1 << 63 <= number < 1 << 63:
            out += (b"i", _INT.pack(number))
        else:
            raw = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)
            out += (b"I", _size(len(raw)), raw)
    else:
        raise WireError(f"a {type(value).__name__} cannot be sent: only plain data can")


def _size(size: int) -> bytes:
    if size > MAX_FRAME:
        raise WireError(f"{size} bytes are too many for one message (at most {MAX_FRAME})")
    return _SIZE.pack(size)


def unpack(body):
    """The value in ``body``; WireError if it is cut short, has bytes left over or an unknown tag."""
    view = memoryview(body)
    try:
        value, end = _unpack(view, 0, MAX_DEPTH)
    except (struct.error, IndexError, UnicodeDecodeError, TypeError) as error:
        raise WireError(f"not a value of this protocol: {error}") from None
    if end != len(view):
        raise WireError(f"{len(view) - end} bytes too many after a value")
    return value


def _unpack(view, at: int, depth: int):
    if not depth:
        raise WireError(f"data nested more than {MAX_DEPTH} deep")
    tag = view[at]
    at += 1
    if tag in _CONSTANTS:
        return _CONSTANTS[tag], at
    if tag == 0x69:                                              # i
        return _INT.unpack_from(view, at)[0], at + 8
    if tag == 0x64:                                              # d
        return _FLOAT.unpack_from(view, at)[0], at + 8
    (size,) = _SIZE.unpack_from(view, at)
    at += 4
    if size > len(view) - at:                                    # an item takes a byte at least
        raise WireError("a value is cut short")
    if tag in _SIZED:
        return _SIZED[tag](bytes(view[at:at + size])), at + size
    if tag == 0x6C:                                              # l
        items = []
        for _ in range(size):
            item, at = _unpack(view, at, depth - 1)
            items.append(item)
        return items, at
    if tag == 0x6D:                                              # m
        table = {}
        for _ in range(size):
            key, at = _unpack(view, at, depth - 1)
            table[key], at = _unpack(view, at, depth - 1)
        return table, at
    raise WireError(f"unknown tag {tag:#x}")


_CONSTANTS = {ord("N"): None, ord("T"): True, ord("F"): False}
_SIZED = {
    ord("b"): bytes,
    ord("s"): lambda raw: raw.decode("utf-8", "surrogatepass"),
    ord("I"): lambda raw: int.from_bytes(raw, "little", signed=True),
}


# frames

class Stream:
    """Frames over two file descriptors: a socket's, a pipe's two ends, or a virtio-serial port's."""

    def __init__(self, reading: int, writing: int | None = None):
        """Takes the descriptors over: closing the stream closes them."""
        self._in = open(reading, "rb", buffering=0)           # noqa: SIM115 (lives as long as the stream)
        self._out = None if writing is None or writing == reading else open(writing, "wb", buffering=0)  # noqa: SIM115
        self.sent = self.received = 0

    def fileno(self) -> int:
        return self._in.fileno()

    @property
    def writing(self) -> int:
        return (self._out or self._in).fileno()

    def send(self, kind: int, id: int, lane: int, value) -> None:
        """Write one frame; the caller sees to it that only one thread does so at a time."""
        self.write(frame(kind, id, lane, value))

    def write(self, pieces) -> None:
        fd = self.writing
        for piece in _joined(pieces):
            rest = memoryview(piece)
            self.sent += len(rest)
            while rest:
                rest = rest[os.write(fd, rest):]

    def receive(self):
        """The next frame as (kind, id, lane, value); EOFError when the peer is gone."""
        length, id, kind, lane, spare = _HEADER.unpack(self.read(_HEADER.size))
        if length > MAX_FRAME or spare or kind > CANCEL or lane >= LANES:
            raise WireError("the peer does not speak this protocol")
        return kind, id, lane, unpack(self.read(length))

    def read(self, size: int) -> bytearray:
        """Exactly ``size`` bytes; memory grows with what really arrives."""
        buffer = bytearray(min(size, 1 << 20))
        have = 0
        while have < size:
            if have == len(buffer):
                buffer.extend(bytes(min(size - have, have)))
            with memoryview(buffer) as view:
                got = self._in.readinto(view[have:])
            if not got:
                raise EOFError("the peer is gone")
            have += got
        self.received += size
        return buffer

    def hang_up(self) -> None:
        """Tell the peer that it is over; a thread of ours that waits in ``receive`` then sees the end."""
        try:
            with socket.socket(fileno=os.dup(self.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)
        except OSError:                                          # not a socket, or already gone
            if self._out is not None:
                self._out.close()

    def close(self) -> None:
        for file in (self._out, self._in):
            if file is not None:
                file.close()


def frame(kind: int, id: int, lane: int, value) -> list:
    """A whole frame as pieces, ready to be written."""
    body = pack(value)
    length = sum(len(piece) for piece in body)
    _size(length)
    return [_HEADER.pack(length, id & 0xFFFFFFFF, kind, lane, 0), *body]


def _joined(pieces):
    """Few writes for small pieces, no copy of large ones."""
    small: list = []
    held = 0
    for piece in pieces:
        if len(piece) < _COPY_BELOW:
            small.append(piece)
            held += len(piece)
        if small and (len(piece) >= _COPY_BELOW or held >= _PIECE):
            yield b"".join(small)
            small, held = [], 0
        if len(piece) >= _COPY_BELOW:
            yield piece
    if small:
        yield b"".join(small)
