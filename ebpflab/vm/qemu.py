"""Guests run by QEMU: a kernel booted directly, its root read-only, all that it writes in its memory.

So the state of a guest is the state of its memory and devices: a snapshot is one file, several guests share one
image, and nothing has to be cleaned up after them but a directory with sockets.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from ..errors import TargetError
from ..kernel import wire
from . import hypervisor, image, machine, push
from .machine import Progress, quiet
from .qmp import Qmp

log = logging.getLogger("ebpflab.vm")

MEMORY = 1024                  # MiB
CPUS = 2
BOOT_SECONDS = 180.0           # an emulated guest needs 4 to 9 on a free machine
RESTORE_SECONDS = 30.0
KEPT = 8                       # ready snapshots in the cache, 100 MB each: one for each kernel, and some
# -no-reboot makes the reboot after a panic QEMU's end; an NMI (QMP inject-nmi) panics a guest that hangs
APPEND = "console={console} loglevel=4 panic=-1 oops=panic unknown_nmi_panic random.trust_cpu=on"
WARDEN = Path(__file__).with_name("warden.py")


class QemuMachine:
    """One guest. ``up`` restores it from the snapshot of a guest that was just ready, or boots it."""

    def __init__(self, name: str = "qemu", *, kernel: str = "", memory: int = MEMORY, cpus: int = CPUS,
                 append: str = ""):
        """``kernel`` as in "6.12"; ``append`` is added to the kernel's command line; ``memory`` in MiB."""
        self.name, self.memory, self.cpus, self.append = name, memory, cpus, append
        self.recipe = image.recipe(kernel)
        self.arch = hypervisor.ARCHES[self.recipe.arch]
        self.image: image.Image | None = None
        self.how = ""                          # "restored" or "booted", with the seconds in ``took``
        self.took = 0.0
        self._directory: Path | None = None
        self._warden: subprocess.Popen | None = None
        self._accelerator = ""
        self._first: wire.Stream | None = None # left over from seeing the agent answer
        self._why = ""

    # what it is

    @property
    def state(self) -> str:
        if self._warden is None:
            return "lost" if self._why else "absent"
        return "lost" if self._ended() else "running"

    @property
    def pid(self) -> int:
        """QEMU's process, 0 if there is none."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            return int((self._directory / "pid").read_text())  # type: ignore[operator]
        return 0

    def command(self) -> list[str]:
        """QEMU's command line; sockets are relative to the machine's own directory, so it says all that matters."""
        assert self.image
        append = APPEND.format(console=self.arch.console) + (f" {self.append}" if self.append else "")
        return [
            hypervisor.binary(self.arch), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-machine", self.arch.machine, "-accel", self._accelerator,
            "-cpu", hypervisor.cpu(self.arch, self._accelerator), "-smp", str(self.cpus), "-m", str(self.memory),
            "-kernel", str(self.image.kernel), "-initrd", str(self.image.initrd), "-append", append,
            "-drive", f"file={str(self.image.root).replace(',', ',,')},if=none,id=root,format=raw,readonly=on",
            "-device", "virtio-blk-pci,drive=root",
            "-device", "virtio-serial-pci", "-chardev", "socket,id=agent,path=agent.sock,server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=ebpflab.agent",
            "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
            "-qmp", "unix:qmp.sock,server=on,wait=off",
        ]

    @property
    def key(self) -> str:
        """What a saved guest must agree in to be restored: QEMU, its command line, the image, the processor."""
        assert self.image
        host = "" if self._accelerator == "tcg" else hypervisor.host_cpu()
        told = json.dumps([hypervisor.version(hypervisor.binary(self.arch)), self.command(), self.image.key, host])
        return hashlib.sha256(told.encode()).hexdigest()[:20]

    # up

    def up(self, progress: Progress = quiet, *, cold: bool = False) -> None:
        """Have the guest run and its agent answer. ``cold`` boots it even if there is a snapshot.

        A guest that panics while it boots is started once more, and the log says so.
        """
        if self.state == "running":
            return
        self.halt()
        self._prepare(progress)
        # the same guest with another version of the agent will do: today's is sent to it, and kept for the next time
        ready = self._snapshots("ready") / f"{self.key}-{push.agent_code()[1][:12]}.state"
        known = sorted(ready.parent.glob(f"{self.key}-*.state"), key=lambda path: (path == ready, path.stat().st_mtime))
        if known and not cold:
            progress("restoring the guest", None)
            try:
                self._start(known[-1])
                return self._keep(ready)
            except TargetError as error:
                log.warning("%s: its snapshot cannot be restored (%s); booting instead", self.name, error.what)
                known[-1].unlink(missing_ok=True)
                self.halt()
        progress(f"booting Linux {self.image.release} ({self._accelerator})", 0.0)  # type: ignore[union-attr]
        try:
            self._start()
        except TargetError as error:
            log.warning("%s: the guest did not come up (%s); trying once more", self.name, error)
            self.halt()
            self._start()
        self._keep(ready)

    def _prepare(self, progress: Progress) -> None:
        hypervisor.binary(self.arch)
        machine.sweep()
        self.image = image.ensure(self.recipe, progress)
        if not self._accelerator:
            progress("looking for an accelerator that runs a kernel")
            self._accelerator = hypervisor.accelerator(self.arch, self.image.kernel)

    def _start(self, state: Path | None = None) -> None:
        """Start QEMU under its warden, from a saved ``state`` if given, and see its agent answer."""
        self._why = ""
        begin = time.monotonic()
        command = self.command()
        if state:
            command += ["-incoming", f"exec:cat {shlex.quote(str(state))}"]
        self._directory = machine.runtime_dir(self.name)
        try:
            self._warden = subprocess.Popen(
                [sys.executable, "-I", "-S", str(WARDEN), str(self._directory), *command],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        except OSError:
            shutil.rmtree(self._directory, ignore_errors=True)
            raise
        try:
            if state:
                with self._qmp() as qmp:
                    qmp.resume(RESTORE_SECONDS)
            self._first = self.stream(timeout=RESTORE_SECONDS if state else BOOT_SECONDS)
        except BaseException as error:
            self._why = self.explain()
            if isinstance(error, TargetError):
                raise TargetError(f"{error.what}; {self._why}" if self._why not in error.what else error.what,
                                  where=self.name) from error
            self.halt()
            raise
        self.how, self.took = "restored" if state else "booted", time.monotonic() - begin

    def _keep(self, ready: Path) -> None:
        """Save a guest that has just come up for the next time; a failure costs only time then."""
        try:
            if ready.exists():
                return os.utime(ready)
            first, self._first = self._first, None
            assert first
            with contextlib.closing(first):    # a guest is saved with no client connected
                first.receive()                # the agent's first word: from here on it notices when we go
            self._save(ready)
            old = sorted(ready.parent.glob("*.state"), key=lambda path: path.stat().st_mtime, reverse=True)
            broken = [path for path in ready.parent.glob(".*") if path.stat().st_mtime < time.time() - 3600]
            for path in [*old[KEPT:], *broken]:
                path.unlink(missing_ok=True)
        except (TargetError, OSError) as error:
            log.warning("%s: no snapshot was kept: %s", self.name, error)

    # the agent

    def stream(self, *, timeout: float = RESTORE_SECONDS) -> wire.Stream:
        """A stream on which an agent has just been started. One at a time: the next waits for the one before."""
        self._check()
        if first := self._first:
            self._first = None
            return first
        return push.start_agent(self._connect("agent.sock", timeout).detach(), timeout=timeout, check=self._check)

    def release(self) -> None:
        """Let another process have the agent: the one that answered while it came up is ended."""
        first, self._first = self._first, None
        if first:
            first.close()

    def _connect(self, name: str, timeout: float) -> socket.socket:
        """A socket to QEMU, as soon as it listens."""
        end = time.monotonic() + timeout
        while True:
            self._check()
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(self._directory / name))  # type: ignore[operator]
                return connection
            except OSError as error:
                connection.close()
                if time.monotonic() > end:
                    raise TargetError(f"QEMU does not listen: {error}", where=self.name) from None
                time.sleep(0.01)

    def _qmp(self, timeout: float = RESTORE_SECONDS) -> Qmp:
        return Qmp(self._connect("qmp.sock", timeout), timeout)

    def _check(self) -> None:
        if self._warden is None:
            raise TargetError(f"the machine {self.name} is not running", hint="start it with up()")
        if self._ended():
            raise TargetError(self.explain(), where=self.name)

    def _ended(self) -> bool:
        warden, directory = self._warden, self._directory      # another thread may be halting it
        return not warden or not directory or warden.poll() is not None or (directory / "exit").exists()

    # snapshots

    def snapshot(self, name: str) -> None:
        """Save the running guest under ``name``; an older one of that name is replaced."""
        self._check()
        self._save(self._named(name))

    def restore(self, name: str) -> None:
        """Have the guest as it was when ``snapshot(name)`` was called; what it is now is lost."""
        if self.image is None:
            self._prepare(quiet)
        state = self._named(name)
        if not state.exists():
            known = ", ".join(self.snapshots()) or "none"
            raise TargetError(f"{self.name} has no snapshot {name!r}", hint=f"it has: {known}")
        self.halt()
        self._start(state)

    def snapshots(self) -> list[str]:
        return sorted(path.name.removesuffix(".state") for path in self._snapshots("named").glob("*.state"))

    def _snapshots(self, kind: str) -> Path:
        path = machine.cache() / "snapshots" / (kind if kind == "ready" else f"{kind}-{self.name}")
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _named(self, name: str) -> Path:
        if not re.fullmatch(r"[\w.-]{1,60}", name):
            raise TargetError(f"{name!r} is no name for a snapshot", hint="letters, digits, '.', '-' and '_'")
        return self._snapshots("named") / f"{name}.state"

    def _save(self, path: Path) -> None:
        new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with self._qmp() as qmp:
                qmp.save(new)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)

    # down

    def halt(self) -> None:
        """Switch it off: QEMU, its warden and its directory are gone when this returns."""
        warden, self._warden = self._warden, None
        if warden is None:
            return
        assert warden.stdin and self._directory
        self.release()
        if not self._why and self._directory.exists() and (self._directory / "exit").exists():
            self._why = self._last_words()
        warden.stdin.close()
        try:
            warden.wait(10)
        except subprocess.TimeoutExpired:
            warden.kill()                      # the kernel ends QEMU with it (see warden.py), the next sweep the rest
            warden.wait()
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory = None

    def destroy(self) -> None:
        """Switch it off and remove its named snapshots."""
        self.halt()
        shutil.rmtree(self._snapshots("named"), ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc) -> None:
        self.halt()

    # what went wrong

    def console(self) -> str:
        """The last of what the guest's kernel and QEMU said (up to 512 KiB)."""
        text = b""
        if directory := self._directory:
            for name in ("console.log.old", "console.log"):
                with contextlib.suppress(OSError):
                    text += (directory / name).read_bytes()
        return text.decode(errors="replace")

    def explain(self) -> str:
        for _ in range(20):                    # asked when a connection broke: the warden tells a moment later
            if self._warden is None:
                return self._why
            if self._ended():
                return self._last_words()
            time.sleep(0.05)
        return ""

    def _last_words(self) -> str:
        lines = [line.strip() for line in self.console().splitlines() if line.strip()]
        panic = next((n for n, line in enumerate(lines) if "Kernel panic" in line or "Oops:" in line or "BUG:" in line),
                     None)
        if panic is not None:
            return "the guest's kernel panicked: " + " | ".join(lines[panic:panic + 3])
        return "QEMU ended" + (f": {lines[-1]}" if lines else "")
