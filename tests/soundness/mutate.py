"""Programs changed in one to three places, against the local kernel: verdict, last line, instructions, whole log.

    python -m tests.soundness.mutate dev.jsonl.gz --each 3 --seed 0 --out found.jsonl

Each record of a file (``ebpflab verify --records`` says what is in one) is changed ``--each`` times; what is changed
depends on nothing but ``--seed``, the record's place in the file and the number of the change.  Findings are JSON lines
that ``ebpflab verify --records`` reads, too.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import sys
import time
from dataclasses import replace

from ebpflab.abi import HELPER_IDS
from ebpflab.errors import EbpflabError
from ebpflab.isa import Insn
from ebpflab.isa import bits as b
from ebpflab.kernel.session import Session
from ebpflab.spec import ProgramSpec
from ebpflab.verify import records

from .oracle import Difference, Kernel, compare

LIMIT = 8_000           # instructions walked; longer programs are not put to the kernel
TYPES = ("xdp", "socket_filter", "sched_cls", "sched_act", "cgroup_skb", "kprobe", "tracepoint", "perf_event", "lwt_in",
         "lwt_xmit", "sk_skb", "sk_msg", "sock_ops", "cgroup_sock", "cgroup_device", "raw_tracepoint")
FLAGS = (0x1, 0x2, 0x8, 0x80)       # BPF_F_STRICT_ALIGNMENT, ANY_ALIGNMENT, TEST_STATE_FREQ, TEST_REG_INVARIANTS
_EDGES = (0, 1, 2, 7, 8, 16, 255, 256, 511, 512, 4095, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, -1, -2, -8, -128, -0x8000_0000)
_WIDE = b.LD | b.IMM | b.DW
_CALL = b.JMP | b.CALL


# ---- changes of one instruction: (instructions, place, numbers) -> the place's new instructions

def _dst(insns: list[Insn], at: int, rng: random.Random) -> list[Insn]:
    return [insns[at]._replace(dst=rng.randrange(11))]


def _src(insns: list[Insn], at: int, rng: random.Random) -> list[Insn]:
    return [insns[at]._replace(src=rng.randrange(11))]


def _off(insns: list[Insn], at: int, rng: random.Random) -> list[Insn]:
    return [insns[at]._replace(off=insns[at].off + rng.choice((-16, -8, -4, -2, -1, 1, 2, 4, 8, 16, 64)))]


def _imm(insns: list[Insn], at: int, rng: random.Random) -> list[Insn]:
    word = rng.choice((insns[at].imm + 1, insns[at].imm - 1, -insns[at].imm, insns[at].imm * 2, rng.choice(_EDGES)))
    return [insns[at]._replace(imm=(word + (1 << 31) & b.U32) - (1 << 31))]


def _opcode(insns: list[Insn], at: int, rng: random.Random) -> list[Insn]:
    return [insns[at]._replace(opcode=insns[at].opcode ^ rng.choice((1, 2, 3, 4, 8, 16, 32, 64, 128)))]


def _nothing(insns: list[Insn], at: int, rng: random.Random) -> list[Insn]:
    return [Insn(b.JMP | b.JA)]


def _another(insns: list[Insn], at: int, rng: random.Random) -> list[Insn]:
    return [rng.choice(insns)]


def _swapped(insns: list[Insn], at: int, rng: random.Random) -> list[Insn]:
    return [insns[at]._replace(dst=insns[at].src, src=insns[at].dst)]


def _call(insns: list[Insn], at: int, rng: random.Random) -> list[Insn]:
    return [Insn(_CALL, imm=rng.choice(sorted(HELPER_IDS.values())))]


WAYS = (_dst, _src, _off, _off, _imm, _imm, _opcode, _nothing, _another, _swapped)


def change(spec: ProgramSpec, rng: random.Random) -> ProgramSpec:
    """The same program with one to three changes, most in its instructions."""
    insns = list(spec.insns)
    plain = [at for at, insn in enumerate(insns) if insn.opcode not in (0, _WIDE)]
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
        way = rng.randrange(24)
        if way == 0:
            spec = replace(spec, type=rng.choice(TYPES), attach_type="")
        elif way == 1:
            spec = replace(spec, flags=spec.flags ^ rng.choice(FLAGS))
        elif way == 2:
            spec = replace(spec, license="" if spec.license else "GPL")
        elif way == 3 and len(plain) > 1:
            one, other = sorted(rng.sample(plain, 2))
            if rng.random() < 0.7:
                other = plain[plain.index(one) + 1]
            insns[one], insns[other] = insns[other], insns[one]
        elif plain:
            at = rng.choice(plain)
            calls = insns[at].opcode == _CALL and insns[at].src == 0
            made = (_call if calls and rng.random() < 0.3 else rng.choice(WAYS))(insns, at, rng)[0]
            if made.opcode not in (0, _WIDE):
                insns[at] = made._replace(off=max(-0x8000, min(made.off, 0x7FFF)))
    return replace(spec, insns=tuple(insns))


def mutants(path: str, each: int, seed: int):
    """Pairs of a record and a changed program; only of records that can be read."""
    btf = records.read_btf(path)
    for place, record in enumerate(records.read(path)):
        try:
            spec = records.program(record, btf)
        except EbpflabError:
            continue
        for number in range(each):
            yield record, number, change(spec, random.Random(f"{seed} {place} {number}"))


def campaign(path: str, each: int, seed: int, out, every: int = 1000) -> collections.Counter:
    """Numbers by name; findings go to ``out`` as they come."""
    numbers: collections.Counter = collections.Counter()
    start = time.thread_time()
    with Session() as session:
        kernel = Kernel(session)
        last = None
        try:
            for record, number, spec in mutants(path, each, seed):
                # an array of programs takes on the type of the first program that uses it
                if record is not last or any(one.type == "prog_array" for one in spec.maps):
                    kernel.forget()
                last = record
                try:
                    verdict, difference = compare(kernel, spec, limit=LIMIT)
                except EbpflabError as error:       # a map that this machine cannot make
                    numbers[f"left out: {error.what:.60}"] += 1
                    continue
                numbers["programs"] += 1
                numbers[verdict] += 1
                if difference:
                    numbers[f"differs: {difference.kind}"] += 1
                    out.write(json.dumps(finding(record, number, spec, difference)) + "\n")
                    out.flush()
                if numbers["programs"] % every == 0:
                    print(f"{time.thread_time() - start:.0f} s: {dict(numbers)}", flush=True)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
    numbers["seconds of CPU"] = round(time.thread_time() - start)
    return numbers


def finding(record: dict, number: int, spec: ProgramSpec, difference: Difference) -> dict:
    """The record of a changed program, with what was said of it."""
    kept = {name: record.get(name) for name in ("maps", "func_info", "btf_sha")}
    return {**kept, "id": f"{record.get('id')}.{number}", "prog_type": spec.row.number, "insns": spec.bytes.hex(),
            "prog_flags": spec.flags, "license": spec.license, "expected_attach_type": spec.attach_number,
            "kind": difference.kind, "ours": difference.ours, "theirs": difference.theirs}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("records", help="a file of records, .jsonl or .jsonl.gz")
    parser.add_argument("--each", type=int, default=3, help="changed programs of each record")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="mutants.jsonl", help="findings, one JSON object a line")
    given = parser.parse_args()
    with open(given.out, "w", encoding="utf-8") as out:
        numbers = campaign(given.records, given.each, given.seed, out)
    for name, number in numbers.items():
        print(f"{name:64} {number:>12,}")
    return 1 if any(name.startswith("differs") for name in numbers) else 0


if __name__ == "__main__":
    sys.exit(main())
