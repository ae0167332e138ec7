"""Why the kernel said no, in a sentence: errno and call to cause and remedy.

A system call gives one number; the cause of EPERM lies in capabilities (capabilities(7)), a sysctl
(kernel.unprivileged_bpf_disabled), lockdown (kernel_lockdown(7)), a user namespace or a seccomp filter.
This module reads those from /proc and /sys and says which it was.
"""

from __future__ import annotations

import errno as E
import os
from pathlib import Path

from ..errors import KernelError

ENOTSUPP = 524  # kernel internal (include/linux/errno.h), yet bpf(2) returns it

#: bit number -> name (include/uapi/linux/capability.h)
CAPABILITIES = dict(enumerate("""
CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP
CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_IPC_OWNER
CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE
CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL CAP_SETFCAP
CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF
CAP_CHECKPOINT_RESTORE
""".split()))

#: call -> capabilities, one of which in each group is needed
_NEEDS = {
    "MAP_CREATE": ("CAP_BPF|CAP_SYS_ADMIN",),
    "PROG_LOAD": ("CAP_BPF|CAP_SYS_ADMIN", "CAP_NET_ADMIN|CAP_PERFMON|CAP_SYS_ADMIN"),
    "PROG_TEST_RUN": ("CAP_NET_ADMIN|CAP_SYS_ADMIN",),
    "LINK_CREATE": ("CAP_BPF|CAP_SYS_ADMIN", "CAP_NET_ADMIN|CAP_PERFMON|CAP_SYS_ADMIN"),
    "unshare": ("CAP_SYS_ADMIN",),
    "setns": ("CAP_SYS_ADMIN",),
    "netlink": ("CAP_NET_ADMIN",),
    "AF_PACKET": ("CAP_NET_RAW",),
    "AF_XDP": ("CAP_NET_RAW",),
    "perf_event_open": ("CAP_PERFMON|CAP_SYS_ADMIN",),
}
_BPF_NEEDS = ("CAP_BPF|CAP_SYS_ADMIN",)

