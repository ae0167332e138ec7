"""The command line on C, objects, types, and as a bpf_conformance plugin."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import ebpflab as lab
from ebpflab.isa import Insn, bits, encode
from ebpflab.obj.compile import compile_c
from ebpflab.obj.objects import read_object

from .test_c_cells import CHAIN, COUNTER
from .test_cli import ebpflab

VMLINUX = Path("/sys/kernel/btf/vmlinux")


@pytest.fixture
def made(tmp_path):
    """counter.c, counter.o, chain.c, chain.o"""
    for name, text in (("counter", COUNTER), ("chain", CHAIN)):
        (tmp_path / f"{name}.c").write_text(text)
        (tmp_path / f"{name}.o").write_bytes(compile_c(text, file=f"{name}.c").data)
    return tmp_path


def test_compile_makes_an_object(made):
    out = made / "new.o"
    done = ebpflab("compile", made / "counter.c", "-o", out, "--mcpu", "v2")
    assert done.returncode == 0 and not done.stdout, done.stderr
    assert read_object(out.read_bytes()).program().name == "counter"
    piped = ebpflab("compile", "-", "-o", "-", stdin=COUNTER.encode())
    assert read_object(piped.stdout).program().name == "counter"
    (made / "bad.c").write_text(COUNTER.replace("step;", "stepp;"))
    bad = ebpflab("compile", made / "bad.c")
    assert bad.returncode == 2 and b"bad.c:20:26: use of undeclared" in bad.stderr and b"^" in bad.stderr


@pytest.mark.parametrize("syntax", ["llvm", "kernel", "mnemonic"])
def test_disasm_of_objects_reads_back(made, syntax):
    for name in ("counter", "chain"):
        text = ebpflab("disasm", made / f"{name}.o", "--syntax", syntax)
        assert text.returncode == 0, text.stderr
        again = ebpflab("asm", "-", "--syntax", syntax, stdin=text.stdout)
        whole = read_object((made / f"{name}.o").read_bytes())
        assert again.stdout == b"".join(p.bytes for p in whole.programs.values()), again.stderr
    assert b"; entry (xdp): " in text.stdout and b"; hits += 100;" in text.stdout


def test_disasm_of_one_program_and_as_json(made):
    text = ebpflab("disasm", made / "chain.o", "--program", "dropper").stdout.decode()
    assert "hits += 100" in text and "tail_call" not in text
    rows = json.loads(ebpflab("disasm", made / "counter.o", "--json").stdout)
    spec = read_object((made / "counter.o").read_bytes()).program()
    assert b"".join(bytes.fromhex(row["bytes"]) for row in rows) == spec.bytes
    assert {row["source"] for row in rows if "source" in row} >= {"seen++;"}
    assert ebpflab("disasm", "--hex", "-", stdin=b"b7 00 00 00 02 00 00 00 9500000000000000\n").stdout == \
        b"r0 = 2\nexit\n"
    none = ebpflab("disasm", made / "chain.o", "--program", "drop")
    assert none.returncode == 2 and b"dropper" in none.stderr


def test_asm_in_every_form():
    expected = encode([Insn(0xB7, 0, 0, 0, 2), Insn(0x95)])
    assert bytes.fromhex(ebpflab("asm", "-", "--format", "hex", stdin=b"r0 = 2\nexit").stdout.decode()) == expected
    found = json.loads(ebpflab("asm", "-", "--format", "json", stdin=b".map m hash u32 u64 8\nr0 = 2\nexit").stdout)
    assert bytes.fromhex(found["insns"]) == expected and found["maps"][0]["value_size"] == 8


def test_objdump_names_what_is_inside(made):
    text = ebpflab("objdump", made / "chain.o").stdout.decode()
    for word in ("license: GPL", "entry", "dropper", "prog_array", "1=dropper", ".maps"):
        assert word in text
    found = json.loads(ebpflab("objdump", "--json", made / "counter.o").stdout)
    assert [m["name"] for m in found["maps"]] == [".rodata", "counts", ".bss"]
    bad = ebpflab("objdump", "-", stdin=b"\x7fELFnonsense")
    assert bad.returncode == 2 and b"byte 0x" in bad.stderr and len(bad.stderr.splitlines()) < 5


def test_run_and_verify_take_c_and_objects(made):
    for file in ("counter.c", "counter.o"):
        found = json.loads(ebpflab("run", made / file, "--json").stdout)
        assert found["verdict"] == "XDP_PASS" and found["maps"]["counts"][1] == {"key": 1, "packets": 2, "bytes": 64}
        assert ebpflab("verify", made / file).returncode == 0
    assert json.loads(ebpflab("run", made / "chain.o", "--program", "entry", "--json").stdout)["verdict"] == "XDP_DROP"
    several = ebpflab("verify", made / "chain.o")
    assert several.returncode == 2 and b"entry, dropper" in several.stderr
    shown = ebpflab("verify", made / "counter.o").stdout.decode()
    assert "pair->packets += step;" in shown


def test_btf_in_three_forms(made):
    assert "struct pair {\n\t__u32 packets;" in ebpflab(
        "btf", made / "counter.o", "--type", "pair", "--format", "c").stdout.decode()
    done = ebpflab("btf", made / "counter.o", "--type", "struct pair", "--format", "json")
    (found,) = json.loads(done.stdout)["types"]
    assert found["size"] == 16 and [m["bits_offset"] for m in found["members"]] == [0, 64]
    raw = ebpflab("btf", "-", "--type", "pair", stdin=(made / "counter.o").read_bytes()).stdout.decode()
    assert "STRUCT 'pair' size=16 vlen=2\n\t'packets' type_id=" in raw
    none = ebpflab("btf", made / "counter.o", "--type", "pairs")
    assert none.returncode == 2 and b"did you mean pair" in none.stderr


def test_raw_btf_is_bpftools(made):
    if not shutil.which("bpftool"):
        pytest.skip("bpftool is not installed (Debian: apt-get install bpftool)")
    if not VMLINUX.exists():
        pytest.skip("this kernel has no BTF")
    modules = sorted(VMLINUX.parent.glob("[!v]*"))[:1]
    for file in (made / "counter.o", VMLINUX, *modules):
        base = ["-B", VMLINUX] if file in modules else []
        theirs = subprocess.run(["bpftool", *base, "btf", "dump", "file", file], capture_output=True).stdout
        ours = ebpflab("btf", file).stdout
        # it puts a comma into some lines, C's suffix behind wide values, and says again what a section's variables are
        theirs = re.sub(rb",| \(\w+ '.*'\)$|(?<=\d)U?LL$", b"", theirs, flags=re.M)
        assert ours.splitlines() == theirs.splitlines(), file


# -- bpf_conformance --------------------------------------------------------------------------------------------------

TARGETS = ["sim", pytest.param("local", marks=pytest.mark.kernel)]
_MOV, _EXIT = Insn(0xB7), Insn(bits.JMP | bits.EXIT)


def plugin(insns, memory="", target="sim", *options):
    if not lab.available(target):
        pytest.skip(f"target {target} cannot be opened here")
    return ebpflab("plugin", *([memory] if memory else []), "--target", target, *options,
                   stdin=encode(insns).hex(" ").encode() + b"\n")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("insns, memory, expected", [
    ((Insn(0xB7, 0, 0, 0, 5), _EXIT), "", 5),
    ((Insn(0xB7, 0, 0, 0, -1), _EXIT), "", 0xFFFF_FFFF_FFFF_FFFF),
    ((Insn(0x79, 0, 1, 0, 0), _EXIT), "11 22 33 44 55 66 77 88", 0x8877665544332211),
    ((Insn(0xBF, 0, 2), _EXIT), "01 02 03", 3),
    ((Insn(0x69, 0, 1, 1, 0), _EXIT), "aa bb cc dd", 0xCCBB),                       # not aligned
    ((Insn(0x72, 1, 0, 2, 7), Insn(0x61, 0, 1, 0, 0), _EXIT), "00000000", 0x70000),   # a store, then a load
    ((Insn(0x85, 0, 1, 0, 1), _EXIT, Insn(0xB7, 0, 0, 0, 9), _EXIT), "", 9),        # a function of its own
    ((Insn(0x7A, 10, 0, -512, 3), Insn(0x79, 0, 10, -512), _EXIT), "", 3),          # the whole stack
])
def test_plugin_prints_r0(insns, memory, expected, target):
    done = plugin(insns, memory, target)
    assert done.returncode == 0 and int(done.stdout, 16) == expected, done.stderr


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("insns, memory", [
    ((Insn(0x79, 0, 1, 0, 0), _EXIT), "11 22"),                            # beyond the memory
    ((Insn(0x18, 1), Insn(0), Insn(0x79, 0, 1, 0), _EXIT), ""),            # NULL
    ((Insn(0x05, 0, 0, -1),), ""),                                         # for ever
])
def test_plugin_fails_on_a_fault(insns, memory, target):
    done = plugin(insns, memory, target)
    assert done.returncode == 1 and not done.stdout and done.stderr


@pytest.mark.parametrize("program, memory, words", [
    ("b7 00 zz", "", b"program"), ("b7 00 00", "", b"8-byte"), ("", "", b"no instructions"),
    ("b7 00 00 00 05 00 00 00 95 00 00 00 00 00 00 00", "1", b"memory"), ("ff 00 00 00 05 00 00 00", "", b"ff")])
def test_plugin_says_what_is_wrong_with_its_input(program, memory, words):
    done = ebpflab("plugin", *([memory] if memory else []), stdin=program.encode())
    assert done.returncode == 2 and words in done.stderr and not done.stdout and len(done.stderr.splitlines()) < 6


def test_plugin_takes_an_object_and_an_empty_memory(made):
    blob = (made / "counter.o").read_bytes().hex().encode()
    assert ebpflab("plugin", "00" * 20, "--elf", stdin=blob).stdout == b"2\n"
    program = encode((Insn(0xB7, 0, 0, 0, 5), _EXIT)).hex()
    assert ebpflab("plugin", "", stdin=program.encode()).stdout == b"5\n"
    assert ebpflab("plugin", "--program", program).stdout == b"5\n"
