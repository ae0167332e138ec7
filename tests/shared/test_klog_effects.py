"""What our effects say of registers, against the ``Live regs before insn`` tables in the kernel's logs (an extra)."""

import gzip
import json
import re
from pathlib import Path

import pytest

from ebpflab.abi import HELPER_NAMES
from ebpflab.abi.helpers import ALLOWED, CONFIGURED
from ebpflab.isa import is_wide, op_of
from ebpflab.trace import State
from ebpflab.trace.effects import effects
from ebpflab.verify.records import program

CORPUS = Path(__file__).resolve().parents[3] / "shared/data/kernel-corpus/dev.jsonl.gz"
_LINE = re.compile(r" *(?:\d+ +)?(\d+): ([0-9.]{10}) \(", re.M)


def registers(insn, prog_type: str) -> tuple[set[int], set[int]]:
    """(used, defined) as ``compute_insn_live_regs`` counts."""
    op = op_of(insn)
    if op.kind == "call":
        name = HELPER_NAMES.get(insn.imm, "")
        known = op.verb == "helper" and name in ALLOWED[prog_type] and name not in CONFIGURED
        used = {n for _, n in effects(insn, State(), prog_type).reads} if known else {1, 2, 3, 4, 5}
        return used, {0, 1, 2, 3, 4, 5}
    did = effects(insn, State(), prog_type)
    defined = {n for _, n in did.writes | did.clobbers if n >= 0}
    if op.kind == "exit":
        return {0}, set()
    if op.kind == "ld":     # the kernel makes it easy for itself here
        return set(range(10)), set()
    return {n for _, n in did.reads if 0 <= n < 10}, defined


def live(insns, prog_type: str) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {pc: set() for pc in range(len(insns) + 1)}
    changed = True
    while changed:
        changed = False
        for pc in reversed(range(len(insns))):
            insn = insns[pc]
            op = op_of(insn)
            if op is None:
                continue
            following = [pc + 2 if is_wide(insn) else pc + 1]
            if op.kind == "ja":
                following = [pc + 1 + (insn.imm if op.name == "ja32" else insn.off)]
            elif op.kind in ("jmp", "jcond"):
                following.append(pc + 1 + insn.off)
            elif op.kind == "exit":
                following = []
            after = set().union(*(found.get(at, set()) for at in following)) if following else set()
            used, defined = registers(insn, prog_type)
            before = (after - defined) | used
            if before != found[pc]:
                found[pc], changed = before, True
    return found


@pytest.mark.skipif(not CORPUS.exists(), reason="../shared is not beside this checkout")
def test_register_liveness_is_the_kernels():
    checked, wrong = 0, []
    with gzip.open(CORPUS, "rt") as lines:
        for record in map(json.loads, lines):
            if not record["log"] or record["kfuncs"] or "Live regs before insn" not in record["log"]:
                continue
            spec = program(record)
            wide = {pc + 1 for pc, insn in enumerate(spec.insns) if is_wide(insn)}
            if any(op_of(insn) is None for pc, insn in enumerate(spec.insns) if pc not in wide):
                continue    # no instruction at all
            table = record["log"].partition("Live regs before insn:\n")[2]
            ours = live(spec.insns, spec.type)
            for match in _LINE.finditer(table):
                told = {at for at, mark in enumerate(match[2]) if mark != "."}
                if told != ours[int(match[1])]:
                    wrong.append((record["id"], int(match[1]), sorted(told), sorted(ours[int(match[1])])))
                checked += 1
    assert checked > 15_000
    assert wrong == [], "\n".join(map(str, wrong))
