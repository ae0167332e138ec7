"""Vagrant boxes made of Debian packages, where no public box can be had: a disk that boots, for libvirt and QEMU.

No mount and no loop device is needed: the root file system is filled by ``mke2fs -d``, and GRUB is two pieces that
are written where the BIOS and GRUB itself look for them::

    sector 0                1                      2048
    +----------+-----------+----------------------+--------------------- …
    | boot.img | partition | core.img: GRUB with  | ext4: Debian, kernel,
    | 440 bytes| table     | its few commands     | our initial RAM disk
    +----------+-----------+----------------------+--------------------- …
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path

from ..errors import TargetError
from . import image
from .machine import Progress, cache, locked, quiet

VERSION = 1
DISK_BYTES = 3 << 30           # sparse
START = 2048                   # sector of the partition
FILES = image.GUEST / "box"
PACKAGES = ("python3", "kmod", "iproute2", "busybox-static", "systemd-sysv", "udev", "dbus", "openssh-server", "sudo",
            "netbase", "iputils-ping")
#: tool -> Debian package
TOOLS = {**image.TOOLS, "grub-mkimage": "grub-common", "qemu-img": "qemu-utils", "mke2fs": "e2fsprogs",
         "vagrant": "vagrant"}
GRUB = Path("/usr/lib/grub/i386-pc")
GRUB_MODULES = ("biosdisk", "part_msdos", "ext2", "linux", "echo")
#: what is done in the new root: Vagrant's user may become root, and only its insecure key opens the box; ``vagrant up``
#: replaces that key by one of the machine's own
HOOKS = ('chroot "$1" useradd --create-home --uid 1000 --shell /bin/bash vagrant',
         'chroot "$1" passwd --lock root',
         'rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/machine-id "$1"/var/lib/dbus/machine-id; : > "$1"/etc/machine-id',
         'chroot "$1" systemctl enable systemd-networkd ssh',
         'chroot "$1" systemctl mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer '
         'dpkg-db-backup.timer getty@tty1.service modprobe@drm.service modprobe@fuse.service '
         'modprobe@efi_pstore.service systemd-pstore.service e2scrub_reap.service networkd-dispatcher.service '
         'systemd-networkd-wait-online.service')


def missing() -> list[str]:
    """Debian packages that building a box needs and this machine lacks."""
    found = [package for tool, package in TOOLS.items() if not shutil.which(tool, path=search_path())]
    if not (GRUB / "boot.img").exists():
        found.append("grub-pc-bin")
    return sorted({*found, *image.missing()})


def search_path() -> str:
    """Where commands are looked for: also where only root's PATH leads."""
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def name(kernel: str) -> str:
    """What Vagrant calls the box."""
    return f"ebpflab/{image.recipe(kernel).kernel}"


def ensure(kernel: str = "", progress: Progress = quiet) -> Path:
    """The box file for a kernel, built if there is none (two minutes). Raises TargetError if tools are missing."""
    recipe = replace(image.recipe(kernel), packages=PACKAGES)
    told = json.dumps([VERSION, recipe.key, HOOKS, {file.name: file.read_text() for file in sorted(FILES.iterdir())}])
    boxes = cache() / "boxes"
    boxes.mkdir(exist_ok=True)
    path = boxes / f"{recipe.suite}-{recipe.arch}-{hashlib.sha256(told.encode()).hexdigest()[:12]}.box"
    if not path.exists():
        with locked(path.with_suffix(".lock"), lambda: progress("waiting for another process that builds the box",
                                                                None)):
            if not path.exists():
                _build(recipe, path, progress)
    return path


