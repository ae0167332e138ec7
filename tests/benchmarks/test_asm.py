"""Assembler and disassembler on 100,000 lines, beside llvm-mc and llvm-objdump on the same program. CPU time."""

import random
import resource
import subprocess
import time

import pytest

from ebpflab.asm import DIALECTS, assemble, disassemble
from tests.asm.oracles import needs_llvm

LINES = 100_000


def source(count: int, seed: int = 1) -> str:
    """Instructions in the proportions of compiled programs, operands at random: so few lines repeat."""
    rng = random.Random(seed)
    reg, size = (lambda: rng.randrange(10)), (lambda: rng.choice((8, 16, 32, 64)))
    kinds = {
        20: lambda: f"r{reg()} = *(u{size()} *)(r{reg()} + {rng.randrange(4000)})",
        10: lambda: f"*(u{size()} *)(r10 - {rng.randrange(512)}) = r{reg()}",
        15: lambda: f"r{reg()} = r{reg()}",
        11: lambda: f"r{reg()} += {rng.randrange(-2**31, 2**31)}",
        9: lambda: f"w{reg()} {rng.choice(('&=', '|=', '^=', '<<=', '>>='))} {rng.randrange(1 << 16)}",
        7: lambda: f"r{reg()} {rng.choice(('+=', '-=', '*='))} r{reg()}",
        5: lambda: f"r{reg()} = {rng.randrange(2**64) - 2**63} ll",
        12: lambda: f"if r{reg()} {rng.choice(('==', '!=', '>', 's<'))} {rng.randrange(1000)} goto L{block}",
        3: lambda: f"goto L{block}",
        6: lambda: "call 1",
        2: lambda: "exit",
    }
    makers, weights = list(kinds.values()), list(kinds)
    out = []
    block = 0
    for maker in rng.choices(makers, weights, k=count):
        out.append(maker())
        if len(out) % 20 == 0:
            out.append(f"L{block}:")
            block += 1
    return "\n".join([*out, f"L{block}:", "exit", ""])


def cpu(work, times: int = 3) -> float:
    """Least CPU seconds of ``work()``."""
    taken = []
    for _ in range(times):
        start = time.thread_time()
        work()
        taken.append(time.thread_time() - start)
    return min(taken)


def child(*command) -> float:
    """CPU seconds of a command, the least of three runs."""
    taken = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(taken)


@pytest.fixture(scope="module")
def text():
    return source(LINES)


@pytest.fixture(scope="module")
def spec(text):
    return assemble(text)


@pytest.mark.benchmark
@needs_llvm
def test_assembler(report, text, spec, tmp_path):
    (tmp_path / "p.s").write_text(text)
    peer = child("llvm-mc", "-triple=bpfel", "-mcpu=v3", "-filetype=obj", str(tmp_path / "p.s"), "-o",
                 str(tmp_path / "p.o"))
    report("assemble", len(spec.insns) / cpu(lambda: assemble(text)), "insn/s", "llvm-mc", len(spec.insns) / peer,
           faster="more")


@pytest.mark.benchmark
@needs_llvm
@pytest.mark.parametrize("syntax", DIALECTS)
def test_disassembler(report, text, spec, tmp_path, syntax):
    (tmp_path / "p.s").write_text(text)
    subprocess.run(["llvm-mc", "-triple=bpfel", "-mcpu=v3", "-filetype=obj", str(tmp_path / "p.s"), "-o",
                    str(tmp_path / "p.o")], check=True)
    peer = child("llvm-objdump", "-d", str(tmp_path / "p.o"))
    report(f"disassemble, {syntax}", len(spec.insns) / cpu(lambda: disassemble(spec.insns, syntax=syntax)), "insn/s",
           "llvm-objdump", len(spec.insns) / peer, faster="more")


@pytest.mark.benchmark
@pytest.mark.parametrize("syntax", ["kernel", "mnemonic"])
def test_assembler_of_other_dialects(report, spec, syntax):
    other = disassemble(spec.insns, syntax=syntax)
    plain = disassemble(spec.insns)
    report(f"assemble, {syntax}", len(spec.insns) / cpu(lambda: assemble(other)), "insn/s", "assemble, llvm",
           len(spec.insns) / cpu(lambda: assemble(plain)), faster="more")
