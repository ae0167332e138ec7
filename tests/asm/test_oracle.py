"""Against LLVM: the same text gives the same bytes, the same bytes the same text."""

from hypothesis import HealthCheck, given, settings

from ebpflab.asm import assemble, disassemble
from ebpflab.isa import OPS
from tests.asm.oracles import llvm_mc, needs_llvm, needs_zig, objdump, zig
from tests.isa.programs import programs

#: spellings that LLVM does not have: references by map, callees by distance, ldind with an offset
OURS = {"lddw_map", "lddw_map_value", "lddw_var", "lddw_func", "lddw_map_idx", "lddw_map_idx_value", "call_local",
        "call_kfunc"}
V4 = [op for op in OPS if op.name not in OURS and op.verb != "ind" and op.name != "ja32"]     # gotol: 16 bits only
#: and what LLVM 14 cannot assemble yet
NOT_14 = ("fetch", "xchg", "cmpxchg", "jset", "mod")
V3 = [op for op in V4 if op.isa in ("v1", "v2", "v3") and not op.verb.startswith(NOT_14) and op.kind != "st"]
#: what LLVM 14 also prints with another register letter or not at all
PRINTED = [op for op in V3 if op.kind != "atomic" or (op.width == 64 and op.verb == "add")]
BATCHES = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


@needs_llvm
@BATCHES
@given(insns=programs(V3, max_size=150))
def test_llvm_mc_makes_the_same_bytes(tmp_path_factory, insns):
    text = disassemble(insns, symbols=False)
    assert assemble(text).bytes == llvm_mc(text, tmp_path_factory.mktemp("mc"))


@needs_zig
@BATCHES
@given(insns=programs(V4, max_size=150))
def test_zig_makes_the_same_bytes(tmp_path_factory, insns):
    text = disassemble(insns, symbols=False)
    assert assemble(text).bytes == zig(text, tmp_path_factory.mktemp("zig"))


@needs_llvm
@BATCHES
@given(insns=programs(PRINTED, max_size=150))
def test_llvm_objdump_prints_the_same_text(tmp_path_factory, insns):
    data = assemble(disassemble(insns)).bytes
    assert disassemble(insns, symbols=False).splitlines() == objdump(data, tmp_path_factory.mktemp("dump"))


HAND = """
    r1 = 10
    w1 = w2
    w3 = *(u32 *)(r1 + 0x10)
    *(u16 *)(r10 - 2) = w3
    r1 = 0xffffffff
    if r1 == 0x80000000 goto out
    r5 = 0xfedcba9876543210 ll
    r5 = -1 ll
again:
    r0 s>>= 63
    if w0 s<= -1 goto again
    goto 1f
    r0 = 7
1:  if r1 != r2 goto 1b
    lock *(u32 *)(r1 + 0) += w2
    r0 = *(u8 *)skb[14]
    r0 = *(u32 *)skb[r6]
    r2 = be32 r2
out: r0 = 0
    exit
"""


@needs_llvm
def test_text_by_hand(tmp_path):
    assert assemble(HAND).bytes == llvm_mc(HAND, tmp_path)
