"""Raw Ethernet frames out of a device: AF_PACKET with sendmmsg(2), bounded in number and rate.

One sendmmsg hands the kernel a table of messages, each pointing to its frame::

    struct mmsghdr { struct msghdr { name, namelen, iov → {frame, length}, iovlen, control, …, flags }; u32 sent }
"""

from __future__ import annotations

import ctypes
import errno as E
import socket
import time

from ..errors import KernelError
from . import explain, syscall

_BATCH = 64  # messages a call: below the 256 slots of a veth queue, so that the receiver keeps up
_TRIES = 1000  # how often a frame is offered to a full queue before it counts as dropped
_LONGEST = 65535
_SHORTEST = 14  # an Ethernet header


class _IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _MsgHdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32), ("iov", ctypes.POINTER(_IoVec)),
                ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                ("flags", ctypes.c_int)]


class _MmsgHdr(ctypes.Structure):
    _fields_ = [("header", _MsgHdr), ("sent", ctypes.c_uint32)]


class Sender:
    """A packet socket bound to ``device`` of the namespace it is made in. It receives nothing."""

    def __init__(self, device: str):
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except OSError as error:
            raise explain.error("AF_PACKET", error.errno or 0, where=device) from error
        try:
            self._socket.bind((device, 0))
        except OSError as error:
            self._socket.close()
            raise explain.error("AF_PACKET", error.errno or 0, where=device) from error
        self.device = device

    def send(self, frames: list[bytes], count: int = 1, pps: float = 0) -> dict:
        """The whole list ``count`` times, at most ``pps`` frames a second (0: as fast as it goes).

        A full queue is waited for; a frame that it still refuses then is ``dropped``, and the next one's turn comes.
        ``refused`` counts every time the device said no. KernelError if the device takes no frames like these.
        -> {"sent" (offered, dropped ones included), "dropped", "refused", "seconds"}
        """
        for number, frame in enumerate(frames):
            if not _SHORTEST <= len(frame) <= _LONGEST:
                raise KernelError(f"frame {number} has {len(frame)} bytes; an Ethernet frame has {_SHORTEST} or more",
                                  errno=E.EINVAL, call="sendmmsg", where=self.device)
        if count < 0 or pps < 0:
            raise KernelError(f"count {count} and pps {pps} must not be negative", errno=E.EINVAL, call="sendmmsg",
                              where=self.device)
        total = len(frames) * count
        start = time.perf_counter()
        # one table holds whole rounds of the list, so that every batch is a slice of it
        rounds = max(1, min(-(-_BATCH // max(len(frames), 1)), count))
        held = [ctypes.create_string_buffer(frame, len(frame)) for frame in frames]
        vectors = (_IoVec * (len(held) * rounds))()
        table = (_MmsgHdr * (len(held) * rounds))()
        for at in range(len(table)):
            buffer = held[at % len(held)]
            vectors[at].base, vectors[at].length = ctypes.addressof(buffer), len(buffer)
            table[at].header.iov, table[at].header.iovlen = ctypes.pointer(vectors[at]), 1
        sent = dropped = refused = tries = 0
        while sent < total:
            at = sent % len(table)
            batch = min(_BATCH, len(table) - at, total - sent)
            if pps:
                batch = max(1, min(batch, int(pps / 100)))  # at most a hundredth of a second at once
                wait = start + sent / pps - time.perf_counter()
                if wait > 0:
                    time.sleep(wait)
            try:
                done = syscall.libc("sendmmsg", self._socket.fileno(),
                                    ctypes.byref(table, at * ctypes.sizeof(_MmsgHdr)), batch, 0)
            except KernelError as error:
                if error.errno != E.ENOBUFS:
                    raise
                done = 0
            refused += done < batch  # what ended the batch early was the queue, too
            tries = tries + 1 if done == 0 else 0
            if tries == _TRIES:
                done, dropped, tries = 1, dropped + 1, 0
            elif tries:
                time.sleep(0)  # let the receiver run
            sent += done
        return {"sent": sent, "dropped": dropped, "refused": refused, "seconds": time.perf_counter() - start}

    def close(self) -> None:
        self._socket.close()
