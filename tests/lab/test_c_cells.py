"""C in cells: compiled, loaded, bound; several programs that share maps; errors that point into the cell."""

import pytest
from IPython.utils.capture import capture_output

import ebpflab
from ebpflab.obj.vmlinux import HERE

from .test_magics import shell  # noqa: F401  (a fixture)

COUNTER = """\
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct pair { __u32 packets; __u64 bytes; };
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, struct pair);
} counts SEC(".maps");
const volatile __u32 step = 2;
__u64 seen;

SEC("xdp") int counter(struct xdp_md *ctx)
{
    __u32 key = 1;
    struct pair *pair = bpf_map_lookup_elem(&counts, &key);

    if (pair) {
        pair->packets += step;
        pair->bytes += ctx->data_end - ctx->data;
    }
    seen++;
    return XDP_PASS;
}
char LICENSE[] SEC("license") = "GPL";
"""
CHAIN = """\
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
int dropper(struct xdp_md *ctx);
struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, 2);
    __uint(key_size, 4);
    __array(values, int(void *));
} table SEC(".maps") = { .values = { [1] = (void *) &dropper } };
__u64 hits;
SEC("xdp") int entry(struct xdp_md *ctx)
{
    hits += 1;
    bpf_tail_call(ctx, &table, 1);
    return XDP_PASS;
}
SEC("xdp") int dropper(struct xdp_md *ctx)
{
    hits += 100;
    return XDP_DROP;
}
char LICENSE[] SEC("license") = "GPL";
"""
TARGETS = ["sim", pytest.param("local", marks=pytest.mark.kernel)]


def cell(shell, line, body):  # noqa: F811
    with capture_output() as captured:
        result = shell.run_cell(f"%%{line}\n{body}")
    return result, captured.stdout + captured.stderr, captured.outputs


def reachable(name):
    if not ebpflab.available(name):
        pytest.skip(f"target {name} cannot be opened here")


@pytest.mark.parametrize("line", ["bpf --c", "bpf_c", "bpf_c counter"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_cell_of_c_is_compiled_shown_and_bound(shell, line, target):  # noqa: F811
    reachable(target)
    result, said, shown = cell(shell, f"{line} --target {target}", COUNTER)
    assert result.success, said
    counter = shell.user_ns["counter"]
    assert counter.run(bytes(64)).verdict == "XDP_PASS" and "accepted" in said and shown
    assert shell.user_ns["counts"][1] == (2, 64)
    assert counter.maps[".bss"][0] == (1,)
    texts = {step.source.text for step in counter.trace.steps if step.source}
    assert "pair->packets += step;" in texts
    assert {step.source.line for step in counter.trace.steps if step.source and step.source.text == "seen++;"} == {23}


def test_a_name_of_ones_own(shell):  # noqa: F811
    cell(shell, "bpf_c mine --target sim --view none", COUNTER)
    assert shell.user_ns["mine"].ok and "counter" not in shell.user_ns


@pytest.mark.parametrize("target", TARGETS)
def test_programs_of_one_cell_share_maps_and_call_each_other(shell, target):  # noqa: F811
    reachable(target)
    result, said, _ = cell(shell, f"bpf_c entry --target {target} --view none", CHAIN)
    assert result.success, said
    entry, dropper = shell.user_ns["entry"], shell.user_ns["dropper"]
    assert "entry = " in said and "dropper = " in said
    assert entry.run(bytes(64)).verdict == "XDP_DROP"
    assert entry.maps[".bss"][0] == (101,) == dropper.maps[".bss"][0]


def test_running_it_again_closes_what_was_there(shell):  # noqa: F811
    cell(shell, "bpf_c --view none", CHAIN)
    before = shell.user_ns["entry"], shell.user_ns["dropper"]
    cell(shell, "bpf_c --view none", CHAIN)
    assert not before[0].ok and not before[1].ok and shell.user_ns["entry"].ok


@pytest.mark.parametrize("line, change, words", [
    ("bpf_c x", ("step;", "stepp;"), ["%%bpf_c x:20:26", "pair->packets += stepp;", "^", "undeclared"]),
    ("bpf --c x", ("return XDP_PASS;", "return XDP_PASS"), ["%%bpf --c x:24", "expected ';'"]),
    ("bpf_c --mcpu v9", ("", ""), ["v9"]),
    ("bpf_c", ('SEC("xdp")', 'SEC("nothing")'), ["program counter", "no program type", 'SEC("xdp")']),
    ("bpf_c other", ('SEC("xdp")', 'SEC("tc") int second(void *c) { return 1; }\nSEC("xdp")'), ["other", "counter"]),
    ("bpf --c --type xdp", ("", ""), ["--type", 'SEC("xdp")']),
    ("bpf_c", ("ctx->data_end", "ctx->nothere"), ["no member named 'nothere'"]),
])
def test_errors_are_short_and_point_into_the_cell(shell, line, change, words):  # noqa: F811
    result, said, _ = cell(shell, line, COUNTER.replace(*change) if change[0] else COUNTER)
    assert not result.success
    for word in words:
        assert word in said, said
    assert "Traceback" not in said and len(said.splitlines()) < 25, said


def test_a_warning_is_said(shell):  # noqa: F811
    _, said, _ = cell(shell, "bpf_c --view none", COUNTER.replace("seen++;", "int unused; seen++;"))
    assert "%%bpf_c:23:9: warning: unused variable 'unused'" in said


def test_options_reach_the_compiler(shell):  # noqa: F811
    cell(shell, "bpf_c --view none --cflags='-DSTEP=3' --mcpu v1", COUNTER.replace("step = 2", "step = STEP"))
    assert shell.user_ns["counter"].run(bytes(64)).verdict == "XDP_PASS"
    assert shell.user_ns["counts"][1][0] == 3
    assert all(insn.opcode & 7 != 6 for insn in shell.user_ns["counter"].spec.insns)  # v1 has no jmp32


def test_the_api_loads_objects():
    spec = ebpflab.compile_c(CHAIN, target="sim")
    with ebpflab.load_object(spec, target="sim") as bundle:
        assert list(bundle.programs) == ["entry", "dropper"] and bundle["entry"].run(bytes(64)).verdict == "XDP_DROP"
        assert "entry" in repr(bundle) and set(bundle.maps) == {"table", ".bss"}


def test_vmlinux_h_is_the_targets():
    if not HERE.exists():
        pytest.skip("this kernel has no BTF")
    spec = ebpflab.compile_c('#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n'
                             'SEC("xdp") int f(struct xdp_md *ctx) { return sizeof(struct task_struct) > 0; }',
                             target="sim")
    assert spec.program().type == "xdp"
