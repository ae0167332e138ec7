"""``ebpflab bench asm``: assembler and disassembler on 100,000 lines, beside LLVM's on the same program."""

from __future__ import annotations

import random
import shutil
import tempfile
from functools import partial
from pathlib import Path

from .rows import best, child, row

LINES = 100_000


def source(count: int, seed: int = 1) -> str:
    """Instructions in the proportions of compiled programs, operands at random: so few lines repeat."""
    rng, block = random.Random(seed), 0
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
    out: list[str] = []
    for maker in rng.choices(makers, weights, k=count):
        out.append(maker())
        if len(out) % 20 == 0:
            out.append(f"L{block}:")
            block += 1
    return "\n".join([*out, f"L{block}:", "exit", ""])


def measure() -> list[dict]:
    """Instructions a second of each dialect, both ways; LLVM's tools start up within their time."""
    from ..asm import DIALECTS, assemble, disassemble

    text = source(LINES)
    spec = assemble(text)
    count = len(spec.insns)
    theirs = _llvm(text)
    rate = {name: seconds and count / seconds for name, seconds in theirs.items()}
    said = {name: name if seconds else f"{name}: not here (not on PATH)" for name, seconds in theirs.items()}
    rows = [row("assemble", count / best(partial(assemble, text), 3), "insn/s", said["llvm-mc"], rate["llvm-mc"],
                less=False)]
    for syntax in DIALECTS:
        rows.append(row(f"disassemble, {syntax}", count / best(partial(disassemble, spec.insns, syntax=syntax), 3),
                        "insn/s", said["llvm-objdump"], rate["llvm-objdump"], less=False))
    plain = count / best(partial(assemble, disassemble(spec.insns)), 3)
    for syntax in DIALECTS:
        if syntax != "llvm":
            other = partial(assemble, disassemble(spec.insns, syntax=syntax))
            rows.append(row(f"assemble, {syntax}", count / best(other, 3), "insn/s", "assemble, llvm", plain,
                            less=False))
    return rows


def _llvm(text: str) -> dict[str, float | None]:
    """Seconds of CPU of LLVM's assembler and disassembler; None for what is not here."""
    found: dict[str, float | None] = {"llvm-mc": None, "llvm-objdump": None}
    with tempfile.TemporaryDirectory() as folder:
        source, obj = Path(folder, "p.s"), Path(folder, "p.o")
        source.write_text(text)
        if shutil.which("llvm-mc"):
            found["llvm-mc"] = child("llvm-mc", "-triple=bpfel", "-mcpu=v3", "-filetype=obj", str(source), "-o",
                                     str(obj))
            if shutil.which("llvm-objdump"):
                found["llvm-objdump"] = child("llvm-objdump", "-d", str(obj))
    return found
