"""The opcode table: every instruction that RFC 9669 and Linux know, once.

Encoder, decoder, printers, assembler, verifier, simulator, ``docs/isa.md`` and the tests
all read this table; nothing else knows which encodings exist.

A row is selected by the opcode byte and by those fields that are *selectors* (for instance
``off = 1`` makes a division signed, ``imm`` chooses the atomic operation).  A field that is
neither an operand nor a selector must be zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from . import bits as b


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """One instruction.

    kind      alu | end | jmp | ja | call | exit | lddw | ld | ldx | st | stx | atomic | jcond | cast
    verb      what it does within its kind: ``add``, ``jeq``, ``mem``, ``fetch_add`` …
    width     bits of the operation: 32/64 for arithmetic and jumps, 8…64 for memory and byte swaps
    source    ``k`` immediate, ``x`` register, ``""`` neither
    operands  the fields that the programmer writes, out of dst, src, off, imm
    fixed     selectors: the fields with the value they must have (unnamed non-operands: 0)
    """

    name: str
    opcode: int
    kind: str
    verb: str
    width: int
    source: str
    operands: tuple[str, ...]
    fixed: MappingProxyType
    group: str      # RFC 9669 conformance group, "" for what the RFC does not have
    isa: str        # v1 | v2 | v3 | v4, "" for later kernel additions
    since: str      # first Linux release that runs it
    rfc: str        # section of RFC 9669, "" where the kernel alone defines it

    @property
    def signed(self) -> bool:
        return self.verb in ("sdiv", "smod", "arsh", "movsx", "memsx", "jsgt", "jsge", "jslt", "jsle")

    @property
    def bytes(self) -> int:
        """Size of the memory access in bytes."""
        return self.width // 8


def _op(name, opcode, kind, verb, width, source, operands, group, isa, since, rfc, **fixed) -> Op:
    return Op(name, opcode, kind, verb, width, source, tuple(operands.split()),
              MappingProxyType(fixed), group, isa, since, rfc)


_ALU = (  # verb, code, conformance family
    ("add", b.ADD, "base"), ("sub", b.SUB, "base"), ("mul", b.MUL, "divmul"), ("div", b.DIV, "divmul"),
    ("or", b.OR, "base"), ("and", b.AND, "base"), ("lsh", b.LSH, "base"), ("rsh", b.RSH, "base"),
    ("mod", b.MOD, "divmul"), ("xor", b.XOR, "base"), ("mov", b.MOV, "base"), ("arsh", b.ARSH, "base"),
)
_JMP = (  # verb, code, ISA version of the 64-bit form, first kernel
    ("jeq", b.JEQ, "v1", "3.18"), ("jgt", b.JGT, "v1", "3.18"), ("jge", b.JGE, "v1", "3.18"),
    ("jset", b.JSET, "v1", "3.18"), ("jne", b.JNE, "v1", "3.18"), ("jsgt", b.JSGT, "v1", "3.18"),
    ("jsge", b.JSGE, "v1", "3.18"), ("jlt", b.JLT, "v2", "4.14"), ("jle", b.JLE, "v2", "4.14"),
    ("jslt", b.JSLT, "v2", "4.14"), ("jsle", b.JSLE, "v2", "4.14"),
)
_SIZES = (("b", b.B, 8), ("h", b.H, 16), ("w", b.W, 32), ("dw", b.DW, 64))
_FETCHED = (("add", b.ADD), ("or", b.OR), ("and", b.AND), ("xor", b.XOR))


def _arithmetic():
    for bits, cls, tail in ((64, b.ALU64, ""), (32, b.ALU, "32")):
        for verb, code, family in _ALU:
            for source, flag, second in (("k", b.K, "imm"), ("x", b.X, "src")):
                yield _op(verb + tail, cls | code | flag, "alu", verb, bits, source, f"dst {second}",
                          f"{family}{bits}", "v1", "3.18", "4.1", off=0)
                if verb in ("div", "mod"):
                    yield _op("s" + verb + tail, cls | code | flag, "alu", "s" + verb, bits, source,
                              f"dst {second}", f"divmul{bits}", "v4", "6.6", "4.1", off=1)
        yield _op("neg" + tail, cls | b.NEG | b.K, "alu", "neg", bits, "", "dst", f"base{bits}", "v1", "3.18", "4.1")
        for size in (8, 16, 32):
            if size < bits:
                yield _op(f"movsx{size}{bits}", cls | b.MOV | b.X, "alu", "movsx", bits, "x", "dst src",
                          f"base{bits}", "v4", "6.6", "4.1", off=size)
    for order, flag in (("le", b.K), ("be", b.X)):
        for size in (16, 32, 64):
            group = "base64" if size == 64 else "base32"
            yield _op(f"{order}{size}", b.ALU | b.END | flag, "end", order, size, "", "dst", group, "v1",
                      "3.18", "4.2", imm=size)
    for size in (16, 32, 64):
        yield _op(f"swap{size}", b.ALU64 | b.END | b.K, "end", "swap", size, "", "dst", "base64", "v4", "6.6",
                  "4.2", imm=size)
    # kernel: BPF_ADDR_SPACE_CAST, the two address spaces are the halves of imm
    yield _op("addr_space_cast", b.ALU64 | b.MOV | b.X, "cast", "cast", 64, "x", "dst src imm", "", "", "6.9", "",
              off=1)


def _jumps():
    for bits, cls, tail in ((64, b.JMP, ""), (32, b.JMP32, "32")):
        for verb, code, isa, since in _JMP:
            for source, flag, second in (("k", b.K, "imm"), ("x", b.X, "src")):
                yield _op(verb + tail, cls | code | flag, "jmp", verb, bits, source, f"dst {second} off",
                          f"base{bits}", isa if bits == 64 else "v3", since if bits == 64 else "5.1", "4.3")
    yield _op("ja", b.JMP | b.JA, "ja", "ja", 16, "", "off", "base32", "v1", "3.18", "4.3")
    yield _op("ja32", b.JMP32 | b.JA, "ja", "ja", 32, "", "imm", "base32", "v4", "6.6", "4.3")
    yield _op("call", b.JMP | b.CALL, "call", "helper", 64, "", "imm", "base32", "v1", "3.18", "4.3.1",
              src=b.CALL_HELPER)
    yield _op("call_local", b.JMP | b.CALL, "call", "local", 64, "", "imm", "base32", "v3", "4.16", "4.3.2",
              src=b.CALL_LOCAL)
    yield _op("call_kfunc", b.JMP | b.CALL, "call", "kfunc", 64, "", "imm off", "base32", "v3", "5.13", "4.3.1",
              src=b.CALL_KFUNC)
    yield _op("callx", b.JMP | b.CALL | b.X, "call", "indirect", 64, "x", "dst", "callx", "", "", "4.3")
    yield _op("exit", b.JMP | b.EXIT, "exit", "exit", 64, "", "", "base32", "v1", "3.18", "4.3")
    # kernel: BPF_JCOND, src chooses the condition; 0 is may_goto
    yield _op("may_goto", b.JMP | b.JCOND, "jcond", "may_goto", 64, "", "off", "", "", "6.9", "", src=0)


def _memory():
    wide = b.LD | b.IMM | b.DW
    for name, src, operands in (
        ("lddw", 0, "dst imm"), ("lddw_map", b.PSEUDO_MAP_FD, "dst imm"),
        ("lddw_map_value", b.PSEUDO_MAP_VALUE, "dst imm"), ("lddw_var", b.PSEUDO_BTF_ID, "dst imm"),
        ("lddw_func", b.PSEUDO_FUNC, "dst imm"), ("lddw_map_idx", b.PSEUDO_MAP_IDX, "dst imm"),
        ("lddw_map_idx_value", b.PSEUDO_MAP_IDX_VALUE, "dst imm"),
    ):
        since = {0: "3.18", 1: "3.18", 2: "5.2", 3: "5.4", 4: "5.13"}.get(src, "5.14")
        yield _op(name, wide, "lddw", name[5:] or "imm64", 64, "", operands, "base64", "v1", since, "5.4", src=src)
    for letter, size, bits in _SIZES:
        base = "base64" if bits == 64 else "base32"
        yield _op(f"ldx{letter}", b.LDX | b.MEM | size, "ldx", "mem", bits, "", "dst src off", base, "v1", "3.18",
                  "5.1")
        yield _op(f"st{letter}", b.ST | b.MEM | size, "st", "mem", bits, "k", "dst off imm", base, "v1", "3.18",
                  "5.1")
        yield _op(f"stx{letter}", b.STX | b.MEM | size, "stx", "mem", bits, "x", "dst src off", base, "v1", "3.18",
                  "5.1")
        if bits < 64:
            yield _op(f"ldxs{letter}", b.LDX | b.MEMSX | size, "ldx", "memsx", bits, "", "dst src off", "base64",
                      "v4", "6.6", "5.2")
            # packet group: implicit context in r6, result in r0
            yield _op(f"ldabs{letter}", b.LD | b.ABS | size, "ld", "abs", bits, "k", "imm", "packet", "v1", "3.18",
                      "5.5")
            yield _op(f"ldind{letter}", b.LD | b.IND | size, "ld", "ind", bits, "x", "src imm", "packet", "v1",
                      "3.18", "5.5")
    for _, size, bits in _SIZES:
        atomic = b.STX | b.ATOMIC | size
        tail = "" if bits == 64 else str(bits)
        if bits >= 32:
            for verb, code in _FETCHED:
                first = ("v1", "3.18") if verb == "add" else ("v3", "5.12")
                yield _op(f"atomic_{verb}{tail}", atomic, "atomic", verb, bits, "x", "dst src off",
                          f"atomic{bits}", *first, "5.3", imm=code)
                yield _op(f"atomic_fetch_{verb}{tail}", atomic, "atomic", "fetch_" + verb, bits, "x",
                          "dst src off", f"atomic{bits}", "v3", "5.12", "5.3", imm=code | b.FETCH)
            yield _op(f"atomic_xchg{tail}", atomic, "atomic", "xchg", bits, "x", "dst src off",
                      f"atomic{bits}", "v3", "5.12", "5.3", imm=b.XCHG)
            yield _op(f"atomic_cmpxchg{tail}", atomic, "atomic", "cmpxchg", bits, "x", "dst src off",
                      f"atomic{bits}", "v3", "5.12", "5.3", imm=b.CMPXCHG)
        yield _op(f"load_acquire{bits}", atomic, "atomic", "load_acquire", bits, "x", "dst src off", "", "v4",
                  "6.15", "", imm=b.LOAD_ACQ)
        yield _op(f"store_release{bits}", atomic, "atomic", "store_release", bits, "x", "dst src off", "", "v4",
                  "6.15", "", imm=b.STORE_REL)


OPS: tuple[Op, ...] = (*_arithmetic(), *_jumps(), *_memory())
BY_NAME: MappingProxyType = MappingProxyType(
    {(op.name, op.source): op for op in OPS}
)

_ROWS: dict[int, tuple[Op, ...]] = {}
for _row in OPS:
    _ROWS[_row.opcode] = (*_ROWS.get(_row.opcode, ()), _row)


def rows(opcode: int) -> tuple[Op, ...]:
    """The rows that share an opcode byte, () if there are none."""
    return _ROWS.get(opcode, ())
