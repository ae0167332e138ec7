"""Every helper in every program type, asked of the running kernel and of the table."""

import pytest

from ebpflab.abi import ATTACH_TYPES, HELPER_IDS, HELPER_NAMES, helpers
from ebpflab.abi.prog_types import BY_NAME
from ebpflab.isa import Insn

from .loader import load, release, why_not

#: program type -> attach types to go through
ATTACH = {
    "kprobe": ("", "trace_kprobe_multi", "trace_kprobe_session", "trace_uprobe_session"),
    "cgroup_sock": ("cgroup_inet_sock_create", "cgroup_inet4_post_bind"),
    "cgroup_sock_addr": ("cgroup_inet4_bind", "cgroup_inet6_connect", "cgroup_udp4_recvmsg", "cgroup_unix_connect",
                         "cgroup_inet6_getsockname"),
    "cgroup_sockopt": ("cgroup_getsockopt", "cgroup_setsockopt"),
    "cgroup_skb": ("", "cgroup_inet_ingress", "cgroup_inet_egress"),
    "cgroup_device": ("", "cgroup_device"), "cgroup_sysctl": ("cgroup_sysctl",), "sock_ops": ("cgroup_sock_ops",),
    "sk_lookup": ("sk_lookup",), "netfilter": ("netfilter",), "xdp": ("xdp", "xdp_devmap"),
    "sk_reuseport": ("sk_reuseport_select", "sk_reuseport_select_or_migrate"),
}
FLAGS = {"syscall": 0x10}       # BPF_F_SLEEPABLE
NEEDS_BTF = {"tracing", "struct_ops", "lsm", "ext"}     # these load only with an attach target
OPTIONAL = {"lirc_mode2"}
CASES = [(name, attach) for name in helpers.ALLOWED if name not in NEEDS_BTF for attach in ATTACH.get(name, ("",))]
RETURN = [Insn(0xB7, 0, 0, 0, 1), Insn(0x95)]

pytestmark = pytest.mark.kernel


@pytest.fixture(autouse=True)
def _kernel():
    if why_not():
        pytest.skip(why_not())
    if release() < (6, 18):
        pytest.skip("the table holds the facts of Linux 6.18, this kernel is older")


def asked(name: str, attach: str, helper: int, gpl: bool = True) -> str:
    return load(BY_NAME[name].number, [Insn(0x85, 0, 0, 0, helper), *RETURN], ATTACH_TYPES.get(attach, 0), gpl=gpl,
                flags=FLAGS.get(name, 0))[1]


@pytest.mark.parametrize(("name", "attach"), CASES, ids=[f"{n}-{a}" if a else n for n, a in CASES])
def test_who_may_call_what(name, attach):
    errno, log = load(BY_NAME[name].number, RETURN, ATTACH_TYPES.get(attach, 0), flags=FLAGS.get(name, 0))
    if errno and name in OPTIONAL:
        pytest.skip(f"this kernel has no {name} programs: errno {errno}")
    assert errno == 0, log
    wrong = []
    for number, helper in list(HELPER_NAMES.items())[1:]:
        log = asked(name, attach, number)
        kernel = "cannot use helper" not in log and "unknown func" not in log
        table = helpers.may_call(name, helper, attach)
        if kernel != table and not (table and helper in helpers.CONFIGURED):
            wrong.append(f"{helper}: kernel {kernel}, table {table}")
            continue
        if kernel:
            gpl = "GPL-restricted" in asked(name, attach, number, gpl=False)
            if gpl != helpers.prototype(helper, name, attach).gpl:
                wrong.append(f"{helper}: GPL only for the kernel {gpl}")
    assert wrong == []


#: for an argument kind: what the kernel expects there, as its message lists it
EXPECTED = {"ctx": "ctx", "const_map_ptr": "map_ptr", "func": "func", "sock_common": "sock_common",
            "btf_id_sock_common": "sock_common", "ringbuf_mem": "ringbuf_mem", "socket": "sock", "timer": "map_value",
            "spin_lock": "map_value", "percpu_btf_id": "percpu_ptr_", "kptr_xchg_dest": "map_value"}


@pytest.mark.parametrize("name", ["socket_filter", "sched_cls", "xdp", "kprobe", "sock_ops", "sk_msg", "sk_reuseport",
                                  "perf_event", "lwt_in", "flow_dissector"])
def test_first_arguments_are_of_the_kind_that_the_table_says(name):
    """With r1 = 1 and the rest zero, the kernel names the type that it wants in r1."""
    wrong = []
    for helper in sorted(helpers.ALLOWED[name] - set(helpers.CONFIGURED), key=HELPER_IDS.get):
        form = helpers.prototype(helper, name)
        if form.sleeps or not form.args or form.args[0].kind not in EXPECTED or form.args[0].nullable:
            continue
        log = load(BY_NAME[name].number, [Insn(0xB7, 1, 0, 0, 1), *(Insn(0xB7, r) for r in (2, 3, 4, 5)),
                                          Insn(0x85, 0, 0, 0, HELPER_IDS[helper]), *RETURN])[1]
        want = EXPECTED[form.args[0].kind]
        line = next((line for line in log.splitlines() if line.startswith("R1 type=scalar expected=")), log)
        if want not in line.partition("expected=")[2].split(", "):
            wrong.append(f"{helper}: {line}")
    assert wrong == []


def test_arguments_end_where_the_table_says():
    """A register behind the last argument may be unreadable; one of the arguments may not."""
    for helper in ("ktime_get_ns", "get_prandom_u32", "get_smp_processor_id", "get_current_pid_tgid", "jiffies64"):
        assert helpers.HELPERS[helper].args == ()
        assert load(1, [Insn(0x85, 0, 0, 0, HELPER_IDS[helper]), *RETURN])[0] == 0
    wrong = []
    for helper in helpers.ALLOWED["sched_cls"]:
        form = helpers.prototype(helper, "sched_cls")
        if form.args and form.args[0].kind == "anything" and len(form.args) > 1 and form.args[1].kind == "anything":
            readable = [Insn(0xB7, r) for r in range(1, len(form.args) + 1)]
            log = load(3, [*readable[:-1], Insn(0x85, 0, 0, 0, HELPER_IDS[helper]), *RETURN])[1]
            if f"R{len(form.args)} !read_ok" not in log and len(form.args) > 1 and form.args[-1].kind == "anything":
                wrong.append(f"{helper}: {log}")
    assert wrong == []
