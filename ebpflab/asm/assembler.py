"""The assembler: text to ProgramSpec, one pass over the statements.

Most statements are a dictionary look-up (``forms``). Those with a name in them (label, map, helper, constant) are
first rewritten to numbers, then looked up in the same table; jumps are patched when all labels are known.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property, partial

from ..abi.constants import CONSTANTS
from ..errors import AsmError, EbpflabError, SpecError
from ..isa import SLOT_BYTES, Insn, bits, slots
from ..spec import ProgramSpec, SourceLine
from . import messages, names
from .directives import EMITTING, Declared, DirectiveError, declare
from .forms import DIALECTS, FORMS, KERNEL_FORMS, SPLIT, OperandError, number, reader, shape
from .prototypes import described

_LABEL = re.compile(rf"\s*({names.NAME}|\d+)\s*:(?!:)")
_DIRECTIVE = re.compile(r"\s*\.(\w+)(?=\s|$)[ \t]*(.*)$")
_DIRECTIVES = re.compile(r"^[ \t]*\.(\w+)(?=\s|$)[ \t]*(.*)$", re.M)
_SECTION = re.compile(r"\s*[0-9a-f]{16} <([^>]+)>:\s*$")                          # llvm-objdump's function head
_DUMP = re.compile(r"\s*[0-9a-f]+:\s+(?:[0-9a-f]{2} ){7}[0-9a-f]{2}(?:(?: [0-9a-f]{2}){8})?\s+")
_KERNEL = re.compile(r"\s*(?:\d+:\s*)?\(([0-9a-f]{2})\)\s*")
_COMMENT = re.compile(r"//|(?<!\w)#|#(?!-?\d)|^\s*;")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_BLOCK = re.compile(r"/\*.*?\*/", re.S)
_WIDE = bits.LD | bits.IMM | bits.DW
#: the distance of these is in imm
_FAR = (bits.JMP32 | bits.JA, bits.JMP | bits.CALL, _WIDE)
_MEMO_LIMIT = 20_000

_memos: dict[str, dict[str, object]] = {name: {} for name in FORMS}


def assemble(text: str, *, type: str = "xdp", name: str = "prog", license: str = "GPL", file: str = "<cell>",
             syntax: str = "auto") -> ProgramSpec:
    """Assemble ``text`` in any of the dialects (``syntax`` names one: ``llvm``, ``kernel``, ``mnemonic``).

    ``type``, ``name`` and ``license`` hold unless a directive says otherwise (``ebpflab.asm.directives``).
    Raises AsmError with line, column, caret and what was probably meant.
    """
    if syntax not in FORMS:
        raise EbpflabError(f"unknown syntax {syntax!r}", hint="known: auto, " + ", ".join(DIALECTS))
    collecting = gc.isenabled()
    gc.disable()       # a program is no garbage: a third of the time went into looking for some
    try:
        return _Assembly(text, file, syntax).run({"type": type, "name": name, "license": license})
    finally:
        if collecting:
            gc.enable()


class _Lines(Mapping):
    """Slot -> SourceLine, made when asked for: a program of 1e5 lines needs few of them."""

    def __init__(self, file: str, source: list[str], starts: list[int], numbers: list[int]):
        self.file, self.source, self._pairs = file, source, (starts, numbers)

    @cached_property
    def starts(self) -> dict[int, int]:
        return dict(zip(*self._pairs, strict=True))

    def __getitem__(self, pc: int) -> SourceLine:
        line = self.starts[pc]
        text = self.source[line - 1]
        return SourceLine(self.file, line, len(text) - len(text.lstrip()) + 1, text.strip())

    def __iter__(self) -> Iterator[int]:
        return iter(self.starts)

    def __len__(self) -> int:
        return len(self.starts)


class _Assembly:
    """One run: the state of a pass over one source."""

    def __init__(self, text: str, file: str, syntax: str):
        self.text, self.file, self.syntax = text, file, syntax
        self.lines = text.split("\n")
        self.forms, self.memo = FORMS[syntax], _memos[syntax]
        self.slots: list[tuple[int, int, int, int, int]] = []
        self.labels: dict[str, int] = {}
        self.numeric: list[tuple[str, int]] = []          # 1: may be defined often, 1f and 1b choose
        self.fixups: list[tuple[int, str, int, int]] = []   # slot, label, line, column
        self.functions: dict[int, str] = {}
        self.declared = Declared()
        self.line = 0

    # -- the passes -----------------------------------------------------------------------------------------

    def run(self, options: dict[str, str]) -> ProgramSpec:
        text = self.text
        if "\0" in text:
            self.line = text.count("\n", 0, text.index("\0")) + 1
            raise self.error("there is a zero byte: this is not text", "\0", "compiled programs are read as ELF")
        if "/*" in text:
            text = _BLOCK.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
        self.known_labels = _labels(text)
        if "." in text:
            self._directives(text)
        self.names = {**CONSTANTS, **self.declared.constants}
        self.map_index = {m.name: i for i, m in enumerate(self.declared.maps)}
        numbers, starts = self._statements(text.split("\n"))
        self._patch()
        first = self.declared.options.get("name", options["name"])
        functions = {0: first, **self.functions} if self.slots else {}
        btf, func_info = described(self.slots, functions)
        return ProgramSpec(
            tuple(map(partial(tuple.__new__, Insn), self.slots)), maps=tuple(self.declared.maps),
            labels={pc: name for name, pc in reversed(self.labels.items())},
            functions=functions, btf=btf, func_info=func_info,
            lines=_Lines(self.file, self.lines, starts, numbers), source=self.text,
            **{**options, **self.declared.options},
        )

    def _directives(self, text: str) -> None:
        """Directives first, wherever they stand: maps and constants may be used before their line."""
        for match in _DIRECTIVES.finditer(text):
            if match[1] in EMITTING:
                continue
            self.line = text.count("\n", 0, match.start()) + 1
            try:
                declare(match[1], _uncomment(match[2]).strip(), self.declared)
            except DirectiveError as error:
                raise self.error(error.what, error.word, error.hint) from None
            except (SpecError, OperandError) as error:
                raise self.error(str(getattr(error, "what", error)), "", getattr(error, "hint", None)) from None
        try:
            self.declared.finish()
        except SpecError as error:
            raise self.error(error.what, "", error.hint) from None

    def _statements(self, lines: list[str]) -> tuple[list[int], list[int]]:
        """Every statement in order; returns source line and first slot of each."""
        split, known, slots_, labels = SPLIT, self.memo.get, self.slots, self.known_labels
        emit = slots_.append
        numbers: list[int] = []
        starts: list[int] = []
        defined, functions = self.labels, self.declared.functions
        for line, text in enumerate(lines, 1):
            parts = split(text)
            read = known("\0".join(parts[::2]))
            before = len(slots_)
            if read is None and labels:
                # the commonest lines with a name in them: a label, a jump to one
                if text[-1:] == ":" and (label := text[:-1].strip()) in labels and label not in defined:
                    defined[label] = before
                    if label in functions:
                        self.functions[before] = label
                    continue
                head, _, label = text.rpartition(" ")
                if label in labels and ("goto" in head or head.lstrip()[:1] == "j"):
                    parts = split(f"{head} +0")
                    read = known("\0".join(parts[::2]))
                    if read is not None:
                        self.fixups.append((before, label, line, len(head) + 1))
            if read is not None:
                try:
                    read(parts, emit)
                except OperandError:
                    pass               # read again below, where errors get their place
                else:
                    numbers.append(line)
                    starts.append(before)
                    continue
            self.line = line
            self._line(text)
            for at in range(before, len(slots_)):
                if at == before or slots_[at][0] or slots_[at - 1][0] != _WIDE:
                    numbers.append(line)
                    starts.append(at)
        return numbers, starts

    def _line(self, text: str) -> None:
        """A line that is not in the memo: comment, label, directive, names, several statements."""
        kernel = _KERNEL.match(text)
        if kernel:
            self._kernel(kernel, text.split(";", 1)[0])
            return
        text = _uncomment(text)
        if text.isspace() or not text:
            return
        directive = _DIRECTIVE.match(text)
        if directive and not _LABEL.match(text):
            if directive[1] in EMITTING:
                self._emit_raw(directive)
            return
        head = _SECTION.match(text)
        if head:
            self._label(head[1], text)
            return
        dump = _DUMP.match(text)
        at = dump.end() if dump else 0
        for piece in text[at:].split(";"):
            end = at + len(piece)
            while (label := _LABEL.match(text, at, end)) is not None:
                self._label(label[1], text)
                at = label.end()
            if not text[at:end].isspace() and at < end:
                self._statement(text[:end], at, None)
            at = end + 1

    def _kernel(self, head: re.Match, text: str) -> None:
        """A line of the kernel's log: "5: (b7) r0 = 2 ; R0=2"."""
        if self.syntax not in ("auto", "kernel"):
            raise self.error("this line is in the kernel log's spelling", head[0].strip(),
                              f"syntax={self.syntax!r} was asked for; use auto or kernel")
        opcode = int(head[1], 16)
        parts = SPLIT(text[head.end():])
        read = self.memo.get((opcode, "\0".join(parts[::2])))
        if read is not None:
            try:
                read(parts, self.slots.append)
                return
            except OperandError:
                pass                   # again, for its place
        self._statement(text, head.end(), opcode)

    # -- one statement --------------------------------------------------------------------------------------

    def _statement(self, text: str, at: int, opcode: int | None) -> None:
        """``text[at:]`` is one statement; ``opcode`` is what a kernel line says in parentheses."""
        statement = text[at:].rstrip()
        statement = re.sub(r"\s*<[^<>]*>$", "", statement) if statement.endswith(">") else statement
        numeric = statement[-1:] in ("f", "b") and names.BRANCH.match(statement)       # goto 1f
        if not numeric and self._read(statement, at, opcode, statement):
            return
        try:
            rewritten = names.resolve(self, statement, at)
        except OperandError as error:
            raise self.error(str(error), statement.strip(), error.hint) from None
        if rewritten != statement and self._read(rewritten, at, opcode, statement):
            return
        raise messages.unreadable(self, statement, rewritten, at, opcode)

    def _read(self, statement: str, at: int, opcode: int | None, original: str) -> bool:
        parts = SPLIT(statement)
        key, signs = shape(parts)
        forms = self.forms.get(key) if opcode is None else KERNEL_FORMS.get((opcode, key))
        if forms is None:
            return False
        try:
            read = reader(forms, signs)
            read(parts, self.slots.append)
        except OperandError as error:
            raise messages.wrong_number(self, parts, signs, at, error, forms, original) from None
        if len(self.memo) > _MEMO_LIMIT:
            self.memo.clear()
        raw = "\0".join(parts[::2])
        self.memo[raw if opcode is None else (opcode, raw)] = read
        return True

    def _emit_raw(self, directive: re.Match) -> None:
        for word in directive[2].replace(",", " ").split():
            try:
                value = number(word)
                raw = value.to_bytes(SLOT_BYTES, "little", signed=value < 0)
            except (ValueError, OverflowError) as error:
                raise self.error(f"{word!r} is not a number of 64 bits", word) from error
            self.slots.extend(slots(raw))

    # -- labels ---------------------------------------------------------------------------------------------

    def _label(self, name: str, text: str) -> None:
        if name.isdigit():
            self.numeric.append((name, len(self.slots)))
            return
        if name in self.labels:
            raise self.error(f"label {name!r} is defined twice", text.find(name), length=len(name))
        self.labels[name] = len(self.slots)
        if name in self.declared.functions:
            self.functions[len(self.slots)] = name

    def fix(self, label: str, column: int) -> None:
        self.fixups.append((len(self.slots), label, self.line, column))

    def _patch(self) -> None:
        """Put distances into jumps, calls and function references."""
        labels, slots_ = self.labels, self.slots
        for pc, label, line, column in self.fixups:
            target = labels.get(label)
            if target is None:
                target = self._target(label, pc, line, column)
            opcode, dst, src, off, imm = slots_[pc]
            distance = target - pc - 1
            if opcode in _FAR:
                imm = distance
                if opcode != bits.JMP32 | bits.JA:
                    self.functions[target] = label
            elif -0x8000 <= distance <= 0x7FFF:
                off = distance
            else:
                self.line = line
                raise self.error(f"label {label!r} is {distance} slots away, a jump reaches 32767", column,
                                  "gotol (ja32) reaches farther", length=len(label))
            slots_[pc] = (opcode, dst, src, off, imm)

    def _target(self, label: str, pc: int, line: int, column: int) -> int:
        if label[0].isdigit():
            places = [at for name, at in self.numeric if name == label[:-1]]
            forward = label[-1] == "f"
            chosen = [at for at in places if at > pc][:1] if forward else [at for at in places if at <= pc][-1:]
            if chosen:
                return chosen[0]
        if label == "exit":        # bpf_conformance: the first exit instruction
            for at, slot in enumerate(self.slots):
                if slot[0] == bits.JMP | bits.EXIT and not (at and self.slots[at - 1][0] == _WIDE):
                    return at
        self.line = line
        near = get_close_matches(label, self.labels, 1)
        raise self.error(f"label {label!r} is not defined", column, f"did you mean {near[0]!r}?" if near else
                          "put it as NAME: before an instruction", length=len(label))

    # -- errors ---------------------------------------------------------------------------------------------

    def error(self, what: str, where: str | int = "", hint: str | None = None, length: int = 0) -> AsmError:
        """An error in the current line; ``where`` is the offending word or a column from 0."""
        text = self.lines[self.line - 1] if 0 < self.line <= len(self.lines) else ""
        if isinstance(where, str):
            whole = re.search(rf"(?<![\w.]){re.escape(where)}(?!\w)", text)
            at = (whole.start() if whole else max(text.find(where), 0)) if where else len(text) - len(text.lstrip())
            length = length or len(where) or len(text.strip())
        else:
            at = where
        return AsmError(what, source=self.text, file=self.file, line=max(self.line, 1), column=at + 1,
                        length=length or 1, hint=hint)


def _labels(text: str) -> set[str]:
    """Names that stand before a colon: the labels, known before the pass so that a call can mean one."""
    found = set()
    for before in text.split(":")[:-1]:
        word = before[max(before.rfind("\n"), before.rfind(";"), before.rfind(" ")) + 1:].strip("\t<>")
        if names.WORD.fullmatch(word):
            found.add(word)
    return found


def _uncomment(text: str) -> str:
    """The line without its comment; a quoted string keeps what looks like one."""
    if '"' in text:
        masked = _QUOTED.sub(lambda m: "\1" * len(m[0]), text)
        match = _COMMENT.search(masked)
        return text[:match.start()] if match else text
    match = _COMMENT.search(text)
    return text[:match.start()] if match else text
