"""Assembly that names a callback comes with types for its functions, which kernels insist on."""

import struct

import pytest

import ebpflab as lab
from ebpflab.asm import assemble
from ebpflab.obj.btf import Btf

SUM = """
    *(u64 *)(r10 - 8) = 0
    r1 = 1000
    r2 = add ll
    r3 = r10
    r3 += -8
    r4 = 0
    call bpf_loop
    call result
    exit
{name}:
    r3 = *(u64 *)(r2 + 0)
    r3 += r1
    *(u64 *)(r2 + 0) = r3
    r0 = 0
    exit
result:
    r0 = 7
    exit
"""


def functions(spec) -> dict[int, str]:
    types = Btf(spec.btf)
    found = {}
    for at in range(0, len(spec.func_info), 8):
        start, number = struct.unpack_from("<II", spec.func_info, at)
        found[start] = types[number].name
    return found


def test_every_function_has_a_type():
    spec = assemble(SUM.format(name="add"), name="main")
    assert functions(spec) == {0: "main", 10: "add", 15: "result"} == dict(spec.functions)


def test_names_that_c_could_not_have():
    spec = assemble(SUM.format(name="add").replace("add", "a.b"))
    assert functions(spec) == {0: "prog", 10: "function_10", 15: "result"}


def test_programs_without_callbacks_need_none():
    spec = assemble("call f\nexit\nf: r0 = 0\nexit")
    assert (spec.btf, spec.func_info) == (b"", b"")


def test_a_callback_outside_of_the_program_is_left_to_the_verifier():
    wild = assemble(".8byte 0x7fffffff00004218\n.8byte 0\nr0 = 0\nexit")
    assert wild.insns[0].src == 4 and wild.btf == b""


@pytest.mark.parametrize("target", ["sim", pytest.param("local", marks=pytest.mark.kernel)])
def test_a_callback_in_assembly_is_accepted_and_runs(target):
    if not lab.available(target):
        pytest.skip(f"no target {target} here")
    with lab.load(SUM.format(name="add"), type="socket_filter", target=target) as program:
        assert program.ok, program.trace.verdict.error
        assert program.run(bytes(64)).retval == 7
