"""Which instructions many packets reach."""

import ebpflab as lab
from ebpflab.sim import packets, pcap

TEXT = """
    r2 = *(u32 *)(r1 + 0)
    r3 = *(u32 *)(r1 + 4)
    r4 = r2
    r4 += 24
    if r4 > r3 goto short
    r5 = *(u8 *)(r2 + 23)
    if r5 == 17 goto udp
    if r5 == 99 goto never
    r0 = 2
    exit
udp:
    r0 = 1
    exit
never:
    r0 = 3
    exit
short:
    r0 = 0
    exit
"""
GIVEN = [packets.udp(b"a"), packets.udp(b"b"), packets.tcp(b"c"), bytes(20)]


def test_counts_branches_and_what_is_missing(tmp_path):
    found = lab.coverage(TEXT, GIVEN)
    rows = {row.pc: row for row in found.rows}
    assert found.runs == 4 and not found.faults and rows[0].hits == rows[0].runs == 4 and rows[5].hits == 3
    assert (rows[4].taken, rows[4].fell) == (1, 3) and (rows[6].taken, rows[6].fell) == (2, 1)
    assert found.one_sided == (7,) and found.missing == (12, 13)
    assert [row.pc for row in found.hot(5)] == [0, 1, 2, 3, 4]
    assert "only one way" in str(found) and "88% of 16" in str(found)
    assert list(found.to_frame()["hits"])[5] == 3
    path = tmp_path / "four.pcap"
    pcap.write(path, GIVEN)
    assert lab.coverage(TEXT, path).rows == found.rows


def test_loops_and_faults():
    found = lab.coverage("r0 = 0\nl:\nr0 += 1\nif r0 < 10 goto l\nexit", [bytes(64)] * 3)
    assert (found.rows[1].hits, found.rows[1].runs, found.rows[2].taken, found.rows[2].fell) == (30, 3, 27, 3)
    with lab.target("sim").load(lab.assemble("r6 = 5\nr0 = *(u64 *)(r6 + 0)\nexit"), unsafe=True) as wild:
        assert sorted(wild.coverage([bytes(64)] * 2).faults) == [0, 1]
