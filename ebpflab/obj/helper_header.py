"""``include/bpf_helper_defs.h`` from the helper table: a C declaration of every helper.

    python -m ebpflab.obj.helper_header          write the file again after abi/ has changed (a test asks for it)

The table speaks the verifier's language (``anything``, ``mem.rdonly``); what C programs pass for it is said here.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from ..abi.helpers import HELPERS, Arg, Helper, forms

PATH = Path(__file__).parent / "include" / "bpf_helper_defs.h"

_U64 = "__u64"
#: results that are not ``long``
_RETURNS = {
    **dict.fromkeys(
        "ktime_get_ns ktime_get_boot_ns ktime_get_coarse_ns ktime_get_tai_ns jiffies64 get_current_pid_tgid "
        "get_current_uid_gid get_current_cgroup_id get_current_ancestor_cgroup_id get_socket_cookie get_netns_cookie "
        "skb_cgroup_id skb_ancestor_cgroup_id sk_cgroup_id sk_ancestor_cgroup_id skb_cgroup_classid "
        "perf_event_read ringbuf_query get_current_task get_func_ip get_attach_cookie".split(), _U64),
    **dict.fromkeys("get_prandom_u32 get_smp_processor_id get_cgroup_classid get_route_realm get_hash_recalc "
                    "get_socket_uid".split(), "__u32"),
    **dict.fromkeys("csum_diff csum_update".split(), "__s64"),
    "task_pt_regs": "long", "tail_call": "long",
}
_RETURN_KINDS = {"integer": "long", "void": "void", "socket": "struct bpf_sock *", "sock_common": "struct bpf_sock *",
                 "tcp_sock": "struct bpf_tcp_sock *"}
_ARG_KINDS = {"anything": _U64, "const_size": "__u32", "const_size_or_zero": "__u32", "const_alloc_size_or_zero": _U64,
              "timer": "struct bpf_timer *", "spin_lock": "struct bpf_spin_lock *", "dynptr": "struct bpf_dynptr *",
              "const_str": "const char *", "map_key": "const void *", "percpu_btf_id": "const void *"}
#: (helper, argument from 0) -> type, where the verifier takes anything and C passes something in particular
_ARGS = {
    **{(f"probe_read{rest}", 2): "const void *"
       for rest in ("", "_str", "_user", "_kernel", "_user_str", "_kernel_str")},
    ("probe_write_user", 0): "void *",
    **dict.fromkeys((("copy_from_user", 2), ("copy_from_user_task", 2)), "const void *"),
    **{(name, 1): "__s32" for name in ("xdp_adjust_head", "xdp_adjust_meta", "xdp_adjust_tail")},
    **dict.fromkeys((("perf_event_output", 4), ("skb_output", 4), ("xdp_output", 4), ("ringbuf_output", 2)), _U64),
    ("map_update_elem", 2): "const void *", ("map_push_elem", 1): "const void *",
    ("tail_call", 2): "__u32", ("skb_adjust_room", 1): "__s32", ("check_mtu", 3): "__s32",
    ("get_listener_sock", 0): "struct bpf_sock *", ("sk_fullsock", 0): "struct bpf_sock *",
    ("tcp_sock", 0): "struct bpf_sock *",
}
_VARIADIC = frozenset(("trace_printk",))


def _argument(helper: Helper, number: int, arg: Arg) -> str:
    if (helper.name, number) in _ARGS:
        return _ARGS[helper.name, number]
    if arg.kind == "btf_id" and arg.btf:
        return f"struct {arg.btf} *"
    if arg.kind == "dynptr" and "uninit" not in arg.flags and "release" not in arg.flags:
        return "const struct bpf_dynptr *"
    if arg.kind == "mem":
        return "const void *" if "rdonly" in arg.flags else "void *"
    return _ARG_KINDS.get(arg.kind, "void *")


def _result(helper: Helper) -> str:
    if helper.name in _RETURNS:
        return _RETURNS[helper.name]
    if helper.ret.kind == "btf_id" and helper.ret.btf:
        return f"struct {helper.ret.btf} *"
    return _RETURN_KINDS.get(helper.ret.kind, "void *")


def declaration(helper: Helper) -> str:
    """``static void *(* const bpf_map_lookup_elem)(void *, const void *) = (void *) 1;``, with its doc before it."""
    args = [_argument(helper, number, arg) for number, arg in enumerate(helper.args)]
    if helper.name in _VARIADIC:
        args.append("...")
    ret = _result(helper)
    ret += "" if ret.endswith("*") else " "
    doc = textwrap.fill(f"{helper.doc.rstrip('.')}. Since Linux {helper.since}.", 110,
                        initial_indent="/* ", subsequent_indent=" * ")
    taken = ", ".join(args) or "void"
    return f"{doc} */\nstatic {ret}(* const bpf_{helper.name})({taken}) = (void *) {helper.number};\n"


def text() -> str:
    """The whole header."""
    # one declaration for all program types: the form with the most arguments
    longest = [max(forms(name), key=lambda form: len(form.args)) for name in HELPERS]
    body = "\n".join(map(declaration, longest))
    named = sorted(set(re.findall(r"\bstruct (\w+)", "".join(re.findall(r"^static .*$", body, re.M)))))
    forward = "".join(f"struct {name};\n" for name in named)
    return ("/* SPDX-License-Identifier: GPL-2.0-only */\n"
            "/* Every helper of Linux 6.18, made by ebpflab/obj/helper_header.py from the tables in ebpflab/abi. */\n"
            "#pragma once\n\n" + forward + "\n" + body)


if __name__ == "__main__":
    PATH.write_text(text())
