"""One function's control flow as structured Python.

Python has no goto. A function is cut into *regions*: its entry and every place where paths meet or loops begin.
A region's code is a tree of nested ifs without a join, so it needs no jump inside; between regions ``b`` holds the
number of the next one and a binary tree of ifs finds it. A region that jumps to itself is a ``while True``. Short
ends (``r0 = 2; exit``) are copied to where they are reached instead of being a region of their own.

``n`` counts the instructions that are left; it is brought up to date at the ends of a region only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..decode import Code
from .facts import State, successors

Line = tuple[int, str, int]      # indentation, text, slot
DEEPEST = 24                     # nesting of ifs before a branch becomes a region of its own
SHORT = 6                        # instructions of an end that is copied


class Blocks:
    """Emits the body of the function at ``start``. ``emit(code, state, count)`` gives an instruction's lines and
    whether the count was settled by them (calls hand the budget over)."""

    def __init__(self, codes: Sequence[Code], start: int, states: dict[int, State],
                 emit: Callable[[Code, State, int], tuple[list[str], bool]],
                 condition: Callable[[Code, State], str]):
        self.codes, self.start, self.states = codes, start, states
        self.emit, self.condition = emit, condition
        self.roots = self._find_roots()

    def _find_roots(self) -> set[int]:
        entries: dict[int, int] = {}
        roots = {self.start}
        for pc in self.states:
            for target in successors(self.codes[pc]):
                entries[target] = entries.get(target, 0) + 1
                if target <= pc:
                    roots.add(target)
        roots.update(pc for pc, count in entries.items() if count > 1 and pc in self.states and not self._ends(pc))
        return roots

    def _ends(self, pc: int) -> bool:
        """Does a short straight way lead from here to an exit?"""
        for _ in range(SHORT):
            if pc >= len(self.codes):
                return False
            code = self.codes[pc]
            if code.kind == "exit":
                return True
            if code.kind in ("jmp", "jcond", "call", "ld") or (code.kind == "ja" and code.target <= pc):
                return False
            pc = code.target if code.kind == "ja" else code.next
        return False

    def lines(self) -> list[Line]:
        """The whole body, from indentation 1."""
        bodies: dict[int, list] = {}
        queue = [self.start]
        while queue:
            root = queue.pop()
            if root not in bodies:
                body: list = []
                bodies[root] = body
                self._tree(root, 0, 0, body)
                queue.extend(text.target for _, text, _ in body if isinstance(text, _Goto))
        order = sorted(bodies)
        self.number = {root: index for index, root in enumerate(order)}
        if len(order) == 1:
            return self._region(order[0], bodies[order[0]], 1, alone=True)
        head = [(1, f"b = {self.number[self.start]}", self.start), (1, "while True:", self.start)]
        return head + self._choose(order, bodies, 2)

    def _choose(self, order: list[int], bodies: dict[int, list], indent: int) -> list[Line]:
        if len(order) == 1:
            return self._region(order[0], bodies[order[0]], indent, alone=False)
        middle = len(order) // 2
        pc = order[middle]
        return [(indent, f"if b < {self.number[pc]}:", pc), *self._choose(order[:middle], bodies, indent + 1),
                (indent, "else:", pc), *self._choose(order[middle:], bodies, indent + 1)]

    def _region(self, root: int, body: list, indent: int, alone: bool) -> list[Line]:
        looping = any(isinstance(text, _Goto) and text.target == root for _, text, _ in body)
        inner = indent + 1 if looping else indent
        found: list[Line] = [(indent, "while True:", root)] if looping else []
        for depth, text, pc in body:
            at = inner + depth
            if not isinstance(text, _Goto):
                found.append((at, text, pc))
                continue
            found.append((at, f"n -= {text.count}", pc))
            if text.target <= pc:
                found.append((at, "if n < 0: raise out_of_budget()", pc))
            if text.target == root:
                found.append((at, "continue", pc))
            else:
                found.append((at, f"b = {self.number[text.target]}", pc))
                found.append((at, "break" if looping else "continue", pc))
        return found

    def _tree(self, pc: int, indent: int, count: int, body: list) -> None:
        """Append the code from ``pc`` on, until every path has ended or gone to a region."""
        first, came = indent == 0, pc
        while True:
            if pc in self.roots and not first:
                body.append((indent, _Goto(pc, count), came))
                return
            first = False
            if pc >= len(self.codes):
                body.append((indent, "raise fell_off()", came))
                return
            code, state = self.codes[pc], self.states[pc]
            came, count = pc, count + 1
            if code.kind == "ja":
                pc = code.target
                continue
            if code.kind == "exit":
                body.append((indent, f"run.budget = n - {count}", pc))
                body.append((indent, "return r0", pc))
                return
            if code.kind in ("jmp", "jcond"):
                body.append((indent, f"if {self.condition(code, state)}:", pc))
                if indent >= DEEPEST:
                    self.roots.add(code.target)
                if code.target in self.roots:
                    body.append((indent + 1, _Goto(code.target, count), pc))
                else:
                    self._tree(code.target, indent + 1, count, body)
            else:
                texts, settled = self.emit(code, state, count)
                body.extend((indent, text, pc) for text in texts)
                if settled:
                    count = 0
            pc = code.next


class _Goto:
    """A jump to a region, written out when all regions are numbered."""

    __slots__ = ("count", "target")

    def __init__(self, target: int, count: int):
        self.target, self.count = target, count
