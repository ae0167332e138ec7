"""LLVM's assemblers and disassembler, as oracles: llvm-mc and llvm-objdump (Debian's llvm), zig cc (the [c] extra)."""

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

needs_llvm = pytest.mark.skipif(not (shutil.which("llvm-mc") and shutil.which("llvm-objdump")),
                                reason="llvm-mc and llvm-objdump are not installed (Debian package llvm)")
needs_zig = pytest.mark.skipif(find_spec("ziglang") is None, reason="ziglang is not installed (extra [c])")


def _run(*command) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[:2000]


def _code(obj: Path) -> bytes:
    """The .text section."""
    from elftools.elf.elffile import ELFFile

    with obj.open("rb") as stream:
        return ELFFile(stream).get_section_by_name(".text").data()


def llvm_mc(text: str, folder: Path) -> bytes:
    """LLVM's bytes for ``text``, ISA v3."""
    source, obj = folder / "a.s", folder / "a.o"
    source.write_text(text)
    _run("llvm-mc", "-triple=bpfel", "-mcpu=v3", "-filetype=obj", str(source), "-o", str(obj))
    return _code(obj)


def zig(text: str, folder: Path) -> bytes:
    """LLVM's bytes for ``text``, ISA v4."""
    source, obj = folder / "a.s", folder / "a.o"
    source.write_text(text)
    _run(sys.executable, "-m", "ziglang", "cc", "-target", "bpfel-freestanding", "-mcpu=v4", "-c", str(source), "-o",
         str(obj))
    return _code(obj)


def objdump(data: bytes, folder: Path) -> list[str]:
    """llvm-objdump's text for ``data``, one instruction an element."""
    source, obj = folder / "d.s", folder / "d.o"
    source.write_text("".join(f".8byte {int.from_bytes(data[i:i + 8], 'little'):#x}\n" for i in range(0, len(data), 8)))
    _run("llvm-mc", "-triple=bpfel", "-filetype=obj", str(source), "-o", str(obj))
    shown = subprocess.run(["llvm-objdump", "-d", "--no-show-raw-insn", str(obj)], capture_output=True, text=True,
                           check=True).stdout
    return [re.sub(r"\s*<[^<>]*>$", "", m) for m in re.findall(r"^ *\d+:\s+(.*?)\s*$", shown, re.M)]
