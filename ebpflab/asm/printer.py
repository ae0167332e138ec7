"""The disassembler: one instruction as text, or a whole program as text that assembles back to the same bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ..abi import HELPER_NAMES
from ..errors import EbpflabError
from ..isa import Insn, Op, encode, op_of, rows, wrong
from ..isa.bits import ALU64, ATOMIC, CALL_KFUNC, SIZE_BYTES, STX, U32, W
from ..spec import MapSpec, ProgramSpec
from .forms import DIALECTS, KEYWORDS, PRINTERS

_NAME = re.compile(r"[A-Za-z_.$][\w.$]*\Z")
_REGISTER = re.compile(r"[rw]\d+\Z|fp\Z|pc\Z")
_WIDE_OPCODE = 0x18


def usable(name: str) -> bool:
    """Can ``name`` stand in assembly text as a label or map without being taken for something else?"""
    return bool(_NAME.match(name)) and name not in KEYWORDS and not _REGISTER.match(name)


def map_names(maps: Sequence[MapSpec]) -> list[str]:
    """Names that text can use: a map without a name of its own, or with another's, is called by its index."""
    names = [m.name for m in maps]
    return [n if _NAME.match(n) and names.count(n) == 1 else f"map{i}" for i, n in enumerate(names)]


class Names:
    """What the printers know by name: labels, maps, kernel functions. Unknown things stay numbers."""

    def __init__(self, maps: Sequence[MapSpec] = (), labels: Mapping[int, str] | None = None,
                 kfuncs: Mapping[int, str] | None = None, symbols: bool = True):
        self.maps = map_names(maps)
        self.labels, self.kfuncs, self.symbols = labels or {}, kfuncs or {}, symbols

    def jump(self, pc: int, distance: int) -> str:
        return self.labels.get(pc + 1 + distance) or f"{distance:+d}"

    def callee(self, pc: int, distance: int) -> str:
        return self.labels.get(pc + 1 + distance) or f"pc{distance:+d}"

    def map(self, index: int) -> str:
        return self.maps[index] if 0 <= index < len(self.maps) else str(index)

    def helper(self, number: int) -> str:
        if self.symbols and number in HELPER_NAMES:
            return f"bpf_{HELPER_NAMES[number]}"
        return str(number)

    def helper_id(self, number: int) -> str:
        """As ``func_id_name()`` of kernel/bpf/disasm.c."""
        return f"bpf_{HELPER_NAMES[number]}#{number}" if number in HELPER_NAMES else f"unknown#{number}"

    def kfunc(self, number: int, off: int) -> str:
        return f"{self.kfuncs.get(number, 'kfunc')}#{number}" + (f":{off}" if off else "")

    @staticmethod
    def unsigned(low: int, high: int) -> int:
        return low & U32 | (high & U32) << 32

    @staticmethod
    def signed(low: int, high: int) -> int:
        return ((low & U32 | (high & U32) << 32) ^ 1 << 63) - (1 << 63)


_PLAIN = Names()


def line(insns: Sequence[Insn], pc: int, *, syntax: str = "kernel", maps: Sequence[MapSpec] = (),
         kfuncs: Mapping[int, str] | None = None) -> str:
    """The instruction at slot ``pc``. ``kernel`` spelling is the verifier log's, ``(b7) r0 = 2``.

    ``maps`` puts names where a wide load holds a map's index; ``kfuncs`` (BTF id -> name) does so for kernel
    functions. A slot that is no instruction is shown as its bytes, ``.8byte 0x…``; in kernel spelling only if its
    opcode is unknown: the log prints an instruction with a reserved field set as if it were not.
    """
    insn = insns[pc]
    op = op_of(insn)
    if op is None and syntax == "kernel":
        op = _nearest(insn)
        if op is not None and (text := _refused(insn, op)):
            return text
    if op is None:
        return _bytes(insn)
    env = Names(maps, kfuncs=kfuncs) if maps or kfuncs else _PLAIN
    upper = insns[pc + 1].imm if op.kind == "lddw" and pc + 1 < len(insns) else 0
    return _printers(syntax)[op](pc, insn.dst, insn.src, insn.off, insn.imm, upper, env)


