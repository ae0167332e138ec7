"""CO-RE: a program's reads of kernel structs are put where the target kernel has the fields.

As libbpf does (``relo_core.c``). A relocation names a type of the program and a path through it; types of the target
with the same essential name and kind are its candidates; all that have the path must give the same answer. What no
candidate has is *poisoned*: the instruction becomes a call that no kernel knows, which does no harm where the program
checked first (``bpf_core_field_exists``) and is a rejection where it did not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ..errors import EbpflabError
from ..isa import Insn, bits
from ..spec import CoreReloc, ProgramSpec
from . import btf as b
from .btf import Btf, BtfError, Type
from .core_types import Candidates, essential, fields_compatible, types_compatible, types_match

#: enum bpf_core_relo_kind
(FIELD_BYTE_OFFSET, FIELD_BYTE_SIZE, FIELD_EXISTS, FIELD_SIGNED, FIELD_LSHIFT_U64, FIELD_RSHIFT_U64, TYPE_ID_LOCAL,
 TYPE_ID_TARGET, TYPE_EXISTS, TYPE_SIZE, ENUMVAL_EXISTS, ENUMVAL_VALUE, TYPE_MATCHES) = range(13)
KINDS = ("byte_offset", "byte_size", "field_exists", "signed", "lshift_u64", "rshift_u64", "local_type_id",
         "target_type_id", "type_exists", "type_size", "enumval_exists", "enumval_value", "type_matches")
_FIELD = frozenset(range(FIELD_BYTE_OFFSET, FIELD_RSHIFT_U64 + 1))
_ENUM = frozenset((ENUMVAL_EXISTS, ENUMVAL_VALUE))
#: the helper number of a poisoned instruction: "invalid func unknown#195896080"
POISON = 0xBAD2310
_POISON = Insn(bits.JMP | bits.CALL, 0, 0, 0, POISON)
_WIDE = bits.LD | bits.IMM | bits.DW
_LONGEST = 64
_COMPOSITE = (b.STRUCT, b.UNION)


class CoreError(EbpflabError):
    """A relocation that cannot be made: damaged, ambiguous, or of an instruction that it does not fit."""


@dataclass(frozen=True, slots=True)
class Access:
    """One step of a path: into member ``index`` (with its name) of struct ``type``, or element ``index`` (without a
    name) of an array of ``type``."""

    type: int
    index: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Path:
    """Where a relocation leads in one BTF: ``root`` type id, steps, and the bits from its start."""

    types: Btf
    root: int
    steps: tuple[Access, ...] = ()
    bit_offset: int = 0

    def text(self) -> str:
        """``struct task_struct.mm`` for messages."""
        root = self.types[self.root]
        out = f"{root.kind_name} {root.name}" if root.kind in (*_COMPOSITE, b.ENUM, b.ENUM64) else root.name
        for number, step in enumerate(self.steps):
            if step.name:
                out += f".{step.name}"
            elif number or step.index:
                out += f"[{step.index}]"
        return out


@dataclass(frozen=True, slots=True)
class Answer:
    """What an instruction gets. ``value`` None: poison. ``size`` bytes and ``type`` of the field for a byte offset;
    ``sure``: the compiler's own value must agree with the program's types."""

    value: int | None
    size: int = 0
    type: Type | None = None
    sure: bool = True


def relocate(spec: ProgramSpec, target: Btf, candidates: Candidates | None = None) -> ProgramSpec:
    """The program for a kernel with these types; ``missing`` says what was poisoned.

    Raises CoreError (which instruction, which field) for ambiguity and for what is damaged.
    """
    if not spec.core:
        return spec
    local = Btf(spec.btf)
    candidates = candidates or Candidates(target)
    insns, missing = list(spec.insns), dict(spec.missing)
    for reloc in spec.core:
        def fail(what: str, hint: str | None = None, reloc: CoreReloc = reloc) -> CoreError:
            kind = KINDS[reloc.kind] if reloc.kind < len(KINDS) else f"kind {reloc.kind}"
            return CoreError(what, where=f"{spec.name}, instruction {reloc.pc}, CO-RE {kind}", hint=hint)

        try:
            path = parse(local, reloc)
            before, after = _answers(local, path, reloc, candidates, fail)
            if after.value is None:
                missing[reloc.pc] = _lacks(path, reloc.kind)
            _patch(insns, reloc.pc, before, after, path, missing, fail)
        except BtfError as error:
            raise fail(str(error)) from None
    return replace(spec, insns=tuple(insns), core=(), missing=missing)


# -- the program's side ---------------------------------------------------------------------------------------------

def parse(local: Btf, reloc: CoreReloc) -> Path:
    """What a relocation says in the program's own types (``bpf_core_parse_spec``). Raises BtfError."""
    def bad(what: str) -> BtfError:
        return BtfError(f"CO-RE access {reloc.path!r} of type {reloc.type}: {what}", 0)

    try:
        indexes = [int(word) for word in reloc.path.split(":")]
    except ValueError:
        raise bad("not numbers") from None
    if not 1 <= len(indexes) <= _LONGEST or min(indexes) < 0:
        raise bad("too long, or negative")
    if reloc.kind in _ENUM:
        enum = local.strip(reloc.type)
        if enum.kind not in (b.ENUM, b.ENUM64) or len(indexes) != 1 or indexes[0] >= len(enum.values):
            raise bad("no enumerator")
        return Path(local, enum.id, (Access(enum.id, indexes[0], enum.values[indexes[0]][0]),))
    if reloc.kind not in _FIELD:
        if indexes != [0]:
            raise bad("a type has no path")
        return Path(local, reloc.type)
    root = local.strip(reloc.type)
    at = root.id
    steps = [Access(at, indexes[0])]
    offset = indexes[0] * local.size(at) * 8
    for index in indexes[1:]:
        here = local.strip(at)
        if here.kind in _COMPOSITE:
            if index >= len(here.members):
                raise bad(f"{here.kind_name} {here.name} has {len(here.members)} members")
            member = here.members[index]
            offset += member.offset
            if member.name:
                steps.append(Access(here.id, index, member.name))
            at = member.type
        elif here.kind == b.ARRAY:
            if index >= here.count and not _flexible(local, steps[-1], here):
                raise bad(f"the array has {here.count} elements")
            at = local.strip(here.type).id
            steps.append(Access(at, index))
            offset += index * local.size(at) * 8
        else:
            raise bad(f"a {here.kind_name} has no members")
    return Path(local, root.id, tuple(steps), offset)


