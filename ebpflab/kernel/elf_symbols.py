"""Where in a program or library file a symbol or a USDT marker is: what a uprobe wants to know.

Offsets are into the file, addresses as the linker chose them: ``file = address - p_vaddr + p_offset`` of the segment
that holds it (ELF-64, little endian; System V ABI, chapters 4 and 5).
"""

from __future__ import annotations

import errno as E
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import KernelError
from .links import near

_SYMTAB, _NOTE, _DYNSYM, _LOAD = 2, 7, 11, 1
_FUNC, _IFUNC = 2, 10
_STAPSDT = 3


def _no(path: str, what: str, hint: str = "", errno: int = E.ENOENT) -> KernelError:
    return KernelError(what, errno=errno, call="uprobe", where=path, hint=hint or None)


class _Elf:
    def __init__(self, path: str, data):
        self.path, self.data = path, data
        if data[:6] != b"\x7fELF\x02\x01":
            raise _no(path, "this is no 64-bit little-endian ELF file", errno=E.ENOEXEC)
        phoff, shoff = struct.unpack_from("<QQ", data, 32)
        phentsize, phnum, shentsize, shnum, shstrndx = struct.unpack_from("<5H", data, 54)
        self.segments = [struct.unpack_from("<IIQQQQ", data, phoff + i * phentsize) for i in range(phnum)]
        # name, type, flags, addr, offset, size, link
        self.sections = [struct.unpack_from("<IIQQQQI", data, shoff + i * shentsize) for i in range(shnum)]
        self._names = self.sections[shstrndx][4] if shnum else 0

    def text(self, at: int) -> str:
        return self.data[at:self.data.find(b"\0", at)].decode("utf-8", "replace")

    def section(self, name: str):
        return next((each for each in self.sections if self.text(self._names + each[0]) == name), None)

    def offset(self, address: int) -> int:
        for kind, _, offset, start, _, size in self.segments:
            if kind == _LOAD and start <= address < start + size:
                return address - start + offset
        raise _no(self.path, f"address {address:#x} is in no segment", errno=E.ENOEXEC)

    def functions(self) -> Iterator[tuple[str, int]]:
        for _, kind, _, _, offset, size, link in self.sections:
            if kind in (_SYMTAB, _DYNSYM):
                names = self.sections[link][4]
                for at in range(offset, offset + size, 24):
                    name, info, _, _, value, _ = struct.unpack_from("<IBBHQQ", self.data, at)
                    if value and info & 15 in (_FUNC, _IFUNC):
                        yield self.text(names + name), value


@contextmanager
def _file(path: str):
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield _Elf(path, data)
    except (OSError, ValueError) as error:
        raise _no(path, f"this file cannot be read: {error}") from error
    except (struct.error, IndexError) as error:
        raise _no(path, "this ELF file is damaged", errno=E.ENOEXEC) from error


def file_offset(path: str, function: str) -> int:
    """Where the function starts in the file. KernelError ENOENT with a near name if it has no such symbol."""
    with _file(path) as elf:
        names = set()
        for name, address in elf.functions():
            if name == function:
                return elf.offset(address)
            names.add(name)
        raise _no(path, f"there is no function {function!r}", near(function, sorted(names))[:200] if names
                  else "it has no symbols; offset= takes a place in the file")


def usdt(path: str, probe: str) -> list[dict]:
    """The places of a USDT marker ``provider:name``: [{"offset", "semaphore" (file offset, 0: none), "arguments"}].

    A note of .note.stapsdt: location, base, semaphore (addresses), then provider, name and arguments as C strings.
    Addresses are meant relative to the section .stapsdt.base as it was at link time.
    """
    with _file(path) as elf:
        note, base = elf.section(".note.stapsdt"), elf.section(".stapsdt.base")
        found, names = [], []
        at, end = (note[4], note[4] + note[5]) if note else (0, 0)
        while at + 12 <= end:
            namesz, descsz, kind = struct.unpack_from("<III", elf.data, at)
            start = at + 12 + (namesz + 3) // 4 * 4
            at = start + (descsz + 3) // 4 * 4
            if kind != _STAPSDT:
                continue
            location, was, semaphore = struct.unpack_from("<QQQ", elf.data, start)
            provider, name, arguments = bytes(elf.data[start + 24:start + descsz]).split(b"\0")[:3]
            names.append(f"{provider.decode()}:{name.decode()}")
            if names[-1] == probe:
                moved = base[3] - was if base else 0
                found.append({"offset": elf.offset(location + moved), "arguments": arguments.decode(),
                              "semaphore": elf.offset(semaphore + moved) if semaphore else 0})
        if not found:
            raise _no(path, f"there is no marker {probe!r}", near(probe, sorted(set(names)))[:200] if names
                      else "it has no USDT markers at all (no .note.stapsdt)")
        return found
