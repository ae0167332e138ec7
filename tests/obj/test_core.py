"""CO-RE relocation: against types made for the test, against libbpf (bpftool), and on real kernels."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ebpflab.errors import Rejected
from ebpflab.isa import Insn, bits
from ebpflab.obj import btf, core, elf
from ebpflab.obj.compile import compile_c, compilers
from ebpflab.obj.core_types import essential
from ebpflab.obj.objects import read_object

VMLINUX = Path("/sys/kernel/btf/vmlinux")
HEAD = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
char LICENSE[] SEC("license") = "GPL";
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
"""
#: the program's idea of the types
LOCAL = HEAD + """
struct inner { int first; long second; };
struct thing {
    int a; unsigned b; long gone; struct inner in; struct inner list[4];
    int low : 3; unsigned high : 5; long *pointer; unsigned char narrow; short wrong; int sign;
};
struct thing___v2 { int only_new; };
struct tiny { int x; };
struct absent { int x; };
struct twin { int x; };
enum colour { RED = 1, GREEN = 2, BLUE = 3 };
enum colour___old { GREEN___old = 7, VIOLET = 9 };
enum missing { NOTHING = 1 };
typedef int (*callback)(int, long);
#pragma clang attribute pop
volatile long keep;
SEC("socket") int program(struct thing *t)
{
    struct thing___v2 *newer = (void *) t;
    struct tiny *tiny = (void *) t;
    struct twin *twin = (void *) t;
    struct absent *absent = (void *) t;
    (void) newer, (void) tiny, (void) twin, (void) absent;
    return EXPRESSION;
}
"""
#: the kernel's: other offsets, sizes, an unnamed union, more and fewer names
TARGET = """
struct inner { char pad[4]; long second; int extra; int first; };
struct thing {
    char pad[20]; unsigned b;
    union { struct { long gap; int a; }; int only_new; };
    struct inner list[8]; struct inner in;
    unsigned long padding : 50; unsigned long high : 7; int low : 4;
    int *pointer; unsigned long long narrow; struct inner wrong; short sign;
} one;
struct tiny { int x; short y; } two;
struct twin { int x; } three;
struct twin___other { char pad[8]; int x; } four;
enum colour { GREEN = 12, RED = 11, WHITE = 13 } five;
long f(int (*c)(int, long)) { return one.b + two.x + three.x + four.x + five + c(1, 2); }
"""


def types_of(source):
    """The BTF of a C source, as a kernel would show its own."""
    return btf.Btf(elf.read(compile_c(source).data).section(".BTF").data)


@pytest.fixture(scope="module")
def target():
    return types_of(TARGET)


def relocated(expression, target):
    spec = read_object(compile_c(LOCAL.replace("EXPRESSION", expression), flags=("-Wno-everything",)).data).program()
    assert spec.core
    return core.relocate(spec, target)


def offset(types, struct, *path):
    found, at = types.find(struct, btf.STRUCT), 0
    for name in path:
        if isinstance(name, int):
            array = types.strip(member.type)  # noqa: F821  (of the step before)
            found = types.strip(array.type)
            at += name * types.size(array.type)
            continue
        member = next(m for m in found.members if m.name == name)
        at += member.offset // 8
        found = types.strip(member.type)
    return at


def value(spec):
    """r0 of a program that returns a constant, on the simulator."""
    from ebpflab.sim import Machine

    return Machine().load(spec).run(bytes(64)).r0