def _flexible(types: Btf, step: Access, array: Type) -> bool:
    """Is the array the last member of its struct and without a length of its own?"""
    return bool(step.name) and array.count <= 1 and step.index == len(types[step.type].members) - 1


# -- the kernel's side ----------------------------------------------------------------------------------------------

def _answers(local: Btf, path: Path, reloc: CoreReloc, candidates: Candidates, fail) -> tuple[Answer, Answer]:
    """What the compiler must have put in, and what belongs there."""
    if reloc.kind == TYPE_ID_LOCAL:
        mine = Answer(path.root, sure=False)
        return mine, mine
    if reloc.kind >= len(KINDS):
        raise fail("this kind of relocation is unknown")
    root = local[path.root]
    if not root.name:
        raise fail("a type without a name cannot be looked for in a kernel", "give the struct or enum a name")
    mine = _calculate(path, path, reloc.kind)
    found: tuple[Path, Answer] | None = None
    for candidate in candidates.of(root):
        theirs = _match(local, path, reloc.kind, candidates.types, candidate)
        if theirs is None:
            continue
        answer = _calculate(theirs, path, reloc.kind)
        if found and (answer.value != found[1].value or theirs.bit_offset != found[0].bit_offset):
            raise fail(f"{path.text()} is ambiguous: types {found[0].root} and {theirs.root} of the kernel give "
                       f"{found[1].value} and {answer.value}",
                       "the kernel has several types of this name; read the field by a type that is unique")
        found = found or (theirs, answer)
    return mine, found[1] if found else _calculate(None, path, reloc.kind)


