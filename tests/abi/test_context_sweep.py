"""Every offset × size × direction of every context, asked of the running kernel and of the table."""

import re

import pytest

from ebpflab.abi import ATTACH_TYPES, contexts
from ebpflab.abi.prog_types import BY_NAME
from ebpflab.isa import Insn, bits

from .loader import create_map, load, release, why_not

SIZES = {1: bits.B, 2: bits.H, 4: bits.W, 8: bits.DW}
#: program type -> attach types to go through; the kernel insists on one for these
ATTACH = {
    "cgroup_sock": ("cgroup_inet_sock_create", "cgroup_inet4_post_bind", "cgroup_inet6_post_bind"),
    "cgroup_sock_addr": ("cgroup_inet4_bind", "cgroup_inet6_connect", "cgroup_udp4_sendmsg", "cgroup_udp6_sendmsg",
                         "cgroup_udp4_recvmsg", "cgroup_unix_connect"),
    "cgroup_sockopt": ("cgroup_getsockopt", "cgroup_setsockopt"),
    "cgroup_skb": ("cgroup_inet_ingress", "cgroup_inet_egress"),
    "sk_lookup": ("sk_lookup",), "netfilter": ("netfilter",), "sk_reuseport": ("sk_reuseport_select",),
    "xdp": ("xdp", "xdp_devmap"),
}
SLEEPABLE = 0x10    # BPF_F_SLEEPABLE, which the kernel insists on for
FLAGS = {"syscall": SLEEPABLE}
#: no way to load these on a machine without the subsystem
OPTIONAL = {"lirc_mode2", "netfilter"}
CASES = [(name, attach) for name in contexts.CONTEXTS for attach in ATTACH.get(name, ("",))]

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")]


def offsets(context) -> list[int]:
    """All offsets of a small context; of a large one its ends and a middle."""
    if context.size <= 256:
        return list(range(-2, context.size + 9))
    return [*range(-2, 40), *range(4000, 4010), *range(context.size - 12, context.size + 9)]


def program(offset: int, size: int, how: str, prefix: list[Insn]) -> list[Insn]:
    access = {
        "read": Insn(bits.LDX | bits.MEM | SIZES[size], 2, 1, offset),
        "signed": Insn(bits.LDX | bits.MEMSX | SIZES[size], 2, 1, offset),
        "write": Insn(bits.STX | bits.MEM | SIZES[size], 1, 0, offset),
    }[how]
    return [*prefix, Insn(0xB7, 0, 0, 0, 1), access, Insn(0x95)]


def gives(log: str, access_pc: int) -> str:
    """The type word that the log prints for r2 after the access."""
    line = next(line for line in log.splitlines() if line.startswith(f"{access_pc}: ("))
    value = re.search(r" R2=P?(\S+)", line)[1]
    return "scalar" if re.match(r"-?\d|0x", value) else value.partition("(")[0]


def sweep(context, prog: int, attach: int, table, prefix=(), writes=True, flags=0) -> list[str]:
    wrong = []
    for offset in offsets(context):
        if offset + 8 > 32767:
            continue    # not encodable
        for size in SIZES:
            for how in ("read", "signed", "write") if writes else ("read",):
                if how == "signed" and size == 8:
                    continue
                errno, log = load(prog, program(offset, size, how, list(prefix)), attach, level=2, flags=flags)
                row = table(offset, size, how)
                what = f"{how} of {size} at {offset}: kernel {'accepts' if not errno else log.splitlines()[-2:]}"
                if (errno == 0) != (row is not None):
                    wrong.append(f"{what}, table says {row}")
                elif errno == 0 and how == "read" and (made := gives(log, len(prefix) + 1)) != row.gives:
                    wrong.append(f"{what}, gives {made}, table says {row.gives}")
    return wrong


@pytest.mark.parametrize(("name", "attach"), CASES, ids=[f"{n}-{a}" if a else n for n, a in CASES])
def test_context_table_is_the_kernels(name, attach):
    if release() < (6, 18):
        pytest.skip("the table holds the facts of Linux 6.18, this kernel is older")
    number, context = BY_NAME[name].number, contexts.CONTEXTS[name]
    attach_number = ATTACH_TYPES[attach] if attach else 0
    errno, log = load(number, [Insn(0xB7, 0, 0, 0, 1), Insn(0x95)], attach_number, flags=FLAGS.get(name, 0))
    if errno and name in OPTIONAL:
        pytest.skip(f"this kernel has no {name} programs: errno {errno}")
    assert errno == 0, log

    def table(offset, size, how):
        return contexts.access(name, offset, size, write=how == "write", attach=attach, signed=how == "signed")

    assert not (wrong := sweep(context, number, attach_number, table, flags=FLAGS.get(name, 0))), "\n".join(wrong[:20])


SK = Insn(bits.LDX | bits.MEM | bits.DW, 1, 1, 168)     # r1 = skb->sk
NOT_NULL = [Insn(0x55, 1, 0, 2, 0), Insn(0xB7, 0, 0, 0, 0), Insn(0x95)]
CALLED = [Insn(0xBF, 1, 0), *NOT_NULL]


def through(helper: int) -> list[Insn]:
    return [SK, *NOT_NULL, Insn(0x85, 0, 0, 0, helper), *CALLED]


@pytest.mark.parametrize("pointer", list(contexts.POINTERS))
def test_socket_pointers_read_as_the_table_says(pointer):
    if release() < (6, 18):
        pytest.skip("the table holds the facts of Linux 6.18, this kernel is older")
    from ebpflab.abi import HELPER_IDS
    if pointer == "xdp_sock":
        fd = create_map(17, 4, 4, 1)
        assert fd > 0
        prefix = [Insn(0x62, 10, 0, -4, 0), Insn(0xBF, 2, 10), Insn(0x07, 2, 0, 0, -4),
                  Insn(0x18, 1, 1, 0, fd), Insn(0), Insn(0x85, 0, 0, 0, 1), *CALLED]
        prog = "xdp"
    else:
        prefix = {"sock_common": [SK, *NOT_NULL], "sock": through(HELPER_IDS["sk_fullsock"]),
                  "tcp_sock": through(HELPER_IDS["tcp_sock"])}[pointer]
        prog = "sched_cls"

    def table(offset, size, how):
        return contexts.pointer_access(pointer, offset, size)

    wrong = sweep(contexts.POINTERS[pointer], BY_NAME[prog].number, 0, table, prefix, writes=False)
    assert not wrong, "\n".join(wrong[:20])