@pytest.mark.parametrize("expression, expected", [
    ("bpf_core_field_offset(t->a)", lambda t: 20 + 4 + 8),
    ("bpf_core_field_offset(t->b)", lambda t: 20),
    ("bpf_core_field_offset(t->in.first)", lambda t: offset(t, "thing", "in", "first")),
    ("bpf_core_field_offset(t->list[2].second)", lambda t: offset(t, "thing", "list", 2, "second")),
    ("bpf_core_field_offset(newer->only_new)", lambda t: 24),
    ("bpf_core_field_size(t->narrow)", lambda t: 8),
    ("bpf_core_field_size(t->list)", lambda t: 8 * 24),
    ("bpf_core_field_exists(t->a)", lambda t: 1),
    ("bpf_core_field_exists(t->gone)", lambda t: 0),
    ("bpf_core_field_exists(t->wrong)", lambda t: 0),
    ("bpf_core_field_exists(newer->only_new)", lambda t: 1),
    ("bpf_core_field_exists(absent->x)", lambda t: 0),
    ("__builtin_preserve_field_info(t->a, 3)", lambda t: 1),
    ("__builtin_preserve_field_info(t->b, 3)", lambda t: 0),
    ("__builtin_preserve_field_info(t->low, 3)", lambda t: 1),
    ("__builtin_preserve_field_info(t->high, 5)", lambda t: 64 - 7),
    ("bpf_core_type_exists(struct thing)", lambda t: 1),
    ("bpf_core_type_exists(struct absent)", lambda t: 0),
    ("bpf_core_type_size(struct tiny)", lambda t: 8),
    ("bpf_core_type_size(struct absent)", lambda t: 0),
    ("bpf_core_type_id_kernel(struct inner)", lambda t: t.find("inner", btf.STRUCT).id),
    ("bpf_core_enum_value(enum colour, RED)", lambda t: 11),
    ("bpf_core_enum_value(enum colour___old, GREEN___old)", lambda t: 12),
    ("bpf_core_enum_value_exists(enum colour, BLUE)", lambda t: 0),
    ("bpf_core_enum_value_exists(enum colour___old, VIOLET)", lambda t: 0),
    ("bpf_core_enum_value_exists(enum missing, NOTHING)", lambda t: 0),
])
def test_a_value_of_the_target(expression, expected, target):
    assert value(relocated(expression, target)) == expected(target)


@pytest.mark.parametrize("expression, expected", [
    ("bpf_core_type_matches(struct tiny)", 1), ("bpf_core_type_matches(struct thing)", 0),
    ("bpf_core_type_matches(struct absent)", 0), ("bpf_core_type_matches(enum colour)", 0),
])
def test_type_matches_looks_at_every_member(expression, expected, target):
    if not any(c.version >= 15 for c in compilers()):
        pytest.skip("no compiler here knows bpf_core_type_matches (clang 15 or ziglang)")
    assert value(relocated(expression, target)) == expected


def test_the_shifts_cut_the_bit_field_out(target):
    """Load the bytes that hold it, shift left, shift right: what the target's own compiler reads."""
    found = target.find("thing", btf.STRUCT)
    for name, sign in (("low", True), ("high", False)):
        member = next(m for m in found.members if m.name == name)
        byte, size, left, right, signed = (
            value(relocated(f"__builtin_preserve_field_info(t->{name}, {kind})", target)) for kind in (0, 1, 4, 5, 3))
        for pattern in (0, 0b101, (1 << member.bits) - 1):
            whole = (pattern << member.offset).to_bytes(found.size, "little")
            word = int.from_bytes(whole[byte:byte + size], "little")
            assert (word << left & bits.U64) >> right == pattern, name
        assert signed == sign


def test_loads_change_their_width_and_offset(target):
    spec = relocated("t->narrow + t->b + (long) t->pointer", target)
    loads = [i for i in spec.insns if i.opcode & 7 == bits.LDX]
    assert Insn(bits.LDX | bits.MEM | bits.DW, loads[0].dst, loads[0].src, offset(target, "thing", "narrow")) in loads
    assert {(i.opcode & bits.DW, i.off) for i in loads} == {
        (bits.DW, offset(target, "thing", "narrow")), (bits.W, 20), (bits.DW, offset(target, "thing", "pointer"))}


@pytest.mark.parametrize("expression, words", [
    ("t->gone", "struct thing has no field 'gone'"),
    ("t->list[3].first + t->gone", "gone"),
    ("absent->x", "struct absent has no field 'x'"),
    ("bpf_core_enum_value(enum colour, BLUE)", "enum colour has no value BLUE"),
    ("t->sign", "2 bytes on this kernel and 4 in the program"),
])
def test_what_is_absent_is_poisoned_and_told(expression, words, target):
    spec = relocated(expression, target)
    ((pc, said),) = spec.missing.items()
    assert words in said and spec.insns[pc] == Insn(bits.JMP | bits.CALL, 0, 0, 0, 0xBAD2310)


def test_ambiguity_is_an_error(target):
    with pytest.raises(core.CoreError, match=r"struct twin.x is ambiguous: types \d+ and \d+"):
        relocated("twin->x", target)
    assert value(relocated("bpf_core_field_exists(twin->x)", types_of(TARGET.replace("char pad[8];", "")))) == 1


