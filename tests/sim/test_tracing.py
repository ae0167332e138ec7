"""Helpers of tracing programs and of a cgroup's hooks, in every tier."""

from dataclasses import replace
from errno import E2BIG, EINVAL, ENOENT, EOPNOTSUPP

import pytest

from ebpflab.asm import assemble
from ebpflab.sim import Machine
from ebpflab.sim.tasks import Sysctl, Task

from .agree import signed
from .conftest import TIERS


@pytest.fixture(params=TIERS)
def tier(request):
    return request.param


def words(*values):
    return b"".join(value.to_bytes(8, "little") for value in values)


def answer(tier, text, type_="kprobe", ctx=bytes(168), machine=None, attach=""):
    spec = replace(assemble(text, type=type_), attach_type=attach)
    return signed((machine or Machine()).load(spec).run(ctx=ctx, tier=tier).retval)


READ = "r0 = *(u64 *)(r10 - 8)\nexit"
ARGUMENT = "*(u64 *)(r10 - 8) = 0\nr2 = {}\nr3 = r10\nr3 += -8\ncall bpf_get_func_arg\n"
RESULT = "*(u64 *)(r10 - 8) = 0\nr2 = r10\nr2 += -8\ncall bpf_get_func_ret\n"
FUNCTIONS = [   # attach type, program, answer on the context 11 12 13
    ("trace_fentry", "call bpf_get_func_arg_cnt\nexit", 3),
    ("trace_fexit", "call bpf_get_func_arg_cnt\nexit", 2),
    ("modify_return", "call bpf_get_func_arg_cnt\nexit", 2),
    ("trace_fentry", ARGUMENT.format(2) + READ, 13),
    ("trace_fexit", ARGUMENT.format(1) + READ, 12),
    ("trace_fexit", ARGUMENT.format(2) + "exit", -EINVAL),
    ("trace_fexit", RESULT + READ, 13),
    ("trace_fentry", RESULT + "exit", -EOPNOTSUPP),
]


@pytest.mark.parametrize(("attach", "text", "result"), FUNCTIONS)
def test_functions(attach, text, result, tier):
    assert answer(tier, text, "tracing", words(11, 12, 13), attach=attach) == result


def test_the_cookie_and_an_overridden_return(tier):
    machine = Machine()
    program = machine.load(assemble("r6 = r1\nr2 = -12\ncall bpf_override_return\nr1 = r6\n"
                                    "call bpf_get_attach_cookie\nexit", type="kprobe"))
    program.cookie = 77
    done = program.run(ctx=bytes(168), tier=tier)
    assert done.retval == 77
    assert int.from_bytes(done.ctx[80:88], "little", signed=True) == -12     # pt_regs.ax


COUNTER = ".map c perf_event_array u32 u32 2\n"
VALUE = COUNTER + """
    r1 = map[c] ll
    r2 = {flags}
    r3 = r10
    r3 += -24
    r4 = {size}
    call bpf_perf_event_read_value
"""


@pytest.mark.parametrize(("flags", "size", "result"), [
    (0, 24, 0), ("0xffffffff ll", 24, 0), (1, 24, -ENOENT), (2, 24, -E2BIG), (0, 16, -EINVAL),
    ("0x100000000 ll", 24, -EINVAL)])
def test_counters(flags, size, result, tier):
    machine = Machine()
    program = machine.load(assemble(VALUE.format(flags=flags, size=size) + "exit", type="kprobe"))
    program.maps["c"].update(bytes(4), (1).to_bytes(4, "little"))
    assert signed(program.run(ctx=bytes(168), tier=tier).retval) == result


def test_a_counter_is_the_clock(tier):
    machine = Machine()
    program = machine.load(assemble(COUNTER + "r1 = map[c] ll\nr2 = 0\ncall bpf_perf_event_read\nexit", type="kprobe"))
    program.maps["c"].update(bytes(4), (1).to_bytes(4, "little"))
    before = program.run(ctx=bytes(168), tier=tier).r0
    machine.clock.advance(1000)
    assert 1000 < program.run(ctx=bytes(168), tier=tier).r0 - before < 2000


BRANCHES = "r2 = r10\nr2 += -48\nr3 = {size}\nr4 = {flags}\ncall bpf_read_branch_records\n"
SNAPSHOT = "r1 = r10\nr1 += -48\nr2 = {size}\nr3 = {flags}\ncall bpf_get_branch_snapshot\n"


