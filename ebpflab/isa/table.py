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

    ``next`` among the operands is the imm of a wide load's second slot.  Templates drive printers and assembler
    alike (``asm.forms``); a field in braces is printed in the dialect's own way::

        {dst} {src}  register number          {off}     signed distance in memory
        {imm}        signed decimal           {cmp}     imm of a comparison
        {index}      imm added to a register  {imm64}   constant of a wide load
        {high} {low} halves of imm            {next}    second imm, an offset
        {jump} {jump32} {callee}  distance in slots, or the label there
        {map} {helper} {kfunc}    number or name
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
    llvm: str       # template of LLVM's pseudo-C, see below
    kernel: str     # template of the kernel's verifier log (without the "(b7) " in front)
    mnemonic: str   # template of ubpf and bpf_conformance
    also: tuple[tuple[str, str], ...] = ()   # further spellings that are read, never printed: (dialect, template)

    @property
    def signed(self) -> bool:
        return self.verb in ("sdiv", "smod", "arsh", "movsx", "memsx", "jsgt", "jsge", "jslt", "jsle")

    @property
    def bytes(self) -> int:
        """Size of the memory access in bytes."""
        return self.width // 8


def _op(name, opcode, kind, verb, width, source, operands, group, isa, since, rfc, spell, **fixed) -> Op:
    texts = {"llvm": spell} if isinstance(spell, str) else dict(spell)
    also = tuple((dialect, text) for dialect in ("llvm", "mnemonic") for text in texts.get(f"also_{dialect}", ()))
    return Op(name, opcode, kind, verb, width, source, tuple(operands.split()),
              MappingProxyType(fixed), group, isa, since, rfc, llvm=texts["llvm"],
              kernel=texts.get("kernel", texts["llvm"]), mnemonic=texts.get("mnemonic", texts["llvm"]),
              also=also)


_ALU = (  # verb, code, conformance family, pseudo-C operator
    ("add", b.ADD, "base", "+="), ("sub", b.SUB, "base", "-="), ("mul", b.MUL, "divmul", "*="),
    ("div", b.DIV, "divmul", "/="), ("or", b.OR, "base", "|="), ("and", b.AND, "base", "&="),
    ("lsh", b.LSH, "base", "<<="), ("rsh", b.RSH, "base", ">>="), ("mod", b.MOD, "divmul", "%="),
    ("xor", b.XOR, "base", "^="), ("mov", b.MOV, "base", "="), ("arsh", b.ARSH, "base", "s>>="),
)
_JMP = (  # verb, code, ISA version of the 64-bit form, first kernel, pseudo-C operator
    ("jeq", b.JEQ, "v1", "3.18", "=="), ("jgt", b.JGT, "v1", "3.18", ">"), ("jge", b.JGE, "v1", "3.18", ">="),
    ("jset", b.JSET, "v1", "3.18", "&"), ("jne", b.JNE, "v1", "3.18", "!="), ("jsgt", b.JSGT, "v1", "3.18", "s>"),
    ("jsge", b.JSGE, "v1", "3.18", "s>="), ("jlt", b.JLT, "v2", "4.14", "<"), ("jle", b.JLE, "v2", "4.14", "<="),
    ("jslt", b.JSLT, "v2", "4.14", "s<"), ("jsle", b.JSLE, "v2", "4.14", "s<="),
)
_SIZES = (("b", b.B, 8), ("h", b.H, 16), ("w", b.W, 32), ("dw", b.DW, 64))
_FETCHED = (("add", b.ADD, "+="), ("or", b.OR, "|="), ("and", b.AND, "&="), ("xor", b.XOR, "^="))