def test_an_array_that_is_too_short_does_not_match(target):
    assert value(relocated("bpf_core_field_exists(t->list[3])", target)) == 1
    short = types_of(TARGET.replace("list[8]", "list[2]"))
    assert value(relocated("bpf_core_field_exists(t->list[3])", short)) == 0


def test_a_damaged_object_is_an_error_with_the_instruction(target):
    spec = read_object(compile_c(LOCAL.replace("EXPRESSION", "t->a"), flags=("-Wno-everything",)).data).program()
    (reloc,) = spec.core
    for bad in (replace(reloc, path="0:99"), replace(reloc, path="x"), replace(reloc, type=9999),
                replace(reloc, kind=77), replace(reloc, pc=500), replace(reloc, path="0:0:0")):
        with pytest.raises(core.CoreError, match="CO-RE"):
            core.relocate(replace(spec, core=(bad,)), target)
    moved = tuple(i._replace(off=i.off + 4) if i.opcode & 7 == bits.LDX else i for i in spec.insns)
    with pytest.raises(core.CoreError, match="must be"):
        core.relocate(replace(spec, insns=moved), target)


@pytest.mark.parametrize("name, plain", [
    ("task_struct___old", "task_struct"), ("a___b___c", "a___b"), ("___x", "___x"), ("a___", "a___"),
    ("a____b", "a____b"), ("plain", "plain"), ("", ""), ("a__b", "a__b")])
def test_flavours(name, plain):
    assert essential(name) == plain


# -- libbpf is the judge ----------------------------------------------------------------------------------------------

KERNEL = HEAD + """
struct task_struct { int pid; int tgid; long not_there; struct task_struct *group_leader; char comm[16];
                     struct mm_struct *mm; unsigned int in_execve : 1; unsigned sched_reset_on_fork : 1; };
struct task_struct___other { int tgid; };
struct mm_struct { struct { unsigned long start_brk; }; };
struct sk_buff { unsigned int len; unsigned char pkt_type : 3; unsigned long cb_absent; unsigned long mark; };
struct file { struct { void *f_nothing; }; unsigned int f_flags; };
struct list_head { struct list_head *next, *prev; };
struct sock { struct { unsigned short skc_family; } __sk_common; };
struct never_heard_of { int x; };
enum bpf_map_type___m { BPF_MAP_TYPE_HASH___m = 100, BPF_MAP_TYPE_NEVER = 5 };
enum bpf_func_id___x { BPF_FUNC_map_lookup_elem___m = 55 };
union bpf_attr___m { struct { unsigned map_type; }; unsigned prog_type; };
#pragma clang attribute pop
volatile long out;
SEC("raw_tp/sys_enter") int reads(struct task_struct **ctx)
{
    struct task_struct *task = (void *) bpf_get_current_task();
    struct sk_buff *skb = (void *) task;
    struct task_struct___other *other = (void *) task;
    struct never_heard_of *never = (void *) task;
    struct sock *sk = (void *) task;
    union bpf_attr___m *attr = (void *) task;
    struct file *file = (void *) task;

    out = BPF_CORE_READ(task, group_leader, group_leader, pid) + BPF_CORE_READ(other, tgid);
    out += BPF_CORE_READ(task, mm, start_brk) + BPF_CORE_READ(skb, len) + BPF_CORE_READ(sk, __sk_common.skc_family);
    out += bpf_core_field_size(task->comm) + bpf_core_field_offset(task->comm[3]) + BPF_CORE_READ(skb, mark);
    out += bpf_core_field_exists(task->not_there) + bpf_core_field_exists(never->x) + bpf_core_field_exists(task->comm);
    out += bpf_core_type_exists(struct never_heard_of) + bpf_core_type_size(struct list_head);
    out += bpf_core_type_id_kernel(struct list_head) + bpf_core_type_exists(union bpf_attr___m);
    out += BPF_CORE_READ_BITFIELD_PROBED(task, in_execve) + BPF_CORE_READ_BITFIELD_PROBED(skb, pkt_type);
    out += BPF_CORE_READ_BITFIELD_PROBED(task, sched_reset_on_fork) + bpf_core_field_offset(attr->map_type);
    out += bpf_core_enum_value(enum bpf_map_type___m, BPF_MAP_TYPE_HASH___m) + BPF_CORE_READ(file, f_flags);
    out += bpf_core_enum_value_exists(enum bpf_map_type___m, BPF_MAP_TYPE_NEVER);
    out += bpf_core_enum_value(enum bpf_func_id___x, BPF_FUNC_map_lookup_elem___m);
    if (bpf_core_field_exists(task->not_there))
        out += BPF_CORE_READ(task, not_there);
    if (bpf_core_enum_value_exists(enum bpf_map_type___m, BPF_MAP_TYPE_NEVER))
        out += bpf_core_enum_value(enum bpf_map_type___m, BPF_MAP_TYPE_NEVER);
    return 0;
}
"""