def _match(local: Btf, path: Path, kind: int, target: Btf, root: Type) -> Path | None:
    """The same path in a candidate, None if it has none (``bpf_core_spec_match``)."""
    if kind in _ENUM:
        wanted = essential(path.steps[0].name)
        return next((Path(target, root.id, (Access(root.id, number, name),))
                     for number, (name, _) in enumerate(root.values) if essential(name) == wanted), None)
    if kind not in _FIELD:
        same: Callable = types_match if kind == TYPE_MATCHES else types_compatible
        return Path(target, root.id) if same(local, path.root, target, root.id) else None
    at, offset, steps = root.id, 0, []
    for number, step in enumerate(path.steps):
        if step.name:
            hit = _member(local, step, target, at, 0)
            if hit is None:
                return None
            access, bits_, at = hit
            offset += bits_
            steps.append(access)
            continue
        if number:
            array = target.strip(at)
            if array.kind != b.ARRAY or (step.index >= array.count and not _flexible(target, steps[-1], array)):
                return None
            at = target.strip(array.type).id
        steps.append(Access(at, step.index))
        offset += step.index * target.size(at) * 8
    return Path(target, root.id, tuple(steps), offset)


def _member(local: Btf, step: Access, target: Btf, id: int, depth: int) -> tuple[Access, int, int] | None:
    """Member of that name, through unnamed structs and unions: (step, bits from the start, type id of the member)."""
    outer = target.strip(id)
    if outer.kind not in _COMPOSITE or depth > 32:
        return None
    wanted = local[step.type].members[step.index]
    for number, member in enumerate(outer.members):
        if not member.name:
            inside = _member(local, step, target, member.type, depth + 1)
            if inside is not None:
                return inside[0], member.offset + inside[1], inside[2]
        elif member.name == wanted.name:
            if not fields_compatible(local, wanted.type, target, member.type):
                return None
            return Access(outer.id, number, member.name), member.offset, member.type
    return None


# -- values ---------------------------------------------------------------------------------------------------------

def _calculate(path: Path | None, wanted: Path, kind: int) -> Answer:
    """``bpf_core_calc_relo``. ``path`` None: the target has nothing like it."""
    if kind in (FIELD_EXISTS, ENUMVAL_EXISTS, TYPE_EXISTS, TYPE_MATCHES):
        return Answer(int(path is not None))
    if kind in (TYPE_ID_TARGET, TYPE_SIZE):
        if path is None:
            return Answer(0)
        # the compiler writes a size only when it knows it, and no id of a kernel
        return Answer(path.root if kind == TYPE_ID_TARGET else path.types.size(path.root), sure=kind == TYPE_SIZE)
    if path is None:
        return Answer(None)
    if kind == ENUMVAL_VALUE:
        step = path.steps[0]
        return Answer(path.types[step.type].values[step.index][1])
    return _field(path, kind)


