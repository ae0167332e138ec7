"""Records verifier logs of our own programs on several kernels: ``python -m tests.trace.record qemu:5.10 … local``.

One file a kernel below ``tests/trace/logs``; ``test_recorded`` reads them. Kernel addresses are replaced, as they
differ from boot to boot.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from ebpflab.explain.catalogue import entry
from ebpflab.obj.compile import compile_c
from ebpflab.obj.objects import read_object
from ebpflab.spec import ProgramSpec
from ebpflab.targets.registry import open_target
from tests.verify.programs import PROGRAMS, STATES, program

FOLDER = Path(__file__).parent / "logs"
#: catalogue entries whose programs are recorded: every kind of line, and the categories of diagnoses
ENTRIES = ("register-unset", "null-access", "scalar-access", "argument-type", "alignment", "same-insn", "stack-uninit",
           "stack-variable-helper", "stack-tail-call", "call-depth", "packet-range", "packet-at-end", "value-range",
           "offset-negative", "arith-unbounded", "ctx-field", "return-range", "flow-end", "flow-unreachable",
           "flow-wide", "loop-infinite", "insn-atomic", "helper-type", "helper-sleeps", "helper-tail-call",
           "reference-leak", "reference-two", "function-arguments", "lock-order", "lock-missing-unlock", "timer-map",
           "dynptr-state", "exception-callback")
SMALL = ("bounded loop", "r6 survives a call", "null check", "index checked", "known element of an array",
         "reservation submitted twice", "sign extended")
CALLBACKS = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";

struct value { struct bpf_spin_lock lock; int count; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, int);
         __type(value, struct value); } values SEC(".maps");

static long each(void *map, int *key, struct value *value, long *sum)
{
        bpf_spin_lock(&value->lock);
        *sum += value->count;
        bpf_spin_unlock(&value->lock);
        return 0;
}

static long step(unsigned int at, long *sum)
{
        *sum += at;
        return *sum > 20;
}

__attribute__((noinline)) int twice(int number)
{
        return 2 * number;
}

SEC("tc") int prog(struct __sk_buff *skb)
{
        long sum = 0;

        bpf_for_each_map_elem(&values, each, &sum, 0);
        bpf_loop(10, step, &sum, 0);
        return twice(sum);
}
"""


def programs() -> Iterator[tuple[str, ProgramSpec]]:
    for id in ENTRIES:
        yield id, entry(id).spec
    for name, text in ((row[0], row[1]) for row in (*PROGRAMS, *STATES) if row[0] in SMALL):
        yield name, program(text)
    yield "callbacks", read_object(compile_c(CALLBACKS, file="callbacks.c").data).program("prog")


def without_addresses(log: str) -> str:
    return re.sub(r"(\(18\) r\d+ = )0xff[0-9a-f]{14}", r"\g<1>0xff11000000000000", log)


def record(target_name: str) -> Path:
    """Put every program to the target at both levels and write the file of its kernel."""
    rows = []
    with open_target(target_name) as target:
        for name, spec in programs():
            for level in (1, 2):
                trace = target.verify(spec, log_level=level)
                rows.append({"program": name, "type": spec.type, "insns": spec.bytes.hex(), "level": level,
                             "ok": trace.ok, "errno": trace.verdict.errno,
                             "log": without_addresses(trace.log).split("\n")})
        release = ".".join(target.facts.kernel.split(".")[:2])
    path = FOLDER / f"linux-{release}.json"
    path.write_text(json.dumps(rows, indent=0, ensure_ascii=False) + "\n")
    return path


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(record(name))