@pytest.mark.parametrize(("text", "with_", "without"), [
    (BRANCHES.format(size=48, flags=0) + "exit", 48, -ENOENT),
    (BRANCHES.format(size=24, flags=0) + "exit", 24, -ENOENT),
    (BRANCHES.format(size=20, flags=0) + "exit", -EINVAL, -ENOENT),
    (BRANCHES.format(size=0, flags=1) + "exit", 72, -ENOENT),
    (BRANCHES.format(size=48, flags=2) + "exit", -EINVAL, -EINVAL),
    (SNAPSHOT.format(size=48, flags=0) + "exit", 48, -ENOENT),
    (SNAPSHOT.format(size=30, flags=0) + "exit", 24, -ENOENT),
    (SNAPSHOT.format(size=48, flags=1) + "exit", -EINVAL, -EINVAL),
    (SNAPSHOT.format(size=48, flags=0) + "r0 = *(u64 *)(r10 - 16)\nexit", 40, 0)])
def test_branches(text, with_, without, tier):
    machine = Machine()
    type_ = "perf_event" if "records" in text else "kprobe"
    context = b"" if type_ == "perf_event" else bytes(168)
    assert answer(tier, "*(u64 *)(r10 - 16) = 0\n" + text, type_, context) == without
    machine.task = Task(branches=((10, 20), (30, 40), (50, 60)))
    assert answer(tier, "*(u64 *)(r10 - 16) = 0\n" + text, type_, b"" if type_ == "perf_event" else bytes(168),
                  machine) == with_


def test_symbols(tier):
    machine = Machine()
    machine.symbols["do_it"] = 0x1234
    name = int.from_bytes(b"do_it\0\0\0", "little")
    text = (f"r1 = {name} ll\n*(u64 *)(r10 - 16) = r1\n*(u64 *)(r10 - 8) = 1\nr1 = r10\nr1 += -16\nr2 = {{}}\nr3 = 0\n"
            "r4 = r10\nr4 += -8\ncall bpf_kallsyms_lookup_name\n")
    assert answer(tier, text.format(6) + READ, "syscall", b"", machine) == 0x1234
    assert answer(tier, text.format(6) + "exit", "syscall", b"") == -ENOENT
    assert answer(tier, text.format(5) + "exit", "syscall", b"") == -EINVAL


def test_the_returned_value(tier):
    assert answer(tier, "r1 = -5\ncall bpf_set_retval\ncall bpf_get_retval\nexit", "cgroup_sockopt", b"") == -5


WRITING, READING = (1).to_bytes(4, "little") + bytes(4), bytes(8)
BUFFER = "r2 = r10\nr2 += -16\nr3 = {}\n"
SYSCTL = [   # context, program, answer, what is written then
    (READING, BUFFER.format(16) + "r4 = 0\ncall bpf_sysctl_get_name\nexit", 12, b"new"),
    (READING, BUFFER.format(16) + "r4 = 1\ncall bpf_sysctl_get_name\nexit", 3, b"new"),
    (READING, BUFFER.format(8) + "r4 = 0\ncall bpf_sysctl_get_name\nexit", -E2BIG, b"new"),
    (READING, BUFFER.format(8) + "call bpf_sysctl_get_current_value\nr0 = *(u64 *)(r10 - 16)\nexit", 0x31, b"new"),
    (READING, BUFFER.format(1) + "call bpf_sysctl_get_current_value\nexit", -E2BIG, b"new"),
    (READING, BUFFER.format(8) + "call bpf_sysctl_get_new_value\nexit", -EINVAL, b"new"),
    (WRITING, BUFFER.format(8) + "call bpf_sysctl_get_new_value\nexit", 3, b"new"),
    (WRITING, "*(u64 *)(r10 - 16) = 0x39\n" + BUFFER.format(1) + "call bpf_sysctl_set_new_value\nexit", 0, b"9"),
    (READING, "*(u64 *)(r10 - 16) = 0x39\n" + BUFFER.format(1) + "call bpf_sysctl_set_new_value\nexit", -EINVAL,
     b"new"),
    (WRITING, "r6 = r1\n*(u64 *)(r10 - 16) = 0\n" + BUFFER.format(0) + "call bpf_sysctl_set_new_value\nexit", -EINVAL,
     b"new"),
]


@pytest.mark.parametrize(("ctx", "text", "result", "new"), SYSCTL)
def test_sysctls(ctx, text, result, new, tier):
    machine = Machine()
    machine.sysctl = Sysctl("net/ipv4/tos", b"1", b"new")
    assert answer(tier, text, "cgroup_sysctl", ctx, machine) == result
    assert machine.sysctl.new == new
