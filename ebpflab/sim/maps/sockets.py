"""Maps of sockets (``net/core/sock_map.c``, ``kernel/bpf/reuseport_array.c``) and devices by key (``devmap.c``).

User space writes the number of a socket (its cookie; the kernel has a descriptor there) and reads the cookie, if the
value has eight bytes. A program's look-up gives the socket.
"""

from __future__ import annotations

import errno
from typing import Any

from .arrays import References
from .base import EXIST, NOEXIST, SimMap


def admitted(socket) -> int:
    """0 if a socket may be in a sockmap, or the errno (``sock_map_sk_state_allowed``)."""
    if not socket.full:
        return -errno.EINVAL
    if socket.protocol == "tcp":
        return 0 if socket.state in ("ESTABLISHED", "LISTEN") else -errno.EOPNOTSUPP
    return 0 if socket.protocol == "udp" else -errno.EOPNOTSUPP


class SocketMap(SimMap):
    """sockhash, by any key; ``sockets`` are the machine's (``sim.sockets``)."""

    sockets: Any = None

    def __init__(self, spec, memory, cpus):
        super().__init__(spec, memory, cpus)
        self.things: dict[bytes, Any] = {}

    def incoming(self, address):
        return self.sockets.at(address).number.to_bytes(8, "little")

    def pointer(self, key, cpu):
        found = self.at(key)
        return found.address if found is not None else 0

    def at(self, key: bytes):
        """The socket, None if there is none or it was closed."""
        found = self.things.get(bytes(key))
        return found if found is not None and found.number in self.sockets.by_number else None

    def room(self, key: bytes) -> int:
        return -errno.E2BIG if len(self.things) >= self.spec.max_entries else 0

    def store(self, key, value, flags, cpu):
        found = self.sockets.by_number.get(int.from_bytes(value, "little"))
        if found is None:
            return -errno.EBADF
        return self.admit(bytes(key), found, flags)

    def admit(self, key: bytes, socket, flags: int) -> int:
        """Put a socket in; 0 or the errno."""
        if error := admitted(socket):
            return error
        if flags > EXIST:
            return -errno.EINVAL
        old = self.at(key)
        if old is None and (error := self.room(key)):
            return error
        if old is not None and flags == NOEXIST:
            return -errno.EEXIST
        if old is None and flags == EXIST:
            return -errno.ENOENT
        self.changed(key, self._cookie(old), self._cookie(socket))
        self.things[key] = socket
        return 0

    @staticmethod
    def _cookie(socket) -> bytes | None:
        return socket.number.to_bytes(8, "little") if socket is not None else None

    def erase(self, key):
        if (old := self.at(key)) is None:
            return -errno.ENOENT
        self.changed(bytes(key), self._cookie(old), None)
        del self.things[bytes(key)]
        return 0

    def get(self, key):
        if self.spec.value_size != 8:
            return -errno.ENOSPC
        return self._cookie(self.at(key)) or -errno.ENOENT

    def keys(self):
        return [key for key in self.things if self.at(key) is not None]


class SocketArray(SocketMap):
    """sockmap and reuseport_sockarray, by index."""

    def _outside(self, key: bytes) -> bool:
        return int.from_bytes(key, "little") >= self.spec.max_entries

    def room(self, key):
        return -errno.E2BIG if self._outside(key) else 0

    def erase(self, key):
        if self.spec.type == "reuseport_sockarray":
            return -errno.E2BIG if self._outside(key) else super().erase(key)
        return -errno.EINVAL if super().erase(key) else 0

    def keys(self):
        return [index.to_bytes(4, "little") for index in range(self.spec.max_entries)]


class DeviceHash(References):
    """devmap_hash: devices by any number, not only those below ``max_entries``."""

    def put(self, key, value, flags):
        index = int.from_bytes(key, "little")
        if flags > EXIST:
            return -errno.EINVAL
        if index in self.things and flags & NOEXIST:
            return -errno.EEXIST
        if index not in self.things and len(self.things) >= self.spec.max_entries:
            return -errno.E2BIG
        device = int.from_bytes(value[:4], "little")
        if not device:
            return -errno.EINVAL
        self.numbers[index], self.things[index] = bytes(value), device
        return 0

    def erase(self, key):
        index = int.from_bytes(key, "little")
        if index not in self.things:
            return -errno.ENOENT
        del self.things[index], self.numbers[index]
        return 0

    def keys(self):
        return [index.to_bytes(4, "little") for index in self.things]