@pytest.mark.parametrize("using", compilers(), ids=lambda c: c.name.split()[0])
def test_every_patch_is_libbpfs(using, tmp_path):
    if not shutil.which("bpftool"):
        pytest.skip("bpftool is not installed (Debian: apt-get install bpftool)")
    if not VMLINUX.exists():
        pytest.skip("this kernel has no BTF")
    blob = compile_c(KERNEL, using=using, flags=("-Wno-everything",)).data
    (tmp_path / "k.o").write_bytes(blob)
    script = 'mount -t bpf none "$1" && bpftool -d prog loadall "$0" "$1/x"'
    (tmp_path / "fs").mkdir()
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, tmp_path / "k.o", tmp_path / "fs"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if "unshare" in done.stdout and done.returncode:
        pytest.skip(f"no mount namespace of our own: {done.stdout.strip()}")
    # a line for each: "relo #3: patched insn #9 (ALU/ALU64) imm 4 -> 16", "substituting insn #7 w/ invalid insn"
    patched = r"patched insn #(\d+) \(.*?\) \w+ -?\d+ -> (-?\d+)"
    theirs = {int(pc): int(new) for pc, new in re.findall(patched, done.stdout)}
    poisoned = {int(pc) for pc in re.findall(r"substituting insn #(\d+) w/ invalid insn", done.stdout)}
    assert len(theirs) > 25 and poisoned, done.stdout[-3000:]
    before = read_object(blob).program()
    after = core.relocate(before, btf.Btf(VMLINUX.read_bytes()))
    poisoned -= {pc + 1 for pc in poisoned if before.insns[pc].opcode == 0x18}  # both halves of a wide load
    assert set(theirs) | poisoned == {reloc.pc for reloc in before.core}
    for pc, new in theirs.items():
        if pc in poisoned:
            continue
        insn = after.insns[pc]
        assert (insn.off if insn.opcode & 7 in (bits.LDX, bits.ST, bits.STX) else insn.imm) == new, pc
    assert set(after.missing) == poisoned


# -- real kernels -----------------------------------------------------------------------------------------------------

def reads_as_its_types_say(kernel):
    """Load KERNEL there; its constants are what the kernel's BTF says."""
    spec = read_object(compile_c(KERNEL, flags=("-Wno-everything",)).data).program()
    types = kernel.kernel.types
    with kernel.load(spec) as loaded:
        assert loaded.trace.ok and set(loaded.spec.missing.values()) == {
            "this kernel's struct task_struct has no field 'not_there' of that type",
            "this kernel's enum bpf_map_type has no value BPF_MAP_TYPE_NEVER"}
        constants = {i.imm for i in loaded.spec.insns}
        assert offset(types, "task_struct", "group_leader") in constants
        assert offset(types, "task_struct", "mm") in constants
        assert loaded.info()["btf_id"] == loaded.types.id
        assert any(step.source and "BPF_CORE_READ" in step.source.text for step in loaded.trace.steps)


@pytest.mark.kernel
def test_this_kernel_takes_it(local):
    reads_as_its_types_say(local)


@pytest.mark.kernel
def test_a_rejection_names_what_the_kernel_lacks(local):
    spec = read_object(compile_c(KERNEL.replace("if (bpf_core_field_exists(task->not_there))", ""),
                                 flags=("-Wno-everything",)).data).program()
    with pytest.raises(Rejected, match="task_struct has no field 'not_there'") as caught:
        local.load(spec)
    verdict = caught.value.trace.verdict
    assert "has no field 'not_there'" in verdict.error and "195896080" in verdict.error
    assert local.session.handles() == []


@pytest.mark.vm
def test_one_object_fits_other_kernels(core_guest):
    reads_as_its_types_say(core_guest)
