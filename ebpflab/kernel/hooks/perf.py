"""Programs on perf events: probes in kernel and user code, tracepoints, and samples by the clock. In a guest only.

A perf event is opened for the place and the program put on it: as a bpf_link since 5.15, by ioctl before.
Either way closing the descriptors ends it.
"""

from __future__ import annotations

import errno as E
import fcntl
import os
from functools import partial

from ...errors import KernelError
from .. import elf_symbols, explain, perf, syscall
from ..links import Hook, Link, bad, bpf_link, near, whole

_PERF_EVENT = 41                                 # BPF_PERF_EVENT
_SET_BPF, _ENABLE = 0x40042408, 0x2400           # PERF_EVENT_IOC_SET_BPF, _ENABLE
_TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")


def _on(program, events: list[syscall.Fd], where: dict) -> Link:
    """One program on each of the events; the link owns them."""
    made = Link()
    try:
        for event in events:
            made.undo.callback(event.close)
        for event in events:
            try:
                link = bpf_link(program, _PERF_EVENT, event.fd, where)
            except KernelError as error:
                if error.errno != E.EINVAL:
                    raise
                fcntl.ioctl(event.fd, _SET_BPF, program.fd)
            else:
                made.undo.callback(link.close)
                made.id = made.id or link.id
            fcntl.ioctl(event.fd, _ENABLE, 0)
    except OSError as failed:
        made.close()
        raise explain.error("perf_event_open", failed.errno or 0, where=where["kind"]) from failed
    except BaseException:
        made.close()
        raise
    return made


def _kprobe(returning: bool, program, where: dict) -> Link:
    name = where["function"].encode() + b"\0"
    try:
        event = perf.open_probe("kprobe", name, whole(where, "offset", 0), returning)
    except KernelError as error:
        if error.errno not in (E.ENOENT, E.EINVAL):
            raise
        raise bad(f"the kernel has no function {where['function']!r} that can be probed",
                  "its functions are in /proc/kallsyms; one that the compiler inlined is not there",
                  E.ENOENT) from error
    return _on(program, [event], where)


def _uprobe(returning: bool, program, where: dict) -> Link:
    path, offset = where["path"], whole(where, "offset", 0, most=(1 << 63) - 1)
    if where.get("function"):
        offset += elf_symbols.file_offset(path, where["function"])
    elif not offset:
        raise bad(f"{where['kind']} needs function= (a symbol of {path}) or offset= (bytes into the file)")
    event = perf.open_probe("uprobe", os.fsencode(path) + b"\0", offset, returning, pid=where.get("pid") or -1)
    return _on(program, [event], where)


def _usdt(program, where: dict) -> Link:
    places = elf_symbols.usdt(where["path"], where["probe"])
    return _on(program, [perf.open_probe("uprobe", os.fsencode(where["path"]) + b"\0", place["offset"], False,
                                         pid=where.get("pid") or -1, semaphore=place["semaphore"])
                         for place in places], where)


def _tracepoint(program, where: dict) -> Link:
    category, _, event = where["name"].replace("/", ":").partition(":")
    for root in _TRACEFS:
        number = explain.read(f"{root}/events/{category}/{event}/id")
        if number:
            return _on(program, [perf.open_tracepoint(int(number))], where)
    raise _no_tracepoint(category, event)


def _no_tracepoint(category: str, event: str) -> KernelError:
    for root in filter(os.path.isdir, (f"{root}/events" for root in _TRACEFS)):
        place = f"{root}/{category}" if event and os.path.isdir(f"{root}/{category}") else root
        known = [name for name in sorted(os.listdir(place)) if os.path.isdir(f"{place}/{name}")]
        word = event if place != root else category
        return bad(f"there is no tracepoint {category}:{event}", near(word, known)[:300] +
                   "; a name is category:event, as sched:sched_switch", E.ENOENT)
    return bad("there is no tracefs here", "mount -t tracefs tracefs /sys/kernel/tracing", E.ENOENT)


def _sampled(program, where: dict) -> Link:
    name = where.get("event") or "cpu-clock"
    if name not in perf.EVENTS:
        raise bad(f"there is no event {name!r}", near(name, perf.EVENTS))
    frequency, period = whole(where, "frequency", 0, 0, 100_000), whole(where, "period", 0)
    if frequency and period:
        raise bad("perf_event takes frequency= (samples a second) or period= (one sample every so many), not both")
    pid = where.get("pid") or -1
    cpus = [where["cpu"]] if where.get("cpu") is not None else [-1] if pid > 0 else perf.online()
    return _on(program, [perf.open_counter(name, cpu, pid, frequency=frequency or (0 if period else 99), period=period)
                         for cpu in cpus], where)


_PATH = {"path": "a program or library file", "function": "a symbol in it", "offset": "bytes after that",
         "pid": "one process only"}
_FUNCTION = {"function": "a function of the kernel", "offset": "bytes after its start"}
HOOKS = {
    "kprobe": Hook("a kernel function, or an instruction in it", ("kprobe",), _FUNCTION, partial(_kprobe, False),
                   subject="function", guest=True, needs=("function",), since="4.1"),
    "kretprobe": Hook("the return of a kernel function", ("kprobe",), _FUNCTION, partial(_kprobe, True),
                      subject="function", guest=True, needs=("function",), since="4.1"),
    "uprobe": Hook("a function of a program or library", ("kprobe",), _PATH, partial(_uprobe, False),
                   subject="path", guest=True, needs=("path",), since="4.1"),
    "uretprobe": Hook("the return of a function of a program or library", ("kprobe",), _PATH, partial(_uprobe, True),
                      subject="path", guest=True, needs=("path",), since="4.1"),
    "usdt": Hook("a marker that a program or library brings (.note.stapsdt)", ("kprobe",),
                 {"path": "a program or library file", "probe": "provider:name", "pid": "one process only"}, _usdt,
                 subject="path", guest=True, needs=("path", "probe"), since="4.20"),
    "tracepoint": Hook("a place that the kernel marks", ("tracepoint",), {"name": "category:event"}, _tracepoint,
                       subject="name", guest=True, needs=("name",), since="4.7"),
    "perf_event": Hook("samples by a clock or counter, on every CPU", ("perf_event",),
                       {"event": ", ".join(perf.EVENTS), "frequency": "samples a second (99)",
                        "period": "one sample every so many", "cpu": "one CPU only", "pid": "one process only"},
                       _sampled, subject="event", guest=True, since="4.9"),
}
