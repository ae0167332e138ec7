"""C to a BPF object: clang on PATH, or the clang inside the ``ziglang`` package.

The UAPI headers come from the compiler's side (``ziglang`` carries them, a Linux system has them), our own
``bpf_helpers.h`` and friends from ``ebpflab/obj/include``.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import util
from pathlib import Path

from ..errors import AsmError, EbpflabError

INCLUDE = Path(__file__).parent / "include"
_DIAGNOSTIC = re.compile(r"^(?P<file>[^\n:]+):(?P<line>\d+):(?P<column>\d+): (?P<kind>fatal error|error|warning|note): "
                         r"(?P<text>.*)$", re.M)
_SECONDS = 60
#: older ones lack -mcpu=v4, enum64 and preserve_enum_value
_WANTED_VERSION = 15


@dataclass(frozen=True, slots=True)
class Compiler:
    """``command`` compiles BPF; ``system`` are the folders of the UAPI headers."""

    name: str
    version: int
    command: tuple[str, ...]
    system: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """What a compiler says of a place. ``line`` and ``column`` count from 1; ``kind`` error, warning or note."""

    file: str
    line: int
    column: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Compiled:
    """An ELF object and the warnings that came with it."""

    data: bytes
    warnings: tuple[Diagnostic, ...]
    compiler: str


class CompileError(AsmError):
    """C that does not compile; ``diagnostics`` has everything that was said."""

    def __init__(self, first: Diagnostic, source: str, diagnostics: tuple[Diagnostic, ...]):
        more = sum(d.kind == "error" for d in diagnostics) - 1
        hint = f"and {more} more error{'s' if more > 1 else ''}" if more > 0 else None
        super().__init__(first.text, source=source, file=first.file, line=first.line, column=first.column, hint=hint)
        self.diagnostics = diagnostics


def _clang() -> Compiler | None:
    for name in (*(f"clang-{n}" for n in range(30, _WANTED_VERSION - 1, -1)), "clang"):
        path = shutil.which(name)
        if not path:
            continue
        targets = subprocess.run([path, "-print-targets"], capture_output=True, text=True, check=False).stdout
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"version (\d+)", said)
        if "bpf" in targets and version:
            arch = Path("/usr/include") / f"{platform.machine()}-linux-gnu"
            system = ("/usr/include", *((str(arch),) if arch.is_dir() else ()))
            return Compiler(f"{name} {version[1]}", int(version[1]), (path, "-target", "bpfel"),
                            system if Path("/usr/include/linux/bpf.h").exists() else ())
    return None


def _zig() -> Compiler | None:
    found = util.find_spec("ziglang")
    if found is None or not found.submodule_search_locations:
        return None
    headers = Path(found.submodule_search_locations[0]) / "lib" / "libc" / "include"
    arch = "aarch64-linux-any" if platform.machine() in ("arm64", "aarch64") else "x86-linux-any"
    system = tuple(str(headers / d) for d in ("any-linux-any", arch) if (headers / d).is_dir())
    return Compiler("ziglang", 99, (sys.executable, "-m", "ziglang", "cc", "-target", "bpfel-freestanding"), system)


@lru_cache(maxsize=1)
def compilers() -> tuple[Compiler, ...]:
    """The compilers that are here, the best first: a recent clang, ziglang's, an older clang."""
    clang, zig = _clang(), _zig()
    recent = clang is not None and clang.version >= _WANTED_VERSION
    return tuple(c for c in ((clang, zig) if recent else (zig, clang)) if c)


def compiler() -> Compiler:
    """The compiler that is used here. Raises EbpflabError if there is none."""
    for found in compilers():
        return found
    raise EbpflabError("no C compiler that makes BPF", where="compile",
                       hint='pip install "ebpflab[c]", or install clang (Debian: apt-get install clang)')


_FLAGS = ("-O2", "-g", "-c", "-fno-stack-protector", "-fno-color-diagnostics", "-fdebug-compilation-dir=.", "-Wall",
          "-Wno-unused-function", "-Wno-unused-value", "-Wno-pointer-sign", "-Wno-compare-distinct-pointer-types")


#: machine (uname -m) -> what bpf_tracing.h calls it: where function arguments are
_ARCHES = {"x86_64": "x86", "AMD64": "x86", "aarch64": "arm64", "arm64": "arm64", "riscv64": "riscv"}


def compile_c(source: str, *, file: str = "<cell>", mcpu: str = "v3", flags: Sequence[str] = (),
              include: Sequence[str | Path] = (), machine: str = "", using: Compiler | None = None) -> Compiled:
    """Compile C for BPF, with BTF and line information.

    ``include`` are folders searched first (for a kernel's ``vmlinux.h``); ``machine`` (default: this one) is where
    the program will run, as ``uname -m`` says it. Raises CompileError at the first error.
    """
    with_ = using or compiler()
    arch = _ARCHES.get(machine or platform.machine())
    # a real file of that name: compilers put its lines into the BTF, and the kernel prints them in its log
    name = (re.sub(r"[^A-Za-z0-9_.-]+", "_", Path(file).stem).strip("_.-") or "cell") + ".c"
    folders = (*map(str, include), str(INCLUDE), *with_.system)
    with tempfile.TemporaryDirectory(prefix="ebpflab-") as folder:
        Path(folder, name).write_text(source)
        command = (*with_.command, f"-mcpu={mcpu}", *_FLAGS, *((f"-D__TARGET_ARCH_{arch}",) if arch else ()),
                   *(f"-I{f}" for f in folders), *flags, name, "-o", "out.o")
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, cwd=folder)
        except subprocess.TimeoutExpired:
            raise EbpflabError(f"{with_.name} did not finish within {_SECONDS} s", where=file) from None
        said = tuple(_diagnostics(done.stderr, name, file))
        if done.returncode:
            raise _failure(said, source, file, f"{with_.name} failed: {done.stderr.strip()[-500:]}")
        return Compiled(Path(folder, "out.o").read_bytes(), tuple(d for d in said if d.kind == "warning"), with_.name)


def _diagnostics(text: str, name: str, file: str):
    for m in _DIAGNOSTIC.finditer(text):
        shown = file if m["file"].removeprefix("./") == name else m["file"]
        yield Diagnostic(shown, int(m["line"]), int(m["column"]), m["kind"].removeprefix("fatal "), m["text"])


def _failure(said: tuple[Diagnostic, ...], source: str, file: str, otherwise: str) -> EbpflabError:
    first = next((d for d in said if d.kind == "error"), None)
    if first is None:
        return EbpflabError(otherwise, where=file)
    return CompileError(first, source if first.file == file else "", said)