def _build(recipe: image.Recipe, path: Path, progress: Progress) -> None:
    if lacking := missing():
        raise TargetError("a box is made of Debian packages, and tools for that are missing",
                          hint=f"on Debian or Ubuntu: sudo apt-get install {' '.join(lacking)}")
    for left in path.parent.glob(f".{path.name}.*"):
        shutil.rmtree(left, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        tar = work / "root.tar"
        image.bootstrap(recipe, tar, progress, *(f"--customize-hook={hook}" for hook in HOOKS))
        progress("making the disk", 0.85)
        release = image.extract(tar, work)
        _additions(work, release)
        _disk(work, release)
        progress("packing the box", 0.93)
        _run("qemu-img", "convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd", str(work / "disk.raw"),
             str(work / "box.img"))
        told = {"provider": "libvirt", "format": "qcow2", "virtual_size": DISK_BYTES >> 30, "kernel": release}
        (work / "metadata.json").write_text(json.dumps(told))
        (work / "Vagrantfile").write_text((FILES / "Vagrantfile").read_text())
        with tarfile.open(work / "box", "w") as box:
            for part in ("metadata.json", "Vagrantfile", "box.img"):
                box.add(work / part, part)
        (work / "box").replace(path)
        progress(f"box with Linux {release} is ready", 1.0)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _additions(work: Path, release: str) -> None:
    """A tar with what is ours in the root: settings, Vagrant's public key, and the initial RAM disk."""
    init = (FILES / "init").read_bytes()
    initrd = (work / "boot.cpio").read_bytes() + image.cpio({"init": init})
    #: path -> (contents, mode, owner)
    files = {
        f"boot/initrd-{release}": (initrd, 0o644, 0),
        # the root is mounted by the initial RAM disk; were it in fstab, systemd would wait for udev to have seen it
        "etc/fstab": (b"", 0o644, 0),
        "etc/systemd/journald.conf.d/ebpflab.conf": (b"[Journal]\nStorage=volatile\n", 0o644, 0),
        "etc/hostname": (b"ebpflab\n", 0o644, 0),
        "etc/hosts": (b"127.0.0.1 localhost\n127.0.1.1 ebpflab\n::1 localhost\n", 0o644, 0),
        "etc/sudoers.d/vagrant": (b"vagrant ALL=(ALL) NOPASSWD: ALL\n", 0o440, 0),
        "etc/systemd/network/80-dhcp.network": ((FILES / "dhcp.network").read_bytes(), 0o644, 0),
        "etc/systemd/system/ssh.service.d/host-key.conf": ((FILES / "host-key.conf").read_bytes(), 0o644, 0),
        "etc/ssh/sshd_config.d/ebpflab.conf": ((FILES / "sshd.conf").read_bytes(), 0o644, 0),
        "home/vagrant/.ssh/authorized_keys": (insecure_keys(), 0o600, 1000),
    }
    with tarfile.open(work / "additions.tar", "w") as out:
        for path, mode, owner in [("home/vagrant/.ssh", 0o700, 1000)]:
            info = tarfile.TarInfo(path)
            info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, mode, owner, owner
            out.addfile(info)
        for path, (data, mode, owner) in files.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode, info.uid, info.gid = len(data), mode, owner, owner
            out.addfile(info, io.BytesIO(data))


def insecure_keys() -> bytes:
    """The public half of the key that every Vagrant has, as it is installed here."""
    for base in (Path("/usr/share/rubygems-integration"), Path("/usr/share/vagrant"), Path("/opt/vagrant")):
        if keys := sorted(base.glob("**/vagrant*/keys/vagrant.pub*")):
            return b"".join(key.read_bytes() for key in keys if key.is_file())
    raise TargetError("Vagrant's public key was not found", hint="install vagrant from Debian's packages")


def _disk(work: Path, release: str) -> None:
    """disk.raw: partition table, GRUB and the root file system."""
    root, partition, disk = work / "root", work / "part.raw", work / "disk.raw"
    size = DISK_BYTES - START * 512
    script = f"""set -e
    mkdir {root}
    tar -xpf {work}/root.tar -C {root} --numeric-owner
    tar -xpf {work}/additions.tar -C {root} --numeric-owner
    mke2fs -q -F -t ext4 -O ^metadata_csum,^has_journal -m 0 -d {root} {partition} {size // 1024}k
    rm -rf {root}"""
    become_root = [] if os.getuid() == 0 else ["unshare", "--user", "--map-root-user", "--map-auto"]
    _run(*become_root, "sh", "-c", script)
    early = work / "early.cfg"
    early.write_text(f"set root=(hd0,msdos1)\n"
                     f"linux /boot/vmlinuz-{release} console=ttyS0 net.ifnames=0 quiet loglevel=4 panic=5\n"
                     f"initrd /boot/initrd-{release}\nboot\n")
    _run("grub-mkimage", "-O", "i386-pc", "-p", "/boot/grub", "-c", str(early), "-o", str(work / "core.img"),
         *GRUB_MODULES)
    core = (work / "core.img").read_bytes()
    if len(core) > (START - 1) * 512:
        raise TargetError("GRUB is too large for the gap before the partition")
    with open(disk, "wb") as out:
        out.write((GRUB / "boot.img").read_bytes()[:440])
        # one partition, active, type 0x83; cylinders, heads and sectors that nobody reads
        out.write(bytes(6) + struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", START,
                                         size // 512) + bytes(48) + b"\x55\xaa")
        out.write(core)
    _run("dd", f"if={partition}", f"of={disk}", "bs=1M", "seek=1", "conv=sparse,notrunc", "status=none")
    os.truncate(disk, DISK_BYTES)
    partition.unlink()


def _run(*command: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True, errors="replace", env={**os.environ, "PATH": search_path()})
    if done.returncode:
        error = TargetError(f"{command[0]} failed: {(done.stderr.splitlines() or [str(done.returncode)])[-1]}")
        error.add_note(done.stderr[-2000:])
        raise error


def add(kernel: str = "", progress: Progress = quiet) -> str:
    """Build the box if need be and give it to Vagrant; its name there."""
    path = ensure(kernel, progress)
    progress("giving the box to Vagrant", None)
    _run("vagrant", "box", "add", "--force", "--provider", "libvirt", "--name", name(kernel), str(path))
    return name(kernel)


def main(kernels: list[str]) -> int:
    """``vagrant/build-box``."""
    from .progress import shown

    try:
        for kernel in kernels or [image.ALIASES[""]]:
            with shown(f"box {name(kernel)}") as progress:
                print(add(kernel, progress))
    except TargetError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
