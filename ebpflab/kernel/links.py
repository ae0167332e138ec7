"""Attachments: BPF_LINK_CREATE, one row a kind of hook.

A link is a file descriptor: closing it detaches, and so does the death of the process.
"""

from __future__ import annotations

import errno as E
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import KernelError
from . import ids, rtnetlink, syscall

#: mode of an XDP program -> flag (include/uapi/linux/if_link.h): generic runs on the skb, native in the driver
XDP_MODES = {"": 0, "generic": 2, "native": 4, "offload": 8}


@dataclass(frozen=True)
class Hook:
    """One kind of place. ``fields(where)`` gives what BPF_LINK_CREATE wants beyond program and attach type;
    it runs inside the network namespace that ``where`` names. ``options`` are the keys it takes."""

    attach_type: int
    options: tuple
    fields: Callable[[dict], dict]


def _choose(where: dict, option: str, table: dict) -> int:
    if where.get(option, "") not in table:
        known = ", ".join(filter(None, table))
        raise KernelError(f"unknown {option} {where[option]!r} for {where['kind']}", errno=E.EINVAL,
                          call="BPF_LINK_CREATE", hint=f"known: {known}")
    return table[where.get(option, "")]


def _xdp(where: dict) -> dict:
    return {"target_fd": rtnetlink.index(where.get("dev", "")), "flags": _choose(where, "mode", XDP_MODES)}


HOOKS = {
    "xdp": Hook(37, ("net", "dev", "mode"), _xdp),
}


class Link(syscall.Fd):
    """An attachment that lasts until it is closed; ``on_close`` is then called. ``native``: XDP in the driver."""

    native = False

    def __init__(self, fd: int):
        super().__init__(fd)
        self.id = ids.info("link", fd)["id"]
        self.on_close: Callable[[], None] | None = None

    def close(self) -> None:
        super().close()
        done, self.on_close = self.on_close, None
        if done:
            done()


def hook_of(where: dict) -> Hook:
    """The row for ``where``. KernelError for an unknown kind or option."""
    kind = where.get("kind", "")
    hook = HOOKS.get(kind)
    if hook is None:
        raise KernelError(f"no way to attach to {kind!r} yet", errno=E.EOPNOTSUPP, call="BPF_LINK_CREATE",
                          hint="known kinds: " + ", ".join(HOOKS))
    unknown = sorted(set(where) - {"kind", *hook.options})
    if unknown:
        raise KernelError(f"{kind} has no option {unknown[0]!r}", errno=E.EINVAL, call="BPF_LINK_CREATE",
                          hint="it takes " + ", ".join(hook.options))
    return hook


def attach(prog_fd: int, where: dict) -> Link:
    """Attach to ``where`` (``kind`` and that kind's options), seen from this thread's namespaces."""
    hook = hook_of(where)
    place = " ".join(str(where[name]) for name in ("kind", "dev", "mode") if where.get(name))
    return Link(syscall.bpf("LINK_CREATE", where=place, prog_fd=prog_fd, attach_type=hook.attach_type,
                            **hook.fields(where)))
