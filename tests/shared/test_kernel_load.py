"""Corpus programs through our own bpf(2): this kernel must say of each what the record says, word for word.

Maps with their BTF, contents and freezing, function info, flags, licence and attach type all have to arrive for
that. Records come from Linux 6.18; on another kernel only that a verdict comes is asked.
"""

import gzip
import json
import re
import struct
from pathlib import Path

import pytest

from ebpflab.kernel import syscall
from ebpflab.kernel.session import Session

CORPUS = Path(__file__).parents[3] / "shared/data/kernel-corpus"
AT_MOST = 20_000   # processed instructions: programs that the kernel walks for long are left out
#: types that the kernel gives no BTF for key and value
NO_BTF = {4, 7, 8, 12, 13, 14, 15, 16, 17, 18, 22, 23, 25, 33}
DEVMAPS = {14, 25}

pytestmark = pytest.mark.kernel


def records():
    if not CORPUS.exists():
        pytest.skip("../shared is not here: the kernel corpus is an extra")
    with gzip.open(CORPUS / "dev.jsonl.gz", "rt") as lines:
        found = [json.loads(line) for line in lines]
    # "fd 1 is not pointing to valid bpf_map": what fd 1 is depends on the process, not on the program
    return [r for r in found if r["tier"] in "AB" and (r["stats"] or {}).get("processed", 0) <= AT_MOST
            and "not pointing to valid bpf_map" not in " ".join(r["error_lines"])]


def words(log: str) -> list[str]:
    """A log without kernel addresses and without source lines (the records carry no line info)."""
    return [re.sub(r"0x[0-9a-f]{16}\b", "ADDRESS", line) for line in log.splitlines() if not line.startswith("; ")]


def load(session, record, btf):
    types = session.btf_load(btf)["btf"] if btf else 0

    def create(row, inner=0):
        typed = {} if not (btf and row.get("btf_is_prog_btf")) or row["type"] in NO_BTF else {
            "btf": types, "btf_key_type_id": row["btf_key_type_id"], "btf_value_type_id": row["btf_value_type_id"]}
        # the kernel itself adds BPF_F_RDONLY_PROG to a devmap, so it is in the record, but refuses it from us
        flags = row["flags"] & ~128 if row["type"] in DEVMAPS else row["flags"]
        return session.map_create(row["type"], row["key_size"], row["value_size"], row["max_entries"], flags,
                                  row.get("name", ""), row.get("map_extra", 0), inner, **typed)["map"]

    handles = []
    for row in record["maps"]:
        handles.append(create(row, create(row["inner_map"]) if row.get("inner_map") else 0))
        if "value0" in row:
            session.map_update(handles[-1], bytes(4), bytes.fromhex(row["value0"]))
        if row["frozen"]:
            session.map_freeze(handles[-1])
    info = b"".join(struct.pack("<II", row["insn_off"], row["type_id"]) for row in record["func_info"] or [])
    made = session.prog_load(record["prog_type"], bytes.fromhex(record["insns"]), handles, record["license"], 2,
                             flags=record["prog_flags"], attach_type=record["expected_attach_type"],
                             btf=types if info else 0, func_info=info)
    return {**made, "maps": handles}


def test_the_kernel_says_what_the_record_says():
    with Session() as probe:
        if not probe.facts()["privileged"]:
            pytest.skip("bpf(2) is not ours to use here")
    same_kernel = syscall.version()[:2] == (6, 18)
    chosen = records()
    with gzip.open(CORPUS / "dev-btf.jsonl.gz", "rt") as lines:
        btfs = {row["btf_sha"]: bytes.fromhex(row["hex"]) for row in map(json.loads, lines)}
    compared = 0
    for record in chosen:
        with Session() as session:
            made = load(session, record, btfs.get(record["btf_sha"], b""))
        assert made["log"] and not made["log_truncated"]
        if same_kernel:
            where = f"record {record['id']} ({record['prog']})"
            assert ("accept" if made["prog"] else "reject") == record["verdict"], where
            assert made["errno"] == abs(record["errno"] or 0), where
            if record["log"]:
                assert words(made["log"]) == words(record["log"]), where
                compared += 1
    assert not same_kernel or compared > len(chosen) // 2
