"""Every error that ebpflab raises on purpose.

An error says three things: where it happened, what is wrong, and what to do.
Magics and the command line print ``str(error)``; the Python API raises it.
"""

from __future__ import annotations

from types import TracebackType


class EbpflabError(Exception):
    """Base of all errors.

    ``what`` is one sentence; ``where`` names file, line, instruction or object;
    ``hint`` says what to do about it.
    """

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None):
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  hint: {self.hint}" if self.hint else head

    def _render_traceback_(self) -> list[str]:
        """What IPython shows below a cell: the line of the cell, then the error, not the way through the library."""
        return [*_cell_line(self.__traceback__), str(self)]


def _cell_line(traceback: TracebackType | None) -> list[str]:
    """The line of the user's that led to an error, as ``line 3: counts.frame()``; none where a magic stands there."""
    from linecache import getline

    found: list[str] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if traceback.tb_frame.f_globals.get("__name__") == "__main__":
            text = getline(code.co_filename, traceback.tb_lineno).strip()
            found = [f"line {traceback.tb_lineno}: {text}"] if text and "get_ipython()" not in text else []
        traceback = traceback.tb_next
    return found


class AsmError(EbpflabError):
    """Source text that is not a program: with line, column and a caret below the spot.

    ``line`` and ``column`` count from 1; ``length`` is the width of the caret.
    """

    def __init__(
        self, what: str, *, source: str = "", file: str = "<cell>",
        line: int, column: int = 1, length: int = 1, hint: str | None = None,
    ):
        super().__init__(what, where=f"{file}:{line}:{column}", hint=hint)
        self.file, self.line, self.column, self.length, self.source = file, line, column, length, source

    def __str__(self) -> str:
        lines = self.source.split("\n")
        text = f"{self.where}: {self.what}"
        if 1 <= self.line <= len(lines):
            shown = lines[self.line - 1].rstrip("\r").replace("\t", " ")
            caret = " " * (self.column - 1) + "^" + "~" * (max(self.length, 1) - 1)
            text += f"\n  {shown}\n  {caret}"
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class DecodeError(EbpflabError):
    """Bytes that are not an eBPF instruction; ``pc`` is the slot, ``raw`` its eight bytes."""

    def __init__(self, what: str, *, pc: int, raw: bytes = b"", hint: str | None = None):
        shown = f" ({raw.hex(' ')})" if raw else ""
        super().__init__(what + shown, where=f"instruction {pc}", hint=hint)
        self.pc, self.raw = pc, raw


class SpecError(EbpflabError):
    """A program or map description that cannot be: unknown type, wrong key size, bad layout."""


class Rejected(EbpflabError):
    """The verifier said no. ``trace`` (an ``ebpflab.trace.Trace``) says why."""

    def __init__(self, what: str, *, trace=None, where: str | None = None, hint: str | None = None):
        super().__init__(what, where=where, hint=hint)
        self.trace = trace


class Unsupported(EbpflabError):
    """ebpflab, this target or this kernel does not (yet) do what was asked; never a verdict."""


class Fault(EbpflabError):
    """A program that ran did something that a machine must not: with instruction and registers.

    ``pc`` is the slot index, ``regs`` the eleven register values (ints), ``address`` what was touched.
    """

    def __init__(
        self, what: str, *, pc: int | None = None, regs: tuple[int, ...] = (),
        address: int | None = None, hint: str | None = None,
    ):
        super().__init__(what, where=None if pc is None else f"instruction {pc}", hint=hint)
        self.pc, self.regs, self.address = pc, regs, address


class KernelError(EbpflabError):
    """A system call that failed: ``errno`` and ``call`` (for instance ``BPF_PROG_LOAD``), ``log`` if any."""

    def __init__(
        self, what: str, *, errno: int = 0, call: str = "", log: str = "",
        where: str | None = None, hint: str | None = None,
    ):
        super().__init__(what, where=where, hint=hint)
        self.errno, self.call, self.log = errno, call, log


class TargetError(EbpflabError):
    """A target that cannot be had or was lost: no permission, no hypervisor, guest died."""
