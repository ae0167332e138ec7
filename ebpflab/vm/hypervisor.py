"""QEMU on this machine: its binary, its version, and the accelerator that really runs a kernel."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import select
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ..errors import TargetError
from .machine import cache

PROBE_SECONDS = 6.0


@dataclass(frozen=True)
class Arch:
    """How a kernel of one architecture is booted. ``emulated`` is the -cpu for TCG."""

    name: str                  # uname -m
    debian: str
    binary: str
    machine: str
    emulated: str
    console: str
    package: str


#: Debian's name -> row
ARCHES = {
    # cx16: with QEMU 7.2's emulation of cmpxchg16b some boots of Linux 6.12 end in a panic
    "amd64": Arch("x86_64", "amd64", "qemu-system-x86_64", "q35", "max,-cx16", "ttyS0", "qemu-system-x86"),
}
#: accelerators by platform, the best first
ACCELERATORS = {"linux": ("kvm", "tcg"), "darwin": ("hvf", "tcg")}


def binary(arch: Arch) -> str:
    """The path of QEMU; TargetError if it is not installed."""
    path = shutil.which(arch.binary)
    if not path:
        raise TargetError(f"{arch.binary} is not installed", where="qemu",
                          hint="brew install qemu" if sys.platform == "darwin"
                          else f"on Debian or Ubuntu: sudo apt-get install --no-install-recommends {arch.package}")
    return path


@functools.cache
def version(path: str) -> str:
    """QEMU's version with its package's, as it tells it."""
    done = subprocess.run([path, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise TargetError(f"{path} does not run: {done.stderr.strip() or done.returncode}")
    return done.stdout.splitlines()[0]


@functools.cache
def host_cpu() -> str:
    """What a saved guest depends on when it runs on the host's own processor."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
        return "\n".join(line for line in lines if line.startswith(("model name", "stepping", "flags", "microcode")))
    return platform.processor()


def cpu(arch: Arch, accelerator: str) -> str:
    return arch.emulated if accelerator == "tcg" else "host"


def accelerator(arch: Arch, kernel: Path) -> str:
    """The best accelerator that boots ``kernel``, found by trying; remembered for this QEMU and host kernel.

    That a device like /dev/kvm opens says little: in a nested VM it may run no kernel at all.
    """
    path = binary(arch)
    candidates = ACCELERATORS.get(sys.platform, ("tcg",)) if platform.machine() == arch.name else ("tcg",)
    allowed = os.access("/dev/kvm", os.R_OK | os.W_OK)
    told = json.dumps([version(path), platform.release(), arch.name, candidates, host_cpu(), allowed])
    memory = cache() / f"accelerator-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    with contextlib.suppress(OSError):
        if (known := memory.read_text()) in candidates:
            return known
    found = next((name for name in candidates if name == "tcg" or boots(path, arch, name, kernel)), "tcg")
    with contextlib.suppress(OSError):
        memory.write_text(found)
    return found


def boots(path: str, arch: Arch, accelerator: str, kernel: Path) -> bool:
    """Does a kernel say its first words under this accelerator within a few seconds?"""
    with subprocess.Popen(
            [path, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", arch.machine,
             "-accel", accelerator, "-cpu", cpu(arch, accelerator), "-m", "256", "-kernel", str(kernel),
             "-append", f"console={arch.console} earlyprintk={arch.console} panic=-1", "-serial", "stdio"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        said, end = b"", time.monotonic() + PROBE_SECONDS
        try:
            while b"Linux version" not in said:
                ready, _, _ = select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))
                piece = process.stdout.read1(4096) if ready else b""  # type: ignore[attr-defined]
                if not piece:
                    return False
                said += piece
            return True
        finally:
            process.kill()
