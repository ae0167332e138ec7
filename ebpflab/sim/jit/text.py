"""Writing LLVM IR as text: a function's lines, temporaries and labels, and one snippet for each arithmetic verb."""

from __future__ import annotations

from itertools import count

from ..decode import Code


def pointer(address: int) -> str:
    """A host address as an IR constant."""
    return f"inttoptr (i64 {address} to ptr)"


class Writer:
    """Lines of one function. ``op`` gives the name of a new value; registers are allocas, which LLVM takes apart."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._numbers = count()

    def put(self, line: str) -> None:
        self.lines.append(line)

    def op(self, text: str) -> str:
        name = f"%t{next(self._numbers)}"
        self.lines.append(f"{name} = {text}")
        return name

    def label(self) -> str:
        return f"B{next(self._numbers)}"

    def start(self, label: str) -> None:
        self.lines.append(f"{label}:")

    def branch(self, condition: str, yes: str, no: str) -> None:
        self.lines.append(f"br i1 {condition}, label %{yes}, label %{no}")

    def go(self, label: str) -> None:
        self.lines.append(f"br label %{label}")

    def register(self, number: int, width: int = 64) -> str:
        whole = self.op(f"load i64, ptr %r{number}")
        return whole if width == 64 else self.op(f"trunc i64 {whole} to i{width}")

    def set(self, number: int, value: str, width: int = 64) -> None:
        """A register's new value; narrower ones clear the upper bits."""
        self.put(f"store i64 {self.wide(value, width)}, ptr %r{number}")

    def wide(self, value: str, width: int) -> str:
        return value if width == 64 else self.op(f"zext i{width} {value} to i64")

    def state(self, word: int, type_: str = "i64") -> str:
        """A word of the shared state."""
        return self.op(f"load {type_}, ptr {self.word(word)}")

    def word(self, word: int) -> str:
        return self.op(f"getelementptr i64, ptr %S, i64 {word}")

    def set_state(self, word: int, value: str) -> None:
        self.put(f"store i64 {value}, ptr {self.word(word)}")


_PLAIN = {"add": "add", "sub": "sub", "mul": "mul", "or": "or", "and": "and", "xor": "xor"}
_DIVIDE = {"div": "udiv", "mod": "urem", "sdiv": "sdiv", "smod": "srem"}
_SHIFT = {"lsh": "shl", "rsh": "lshr", "arsh": "ashr"}
PREDICATES = {"jeq": "eq", "jne": "ne", "jgt": "ugt", "jge": "uge", "jlt": "ult", "jle": "ule",
              "jsgt": "sgt", "jsge": "sge", "jslt": "slt", "jsle": "sle"}
INTRINSICS = "".join(f"declare i{width} @llvm.bswap.i{width}(i{width})\n" for width in (16, 32, 64))
INTRINSICS += "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)\n"


def operand(w: Writer, code: Code) -> str:
    """The second operand, of the operation's width."""
    width = code.op.width
    return w.register(code.src, width) if code.op.source == "x" else str(code.value & ((1 << width) - 1))


def arithmetic(w: Writer, code: Code) -> None:
    verb, width = code.verb, code.op.width
    kind = f"i{width}"
    if verb == "neg":
        result = w.op(f"sub {kind} 0, {w.register(code.dst, width)}")
    elif verb == "mov":
        w.set(code.dst, operand(w, code), width)
        return
    elif verb == "movsx":
        low = code.op.fixed["off"]
        result = w.op(f"sext i{low} {w.register(code.src, low)} to {kind}")
    else:
        a, b = w.register(code.dst, width), operand(w, code)
        if verb in _PLAIN:
            result = w.op(f"{_PLAIN[verb]} {kind} {a}, {b}")
        elif verb in _SHIFT:
            result = w.op(f"{_SHIFT[verb]} {kind} {a}, {w.op(f'and {kind} {b}, {width - 1}')}")
        else:
            result = _division(w, verb, kind, a, b)
    w.set(code.dst, result, width)


def _division(w: Writer, verb: str, kind: str, a: str, b: str) -> str:
    """By zero gives 0 or the dividend; the smallest number by -1 is itself (RFC 9669, 4.1)."""
    zero = w.op(f"icmp eq {kind} {b}, 0")
    special = zero
    if verb in ("sdiv", "smod"):
        minus = w.op(f"icmp eq {kind} {b}, -1")
        special = w.op(f"or i1 {zero}, {minus}")
    safe = w.op(f"select i1 {special}, {kind} 1, {kind} {b}")
    result = w.op(f"{_DIVIDE[verb]} {kind} {a}, {safe}")
    if verb == "sdiv":
        negated = w.op(f"sub {kind} 0, {a}")
        result = w.op(f"select i1 {minus}, {kind} {negated}, {kind} {result}")
    by_zero = a if verb in ("mod", "smod") else "0"
    return w.op(f"select i1 {zero}, {kind} {by_zero}, {kind} {result}")


def byte_order(w: Writer, code: Code) -> None:
    width = code.op.width
    value = w.register(code.dst, width)
    if code.verb != "le":
        value = w.op(f"call i{width} @llvm.bswap.i{width}(i{width} {value})")
    w.set(code.dst, value, width)


def condition(w: Writer, code: Code) -> str:
    kind = f"i{code.op.width}"
    a, b = w.register(code.dst, code.op.width), operand(w, code)
    if code.verb == "jset":
        return w.op(f"icmp ne {kind} {w.op(f'and {kind} {a}, {b}')}, 0")
    return w.op(f"icmp {PREDICATES[code.verb]} {kind} {a}, {b}")


def atomic(w: Writer, code: Code, pointer: str) -> None:
    """Plain accesses do: one program runs at a time. Packets lie anywhere, so nothing is aligned for sure."""
    width, verb = code.op.bytes * 8, code.verb
    kind = f"i{width}"
    if verb == "load_acquire":
        w.set(code.dst, w.op(f"load {kind}, ptr {pointer}, align 1"), width)
        return
    value = w.register(code.src, width)
    if verb == "store_release":
        w.put(f"store {kind} {value}, ptr {pointer}, align 1")
        return
    old = w.op(f"load {kind}, ptr {pointer}, align 1")
    if verb == "cmpxchg":
        same = w.op(f"icmp eq {kind} {old}, {w.register(0, width)}")
        w.put(f"store {kind} {w.op(f'select i1 {same}, {kind} {value}, {kind} {old}')}, ptr {pointer}, align 1")
        w.set(0, old, width)
        return
    new = value if verb == "xchg" else w.op(f"{_PLAIN[verb.removeprefix('fetch_')]} {kind} {old}, {value}")
    w.put(f"store {kind} {new}, ptr {pointer}, align 1")
    if verb == "xchg" or verb.startswith("fetch_"):
        w.set(code.src, old, width)
