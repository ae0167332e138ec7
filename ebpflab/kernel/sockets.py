"""Sockets in a lab network: what a socket filter sits on, what a sockmap holds, what makes traffic with meaning."""

from __future__ import annotations

import errno as E
import select
import socket
import time

from ..errors import KernelError
from . import explain
from .links import near

_KINDS = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM, "packet": socket.SOCK_RAW}
_ALL = 3                    # ETH_P_ALL
_MOST = 65536


def place(text: str) -> tuple[str, int]:
    """``10.77.0.1:80`` or ``[fd77::1]:80`` as (host, port)."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not host or int(port) > 65535:
        raise KernelError(f"{text!r} is no address and port, as 10.77.0.2:80 or [fd77::2]:80", errno=E.EINVAL,
                          call="socket")
    return host.strip("[]"), int(port)


class Sock:
    """A socket; it is made inside the namespace where it then stays."""

    def __init__(self, inner: socket.socket, kind: str):
        self.inner, self.kind, self.id = inner, kind, 0
        inner.setblocking(False)

    @property
    def fd(self) -> int:
        return self.inner.fileno()

    def _wait(self, reading: bool, seconds: float) -> bool:
        """Poll, not select: a descriptor's number may be above 1023."""
        poller = select.poll()
        poller.register(self.inner, select.POLLIN if reading else select.POLLOUT)
        return bool(poller.poll(max(seconds, 0) * 1000))

    def accept(self, seconds: float) -> Sock:
        if not self._wait(True, seconds):
            raise KernelError(f"nobody connected in {seconds:g} seconds", errno=E.ETIMEDOUT, call="accept")
        return Sock(self.inner.accept()[0], self.kind)

    def send(self, data: bytes, to: str = "") -> int:
        """All of it (a stream) or one datagram or frame; the number of bytes taken."""
        sent = 0
        try:
            if to:
                return self.inner.sendto(data, place(to))
            while sent < len(data) or not data:
                if not self._wait(False, 5):
                    break
                sent += self.inner.send(data[sent:])
                if not data:
                    break
        except OSError as error:
            raise explain.error("send", error.errno or 0, where=f"{self.kind} socket") from error
        return sent

    def receive(self, limit: int, seconds: float) -> list[bytes]:
        """Up to ``limit`` datagrams or pieces: those that are there, or the first that comes within ``seconds``.

        b"" in a list from a tcp socket means that the other side closed it.
        """
        found: list[bytes] = []
        until = time.monotonic() + seconds
        while len(found) < limit and self._wait(True, 0 if found else until - time.monotonic()):
            try:
                found.append(self.inner.recv(_MOST))
            except BlockingIOError:              # the filter threw it away between poll and recv
                continue
            except OSError as error:
                if not found:
                    raise explain.error("recv", error.errno or 0, where=f"{self.kind} socket") from error
                break
            if self.kind == "tcp" and not found[-1]:
                break
        return found

    def name(self) -> str:
        """Its own address and port, "" if it has none."""
        if self.kind == "packet":
            return ""
        host, port, *_ = self.inner.getsockname()
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def close(self) -> None:
        self.inner.close()


def open_socket(kind: str, dev: str, bind: str = "", connect: str = "", listen: bool = False,
                seconds: float = 5.0) -> Sock:
    """A socket in this thread's namespace: ``packet`` (all frames of ``dev``), ``udp`` or ``tcp``."""
    if kind not in _KINDS:
        raise KernelError(f"there is no socket {kind!r}", errno=E.EINVAL, call="socket", hint=near(kind, _KINDS))
    family = socket.AF_PACKET if kind == "packet" else socket.AF_INET6 if "[" in bind + connect else socket.AF_INET
    try:
        inner = socket.socket(family, _KINDS[kind], socket.htons(_ALL) if kind == "packet" else 0)
    except OSError as error:
        raise explain.error("AF_PACKET" if kind == "packet" else "socket", error.errno or 0, where=kind) from error
    try:
        if kind == "packet":
            inner.bind((dev, _ALL))
        elif bind:
            inner.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            inner.bind(place(bind))
        if connect:
            inner.settimeout(seconds)
            inner.connect(place(connect))
        if listen:
            inner.listen(16)
    except OSError as error:
        inner.close()
        number = error.errno or (E.ETIMEDOUT if isinstance(error, TimeoutError) else 0)
        raise explain.error("connect" if connect else "bind", number, where=f"{kind} {connect or bind}") from error
    except BaseException:
        inner.close()
        raise
    return Sock(inner, kind)