def _field(path: Path, kind: int) -> Answer:
    """``bpf_core_calc_field_relo``: offset, size, sign, or the shifts that cut a bit field out of 64 bits."""
    types, last = path.types, path.steps[-1]
    if not last.name:
        element = types.strip(last.type)
        size = types.size(element.id)
        if kind == FIELD_BYTE_SIZE:
            return Answer(size)
        if kind == FIELD_BYTE_OFFSET:
            return Answer(path.bit_offset // 8, size, element)
        raise BtfError(f"{path.text()} is an element of an array, which has no {KINDS[kind]}", 0)
    member = types[last.type].members[last.index]
    type_ = types.strip(member.type)
    if member.bits:
        size = type_.size
        if size not in bits.SIZE_OF_BYTES:
            raise BtfError(f"bit field {path.text()} has a type of {size} bytes", 0)
        byte = path.bit_offset // 8 // size * size
        while path.bit_offset + member.bits - byte * 8 > size * 8:
            size *= 2
            if size > 8:
                raise BtfError(f"bit field {path.text()} does not fit into 64 bits", 0)
            byte = path.bit_offset // 8 // size * size
        width = member.bits
    else:
        size = types.size(type_.id)
        byte, width = path.bit_offset // 8, size * 8
    whole = not member.bits
    if kind == FIELD_BYTE_OFFSET:
        return Answer(byte, size if whole else 0, type_ if whole else None, whole)
    if kind == FIELD_BYTE_SIZE:
        return Answer(size, sure=whole)
    if kind == FIELD_SIGNED:
        return Answer(int(type_.signed))
    if kind == FIELD_LSHIFT_U64:
        return Answer(64 - (path.bit_offset + width - byte * 8), sure=whole)
    return Answer(64 - width)


def _lacks(path: Path, kind: int) -> str:
    """What the kernel is without, in words."""
    root = path.types[path.root]
    if kind in _ENUM:
        return f"this kernel's enum {essential(root.name)} has no value {path.steps[0].name}"
    name = f"{root.kind_name} {essential(root.name)}"
    field = Path(path.types, path.root, path.steps).text().split(".", 1)
    return f"this kernel's {name} has no field {field[1]!r} of that type" if len(field) > 1 else \
        f"this kernel has no {name}"


# -- instructions ---------------------------------------------------------------------------------------------------

def _patch(insns: list[Insn], pc: int, before: Answer, after: Answer, path: Path, missing: dict[int, str],
           fail) -> None:
    """``bpf_core_patch_insn``."""
    if not 0 <= pc < len(insns):
        raise fail(f"the program has {len(insns)} instructions")
    insn = insns[pc]
    wide = insn.opcode == _WIDE and pc + 1 < len(insns)
    resized = after.size != before.size and not _resizable(before, after)
    if after.value is not None and not (resized and _class(insn) in _MEMORY):
        insns[pc:pc + 1 + wide] = _patched(insns[pc:pc + 1 + wide], before, after, path, fail)
        return
    if after.value is not None:
        missing[pc] = (f"{path.text()} has {after.size} bytes on this kernel and {before.size} in the program, and is "
                       "no pointer or unsigned integer, so its read cannot be resized")
    insns[pc] = _POISON
    if wide:
        insns[pc + 1] = _POISON


_MEMORY = (bits.LDX, bits.ST, bits.STX)


def _class(insn: Insn) -> int:
    return insn.opcode & 7


def _resizable(before: Answer, after: Answer) -> bool:
    """May a load of another width take its place? Pointers (32 and 64 bits) and unsigned integers."""
    if before.type is None or after.type is None:
        return False
    kinds = {before.type.kind, after.type.kind}
    return kinds == {b.PTR} or (kinds == {b.INT} and not before.type.signed and not after.type.signed)


def _patched(insns: list[Insn], before: Answer, after: Answer, path: Path, fail) -> Iterable[Insn]:
    insn, value, kind = insns[0], after.value, _class(insns[0])
    assert value is not None

    def expect(found: int, width: int) -> None:
        if before.sure and before.value is not None and found != _signed(before.value, width):
            raise fail(f"{path.text()}: the instruction holds {found}, by the program's types it must be "
                       f"{before.value}", "the object is damaged, or was relocated before")

    if kind in (bits.ALU, bits.ALU64):
        if insn.opcode & bits.X:
            raise fail("the instruction has no constant to be relocated")
        expect(insn.imm, 32)
        return [insn._replace(imm=_signed(value, 32))]
    if kind in _MEMORY:
        expect(insn.off, 16)
        if value > 0x7FFF:
            raise fail(f"{path.text()} lies {value} bytes into its struct, an instruction reaches 32767",
                       "read it with bpf_core_read")
        opcode = insn.opcode
        if after.size != before.size:
            if bits.SIZE_OF_BYTES.get(before.size) != opcode & bits.DW:
                raise fail(f"{path.text()} has {before.size} bytes in the program, the instruction another width")
            if after.size not in bits.SIZE_OF_BYTES:
                raise fail(f"{path.text()} has {after.size} bytes on this kernel: no load has that width")
            opcode = opcode & ~bits.DW | bits.SIZE_OF_BYTES[after.size]
        return [insn._replace(opcode=opcode, off=value)]
    if len(insns) == 2:
        expect(insns[1].imm << 32 | insn.imm & bits.U32, 64)
        return [insn._replace(imm=_signed(value, 32)), insns[1]._replace(imm=_signed(value >> 32, 32))]
    raise fail(f"an instruction with opcode {insn.opcode:#04x} cannot be relocated")


def _signed(value: int, width: int) -> int:
    value &= (1 << width) - 1
    return value - (1 << width) if value >> (width - 1) else value
