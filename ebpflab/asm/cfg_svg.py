"""The control-flow graph as a picture: SVG text, layered from the entry down, loops in lanes at the right.

No library: layers by longest path, order in a layer by the neighbours' mean position, bends where an edge passes
a layer. Colours follow the reader's light or dark theme.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise

from ..isa import Insn
from ..spec import ProgramSpec
from .cfg import Block, Edge, Graph, graph
from .printer import line

_HEAD, _NO = ' class="head"', ""
_CHAR, _LINE, _PAD, _GAP_X, _GAP_Y, _LANE = 7.3, 17, 8, 28, 44, 14
_STYLE = """
.cfg { font: 12px ui-monospace, Menlo, Consolas, monospace; color-scheme: light dark; }
.cfg rect { fill: #f6f8fa; stroke: #8c959f; } .cfg text { fill: #1f2328; } .cfg .head { fill: #59636e; }
.cfg .dead rect { stroke-dasharray: 4 3; opacity: .6; }
.cfg path { fill: none; stroke: #59636e; stroke-width: 1.4; } .cfg .taken { stroke: #1a7f37; }
.cfg .jump { stroke: #0969da; } .cfg .back { stroke: #bc4c00; stroke-dasharray: 5 3; }
.cfg marker path { stroke-dasharray: none; }
@media (prefers-color-scheme: dark) {
.cfg rect { fill: #161b22; stroke: #59636e; } .cfg text { fill: #e6edf3; } .cfg .head { fill: #9198a1; }
.cfg path { stroke: #9198a1; } .cfg .taken { stroke: #3fb950; } .cfg .jump { stroke: #58a6ff; }
.cfg .back { stroke: #db6d28; } }
"""


class _Node:
    """A block, or a bend of an edge where it passes a layer (no block)."""

    def __init__(self, layer: int, width: float = 0, height: float = 0, block: Block | None = None,
                 text: Sequence[str] = (), heads: int = 0, home: int = 0):
        self.layer, self.width, self.height, self.block, self.text = layer, width, height, block, text
        self.home = block.function if block else home
        self.heads = heads              # how many of the text's rows name the block
        self.x = self.y = 0.0           # centre, top
        self.up: list[_Node] = []
        self.down: list[_Node] = []


def svg(program: ProgramSpec | Graph | Sequence[Insn], *, syntax: str = "llvm", max_lines: int = 24) -> str:
    """One ``<svg>`` element. A block of more than ``max_lines`` instructions shows its ends.

    Green: condition holds; blue: always; grey: falls through; dashed orange: closes a loop. Calls are not drawn:
    every function stands below its own entry.
    """
    shape = program if isinstance(program, Graph) else graph(program)
    maps = program.maps if isinstance(program, ProgramSpec) else ()
    layers = _layers(shape)
    nodes = {b.start: _box(b, layers[b.start], shape, syntax, maps, max_lines) for b in shape.blocks}
    paths = [(edge, _chain(edge, nodes)) for edge in shape.edges if edge.kind != "call" and not edge.back]
    loops = [edge for edge in shape.edges if edge.back]
    width, height, drawn = 0.0, 0.0, []
    for entry in dict.fromkeys(block.function for block in shape.blocks):      # functions stand side by side
        mine = [node for node in nodes.values() if node.block.function == entry]
        bends = [bend for _, chain in paths if chain[0].block.function == entry for bend in chain[1:-1]]
        rows: dict[int, list[_Node]] = {}
        for node in [*mine, *bends]:
            rows.setdefault(node.layer, []).append(node)
        width, bottom = _place([rows[layer] for layer in sorted(rows)], width)
        height = max(height, bottom)
        for edge in loops:
            if nodes[edge.source].block.function == entry:
                width += _LANE
                drawn.append(_loop(edge, nodes, width))
        width += _GAP_X
    reachable = shape.reachable()
    drawn += [_path(edge, _points(chain)) for edge, chain in paths]
    drawn += [_draw(node, node.block.start not in reachable) for node in nodes.values()]
    marks = "".join(f'<marker id="cfg-{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
                    f'orient="auto"><path class="{kind}" d="M0 0L8 4L0 8"/></marker>'
                    for kind in ("fall", "taken", "jump", "back"))
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" class="cfg" role="img" aria-label="control-flow graph, '
            f'{len(shape.blocks)} blocks" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
            f'height="{height:.0f}">')
    return "\n".join([head, f"<style>{_STYLE}</style>", f"<defs>{marks}</defs>", *drawn, "</svg>", ""])


def _layers(shape: Graph) -> dict[int, int]:
    """Block -> layer: one below the lowest of its predecessors, loops cut open."""
    into = {b.start: [e.source for e in shape.edges if e.target == b.start and e.kind != "call" and not e.back]
            for b in shape.blocks}
    leads: dict[int, list[int]] = {}
    for target, sources in into.items():
        for source in sources:
            leads.setdefault(source, []).append(target)
    waiting = {start: len(sources) for start, sources in into.items()}
    layers = {start: 0 for start, count in waiting.items() if count == 0}
    todo = list(layers)
    while todo:
        at = todo.pop()
        for target in leads.get(at, ()):
            layers[target] = max(layers.get(target, 0), layers[at] + 1)
            waiting[target] -= 1
            if waiting[target] == 0:
                todo.append(target)
    return layers


def _box(block: Block, layer: int, shape: Graph, syntax: str, maps, max_lines: int) -> _Node:
    pcs = [pc for pc in range(block.start, block.end) if pc == block.start or shape.insns[pc - 1].opcode != 0x18]
    text = [f"{pc:>4}  {line(shape.insns, pc, syntax=syntax, maps=maps)}" for pc in pcs]
    if len(text) > max_lines:
        half = max_lines // 2
        text = [*text[:half], f"   …  {len(text) - 2 * half} more", *text[-half:]]
    head = block.label or ("" if block.start else "entry")
    rows = [head, *text] if head else text
    return _Node(layer, max(map(len, rows)) * _CHAR + 2 * _PAD, len(rows) * _LINE + _PAD, block, rows, bool(head))


def _chain(edge: Edge, nodes: dict[int, _Node]) -> list[_Node]:
    """Source, a bend in every layer between, target; linked as neighbours."""
    source, target = nodes[edge.source], nodes[edge.target]
    if source.home != target.home:       # no verifier lets a jump leave its function; drawn straight
        return [source, target]
    bends = [_Node(layer, home=source.home) for layer in range(source.layer + 1, target.layer)]
    chain = [source, *bends, target]
    for above, below in pairwise(chain):
        above.down.append(below)
        below.up.append(above)
    return chain


def _place(rows: list[list[_Node]], start: float) -> tuple[float, float]:
    """Order and positions: a few sweeps down and up, each node drawn to the mean of its neighbours.

    ``start`` is the left edge; returns the right and the lower one.
    """
    y = _PAD
    for row in rows:
        _spread(row, [0.0] * len(row))
        tallest = max(node.height for node in row)
        for node in row:
            node.y = y
            node.height = node.height if node.block else tallest
        y += tallest + _GAP_Y
    for sweep in range(6):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            wished = []
            for node in row:
                near = [n for n in ((node.up if down else node.down) or node.up or node.down) if n.home == node.home]
                wished.append(sum(n.x for n in near) / len(near) if near else node.x)
            pairs = sorted(zip(wished, range(len(row)), row, strict=True), key=lambda pair: pair[:2])
            row[:] = [node for _, _, node in pairs]
            _spread(row, [x for x, _, _ in pairs])
    shift = start + _PAD - min(n.x - n.width / 2 for row in rows for n in row)
    for row in rows:
        for node in row:
            node.x += shift
    return max(n.x + n.width / 2 for row in rows for n in row), y - _GAP_Y + _PAD


def _spread(row: list[_Node], wished: list[float]) -> None:
    """Put nodes near the wished centres, in order and without overlap."""
    end = None
    for node, x in zip(row, wished, strict=True):
        least = x if end is None else end + _GAP_X + node.width / 2
        node.x = max(x, least)
        end = node.x + node.width / 2
    shift = sum(x - node.x for node, x in zip(row, wished, strict=True)) / len(row)
    for node in row:
        node.x += shift


def _points(chain: list[_Node]) -> list[tuple[float, float]]:
    first, *bends, last = chain
    passed = [(bend.x, bend.y + part) for bend in bends for part in (0, bend.height)]
    return [(first.x, first.y + first.height), *passed, (last.x, last.y)]


def _path(edge: Edge, points: list[tuple[float, float]]) -> str:
    (x, y), *rest = points
    d = f"M{x:.0f} {y:.0f}"
    for nx, ny in rest:
        middle = (y + ny) / 2
        d += f"C{x:.0f} {middle:.0f} {nx:.0f} {middle:.0f} {nx:.0f} {ny:.0f}"
        x, y = nx, ny
    return f'<path class="{edge.kind}" d="{d}" marker-end="url(#cfg-{edge.kind})"/>'


def _loop(edge: Edge, nodes: dict[int, _Node], lane: float) -> str:
    """From the source's right side up a lane into the target's right side."""
    source, target = nodes[edge.source], nodes[edge.target]
    y0, y1 = source.y + source.height - _PAD, target.y + _PAD
    return (f'<path class="back" d="M{source.x + source.width / 2:.0f} {y0:.0f}H{lane:.0f}V{y1:.0f}'
            f'H{target.x + target.width / 2:.0f}" marker-end="url(#cfg-back)"/>')


def _draw(node: _Node, dead: bool) -> str:
    left = node.x - node.width / 2
    rows = "".join(
        f'<text x="{left + _PAD:.0f}" y="{node.y + _LINE * (i + 1) - 3:.0f}" xml:space="preserve"'
        f"{_HEAD if i < node.heads else _NO}>{escape(row)}</text>"
        for i, row in enumerate(node.text))
    return (f'<g class="block{" dead" if dead else ""}" data-pc="{node.block.start}"><rect x="{left:.0f}" '
            f'y="{node.y:.0f}" width="{node.width:.0f}" height="{node.height:.0f}" rx="4"/>{rows}</g>')