def disassemble(program: ProgramSpec | Sequence[Insn], *, syntax: str = "llvm", symbols: bool = True,
                source: bool = False) -> str:
    """Text that ``assemble`` reads back to the same bytes, one instruction a line.

    A ProgramSpec also prints its directives (type, licence, maps). ``symbols=False`` keeps plain distances and
    helper numbers. ``source=True`` puts the source lines between, as comments.
    Slots that are not instructions come out as ``.8byte 0x…  # why``: they keep their bytes.
    """
    spec = program if isinstance(program, ProgramSpec) else None
    insns = program.insns if spec else tuple(program)
    head = list(_directives(spec)) if spec else []
    labels = _labels(insns, spec) if symbols else {}
    env = Names(spec.maps if spec else (), labels, symbols=symbols)
    kernel = syntax == "kernel"
    printers = _printers(syntax)
    sources = spec.lines if spec and source else {}
    out, last, pc, end = head, None, 0, len(insns)
    indent = "    " if labels and not kernel else ""
    while pc < end:
        insn = insns[pc]
        if sources and (at := sources.get(pc)) is not None and (at.file, at.line, at.text) != last:
            out.append(f"; {at.text.strip()}")
            last = (at.file, at.line, at.text)
        if labels and pc in labels:
            out.append(f"{labels[pc]}:")
        op = op_of(insn)
        opcode, dst, src, off, imm = insn
        if op is None or dst > 10 or src > 10 or opcode == _WIDE_OPCODE:
            why = wrong(insns, pc)
            if why:
                out.append(f"{indent}{_bytes(insn)}  # {why}")
                pc += 1
                continue
        upper = insns[pc + 1][4] if opcode == _WIDE_OPCODE else 0
        text = printers[op](pc, dst, src, off, imm, upper, env)
        out.append(f"{pc}: {text}" if kernel else indent + text)
        pc += 2 if opcode == _WIDE_OPCODE else 1
    return "\n".join(out) + "\n" if out else ""


def _refused(insn: Insn, op: Op) -> str:
    """What the kernel's log makes of some that there are not, "" for what it prints as ``op`` (``print_bpf_insn``)."""
    opcode, dst, src, off, imm = insn
    if op.kind == "call" and src > CALL_KFUNC:
        return f"(85) call unknown#{imm}"
    if op.kind == "end":
        return f"({opcode:02x}) r{dst} = {'bswap' if opcode & 7 == ALU64 else op.verb}{imm} r{dst}"
    if op.kind == "atomic":
        size = SIZE_BYTES[opcode & 0x18]
        if size > 2 or op_of(insn._replace(opcode=STX | ATOMIC | W)) is None:
            return f"BUG_{opcode:02x}"
        text = line((insn._replace(opcode=STX | ATOMIC | W),), 0)
        return f"({opcode:02x})" + text.replace("(u32 *)", f"(u{8 * size} *)")[4:]
    if opcode == 0xBC and off == 32:
        return f"(bc) w{dst} = (s32)w{src}"
    if opcode == 0xBF and off == -1:        # what the kernel itself writes for addresses of a CPU's own
        return f"(bf) r{dst} = &(void __percpu *)(r{src})"
    return ""


def _nearest(insn: Insn) -> Op | None:
    """The row that most of the fields fit, among those of the opcode."""
    fields = ("dst", "src", "off", "imm")
    return max(rows(insn.opcode), default=None, key=lambda op: sum(
        getattr(insn, f) == op.fixed.get(f, 0) for f in fields if f not in op.operands))


def _printers(syntax: str):
    try:
        return PRINTERS[syntax]
    except KeyError:
        raise EbpflabError(f"unknown syntax {syntax!r}", hint="known: " + ", ".join(DIALECTS)) from None


def _bytes(insn: Insn) -> str:
    return f".8byte 0x{int.from_bytes(encode((insn,)), 'little'):016x}"


def _labels(insns: Sequence[Insn], spec: ProgramSpec | None) -> dict[int, str]:
    """A name for every slot that something jumps to, calls or takes the address of."""
    from .cfg import targets

    wide = {pc + 1 for pc, insn in enumerate(insns) if insn[0] == _WIDE_OPCODE}
    known = {**spec.labels, **spec.functions} if spec else {}
    taken: set[str] = set()
    labels = {}
    for pc, prefix in sorted(targets(insns).items()):
        if pc >= len(insns) or pc < 0 or pc in wide:
            continue
        name = known.get(pc, "")
        if not usable(name) or name in taken:
            name = f"{prefix}{pc}"
        taken.add(name)
        labels[pc] = name
    return labels


def _directives(spec: ProgramSpec) -> Iterator[str]:
    from .directives import print_map

    yield f".type {spec.type}"
    if spec.name != "prog":
        yield f".name {spec.name}"
    if spec.license != "GPL":
        yield f".license {spec.license}"
    for key in ("attach_type", "kern_version", "flags", "ifindex"):
        if getattr(spec, key):
            yield f".{key} {getattr(spec, key)}"
    for name, map_ in zip(map_names(spec.maps), spec.maps, strict=True):
        yield print_map(map_, name)
    yield ""

