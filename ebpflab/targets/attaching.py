"""From what a user says to an AttachPoint: the kind that fits the program, the option that an argument means."""

from __future__ import annotations

from ..errors import SpecError
from ..spec import ProgramSpec
from .base import AttachPoint

#: program type -> kind, where it is not of the same name
_KINDS = {"sched_act": "action", "raw_tracepoint_writable": "raw_tracepoint"}
#: kind -> the option that an attach type names, and its prefix in ``abi.ATTACH_TYPES``
_BY_ATTACH_TYPE = {
    "tcx": ("direction", "tcx_"), "clsact": ("direction", "tcx_"), "cgroup_skb": ("direction", "cgroup_inet_"),
    "cgroup_sock": ("event", "cgroup_inet_sock_"), "sk_skb": ("stage", "sk_skb_stream_"),
}
#: kinds whose subject an ELF section names (``kprobe/do_unlinkat``)
_BY_SECTION = {"kprobe": "function", "kretprobe": "function", "tracepoint": "name", "raw_tracepoint": "name"}


def _kind(spec: ProgramSpec, kernel: str, options: dict) -> str:
    if spec.type == "sched_cls":
        return "tcx" if tuple(int(part) for part in kernel.split(".")[:2]) >= (6, 6) and "priority" not in options \
            else "clsact"
    if spec.type == "kprobe" and "path" in options:
        return "usdt" if "probe" in options else "uprobe"
    return _KINDS.get(spec.type, spec.type)


def _from_spec(kind: str, spec: ProgramSpec, options: dict) -> dict:
    """What the program's own section says and the user did not."""
    said = {}
    if kind in _BY_ATTACH_TYPE and spec.attach_type:
        option, prefix = _BY_ATTACH_TYPE[kind]
        word = spec.attach_type.removeprefix(prefix)
        if kind == "cgroup_sock" and "post_bind" in word:
            word = "post_bind" + word.removeprefix("cgroup_inet")[0]
        said[option] = "skb_verdict" if spec.attach_type == "sk_skb_verdict" else word
    if kind == "cgroup_sock_addr" and spec.attach_type:
        said["event"] = "".join(_words(spec.attach_type))
    if kind == "cgroup_sockopt" and spec.attach_type:
        said["event"] = spec.attach_type.removeprefix("cgroup_").removesuffix("sockopt")
    if kind in _BY_SECTION and spec.attach_to:
        said[_BY_SECTION[kind]] = spec.attach_to
    return {**said, **options}


def _words(attach_type: str):
    """``cgroup_inet4_connect`` -> connect, 4; ``cgroup_udp6_sendmsg`` -> sendmsg, 6"""
    _, family, verb = attach_type.split("_", 2)
    return verb, family[-1]


def point(spec: ProgramSpec, kernel: str, place, end: str | None, kind: str | None, options: dict) -> AttachPoint:
    """Where ``prog.attach(place, end, kind=…, **options)`` means. SpecError with what to do.

    ``place`` is a network, or what the kind is attached to: a cgroup, a map, a socket, a function or event by name.
    """
    from ..kernel.hooks import HOOKS

    kind = kind or _kind(spec, kernel or "7", options)
    hook = HOOKS.get(kind)
    if hook is None:                             # the target says which there are
        return AttachPoint(kind, options)
    options = _from_spec(kind, spec, options)
    if place is not None and hasattr(place, "ends"):
        if "net" not in hook.options:
            raise SpecError(f"{kind} is not attached to a network", hint=_how(kind, hook))
        options = {**options, "net": place, "dev": end or options.get("dev") or place.ends[0]}
    elif place is not None:
        if not hook.subject or hook.subject == "net":
            raise SpecError(f"{kind} is not attached to {place!r}", hint=_how(kind, hook))
        options = {**options, hook.subject: getattr(place, "target_map", place)}
    missing = [name for name in hook.needs if not options.get(name)]
    if not missing and hook.subject == "net" and not (options.get("net") or options.get("dev")):
        missing = ["net"]
    if missing:
        raise SpecError(f"a {spec.type} program is attached to {hook.about}: {missing[0]}= is missing",
                        hint=_how(kind, hook))
    return AttachPoint(kind, options)


_EXAMPLE = {
    "net": 'net = ebpflab.target().net({ip}); prog.attach(net, "lab0"{more})',
    "cgroup": "group = ebpflab.target().cgroup(); prog.attach(group{more})",
    "socket": 'sock = net.socket("packet", "lab1"); prog.attach(sock)', "map": "prog.attach(sockmap{more})",
    "function": 'prog.attach("do_unlinkat")', "name": 'prog.attach("{name}")', "event": 'prog.attach("cpu-clock")',
    "path": 'prog.attach("/usr/lib/…/libc.so.6", function="malloc")', "": "prog.attach()",
}
_NAMES = {"tracepoint": "sched:sched_switch", "raw_tracepoint": "sched_switch"}


def _how(kind: str, hook) -> str:
    more = "".join(f', {name}="…"' for name in hook.needs if name != hook.subject and name != "net")
    return _EXAMPLE[hook.subject].format(more=more, ip="ip=4" if kind.startswith("lwt") else "",
                                         name=_NAMES.get(kind, ""))