#: (call, errno) -> (what it means, what to do); "" as call: for every call
_CAUSES = {
    ("PROG_LOAD", E.EINVAL): (
        "the kernel refuses the request before it looks at the program",
        "is the program type known to this kernel, do flags and attach type fit it, is every name letters, digits, "
        "'_' or '.'?"),
    ("PROG_LOAD", E.E2BIG): ("the program is empty or too long, or the request has a field this kernel does not know",
                             "1 to 1,000,000 instructions (4,096 without CAP_BPF); newer fields need a newer kernel"),
    ("PROG_LOAD", E.ENOSPC): ("the verifier log does not fit into the buffer", "log_size 0 grows it until it fits"),
    ("PROG_LOAD", E.EBADF): ("a wide load names a file descriptor that is no map", "give the maps as handles"),
    ("MAP_CREATE", E.EINVAL): (
        "the kernel refuses this map: type unknown, or wrong key size, value size, max_entries or flags for it",
        "lpm_trie needs flag BPF_F_NO_PREALLOC (1); ringbuf a power of two of pages and no key or value; stack_trace "
        "a value of 8 times the depth; maps of maps a prototype"),
    ("MAP_CREATE", E.E2BIG): ("the map is larger than the kernel allows", "fewer entries or a smaller value"),
    ("MAP_CREATE", E.ENOMEM): ("there is no memory for a map of this size", "fewer entries, or BPF_F_NO_PREALLOC (1)"),
    ("MAP_UPDATE_ELEM", E.E2BIG): ("the map is full, or the index is beyond max_entries",
                                   "delete entries, make it larger, or use an lru_hash"),
    ("MAP_UPDATE_ELEM", E.EEXIST): ("the key exists and the flag BPF_NOEXIST forbids that (an array's keys all do)",
                                    "use flag BPF_ANY (0)"),
    ("MAP_UPDATE_ELEM", E.ENOENT): ("the key does not exist and the flag BPF_EXIST asks for it",
                                    "use flag BPF_ANY (0)"),
    ("MAP_UPDATE_ELEM", E.EBADF): ("the value must be the file descriptor of a program, map or socket", ""),
    ("MAP_UPDATE_ELEM", E.EINVAL): ("the flags, or what the value stands for, do not fit this map", ""),
    ("MAP_DELETE_ELEM", E.EINVAL): ("entries of this map type cannot be deleted", "an array's entry can be zeroed"),
    ("MAP_LOOKUP_ELEM", E.EOPNOTSUPP): ("user space cannot look up values of this map type", ""),
    ("MAP_LOOKUP_ELEM", ENOTSUPP): ("user space cannot look up values of this map type", ""),
    ("MAP_LOOKUP_ELEM", E.EPERM): ("the map does not let user space read it (flag BPF_F_WRONLY)", ""),
    ("MAP_UPDATE_ELEM", E.EPERM): ("the map does not let user space write it (BPF_F_RDONLY, or frozen)", ""),
    ("PROG_TEST_RUN", ENOTSUPP): ("this kernel has no test run for this program type",
                                  "attach it and send real traffic, or use --target sim"),
    ("PROG_TEST_RUN", E.EINVAL): ("the kernel refuses this input",
                                  "programs on packets want at least 14 bytes of data (an Ethernet header), and a "
                                  "context whose fields the program type lets a test set"),
    ("PROG_TEST_RUN", E.EINTR): ("a signal ended the test run", ""),
    ("LINK_CREATE", E.EBUSY): ("another program is attached here", "detach it first"),
    ("LINK_CREATE", E.EEXIST): ("another program is attached here, in the other mode", "detach it first"),
    ("LINK_CREATE", E.EOPNOTSUPP): ("the device's driver does not run XDP itself", "mode='generic'"),
    ("LINK_CREATE", E.ENODEV): ("there is no such device", ""),
    ("LINK_CREATE", E.EINVAL): ("the kernel refuses this attachment",
                                "do the program's type and attach type fit the hook?"),
    ("LINK_CREATE", E.ENOTDIR): ("this is no cgroup v2 directory", ""),
    ("PROG_ATTACH", E.EBUSY): ("another program is attached here", "detach it first"),
    ("PROG_ATTACH", E.EEXIST): ("another program is attached here", "detach it first"),
    ("PROG_ATTACH", E.EINVAL): ("the kernel refuses this attachment", "do the program's type and stage fit the map?"),
    ("PROG_ATTACH", E.EOPNOTSUPP): ("this kernel cannot attach there", ""),
    ("OBJ_PIN", E.EEXIST): ("something is pinned here already", "unpin it first, or take another name"),
    ("OBJ_PIN", E.EPERM): ("this is not on a bpf file system",
                           "pin below /sys/fs/bpf; if it is empty: mount -t bpf bpf /sys/fs/bpf"),
    ("OBJ_PIN", E.EINVAL): ("this is not on a bpf file system, or the name has a dot in it",
                            "pin below /sys/fs/bpf; if it is not mounted: mount -t bpf bpf /sys/fs/bpf"),
    ("OBJ_GET", E.ENOENT): ("nothing is pinned here", ""),
    ("OBJ_GET", E.EACCES): ("this is no pinned object", "pins are below /sys/fs/bpf"),
    ("OBJ_GET", E.EINVAL): ("this is no pinned object", "pins are below /sys/fs/bpf"),
    ("perf_event_open", E.ENOENT): ("this machine has no such event or place", ""),
    ("perf_event_open", E.EOPNOTSUPP): ("this machine has no such event", "cpu-clock is everywhere; a guest has no "
                                                                        "hardware counters"),
    ("BTF_LOAD", E.EINVAL): ("the kernel refuses this type information", "see the log"),
    ("", E.ENOSYS): ("this kernel has no bpf(2)", "use --target sim, or a VM"),
    ("", E.EMFILE): ("this process has no file descriptor left", "close what is not needed, or raise ulimit -n"),
    ("", E.ENFILE): ("the system has no file descriptor left", ""),
    ("", E.ENOMEM): ("the kernel has no memory for this", ""),
    ("", E.EFAULT): ("the kernel could not read or write the memory it was given", ""),
}


