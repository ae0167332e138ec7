"""Pins: names in a bpf file system that keep a map, program or link in the kernel when its process is gone."""

from __future__ import annotations

import errno as E
import os
import stat

from ..errors import KernelError
from . import explain, ids, syscall

_BPF_MAGIC = 0xCAFE4A11
DEFAULT = "/sys/fs/bpf"


def mounts() -> list[str]:
    """Where bpf file systems are mounted, as this process sees it."""
    found = []
    for line in explain.read("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        if after.split(" ")[0] == "bpf":
            found.append(before.split(" ")[4])
    return found


def _mount_of(path: str) -> str:
    """The bpf file system that ``path`` is in. KernelError if it is in none."""
    real = os.path.realpath(path)
    for mount in sorted(mounts(), key=len, reverse=True):
        if real.startswith(mount.rstrip("/") + "/"):
            return mount
    known = mounts()
    raise KernelError("this is not in a bpf file system", errno=E.EPERM, call="BPF_OBJ_PIN", where=path,
                      hint=f"pin below {known[0]}" if known else f"mount one first: mount -t bpf bpf {DEFAULT}")


def pin(fd: int, path: str) -> list[str]:
    """Give an object a name; directories are made. -> those that were made, outermost first."""
    mount, made = _mount_of(path), []
    if "." in path[len(mount):]:
        raise KernelError("names in a bpf file system have no dot", errno=E.EINVAL, call="BPF_OBJ_PIN", where=path)
    parent = os.path.dirname(os.path.realpath(path))
    while not os.path.isdir(parent):
        made.append(parent)
        parent = os.path.dirname(parent)
    made.reverse()
    raw = os.fsencode(path) + b"\0"
    try:
        for directory in made:
            os.mkdir(directory, 0o700)
        syscall.bpf("OBJ_PIN", where=path, pathname=syscall.address(raw), bpf_fd=fd)
    except BaseException:
        for directory in reversed(made):
            if os.path.isdir(directory):
                os.rmdir(directory)
        raise
    return made


def get(path: str) -> syscall.Fd:
    """A descriptor of what is pinned there."""
    raw = os.fsencode(path) + b"\0"
    return syscall.Fd(syscall.bpf("OBJ_GET", where=path, pathname=syscall.address(raw)))


def kind(fd: int) -> str:
    """"map", "prog" or "link": an object's descriptor says it of itself."""
    told = explain.read(f"/proc/self/fdinfo/{fd}")
    for name, word in (("link", "link_id:"), ("map", "map_id:"), ("prog", "prog_id:")):
        if f"\n{word}" in "\n" + told:
            return name
    raise KernelError("this is no map, program or link", errno=E.EINVAL, call="BPF_OBJ_GET")


def unpin(path: str) -> None:
    """Remove the name (the object goes with its last user), and directories that are then empty."""
    mount = _mount_of(path)
    try:
        os.unlink(path)
    except OSError as error:
        raise KernelError(f"cannot unpin: {error.strerror}", errno=error.errno or 0, call="unlink",
                          where=path) from error
    parent = os.path.dirname(os.path.realpath(path))
    while parent != mount:
        try:
            os.rmdir(parent)
        except OSError:                          # not empty
            break
        parent = os.path.dirname(parent)


def everything() -> list[dict]:
    """All pins: [{"path", "kind", "id", "name"}], of every bpf file system in sight."""
    found = []
    for mount in mounts():
        for directory, _, names in os.walk(mount):
            for name in names:
                path = os.path.join(directory, name)
                if not stat.S_ISREG(os.lstat(path).st_mode):
                    continue
                try:
                    held = get(path)
                    what = kind(held.fd)
                    told = ids.info(what, held.fd)
                except KernelError:              # an iterator (maps.debug, progs.debug), or gone meanwhile
                    continue
                found.append({"path": path, "kind": what, "id": told["id"], "name": told.get("name", "")})
                held.close()
    return found
