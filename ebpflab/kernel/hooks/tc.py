"""Traffic control: every packet of a device on its way in or out.

``tcx``     a program by itself, as a bpf_link (since 6.6)
``clsact``  a filter with direct action on the clsact queueing discipline (since 4.5); ours to remove
``action``  a program as the action (act_bpf, since 4.1) of a filter that matches everything
"""

from __future__ import annotations

import itertools
from functools import partial

from ..links import Hook, Link, bpf_link, choose, device, inside, undo, whole
from ..netlink_tc import add_action, add_filter, clsact, remove_clsact, remove_filter

_TCX = {"ingress": 46, "egress": 47}             # BPF_TCX_INGRESS, BPF_TCX_EGRESS
_DIRECTIONS = ("ingress", "egress")
_handles = itertools.count(1)                    # of our filters, unique in this process


def _tcx(program, where: dict) -> Link:
    attach_type = choose(where, "direction", _TCX, "ingress")
    return inside(where, lambda: bpf_link(program, attach_type, device(where), where))


def _filter(add, program, where: dict) -> Link:
    direction = choose(where, "direction", {name: name for name in _DIRECTIONS}, "ingress")
    priority, handle = whole(where, "priority", 1, 1, 0xFFFF), next(_handles)

    def put() -> Link:
        index, made = device(where), Link()
        if clsact(index):
            made.undo.callback(undo, where, remove_clsact, index)
        try:
            add(index, direction, priority, handle, program.fd, program.name or "bpf")
        except BaseException:
            made.close()
            raise
        made.undo.callback(undo, where, remove_filter, index, direction, priority, handle, add.kind)
        return made

    return inside(where, put)


_OPTIONS = {"net": "a lab network", "dev": "its device", "direction": "ingress or egress"}
HOOKS = {
    "tcx": Hook("packets of a device, in or out", ("sched_cls",), _OPTIONS, _tcx, subject="net", since="6.6"),
    "clsact": Hook("packets of a device, in or out", ("sched_cls",), {**_OPTIONS, "priority": "1 … 65535, 1 is first"},
                   partial(_filter, add_filter), subject="net", since="4.5"),
    "action": Hook("packets that a filter matched", ("sched_act",), {**_OPTIONS, "priority": "1 … 65535, 1 is first"},
                   partial(_filter, add_action), subject="net", since="4.1"),
}