def _arithmetic():
    for bits, cls, tail, r in ((64, b.ALU64, "", "r"), (32, b.ALU, "32", "w")):
        for verb, code, family, sign in _ALU:
            for source, flag in (("k", b.K), ("x", b.X)):
                second = "imm" if source == "k" else "src"
                plain = "{imm}" if source == "k" else r + "{src}"
                mnemonic = "{imm}" if source == "k" else "%r{src}"
                since = "5.0" if verb + tail == "arsh32" else "3.18"
                yield _op(verb + tail, cls | code | flag, "alu", verb, bits, source, f"dst {second}",
                          f"{family}{bits}", "v1", since, "4.1",
                          {"llvm": f"{r}{{dst}} {sign} {plain}", "mnemonic": f"{verb}{tail} %r{{dst}}, {mnemonic}"},
                          off=0)
                if verb in ("div", "mod"):
                    yield _op("s" + verb + tail, cls | code | flag, "alu", "s" + verb, bits, source,
                              f"dst {second}", f"divmul{bits}", "v4", "6.6", "4.1",
                              {"llvm": f"{r}{{dst}} s{sign} {plain}",
                               "mnemonic": f"s{verb}{tail} %r{{dst}}, {mnemonic}"}, off=1)
        yield _op("neg" + tail, cls | b.NEG | b.K, "alu", "neg", bits, "", "dst", f"base{bits}", "v1", "3.18", "4.1",
                  {"llvm": f"{r}{{dst}} = -{r}{{dst}}", "mnemonic": f"neg{tail} %r{{dst}}"})
        for size in (8, 16, 32):
            if size < bits:
                yield _op(f"movsx{size}{bits}", cls | b.MOV | b.X, "alu", "movsx", bits, "x", "dst src",
                          f"base{bits}", "v4", "6.6", "4.1",
                          {"llvm": f"{r}{{dst}} = (s{size}){r}{{src}}",
                           "mnemonic": f"movsx{size}{bits} %r{{dst}}, %r{{src}}"}, off=size)
    for order, flag in (("le", b.K), ("be", b.X)):
        for size in (16, 32, 64):
            group = "base64" if size == 64 else "base32"
            yield _op(f"{order}{size}", b.ALU | b.END | flag, "end", order, size, "", "dst", group, "v1",
                      "3.18", "4.2", {"llvm": f"r{{dst}} = {order}{size} r{{dst}}",
                                      "mnemonic": f"{order}{size} %r{{dst}}"}, imm=size)
    for size in (16, 32, 64):
        group = "base64" if size == 64 else "base32"
        yield _op(f"swap{size}", b.ALU64 | b.END | b.K, "end", "swap", size, "", "dst", group, "v4", "6.6",
                  "4.2", {"llvm": f"r{{dst}} = bswap{size} r{{dst}}", "mnemonic": f"swap{size} %r{{dst}}",
                          "also_mnemonic": (f"bswap{size} %r{{dst}}",)}, imm=size)
    # kernel: BPF_ADDR_SPACE_CAST, the two address spaces are the halves of imm
    yield _op("addr_space_cast", b.ALU64 | b.MOV | b.X, "cast", "cast", 64, "x", "dst src imm", "", "v4", "6.9", "",
              {"llvm": "r{dst} = addr_space_cast(r{src}, {high}, {low})",
               "mnemonic": "addr_space_cast %r{dst}, %r{src}, {high}, {low}"}, off=1)


def _jumps():
    for bits, cls, tail, r in ((64, b.JMP, "", "r"), (32, b.JMP32, "32", "w")):
        for verb, code, isa, since, sign in _JMP:
            for source, flag in (("k", b.K), ("x", b.X)):
                second = "imm" if source == "k" else "src"
                plain = "{cmp}" if source == "k" else r + "{src}"
                mnemonic = "{cmp}" if source == "k" else "%r{src}"
                yield _op(verb + tail, cls | code | flag, "jmp", verb, bits, source, f"dst {second} off",
                          f"base{bits}", isa if bits == 64 else "v3", since if bits == 64 else "5.1", "4.3",
                          {"llvm": f"if {r}{{dst}} {sign} {plain} goto {{jump}}",
                           "mnemonic": f"{verb}{tail} %r{{dst}}, {mnemonic}, {{jump}}"})
    yield _op("ja", b.JMP | b.JA, "ja", "ja", 16, "", "off", "base32", "v1", "3.18", "4.3",
              {"llvm": "goto {jump}", "mnemonic": "ja {jump}"})
    yield _op("ja32", b.JMP32 | b.JA, "ja", "ja", 32, "", "imm", "base32", "v4", "6.6", "4.3",
              {"llvm": "gotol {jump32}", "mnemonic": "ja32 {jump32}"})
    # kernel: BPF_JMP | BPF_JA | BPF_X, dst holds an address out of an instruction array map
    yield _op("gotox", b.JMP | b.JA | b.X, "ja", "indirect", 64, "x", "dst", "", "v4", "6.19", "",
              {"llvm": "gotox r{dst}", "mnemonic": "gotox %r{dst}"})
    yield _op("call", b.JMP | b.CALL, "call", "helper", 64, "", "imm", "base32", "v1", "3.18", "4.3.1",
              {"llvm": "call {helper}", "also_mnemonic": ("call helper {helper}",)}, src=b.CALL_HELPER)
    yield _op("call_local", b.JMP | b.CALL, "call", "local", 64, "", "imm", "base32", "v3", "4.16", "4.3.2",
              {"llvm": "call {callee}", "mnemonic": "call local {jump32}"}, src=b.CALL_LOCAL)
    yield _op("call_kfunc", b.JMP | b.CALL, "call", "kfunc", 64, "", "imm off", "base32", "v3", "5.13", "4.3.1",
              {"llvm": "call {kfunc}", "also_mnemonic": ("call runtime {imm}",)}, src=b.CALL_KFUNC)
    yield _op("callx", b.JMP | b.CALL | b.X, "call", "indirect", 64, "x", "dst", "", "", "", "",
              {"llvm": "callx r{dst}", "mnemonic": "callx %r{dst}", "also_mnemonic": ("call %r{dst}",)})
    yield _op("exit", b.JMP | b.EXIT, "exit", "exit", 64, "", "", "base32", "v1", "3.18", "4.3", "exit")
    # kernel: BPF_JCOND, src chooses the condition; 0 is may_goto
    yield _op("may_goto", b.JMP | b.JCOND, "jcond", "may_goto", 64, "", "off", "", "v4", "6.9", "",
              "may_goto {jump}", src=0)


