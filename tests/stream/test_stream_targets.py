"""The same typed maps and streams on every target: the simulator and this machine's kernel."""

import time

import pytest

from ebpflab.errors import EbpflabError
from ebpflab.spec import map_spec
from ebpflab.stream.maps import LabMap
from ebpflab.targets.registry import open_target

COUNTER = """
.map counts percpu_array u32 u64 4
    *(u32 *)(r10 - 4) = 1
    r1 = counts ll
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    r1 = *(u64 *)(r0 + 0)
    r1 += 1
    *(u64 *)(r0 + 0) = r1
out:
    r0 = 2
    exit
"""


@pytest.fixture(params=["sim", pytest.param("local", marks=pytest.mark.kernel)])
def target(request):
    if request.param == "local":
        yield request.getfixturevalue("local")
    else:
        with open_target("sim") as sim:
            yield sim


@pytest.mark.parametrize("kind", ["hash", "lru_hash", "percpu_hash", "lru_percpu_hash"])
def test_typed_maps(target, kind):
    key, value = "struct { ipv4 src; be16 port; u16 pad; }", "struct { u64 packets; char[8] comm; }"
    m = LabMap(target.map(map_spec("flows", kind, key, value, 64)))
    wanted = {(f"10.0.0.{i}", i, 0): (i, f"c{i}") for i in range(20)}
    assert m.update(wanted) == 20
    per_cpu = "percpu" in kind
    assert {tuple(k): tuple(v[0] if per_cpu else v) for k, v in m.items()} == wanted
    frame = m.frame(per_cpu="sum")
    factor = m.cpus if per_cpu else 1
    assert dict(zip(frame["src"], frame["packets"], strict=True)) == {k[0]: v[0] * factor for k, v in wanted.items()}
    assert sorted(frame["comm"]) == sorted(v[1] for v in wanted.values())
    del m["10.0.0.3", 3, 0]
    assert len(m) == 19 and ("10.0.0.3", 3, 0) not in m
    with pytest.raises(KeyError):
        m["10.0.0.3", 3, 0]
    assert m.update(m.frame()) == 19


def test_an_array_has_all_its_entries_and_cannot_lose_one(target):
    m = LabMap(target.map(map_spec("slots", "array", "u32", "u64", 8)))
    m[3] = 7
    assert m.frame()["value"].tolist() == [0, 0, 0, 7, 0, 0, 0, 0] and len(m) == 8
    with pytest.raises(EbpflabError):
        del m[3]
    with pytest.raises((EbpflabError, KeyError)):
        m[9]
    with pytest.raises(EbpflabError):
        m[9] = 1


def test_a_program_moves_the_stream(target):
    from ebpflab.asm import assemble

    with target.load(assemble(COUNTER, name="counter", type="xdp")) as loaded:
        m = LabMap(loaded.maps["counts"])
        with m.watch(every=0.01, mode="delta") as stream:
            end = time.monotonic() + 5
            while stream._before is None and time.monotonic() < end:
                time.sleep(0.01)
            for _ in range(30):
                loaded.run(bytes(64))
                time.sleep(0.002)
            total = 0
            for batch in stream:
                total += int(batch.table("sum").values["value"][1])
                if total >= 30 or time.monotonic() > end:
                    break
        assert total == 30 and m.frame(per_cpu="sum")["value"].tolist() == [0, 30, 0, 0]


def test_a_closed_map_ends_its_stream_with_a_reason(target):
    target_map = target.map(map_spec("short", "hash", "u32", "u64", 8))
    stream = LabMap(target_map).watch(every=0.01)
    time.sleep(0.05)
    target_map.close()
    end = time.monotonic() + 5
    while stream.running and time.monotonic() < end:
        time.sleep(0.01)
    assert not stream.running and stream.error is not None and stream.reason