def read(path: str) -> str:
    """The text of a /proc or /sys file, "" if it is not there or not ours to read."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def capabilities() -> list[str]:
    """Names of this thread's effective capabilities."""
    status = dict(line.split(":", 1) for line in read("/proc/thread-self/status").splitlines() if ":" in line)
    bits = int(status.get("CapEff", "0"), 16)
    return [name for bit, name in CAPABILITIES.items() if bits >> bit & 1]


def lockdown() -> str:
    """``none``, ``integrity`` or ``confidentiality``; "" where the kernel has no lockdown or hides it."""
    for word in read("/sys/kernel/security/lockdown").split():
        if word.startswith("["):
            return word.strip("[]")
    return ""


def unprivileged_bpf_disabled() -> int | None:
    """The sysctl: 0 anyone may, 1 and 2 only CAP_BPF; None if there is none."""
    text = read("/proc/sys/kernel/unprivileged_bpf_disabled")
    return int(text) if text else None


def in_user_namespace() -> bool:
    """Is this not the initial user namespace (whose map covers all ids)?"""
    return read("/proc/self/uid_map").split() not in ([], ["0", "0", "4294967295"])


def missing(call: str) -> list[str]:
    """Which capabilities ``call`` asks for and we lack, each as ``CAP_BPF or CAP_SYS_ADMIN``."""
    have = set(capabilities())
    return [group.replace("|", " or ") for group in _NEEDS.get(call, _BPF_NEEDS) if not have & set(group.split("|"))]


def permission(call: str) -> tuple[str, str]:
    """What stands behind an EPERM of ``call``, and the way out."""
    lacking = missing(call)
    way_out = "use --target sim, which needs no permission, or a VM (--target qemu)"
    if lacking:
        what = f"uid {os.geteuid()} lacks {' and '.join(lacking)}"
        if in_user_namespace():
            return f"{what}, and this is a user namespace (a container), whose capabilities bpf(2) does not count", \
                   f"run it in the host's user namespace, or {way_out}"
        sysctl = unprivileged_bpf_disabled()
        if sysctl and call in ("PROG_LOAD", "MAP_CREATE"):
            what += f", and kernel.unprivileged_bpf_disabled is {sysctl}, so the kernel takes nothing from such users"
        return what, f"run as root (sudo) or grant the capability; or {way_out}"
    if in_user_namespace():
        return "this is a user namespace (a container), whose capabilities bpf(2) does not count", way_out
    if lockdown() not in ("", "none"):
        return f"the kernel is locked down ({lockdown()}), which forbids this even to root", way_out
    if "Seccomp:\t2" in read("/proc/self/status"):
        return "all capabilities are there, so probably the seccomp filter that this process runs under forbids it", \
               f"a container needs --privileged or its own seccomp profile; or {way_out}"
    return "all capabilities are there: the kernel's configuration, a security module or this object forbids it", \
           f"try it in a VM: {way_out}"


def error(call: str, errno: int, *, where: str | None = None, log: str = "", hint: str = "") -> KernelError:
    """The KernelError for a failed ``call`` (``PROG_LOAD``, ``unshare`` …): name, errno, cause, remedy."""
    what, remedy = _CAUSES.get((call, errno)) or _CAUSES.get(("", errno)) or ("", "")
    if errno in (E.EPERM, E.EACCES) and (missing(call) or not what):
        what, remedy = permission(call)
    name = "ENOTSUPP" if errno == ENOTSUPP else E.errorcode.get(errno, str(errno))
    full = f"BPF_{call}" if call.isupper() and not call.startswith("AF_") else call
    text = f"{full} failed with {name}" + (f": {what or os.strerror(errno)}")
    return KernelError(text, errno=errno, call=full, log=log, where=where, hint=hint or remedy or None)