def _memory():
    wide = b.LD | b.IMM | b.DW
    for name, src, since, text in (
        ("lddw", 0, "3.18", "{imm64}"),
        ("lddw_map", b.PSEUDO_MAP_FD, "3.18", "map[{map}]"),
        ("lddw_map_value", b.PSEUDO_MAP_VALUE, "5.2", "map[{map}][0]{next}"),
        ("lddw_var", b.PSEUDO_BTF_ID, "5.10", "var[{imm}]{next}"),
        ("lddw_func", b.PSEUDO_FUNC, "5.13", "func[{callee}]"),
        ("lddw_map_idx", b.PSEUDO_MAP_IDX, "5.14", "map_idx[{imm}]"),
        ("lddw_map_idx_value", b.PSEUDO_MAP_IDX_VALUE, "5.14", "map_idx[{imm}][0]{next}"),
    ):
        operands = "dst imm next" if "{next}" in text or src == 0 else "dst imm"
        yield _op(name, wide, "lddw", name[5:] or "imm64", 64, "", operands, "base64", "v1", since, "5.4",
                  {"llvm": f"r{{dst}} = {text} ll", "kernel": f"r{{dst}} = {text}",
                   "mnemonic": f"lddw %r{{dst}}, {text}"}, src=src)
    for letter, size, bits in _SIZES:
        base = "base64" if bits == 64 else "base32"
        at, mem = f"*(u{bits} *)(r{{%s}} {{off}})", "[%%r{%s}{off}]"
        small = bits < 64
        yield _op(f"ldx{letter}", b.LDX | b.MEM | size, "ldx", "mem", bits, "", "dst src off", base, "v1", "3.18",
                  "5.1", {"llvm": f"r{{dst}} = {at % 'src'}", "mnemonic": f"ldx{letter} %r{{dst}}, {mem % 'src'}",
                          "also_llvm": (f"w{{dst}} = {at % 'src'}",) if small else ()})
        yield _op(f"st{letter}", b.ST | b.MEM | size, "st", "mem", bits, "k", "dst off imm", base, "v1", "3.18",
                  "5.1", {"llvm": f"{at % 'dst'} = {{imm}}", "mnemonic": f"st{letter} {mem % 'dst'}, {{imm}}"})
        yield _op(f"stx{letter}", b.STX | b.MEM | size, "stx", "mem", bits, "x", "dst src off", base, "v1", "3.18",
                  "5.1", {"llvm": f"{at % 'dst'} = r{{src}}", "mnemonic": f"stx{letter} {mem % 'dst'}, %r{{src}}",
                          "also_llvm": (f"{at % 'dst'} = w{{src}}",) if small else ()})
        if small:
            yield _op(f"ldxs{letter}", b.LDX | b.MEMSX | size, "ldx", "memsx", bits, "", "dst src off", "base64",
                      "v4", "6.6", "5.2", {"llvm": f"r{{dst}} = *(s{bits} *)(r{{src}} {{off}})",
                                           "mnemonic": f"ldxs{letter} %r{{dst}}, {mem % 'src'}"})
            # packet group: implicit context in r6, result in r0
            yield _op(f"ldabs{letter}", b.LD | b.ABS | size, "ld", "abs", bits, "k", "imm", "packet", "v1", "3.18",
                      "5.5", {"llvm": f"r0 = *(u{bits} *)skb[{{imm}}]", "mnemonic": f"ldabs{letter} {{imm}}"})
            yield _op(f"ldind{letter}", b.LD | b.IND | size, "ld", "ind", bits, "x", "src imm", "packet", "v1",
                      "3.18", "5.5", {"llvm": f"r0 = *(u{bits} *)skb[r{{src}}{{index}}]",
                                      "mnemonic": f"ldind{letter} %r{{src}}, {{imm}}"})
    for _, size, bits in _SIZES:
        yield from _atomics(size, bits)


