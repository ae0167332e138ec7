"""Attachments: what a link is, and what a kind of hook says of itself.

A link is an object of this process.  Closing it detaches, and so does the death of the process: what holds the
attachment is a file descriptor (a bpf_link, a perf event, a socket), or it lives inside a namespace, cgroup or map
that this process alone holds.  The kinds are the modules of ``kernel/hooks``.
"""

from __future__ import annotations

import errno as E
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from ..abi.prog_types import BY_NUMBER
from ..errors import KernelError
from . import ids, rtnetlink, syscall


class Link:
    """An attachment that lasts until it is closed. ``id``: the kernel's link id, 0 where it has no link object.

    ``fd`` (-1: none) is closed first; what was pushed on ``undo`` follows, the last first.
    """

    def __init__(self, fd: int = -1):
        self._fd = syscall.Fd(fd)
        self.undo = ExitStack()
        self.told: dict[str, Any] = {}       # more about it, as plain data for the caller
        self.id = _id(fd) if fd >= 0 else 0

    @property
    def fd(self) -> int:
        return self._fd.fd

    def close(self) -> None:
        self._fd.close()
        self.undo.close()


def _id(fd: int) -> int:
    try:
        return ids.info("link", fd)["id"]
    except KernelError as error:
        if error.errno != E.EINVAL:          # a perf event or a raw tracepoint that is no bpf_link (before 5.8)
            raise
        return 0


#: options whose value is a handle of the session -> the kind of handle
HANDLES = {"net": "net", "cgroup": "cgroup", "map": "map", "socket": "sock"}


@dataclass(frozen=True)
class Hook:
    """One kind of place that programs are attached to.

    ``types``    program types that it takes (names of ``abi.prog_types``)
    ``options``  what ``where`` may say -> in a few words, with the choices there are
    ``make``     ``make(program, where) -> Link``; handles in ``where`` are already the things they stand for
    ``subject``  the option that a user's first argument means
    ``guest``    it sees or stops the whole machine, so it is only done in a guest
    """

    about: str
    types: tuple
    options: Mapping[str, str]
    make: Callable[[Any, dict], Link]
    subject: str = ""
    guest: bool = False
    since: str = ""
    needs: tuple = field(default=())


def near(word: str, known) -> str:
    """``did you mean …?`` or the list of what there is."""
    close = get_close_matches(str(word), [str(each) for each in known], 1)
    return f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(map(str, known))


def bad(what: str, hint: str = "", errno: int = E.EINVAL, call: str = "attach") -> KernelError:
    return KernelError(what, errno=errno, call=call, hint=hint or None)


def choose(where: Mapping, option: str, table: Mapping, default: str = ""):
    """The row of ``table`` that ``where[option]`` names. KernelError with what there is."""
    value = where.get(option, default) or default
    if value not in table:
        raise bad(f"{where['kind']} has no {option} {value!r}", near(value, [name for name in table if name]))
    return table[value]


def whole(where: Mapping, option: str, default: int, least: int = 0, most: int = (1 << 32) - 1) -> int:
    """The int ``where[option]``, checked against its range."""
    value = where.get(option, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise bad(f"{where['kind']}: {option} is a number from {least} to {most}, not {value!r}")
    return value


def check(hooks: Mapping[str, Hook], where: Mapping, prog_type: int) -> Hook:
    """The hook for ``where``. KernelError for an unknown kind or option, or a program of another type."""
    kind = where.get("kind", "")
    type_name = BY_NUMBER[prog_type].name if prog_type in BY_NUMBER else str(prog_type)
    fitting = [name for name, hook in hooks.items() if type_name in hook.types]
    if kind not in hooks:
        raise bad(f"there is no way to attach to {kind!r}",
                  near(kind, hooks) if kind else f"a {type_name} program: " + ", ".join(fitting), E.EOPNOTSUPP)
    hook = hooks[kind]
    unknown = sorted(set(where) - {"kind", *hook.options})
    if unknown:
        raise bad(f"{kind} has no option {unknown[0]!r}", f"it takes {', '.join(hook.options)}; "
                  + near(unknown[0], hook.options))
    for option in hook.needs:
        if where.get(option) in (None, "", 0):
            raise bad(f"{kind} needs {option}=: {hook.options[option]}")
    if type_name not in hook.types:
        raise bad(f"a {type_name} program cannot be attached by {kind!r}, which takes {', '.join(hook.types)}",
                  f"a {type_name} program: {', '.join(fitting)}" if fitting else
                  f"nothing attaches a {type_name} program yet")
    return hook


def inside(where: Mapping, function, *args):
    """Run in the namespace of the lab network that ``where`` names, else in this thread's own."""
    if where.get("net") is not None:
        return where["net"].inside(where.get("dev", ""), function, *args)
    return function(*args)


def undo(where: Mapping, function, *args) -> None:
    """``inside`` for what takes an attachment away; a network that was closed has taken it away already."""
    if where.get("net") is None or where["net"].namespaces:
        inside(where, function, *args)


def device(where: Mapping) -> int:
    """The index of ``dev`` in this thread's namespace."""
    return rtnetlink.index(where.get("dev", ""))


def bpf_link(program, attach_type: int, target_fd: int, where: Mapping, **fields) -> Link:
    """BPF_LINK_CREATE (since 5.7)."""
    place = " ".join(str(where[name]) for name in ("kind", "dev", "mode", "direction") if where.get(name))
    return Link(syscall.bpf("LINK_CREATE", where=place, prog_fd=program.fd, attach_type=attach_type,
                            target_fd=target_fd, **fields))
