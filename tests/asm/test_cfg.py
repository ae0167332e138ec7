"""Basic blocks, edges, and their picture."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given

from ebpflab.asm import assemble
from ebpflab.asm.cfg import Block, Edge, graph
from ebpflab.asm.cfg_svg import svg
from ebpflab.isa import Insn, op_of
from tests.isa.programs import programs

LOOP = """
    r0 = 0
    r1 = 0x1122334455667788 ll
again:
    r0 += 1
    if r0 < 10 goto again
    call f
    if r0 == 0 goto out
    r0 = 1
out:
    exit
f:
    may_goto done
done:
    exit
"""


def test_blocks_and_edges():
    shape = graph(assemble(LOOP, name="main"))
    assert shape.blocks == (Block(0, 3, 0, "main"), Block(3, 5, 0, "again"), Block(5, 7), Block(7, 8),
                            Block(8, 9, 0, "out"), Block(9, 10, 9, "f"), Block(10, 11, 9, "done"))
    assert set(shape.edges) == {
        Edge(0, 3, "fall"), Edge(3, 3, "taken", back=True), Edge(3, 5, "fall"), Edge(5, 8, "taken"), Edge(5, 7, "fall"),
        Edge(7, 8, "fall"), Edge(5, 9, "call"), Edge(9, 10, "taken"), Edge(9, 10, "fall")}
    assert shape.successors(5) == [7, 8]
    assert shape.predecessors(8) == [5, 7]
    assert shape.reachable() == {0, 3, 5, 7, 8, 9, 10}


def test_what_cannot_be_is_kept_and_named():
    shape = graph(assemble("goto +5\nr1 = 1 ll\ngoto -2\ncallx r1\nexit"))
    assert shape.outside == ((0, 6), (3, 2))
    assert shape.indirect == (4,)
    assert shape.reachable() == {0}
    assert graph(()).blocks == ()


@given(programs())
def test_every_slot_is_in_one_block_and_edges_join_blocks(insns):
    shape = graph(insns)
    assert [pc for block in shape.blocks for pc in range(block.start, block.end)] == list(range(len(insns)))
    starts = {block.start for block in shape.blocks}
    assert all(edge.source in starts and edge.target in starts for edge in shape.edges)
    for block in shape.blocks:
        inner = [pc for pc in range(block.start, block.end - 1) if not (pc and insns[pc - 1].opcode == 0x18)]
        assert not [pc for pc in inner if op_of(insns[pc]).kind in ("jmp", "ja", "exit", "jcond")]


@given(programs())
def test_without_back_edges_there_is_no_loop(insns):
    shape = graph(insns)
    layer = {}
    def depth(start, path):
        assert start not in path
        if start not in layer:
            layer[start] = 1 + max((depth(e.target, {*path, start}) for e in shape.edges
                                    if e.source == start and e.kind != "call" and not e.back), default=0)
        return layer[start]
    for block in shape.blocks:
        depth(block.start, set())


def boxes(picture: str):
    root = ElementTree.fromstring(picture)
    space = "{http://www.w3.org/2000/svg}"
    return root, [tuple(float(rect.get(key)) for key in ("x", "y", "width", "height"))
                  for rect in root.iter(f"{space}rect")]


def overlap(a, b):
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


@given(programs(max_size=25))
def test_the_picture_is_xml_and_no_box_hides_another(insns):
    root, rects = boxes(svg(insns))
    assert len(rects) == len(graph(insns).blocks)
    for i, one in enumerate(rects):
        assert not [other for other in rects[:i] if overlap(one, other)]
        assert one[0] >= 0
        assert one[0] + one[2] <= float(root.get("width")) + 1


@pytest.mark.parametrize("syntax", ["llvm", "kernel", "mnemonic"])
def test_the_picture_shows_the_program(syntax):
    spec = assemble(".map counts array u32 u64 1\nr1 = counts ll\nif r1 < r2 goto +0\n" + LOOP)
    picture = svg(spec, syntax=syntax)
    assert "map[counts]" in picture
    assert syntax == "mnemonic" or "r1 &lt; r2" in picture
    assert picture.count('class="back"') == 2          # the edge and its arrowhead
    assert "prefers-color-scheme: dark" in picture


def test_long_blocks_show_their_ends():
    picture = svg([Insn(0xB7, 0, imm=i) for i in range(100)], max_lines=10)
    assert "90 more" in picture
    assert len(re.findall("<text", picture)) == 12