def _atomics(size, bits):
    opcode, tail = b.STX | b.ATOMIC | size, "" if bits == 64 else str(bits)
    at, place, mem = f"(u{bits} *)(r{{dst}} {{off}})", "r{dst} {off}", "[%r{dst}{off}]"
    r = "r" if bits == 64 else "w"       # LLVM; the kernel's log writes r for both

    def row(name, verb, since, code, llvm, kernel, mnemonic, isa="v3", also_mnemonic=()):
        rfc = bool(since < "6")
        return _op(name, opcode, "atomic", verb, bits, "x", "dst src off", f"atomic{bits}" if rfc else "", isa,
                   since, "5.3" if rfc else "",
                   {"llvm": llvm, "kernel": kernel, "mnemonic": mnemonic, "also_llvm": (kernel,),
                    "also_mnemonic": also_mnemonic}, imm=code)

    if bits >= 32:
        wide = "64" if bits == 64 else ""
        for verb, code, sign in _FETCHED:
            text = f"lock *{at} {sign} "
            first = ("3.18", "v1") if verb == "add" else ("5.12", "v3")
            yield row(f"atomic_{verb}{tail}", verb, first[0], code, f"{text}{r}{{src}}", text + "r{src}",
                      f"lock {verb}{tail} {mem}, %r{{src}}", first[1])
            yield row(f"atomic_fetch_{verb}{tail}", "fetch_" + verb, "5.12", code | b.FETCH,
                      f"{r}{{src}} = atomic_fetch_{verb}({at}, {r}{{src}})",
                      f"r{{src}} = atomic{wide}_fetch_{verb}({at}, r{{src}})",
                      f"lock fetch {verb}{tail} {mem}, %r{{src}}",
                      also_mnemonic=(f"lock fetch_{verb}{tail} {mem}, %r{{src}}",))
        old = "xchg_64" if bits == 64 else "xchg32_32"
        yield row(f"atomic_xchg{tail}", "xchg", "5.12", b.XCHG, f"{r}{{src}} = {old}({place}, {r}{{src}})",
                  f"r{{src}} = atomic{wide}_xchg({at}, r{{src}})", f"lock xchg{tail} {mem}, %r{{src}}")
        yield row(f"atomic_cmpxchg{tail}", "cmpxchg", "5.12", b.CMPXCHG,
                  f"{r}0 = cmp{old}({place}, {r}0, {r}{{src}})",
                  f"r0 = atomic{wide}_cmpxchg({at}, r0, r{{src}})", f"lock cmpxchg{tail} {mem}, %r{{src}}")
    # kernel: BPF_LOAD_ACQ and BPF_STORE_REL; the address of a load is in src
    load = f"(u{bits} *)(r{{src}} {{off}})"
    yield row(f"load_acquire{bits}", "load_acquire", "6.15", b.LOAD_ACQ, f"{r}{{dst}} = load_acquire({load})",
              f"r{{dst}} = load_acquire({load})", f"load_acquire{bits} %r{{dst}}, [%r{{src}}{{off}}]", isa="v4")
    yield row(f"store_release{bits}", "store_release", "6.15", b.STORE_REL, f"store_release({at}, {r}{{src}})",
              f"store_release({at}, r{{src}})", f"store_release{bits} {mem}, %r{{src}}", isa="v4")


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
