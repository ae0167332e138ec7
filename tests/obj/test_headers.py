"""Our bpf_helpers.h and friends: current, complete, and good for every compiler that is here."""

from pathlib import Path

import pytest

from ebpflab.abi.helpers import HELPERS
from ebpflab.obj import helper_header
from ebpflab.obj.compile import CompileError, compile_c, compilers
from ebpflab.obj.objects import read_object
from ebpflab.obj.vmlinux import header_folder

VMLINUX = Path("/sys/kernel/btf/vmlinux")
PLAIN = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, __u64);
    __uint(pinning, LIBBPF_PIN_NONE);
} seen SEC(".maps");

SEC("xdp") int everything(struct xdp_md *ctx)
{
    __u64 sum = 0, *found;
    __u32 key = bpf_ntohs(bpf_htons(5));
    char text[16];
    int i;

    bpf_for(i, 0, 10)
        sum += i;
    bpf_repeat(3)
        sum++;
    for (i = 0; i < 100 && can_loop; i++)
        sum += 2;
    BPF_SNPRINTF(text, sizeof(text), "%d", 1);
    found = bpf_map_lookup_elem(&seen, &key);
    bpf_map_update_elem(&seen, &key, &sum, BPF_ANY);
    bpf_printk("nothing");
    bpf_printk("sum %llu of %s", sum, "all");
    bpf_printk("%d %d %d %d", 1, 2, 3, 4);
    return sum + (found != NULL) + text[0] - '1';
}
char LICENSE[] SEC("license") = "GPL";
"""
CORE = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";
volatile long out;
extern int LINUX_KERNEL_VERSION __kconfig;

SEC("kprobe/f") int BPF_KPROBE(entry, struct task_struct *task, int n, unsigned long long z)
{
    char name[16];

    out = BPF_CORE_READ(task, mm, owner, pid) + n + z;
    out += BPF_CORE_READ(task, real_parent, real_parent, real_parent, real_parent, real_parent, real_parent,
                real_parent, real_parent, tgid);
    BPF_CORE_READ_STR_INTO(&name, task, group_leader, comm);
    bpf_core_read(&name, sizeof(name), &task->comm);
    if (bpf_core_field_exists(task->pid) && bpf_core_field_exists(struct task_struct, mm))
        out += bpf_core_field_size(task->comm) + bpf_core_field_offset(task->comm);
    if (bpf_core_type_exists(struct task_struct))
        out += bpf_core_type_size(struct task_struct) + bpf_core_type_id_kernel(struct file);
    if (bpf_core_enum_value_exists(enum bpf_map_type, BPF_MAP_TYPE_HASH))
        out += bpf_core_enum_value(enum bpf_map_type, BPF_MAP_TYPE_HASH);
    return 0;
}
SEC("kretprobe/f") int BPF_KRETPROBE(leave, long ret) { out = ret; return 0; }
SEC("ksyscall/openat") int BPF_KSYSCALL(call, int dfd, const char *path, int flags, int mode)
{
    char name[9];

    out = dfd + flags + mode;
    bpf_probe_read_user_str(name, sizeof(name), path);
    return 0;
}
SEC("tp_btf/kfree_skb") int BPF_PROG(typed, struct sk_buff *skb, void *location)
{
    out = skb->len + BPF_CORE_READ_BITFIELD(skb, pkt_type) + BPF_CORE_READ_BITFIELD_PROBED(skb, pkt_type);
    return LINUX_KERNEL_VERSION > 0;
}
SEC("uprobe") int BPF_UPROBE(user, void *a) { out = (long) a; return 0; }
"""


@pytest.fixture(params=compilers(), ids=lambda c: c.name.split()[0])
def using(request):
    return request.param


def test_there_is_a_compiler():
    assert compilers(), 'pip install "ebpflab[c]" or install clang'


def test_the_helper_header_is_current():
    assert helper_header.PATH.read_text() == helper_header.text(), "run python -m ebpflab.obj.helper_header"
    for helper in HELPERS.values():
        assert f" bpf_{helper.name})(" in helper_header.declaration(helper).replace("* const ", " ")


def test_numbers_are_those_of_the_uapi_header(using):
    """The compiler compares each of ours with enum bpf_func_id, as far as its header knows it."""
    text = "\n".join(Path(folder, "linux", "bpf.h").read_text() for folder in using.system
                     if Path(folder, "linux", "bpf.h").exists())
    names = [h for h in HELPERS.values() if f"FN({h.name}" in text]
    assert len(names) > 200
    compile_c("#include <linux/bpf.h>\n" + "".join(
        f'_Static_assert(BPF_FUNC_{h.name} == {h.number}, "{h.name}");\n' for h in names), using=using)


def test_plain_programs_compile_without_a_warning(using):
    compiled = compile_c(PLAIN, using=using, flags=("-Werror",))
    spec = read_object(compiled.data).program()
    assert compiled.warnings == () and spec.type == "xdp" and "seen" in [m.name for m in spec.maps]
    assert set(spec.externs.values()) == {"bpf_iter_num_new", "bpf_iter_num_next", "bpf_iter_num_destroy"}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_tracing_and_relocated_reads_compile(using, machine):
    if not VMLINUX.exists():
        pytest.skip("this kernel has no BTF")
    source = CORE if machine == "x86_64" else CORE.replace("BPF_KSYSCALL", "BPF_KPROBE")
    compiled = compile_c(source, using=using, include=(header_folder(VMLINUX.read_bytes()),), machine=machine)
    assert compiled.warnings == ()
    spec = read_object(compiled.data)
    assert list(spec.programs) == ["entry", "leave", "call", "typed", "user"]
    kinds = {reloc.kind for reloc in spec.programs["entry"].core}
    assert {0, 1, 2, 7, 8, 9, 10, 11} <= kinds
    assert {4, 5} <= {reloc.kind for reloc in spec.programs["typed"].core}


def test_the_error_points_into_the_source(using):
    with pytest.raises(CompileError) as caught:
        compile_c('#include <bpf/bpf_helpers.h>\nSEC("xdp") int f(void *c)\n{\n\treturn nothere;\n}\n', using=using,
                  file="%%bpf f")
    assert (caught.value.line, caught.value.column) == (4, 9) and "nothere" in str(caught.value)
    assert str(caught.value).splitlines()[-1].strip() == "^"


def test_every_header_stands_alone(using):
    for name in ("bpf_helpers", "bpf_endian", "bpf_core_read", "bpf_tracing"):
        compile_c(f"#include <{name}.h>\n#include <bpf/{name}.h>\n", using=using, flags=("-Werror",))
