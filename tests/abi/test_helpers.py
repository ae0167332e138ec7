"""The helper tables against themselves and against other tables."""

import re

from ebpflab.abi import HELPER_NAMES, helpers
from ebpflab.abi.prog_types import BY_NAME


def test_every_helper_has_prototype_and_words():
    assert [h.number for h in helpers.HELPERS.values()] == list(HELPER_NAMES)[1:]
    for helper in helpers.HELPERS.values():
        assert len(helper.args) <= 5 and re.fullmatch(r"[3-6]\.\d+", helper.since)
        assert 10 < len(helper.doc) < 130 and not helper.doc.endswith(".")


def test_sizes_follow_their_memory():
    """check_func_proto: a const_size stands behind a mem argument, and a mem argument of no fixed size needs one."""
    for prog_type in helpers.ALLOWED:
        for name in helpers.ALLOWED[prog_type]:
            args = helpers.prototype(name, prog_type).args
            for at, arg in enumerate(args):
                sized = at + 1 < len(args) and args[at + 1].kind in ("const_size", "const_size_or_zero")
                if arg.kind == "mem":
                    assert sized != ("fixed" in arg.flags), (name, at)
                    assert ("fixed" in arg.flags) == bool(arg.size), name
                if arg.kind in ("const_size", "const_size_or_zero"):
                    assert args[at - 1].kind == "mem", name


def test_known_signatures():
    assert helpers.HELPERS["map_lookup_elem"].signature == "map_value? map_lookup_elem(const_map_ptr, map_key)"
    assert helpers.prototype("get_socket_cookie", "sk_reuseport").args[0].kind == "btf_id_sock_common"
    assert helpers.prototype("get_socket_cookie", "sched_cls").args[0].kind == "ctx"
    assert helpers.HELPERS["trace_printk"].gpl and not helpers.HELPERS["ktime_get_ns"].gpl
    assert helpers.HELPERS["xdp_adjust_head"].changes_packet


def test_program_types_are_known():
    assert set(helpers.ALLOWED) <= set(BY_NAME)
    assert helpers.may_call("xdp", "redirect_map") and not helpers.may_call("socket_filter", "redirect_map")
    assert not helpers.may_call("cgroup_skb", "get_retval", "cgroup_inet_ingress")
    assert "lwt_in" in helpers.callers("lwt_push_encap")
