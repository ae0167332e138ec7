"""bpf_setsockopt and bpf_getsockopt (``__bpf_setsockopt`` and ``__bpf_getsockopt`` in ``net/core/filter.c``)."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass

from ..sockets import AF_INET, AF_INET6, Socket
from .registry import helper
from .sockets import ALL_CALLBACKS, a_socket

SOL_IP, SOL_SOCKET, SOL_TCP, SOL_IPV6 = 0, 1, 6, 41
SO_BINDTODEVICE, TCP_CONGESTION, TCP_SAVED_SYN = 25, 13, 28
LONGEST_NAME = 16                 # IFNAMSIZ, TCP_CA_NAME_MAX
LEAST_BUFFER, MOST_BUFFER = 4608, 212992      # SOCK_MIN_SNDBUF, sysctl_wmem_max
SAVED_SYN = (1005, 1006, 1007, TCP_SAVED_SYN)     # TCP_BPF_SYN …: no SYN is kept here


@dataclass(frozen=True, slots=True)
class Option:
    """An option of an int. ``keeps``: what setting it to a value stores; ``member``: the member of Socket that it
    is; ``default``: what it reads before it was set."""

    default: int = 0
    keeps: Callable[[int], int] = int
    member: str = ""
    least: int = -(1 << 31)


def _buffer(value: int) -> int:
    return max(min(value, MOST_BUFFER) * 2, LEAST_BUFFER)


_SWITCH = Option(keeps=bool)
#: (level, name) -> Option; what is not here is EINVAL for a program
OPTIONS = {
    (SOL_SOCKET, 2): _SWITCH,                                   # SO_REUSEADDR
    (SOL_SOCKET, 7): Option(16384, _buffer), (SOL_SOCKET, 8): Option(131072, _buffer),     # SO_SNDBUF, SO_RCVBUF
    (SOL_SOCKET, 9): _SWITCH,                                   # SO_KEEPALIVE
    (SOL_SOCKET, 12): Option(member="priority"), (SOL_SOCKET, 36): Option(member="mark"),
    (SOL_SOCKET, 18): Option(1, lambda value: value or 1),      # SO_RCVLOWAT
    (SOL_SOCKET, 47): Option(-1), (SOL_SOCKET, 62): Option(member="device", least=0),   # SO_MAX_PACING_RATE
    (SOL_SOCKET, 74): Option(1),                                # SO_TXREHASH
    (SOL_TCP, 1): _SWITCH,                                      # TCP_NODELAY
    (SOL_TCP, 2): Option(536), (SOL_TCP, 4): Option(7200, least=1), (SOL_TCP, 5): Option(75, least=1),
    (SOL_TCP, 6): Option(9, least=1), (SOL_TCP, 7): Option(6, least=1), (SOL_TCP, 10): Option(),
    (SOL_TCP, 16): _SWITCH, (SOL_TCP, 18): Option(least=0), (SOL_TCP, 25): Option(-1), (SOL_TCP, 27): Option(least=0),
    (SOL_TCP, 44): Option(120_000, least=1),
    (SOL_TCP, 1001): Option(10, least=1), (SOL_TCP, 1002): Option(-1, least=1),      # TCP_BPF_IW, _SNDCWND_CLAMP
    (SOL_TCP, 1003): Option(40_000, least=1), (SOL_TCP, 1004): Option(200_000, least=1),  # _DELACK_MAX, _RTO_MIN
    (SOL_TCP, 1008): Option(member="callbacks", keeps=lambda value: value & ALL_CALLBACKS),
    (SOL_IP, 1): Option(), (SOL_IPV6, 67): Option(), (SOL_IPV6, 70): Option(),       # TOS, TCLASS, AUTOFLOWLABEL
}
NAMES = {(SOL_SOCKET, SO_BINDTODEVICE): b"", (SOL_TCP, TCP_CONGESTION): b"cubic"}     # options of text


def _applies(socket: Socket, level: int) -> bool:
    """Does the socket have options of this level?"""
    return socket.full and {SOL_SOCKET: True, SOL_TCP: socket.protocol == "tcp", SOL_IP: socket.family == AF_INET,
                            SOL_IPV6: socket.family == AF_INET6}.get(level, False)


def _set(run, socket: Socket, key: tuple[int, int], value: bytes) -> int:
    if not _applies(socket, key[0]):
        return -errno.EINVAL
    if key in NAMES:
        socket.options[key] = value[:LONGEST_NAME - 1].split(b"\0")[0]
        socket.refresh()
        return 0
    option = OPTIONS.get(key)
    if option is None or len(value) != 4:
        return -errno.EINVAL
    number = int.from_bytes(value, "little", signed=True)
    if number < option.least:
        return -errno.EINVAL
    kept = int(option.keeps(number))
    if option.member:
        setattr(socket, option.member, kept & 0xFFFF_FFFF)
    else:
        socket.options[key] = (kept & 0xFFFF_FFFF).to_bytes(4, "little")
    socket.refresh()
    return 0


@helper()
def setsockopt(run, ctx, level, name, value, size):
    key = (level & 0xFFFF_FFFF, name & 0xFFFF_FFFF)
    return _set(run, a_socket(run, ctx), key, run.memory.read(value, size & 0xFFFF_FFFF))


def _get(socket: Socket, key: tuple[int, int], size: int) -> bytes | int:
    if not _applies(socket, key[0]) or key == (SOL_SOCKET, SO_BINDTODEVICE):
        return -errno.EINVAL
    if key[0] == SOL_TCP and key[1] in SAVED_SYN:
        return -errno.ENOENT
    if key in NAMES:
        return socket.options.get(key, NAMES[key])[:max(size - 1, 0)].ljust(size, b"\0")
    option = OPTIONS.get(key)
    if option is None or size != 4:
        return -errno.EINVAL
    number = getattr(socket, option.member) if option.member else option.default
    return socket.options.get(key, (number & 0xFFFF_FFFF).to_bytes(4, "little"))


@helper()
def getsockopt(run, ctx, level, name, target, size):
    """The option's value; zeros where it fails."""
    size &= 0xFFFF_FFFF
    found = _get(a_socket(run, ctx), (level & 0xFFFF_FFFF, name & 0xFFFF_FFFF), size)
    if isinstance(found, int):
        run.memory.clear(target, size)
        return found
    run.memory.write(target, found)
    return 0
