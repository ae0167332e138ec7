"""XDP: the first program that sees a frame, in the driver (native) or just after it (generic). Since 4.8.

Link: 5.9. In a lab network the other end is given a program that passes everything, see ``labnet``.
"""

from __future__ import annotations

from ..links import Hook, Link, bpf_link, choose, device

_XDP = 37                                        # BPF_XDP
#: mode -> flag (include/uapi/linux/if_link.h): generic runs on the skb, native in the driver
MODES = {"": 0, "generic": 2, "native": 4, "offload": 8}


def link(program, where: dict) -> Link:
    """Attach in this thread's namespace."""
    return bpf_link(program, _XDP, device(where), where, flags=choose(where, "mode", MODES))


def make(program, where: dict) -> Link:
    choose(where, "mode", MODES)
    net = where.get("net")
    return link(program, where) if net is None else net.attach_xdp(program, where)


HOOKS = {
    "xdp": Hook("every frame that comes in at a device", ("xdp",),
                {"net": "a lab network", "dev": "its device", "mode": "native, generic or offload"}, make,
                subject="net", since="4.8"),
}
