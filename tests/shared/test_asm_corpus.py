"""The kernel corpus: each program through each dialect and back; each logged instruction spelled as the kernel does."""

import gzip
import json
import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest

from ebpflab.asm import DIALECTS, assemble, disassemble, line
from ebpflab.isa import encode, imm64, op_of, slots
from ebpflab.spec import MapSpec, ProgramSpec, layout

CORPUS = Path(__file__).resolve().parents[3] / "shared/data/kernel-corpus/dev.jsonl.gz"
pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="../shared is not beside this checkout")

#: "5: (b7) r0 = 2 ; R0=2", also inside the table "5: .1........ (b7) r0 = 2"
LOGGED = re.compile(r"^ *(?:\d+ +)?(\d+): (?:[.0-9]{10} )?(\([0-9a-f]{2}\) .*?)\s*(?:;.*)?$", re.M)


@lru_cache(maxsize=1)
def records():
    with gzip.open(CORPUS) as stream:
        return [json.loads(text) for text in stream]


@lru_cache(maxsize=1)
def programs():
    """Distinct programs: insns and maps."""
    found = {}
    for record in records():
        maps = tuple(MapSpec(m["name"], m["type_name"], layout.opaque(m["key_size"]) if m["key_size"] else None,
                             layout.opaque(m["value_size"]) if m["value_size"] else None, m["max_entries"],
                             flags=m["flags"], map_extra=m["map_extra"]) for m in record["maps"])
        found[record["insns"], maps] = record["id"]
    return [(id_, slots(bytes.fromhex(insns)), maps) for (insns, maps), id_ in found.items()]


@pytest.mark.parametrize("syntax", DIALECTS)
def test_every_program_comes_back_byte_for_byte(syntax):
    for id_, insns, _ in programs():
        text = disassemble(insns, syntax=syntax)
        assert assemble(text, syntax=syntax).bytes == encode(insns), id_
        if len(insns) < 300:
            assert assemble(text).bytes == encode(insns), f"{id_} with detection"


@pytest.mark.parametrize("syntax", DIALECTS)
def test_specs_keep_their_maps(syntax):
    for id_, insns, maps in programs():
        if len(insns) > 2000 or any(m.inner or m.max_entries == 0 for m in maps):
            continue
        spec = ProgramSpec(insns, maps=maps)
        try:
            back = assemble(disassemble(spec, syntax=syntax), syntax=syntax)
        except Exception as error:
            raise AssertionError(f"{id_}: {error}") from error
        assert back.bytes == spec.bytes, id_
        names = [m.name for m in maps]
        assert [replace(m, name="") for m in back.maps] == [replace(m, name="") for m in maps], id_
        for old, new in zip(maps, back.maps, strict=True):
            assert new.name == old.name or not old.name or names.count(old.name) > 1, id_


def test_the_kernel_log_is_spelled_the_same():
    compared = 0
    for record in records():
        if not record["log"]:
            continue
        insns = slots(bytes.fromhex(record["insns"]))
        kfuncs = {}
        seen = set()
        for pc, text in LOGGED.findall(record["log"]):
            if (pc, text) in seen:
                continue
            seen.add((pc, text))
            pc = int(pc)
            insn = insns[pc]
            op = op_of(insn)
            if op is not None and op.name == "call_kfunc":
                kfuncs[insn.imm] = re.match(r"\(85\) call (.*)#-?\d+$", text)[1]
            if insn.opcode == 0x18 and insn.src:       # the kernel prints an address
                assert re.match(rf"\(18\) r{insn.dst} = 0x[0-9a-f]+$", text), f"{record['id']}: {text}"
                continue
            if op is not None and op.kind == "lddw":
                assert text == f"(18) r{insn.dst} = {imm64(insns, pc):#x}"
            assert line(insns, pc, kfuncs=kfuncs) == text, f"{record['id']}: {pc}"
            compared += 1
    assert compared > 18_000
