"""What a program may load from and store to its context, byte by byte, for each program type.

Facts of Linux 6.18: the ``is_valid_access`` callbacks in ``net/core/filter.c``, ``kernel/trace/bpf_trace.c``,
``kernel/bpf/cgroup.c``, ``kernel/bpf/syscall.c``, ``net/netfilter/nf_bpf_link.c``. ``tests/abi/test_context_sweep.py``
puts every offset, size and direction to the running kernel and compares.

    access("sched_cls", 76, 4, write=False).gives  -> "pkt"
    access("xdp", 76, 4, write=False)              -> None, the kernel says "invalid bpf_context access"
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from .structs import STRUCTS, Member


@dataclass(frozen=True, slots=True)
class Access:
    """A span of bytes and how it may be used.

    offset, size  the span in bytes; an access must lie inside it, aligned to its own size
    gives         what a load makes (kernel's word): ``scalar``, ``pkt``, ``pkt_end``, ``pkt_meta``, ``sock`` …
    read, write   allowed access sizes in bytes
    attach        expected attach types that may touch it at all, () for any
    write_attach  attach types that may write it, () for any
    whole_at_start a narrow access is allowed only at the first byte of each four
    narrow        bytes the kernel loads before it masks a narrow read (``ctx_field_size``), 0: no masking
    wide          a load of so many bytes at the first byte may reach over the end, into zero padding
    """

    name: str
    offset: int
    size: int
    gives: str = "scalar"
    read: tuple[int, ...] = ()
    write: tuple[int, ...] = ()
    attach: tuple[str, ...] = ()
    write_attach: tuple[str, ...] = ()
    whole_at_start: bool = False
    narrow: int = 0
    wide: int = 0

    @property
    def end(self) -> int:
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class Context:
    """The context of a program type: C struct (``""``: none with a name), size in bytes, and its spans by offset."""

    struct: str
    size: int
    spans: tuple[Access, ...]

    def at(self, offset: int) -> Access | None:
        return next((s for s in self.spans if s.offset <= offset < s.end), None)


def _sizes(digits: str) -> tuple[int, ...]:
    return tuple(int(d) for d in digits)


def _words(struct: str, names: str) -> list[Member]:
    """Members by name; ``a..b`` are all from a to b in the order of the struct."""
    members = STRUCTS[struct].members
    order = [m.name for m in members]
    found = []
    for word in names.split():
        first, _, last = word.partition("..")
        found += members[order.index(first):order.index(last or first) + 1]
    return [m for m in found if not m.name.startswith("_")]


def _span(struct: str, names: str, read: str = "", write: str = "", gives: str = "scalar", **rest) -> list[Access]:
    return [Access(m.name, m.offset, m.size, gives, _sizes(read), _sizes(write), **rest)
            for m in _words(struct, names)]


def _context(struct: str, *groups: list[Access], size: int | None = None) -> Context:
    """Later groups override earlier ones that start at the same offset."""
    spans = {span.offset: span for group in groups for span in group}
    return Context(struct, STRUCTS[struct].size if size is None else size,
                   tuple(spans[offset] for offset in sorted(spans)))


# ---- __sk_buff: bpf_skb_is_valid_access and the callbacks that narrow it down

_SKB_DEFAULT = "len..tc_index hash tc_classid napi_id family remote_port local_port wire_len gso_segs gso_size"
_SKB_HIDDEN = {   # *_is_valid_access: spans of no use to this type
    "socket_filter": "tc_classid data data_meta data_end family..local_port tstamp wire_len hwtstamp",
    "cgroup_skb": "tc_classid data_meta wire_len",
    "lwt": "tc_classid family..local_port data_meta tstamp wire_len hwtstamp",
    "sched_cls": "family..local_port",
    "sk_skb": "tc_classid data_meta tstamp wire_len hwtstamp mark",
}
_SKB_WRITE = {
    "socket_filter": "cb",
    "cgroup_skb": "mark priority cb tstamp",
    "lwt": "mark priority cb",
    "sched_cls": "mark tc_index priority tc_classid cb tstamp queue_mapping",
    "sk_skb": "tc_index priority",
}


def _skb(kind: str) -> Context:
    s = "__sk_buff"
    hidden = {m.name for m in _words(s, _SKB_HIDDEN[kind])}
    writable = {m.name for m in _words(s, _SKB_WRITE[kind])}
    spans = [
        *_span(s, _SKB_DEFAULT, "124", "4", narrow=4), *_span(s, "cb", "1248", "1248"),
        *_span(s, "remote_ip4 local_ip4 remote_ip6 local_ip6", "4", "4"),
        *_span(s, "data", "4", gives="pkt"), *_span(s, "data_end", "4", gives="pkt_end"),
        *_span(s, "data_meta", "4", gives="pkt_meta"), *_span(s, "sk", "8", gives="sock_common_or_null"),
        *_span(s, "tstamp", "8", "8"), *_span(s, "hwtstamp", "8"),
        *(_span(s, "tstamp_type", "1") if kind == "sched_cls" else ()),
    ]
    return _context(s, [
        span if span.name in writable else Access(span.name, span.offset, span.size, span.gives, span.read,
                                                  narrow=span.narrow)
        for span in spans if span.name not in hidden
    ])


def _flow_dissector() -> Context:
    s = "__sk_buff"
    return _context(s, _span(s, "data", "4", gives="pkt"), _span(s, "data_end", "4", gives="pkt_end"),
                    _span(s, "flow_keys", "8", gives="flow_keys"))


# ---- sockets

_CREATE = ("cgroup_inet_sock_create", "cgroup_inet_sock_release")
_BIND4, _BIND6 = "cgroup_inet4_post_bind", "cgroup_inet6_post_bind"


def _sock(members: str, **rest) -> list[Access]:
    """bpf_sock_is_valid_access, for the members named."""
    s, picked = "bpf_sock", {m.name for m in _words("bpf_sock", members)}
    spans = [
        *_span(s, "bound_dev_if mark priority", "4", **rest),
        *_span(s, "family type protocol src_port state rx_queue_mapping", "124", whole_at_start=True, narrow=4, **rest),
        *_span(s, "src_ip4 src_ip6 dst_ip4 dst_ip6", "124", narrow=4, **rest),
        *_span(s, "dst_port", "12", narrow=2, wide=4, **rest),
    ]
    return [span for span in spans if span.name in picked]


def _cgroup_sock() -> Context:
    s = "bpf_sock"
    return _context(
        s, _sock("bound_dev_if..rx_queue_mapping"),
        _span(s, "bound_dev_if mark priority", "4", "4", attach=_CREATE),
        _span(s, "src_ip4", "124", attach=(_BIND4,), narrow=4), _span(s, "src_ip6", "124", attach=(_BIND6,), narrow=4),
        _span(s, "src_port", "124", attach=(_BIND4, _BIND6), whole_at_start=True, narrow=4),
    )


_V4 = ("bind", "connect", "getpeername", "getsockname")


def _families(number: int) -> tuple[str, ...]:
    return (*(f"cgroup_inet{number}_{what}" for what in _V4), f"cgroup_udp{number}_sendmsg",
            f"cgroup_udp{number}_recvmsg")


def _sock_addr() -> Context:
    s = "bpf_sock_addr"
    return _context(
        s, _span(s, "user_family family type protocol", "4"), _span(s, "user_port", "124", "4", narrow=4),
        _span(s, "user_ip4", "124", "4", attach=_families(4), narrow=4),
        _span(s, "user_ip6", "1248", "48", attach=_families(6), narrow=4),
        _span(s, "msg_src_ip4", "124", "4", attach=("cgroup_udp4_sendmsg",), narrow=4),
        _span(s, "msg_src_ip6", "1248", "48", attach=("cgroup_udp6_sendmsg",), narrow=4),
        _span(s, "sk", "8", gives="sock"),
    )


def _sock_ops() -> Context:
    s = "bpf_sock_ops"
    return _context(
        s, _span(s, "op args family..sk_txhash skb_len", "4"),
        [Access("reply", 4, 4, read=(4,), write=(4,)), Access("args", 8, 12, read=(4,))],
        _span(s, "sk_txhash", "4", "4"), _span(s, "bytes_received bytes_acked skb_hwtstamp", "8"),
        _span(s, "sk", "8", gives="sock_or_null"), _span(s, "skb_data", "8", gives="pkt"),
        _span(s, "skb_data_end", "8", gives="pkt_end"),
        _span(s, "skb_tcp_flags", "124", whole_at_start=True, narrow=4),
    )


def _sk_msg() -> Context:
    s = "sk_msg_md"
    return _context(s, _span(s, "family..size", "4"), _span(s, "data", "8", gives="pkt"),
                    _span(s, "data_end", "8", gives="pkt_end"), _span(s, "sk", "8", gives="sock"))


def _sk_reuseport() -> Context:
    s = "sk_reuseport_md"
    return _context(
        s, _span(s, "data", "8", gives="pkt"), _span(s, "data_end", "8", gives="pkt_end"), _span(s, "hash", "4"),
        _span(s, "len ip_protocol bind_inany", "124", narrow=4), _span(s, "eth_protocol", "24", narrow=4),
        _span(s, "sk", "8", gives="sock"), _span(s, "migrating_sk", "8", gives="sock_common_or_null"),
    )


def _sk_lookup() -> Context:
    s = "bpf_sk_lookup"
    return _context(
        s, _span(s, "sk", "8", gives="sock_or_null"),
        _span(s, "family protocol remote_ip4 remote_ip6 local_ip4..ingress_ifindex", "124", narrow=4),
        [Access("remote_port", 36, 4, read=(1, 2, 4), narrow=2)],
    )


# ---- cgroup

def _cgroup_device() -> Context:
    s = "bpf_cgroup_dev_ctx"
    return _context(s, _span(s, "access_type", "124", narrow=4), _span(s, "major minor", "4"))


def _cgroup_sysctl() -> Context:
    s = "bpf_sysctl"
    return _context(s, _span(s, "write", "124", narrow=4), _span(s, "file_pos", "124", "4", narrow=4))


def _cgroup_sockopt() -> Context:
    s, get, set_ = "bpf_sockopt", ("cgroup_getsockopt",), ("cgroup_setsockopt",)
    return _context(
        s, _span(s, "sk", "8", gives="sock"), _span(s, "optval", "8", gives="pkt"),
        _span(s, "optval_end", "8", gives="pkt_end"), _span(s, "level optname", "4", "4", write_attach=set_),
        _span(s, "optlen", "4", "4"), _span(s, "retval", "4", "4", attach=get),
    )


# ---- the rest

def _xdp() -> Context:
    s = "xdp_md"
    return _context(
        s, _span(s, "data", "4", gives="pkt"), _span(s, "data_end", "4", gives="pkt_end"),
        _span(s, "data_meta", "4", gives="pkt_meta"), _span(s, "ingress_ifindex rx_queue_index", "4"),
        _span(s, "egress_ifindex", "4", attach=("xdp_devmap",)),
    )


def _perf_event() -> Context:
    s = "bpf_perf_event_data"
    return _context(s, _span(s, "r15..ss", "8"), _span(s, "sample_period addr", "1248", narrow=8))


def _bytes(struct: str, first: int, end: int, read: str = "1248", write: str = "") -> Context:
    """A context without rules but alignment and length."""
    return Context(struct, end, (Access("", first, end - first, read=_sizes(read), write=_sizes(write)),))


def _tracepoint() -> Context:
    """The first eight bytes are hidden. Negative offsets pass: ``off < sizeof(void *)`` is unsigned."""
    record = _bytes("", 8, 8192)        # PERF_MAX_TRACE_SIZE
    return Context("", record.size, (Access("below", -32768, 32768, read=_sizes("1248")), *record.spans))


def _raw_tracepoint_writable() -> Context:
    """raw_tp_writable_prog_is_valid_access looks at offset 0 alone: whole it is the buffer, narrow it is refused."""
    rest = _bytes("bpf_raw_tracepoint_args", 1, 96)
    return Context(rest.struct, rest.size, (Access("buffer", 0, 1, "tp_buffer", wide=8), *rest.spans))


def _netfilter() -> Context:
    s = "bpf_nf_ctx"
    return _context(s, _span(s, "state", "8", gives="trusted_ptr_nf_hook_state"),
                    _span(s, "skb", "8", gives="trusted_ptr_sk_buff"))


_LWT = _skb("lwt")
_SCHED = _skb("sched_cls")

#: program type -> Context. Not listed: types whose context is described by BTF (tracing, lsm, struct_ops, ext).
CONTEXTS = MappingProxyType({
    "socket_filter": _skb("socket_filter"),
    "kprobe": _context("pt_regs", _span("pt_regs", "r15..ss", "1248")),
    "sched_cls": _SCHED, "sched_act": _SCHED,
    "tracepoint": _tracepoint(),
    "xdp": _xdp(),
    "perf_event": _perf_event(),
    "cgroup_skb": _skb("cgroup_skb"),
    "cgroup_sock": _cgroup_sock(),
    "lwt_in": _LWT, "lwt_out": _LWT, "lwt_xmit": _LWT, "lwt_seg6local": _LWT,
    "sock_ops": _sock_ops(),
    "sk_skb": _skb("sk_skb"),
    "cgroup_device": _cgroup_device(),
    "sk_msg": _sk_msg(),
    "raw_tracepoint": _bytes("bpf_raw_tracepoint_args", 0, 96),
    "cgroup_sock_addr": _sock_addr(),
    "lirc_mode2": _bytes("", 0, 4, "4"),
    "sk_reuseport": _sk_reuseport(),
    "flow_dissector": _flow_dissector(),
    "cgroup_sysctl": _cgroup_sysctl(),
    "raw_tracepoint_writable": _raw_tracepoint_writable(),
    "cgroup_sockopt": _cgroup_sockopt(),
    "sk_lookup": _sk_lookup(),
    "syscall": _bytes("", 0, 65535, write="1248"),      # U16_MAX
    "netfilter": _netfilter(),
})

#: pointer type -> what may be read through it (``check_sock_access``, ``check_flow_keys_access``)
POINTERS = MappingProxyType({
    "sock": _context("bpf_sock", _sock("bound_dev_if..rx_queue_mapping")),
    "sock_common": _context("bpf_sock", _sock("bound_dev_if family src_ip4..rx_queue_mapping")),
    "tcp_sock": _context("bpf_tcp_sock", _span("bpf_tcp_sock", "snd_cwnd..icsk_retransmits", "4"),
                         _span("bpf_tcp_sock", "bytes_received bytes_acked", "8")),
    "xdp_sock": _context("bpf_xdp_sock", _span("bpf_xdp_sock", "queue_id", "4")),
})


def span_access(context: Context, offset: int, size: int, write: bool, attach: str = "",
                signed: bool = False) -> Access | None:
    """The span that allows this access, None if the kernel refuses it. ``attach`` is an attach type's name."""
    span = context.at(offset)
    if span is None or offset % size:
        return None
    wide = size == span.wide and offset == span.offset and not write
    if not wide and (offset + size > span.end or size not in (span.write if write else span.read)):
        return None
    if span.attach and attach not in span.attach:
        return None
    if write and span.write_attach and attach not in span.write_attach:
        return None
    if span.whole_at_start and (offset - span.offset) % 4 and size < 4:
        return None
    if signed and span.gives.startswith("pkt") and size == 4:
        return None     # a sign-extending load cannot make a packet pointer
    return span


def access(prog_type: str, offset: int, size: int, *, write: bool, attach: str = "",
           signed: bool = False) -> Access | None:
    """What an access of ``size`` bytes at ``offset`` of the context does; None if the kernel refuses it.

    ``attach`` is the expected attach type ("" for none), ``signed`` a sign-extending load. KeyError for a
    program type whose context is described by BTF.
    """
    return span_access(CONTEXTS[prog_type], offset, size, write, attach, signed)


def pointer_access(pointer: str, offset: int, size: int) -> Access | None:
    """The same for a load through a socket pointer: ``sock``, ``sock_common``, ``tcp_sock``, ``xdp_sock``."""
    return span_access(POINTERS[pointer], offset, size, False)
