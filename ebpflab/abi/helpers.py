"""Helper functions: prototype, licence, first kernel, what it does, and who may call it.

    HELPERS["map_lookup_elem"].args       -> two Arg: const_map_ptr, map_key
    prototype("get_socket_cookie", "sk_reuseport")     the form that this program type sees
    may_call("xdp", "redirect_map")       -> True

Facts of Linux 6.18; ``tests/abi/test_helper_sweep.py`` asks the running kernel about every program type and helper.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

from .helper_access import ALLOWED, CONFIGURED, NO_RETVAL, ONLY
from .helper_docs import DOCS
from .helper_ids import HELPER_IDS
from .helper_table import TABLE, VARIANTS

__all__ = ["ALLOWED", "CONFIGURED", "HELPERS", "Arg", "Helper", "callers", "forms", "may_call", "prototype"]


@dataclass(frozen=True, slots=True)
class Arg:
    """An argument or result.

    kind    the kernel's word without ``ARG_``, ``RET_`` and ``PTR_TO_``: ``ctx``, ``const_map_ptr``, ``map_key``,
            ``map_value``, ``mem``, ``const_size``, ``const_size_or_zero``, ``anything``, ``integer``, ``void`` …
    flags   ``null`` (may be NULL), ``rdonly``, ``write``, ``uninit`` (need not be initialised), ``fixed`` (of ``size``
            bytes), ``aligned``, ``release``, ``trusted``, ``local``, ``ringbuf``
    size    bytes of a fixed memory argument, else 0
    btf     name of the kernel type for ``btf_id``, else ""
    """

    kind: str
    flags: frozenset[str] = frozenset()
    size: int = 0
    btf: str = ""

    @property
    def nullable(self) -> bool:
        return "null" in self.flags


@dataclass(frozen=True, slots=True)
class Helper:
    """One helper; ``since`` is the first Linux release, ``doc`` one plain line.

    gpl           only for programs with a GPL-compatible licence
    pkt_access    memory arguments may point into the packet
    fastcall      r1–r5 survive if the program marks the call so
    sleeps        only for sleepable programs
    changes_packet packet pointers hold no longer afterwards
    """

    number: int
    name: str
    since: str
    ret: Arg
    args: tuple[Arg, ...]
    doc: str
    gpl: bool = False
    pkt_access: bool = False
    fastcall: bool = False
    sleeps: bool = False
    changes_packet: bool = False

    @property
    def signature(self) -> str:
        """The C-like form: ``map_value? map_lookup_elem(const_map_ptr, map_key)``; ``?`` may be NULL."""
        def shown(arg: Arg) -> str:
            return (f"struct {arg.btf} *" if arg.btf else arg.kind) + "?" * arg.nullable
        return f"{shown(self.ret)} {self.name}({', '.join(map(shown, self.args))})"


def _arg(word: str) -> Arg:
    head, _, detail = word.partition(":")
    kind, *flags = head.split(".")
    return Arg(kind, frozenset(flags), int(detail) if detail.isdigit() else 0, "" if detail.isdigit() else detail)


def _form(flags: str, ret: str, args: list[str]) -> dict:
    return {"gpl": "g" in flags, "pkt_access": "p" in flags, "fastcall": "f" in flags, "sleeps": "s" in flags,
            "changes_packet": "c" in flags, "ret": _arg(ret), "args": tuple(map(_arg, args))}


def _table() -> dict[str, Helper]:
    found = {}
    for line in TABLE.strip().splitlines():
        name, since, flags, ret, *args = line.split()
        found[name] = Helper(HELPER_IDS[name], name, since, doc=DOCS[name], **_form(flags, ret, args))
    return found


#: name without ``bpf_`` -> Helper, in the order of their numbers
HELPERS = MappingProxyType(_table())


def _variants() -> dict[tuple[str, str], Helper]:
    found = {}
    for line in VARIANTS.strip().splitlines():
        head, flags, ret, *args = line.split()
        name, _, types = head.partition("@")
        for prog_type in types.split(","):
            found[name, prog_type] = replace(HELPERS[name], **_form(flags, ret, args))
    return found


_BY_TYPE = MappingProxyType(_variants())


def forms(name: str) -> tuple[Helper, ...]:
    """All that program types make of a helper, the common form first."""
    return (HELPERS[name], *(found for (each, _), found in _BY_TYPE.items() if each == name))


def prototype(name: str, prog_type: str, attach: str = "") -> Helper:
    """The helper as this program type (and expected attach type) sees it. KeyError for an unknown name."""
    return _BY_TYPE.get((name, f"{prog_type}/{attach}")) or _BY_TYPE.get((name, prog_type)) or HELPERS[name]


def may_call(prog_type: str, name: str, attach: str = "") -> bool:
    """Does Linux 6.18 let a program of this type (and expected attach type) call the helper?

    A helper in ``CONFIGURED`` may still be missing from a kernel.
    """
    if name not in ALLOWED.get(prog_type, ()):
        return False
    if name in ("get_retval", "set_retval"):
        if not attach and prog_type != "cgroup_sock":
            attach = "cgroup_inet_ingress"      # attach type 0
        if attach in NO_RETVAL:
            return False
    only = ONLY.get((prog_type, name))
    return only is None or attach in only


def callers(name: str) -> tuple[str, ...]:
    """The program types that may call a helper."""
    return tuple(prog_type for prog_type, names in ALLOWED.items() if name in names)
