"""Compiled objects become specs: linked, with maps of every kind; what goes in, the kernel runs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpflab.errors import EbpflabError
from ebpflab.isa import bits
from ebpflab.obj.objects import read_object

HEAD = """
#define SEC(n) __attribute__((section(n), used))
#define __uint(name, n) int (*name)[n]
#define __type(name, t) t *name
#define __array(name, t) __typeof__(t) *name[]
#define noinline __attribute__((noinline))
typedef unsigned u32; typedef unsigned long long u64;
static void *(*lookup)(void *, const void *) = (void *)1;
static long (*tail_call)(void *, void *, u32) = (void *)12;
static long (*loop)(u32, void *, void *, u64) = (void *)181;
char _license[] SEC("license") = "GPL";
"""
FULL = HEAD + """
struct pair { u32 packets; u64 bytes; };
struct { __uint(type, 5); __uint(max_entries, 64); __type(key, u32); __type(value, struct pair); } stats SEC(".maps");
const volatile u32 limit = 7;
u32 seen, start = 3;
static noinline int twice(int x) { return x * limit; }
noinline int sum(int x) { return twice(x) + twice(x + 1); }
SEC("xdp") int first(void *ctx)
{
    u32 key = 1;
    struct pair *value = lookup(&stats, &key);
    if (value)
        value->packets++;
    seen++;
    return sum(start);
}
SEC("tc") int second(void *ctx) { return twice(2); }
"""


@pytest.fixture(scope="module")
def full(compile_c):
    return read_object(compile_c(FULL))


def test_programs_types_licence_and_maps(full):
    assert {name: p.type for name, p in full.programs.items()} == {"first": "xdp", "second": "sched_cls"}
    assert full.license == "GPL"
    stats = full.maps["stats"]
    assert (stats.type, stats.max_entries, stats.value_size) == ("percpu_hash", 64, 16)
    assert [(f.name, f.offset) for f in stats.value.fields] == [("packets", 0), ("bytes", 8)]
    assert full.maps[".rodata"].contents == ((bytes(4), (7).to_bytes(4, "little")),) and full.maps[".rodata"].frozen
    assert full.maps[".bss"].contents[0][1] == bytes(4)
    assert [f.name for f in full.maps[".data"].value.fields] == ["start"]


def test_subprograms_are_appended_in_the_order_of_their_first_call(full):
    assert list(full.programs["first"].functions.values()) == ["first", "sum", "twice"]
    assert list(full.programs["second"].functions.values()) == ["second", "twice"]
    first = full.programs["first"]
    for pc, insn in enumerate(first.insns):
        if insn.opcode == bits.JMP | bits.CALL and insn.src == bits.CALL_LOCAL:
            assert pc + 1 + insn.imm in first.functions


def test_every_instruction_that_came_from_a_line_knows_it(full):
    texts = {line.text for line in full.programs["first"].lines.values()}
    assert "seen++;" in texts and any("twice(x)" in text for text in texts)


def test_the_kernel_runs_it(full, local):
    with local.load(full.programs["first"]) as loaded:
        assert loaded.run(bytes(64)).retval == 7 * 3 + 7 * 4
        assert loaded.maps[".bss"].lookup(bytes(4)) == (1).to_bytes(4, "little")


def test_callbacks_are_functions_of_the_program(compile_c, local):
    spec = read_object(compile_c(HEAD + """
        static int count(u32 i, void *ctx) { *(u32 *)ctx += i; return 0; }
        SEC("xdp") int looping(void *ctx) { u32 total = 0; loop(5, count, &total, 0); return total; }
    """)).program()
    assert list(spec.functions.values()) == ["looping", "count"]
    with local.load(spec) as loaded:
        assert loaded.run(bytes(64)).retval == 0 + 1 + 2 + 3 + 4


def test_a_prog_array_and_a_map_of_maps_name_what_they_hold(compile_c):
    spec = read_object(compile_c(HEAD + """
        struct inner { __uint(type, 2); __uint(max_entries, 4); __type(key, u32); __type(value, u64); };
        struct inner small SEC(".maps");
        struct { __uint(type, 12); __uint(max_entries, 3); __type(key, u32); __array(values, struct inner); }
            outer SEC(".maps") = { .values = { [2] = &small } };
        int target(void *ctx);
        struct { __uint(type, 3); __uint(max_entries, 2); __type(key, u32); __array(values, int(void *)); }
            table SEC(".maps") = { .values = { [1] = (void *)&target } };
        SEC("xdp/a") int target(void *ctx) { return 1; }
        SEC("xdp/b") int jump(void *ctx) { u32 k = 0; lookup(&outer, &k); tail_call(ctx, &table, 1); return 2; }
    """))
    assert spec.maps["outer"].slots == ((2, "small"),) and spec.maps["outer"].inner.type == "array"
    assert spec.maps["table"].slots == ((1, "target"),)


def test_legacy_map_definitions(compile_c):
    spec = read_object(compile_c(HEAD + """
        struct bpf_map_def { u32 type, key_size, value_size, max_entries, map_flags; };
        struct bpf_map_def old SEC("maps") = { 1, 4, 8, 100, 1 };
        struct bpf_map_def older SEC("maps") = { 2, 4, 16, 3, 0 };
        SEC("xdp") int use(void *ctx) { u32 k = 0; return lookup(&old, &k) || lookup(&older, &k); }
    """, "-g0")).maps
    assert [(m.name, m.type, m.key_size, m.value_size, m.max_entries, m.flags) for m in spec.values()] == [
        ("old", "hash", 4, 8, 100, 1), ("older", "array", 4, 16, 3, 0)]


def test_calls_to_the_kernel_stay_open(compile_c):
    spec = read_object(compile_c(HEAD + """
        extern void bpf_rcu_read_lock(void) __attribute__((section(".ksyms")));
        SEC("tc") int locks(void *ctx) { bpf_rcu_read_lock(); return 0; }
    """)).program()
    ((pc, name),) = spec.externs.items()
    assert name == "bpf_rcu_read_lock" and spec.insns[pc].src == bits.CALL_KFUNC


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_is_an_error_and_never_a_crash(compile_c, data):
    blob = bytearray(_blob(compile_c))
    for _ in range(data.draw(st.integers(0, 8))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_object(bytes(blob[: data.draw(st.integers(0, len(blob)))]))
    except EbpflabError as error:
        assert str(error)


_BLOBS: list[bytes] = []


def _blob(compile_c):
    if not _BLOBS:
        _BLOBS.append(compile_c(FULL))
    return _BLOBS[0]
