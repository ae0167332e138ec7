"""Magics that explain: ``%bpf_explain``, ``%bpf_compare``. They parse a line and call the library."""

from __future__ import annotations

from typing import Any

from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from . import lab
from .errors import EbpflabError
from .explain_cli import SECONDS, searching
from .program import Program
from .spec import ProgramSpec
from .trace import Trace


@magics_class
class ExplainMagics(Magics):
    """``%bpf_explain``, ``%%bpf_explain``, ``%bpf_compare``, ``%%bpf_compare``."""

    def _subject(self, name: str, cell: str | None, type: str | None, magic: str) -> Any:
        """The program that a line names, or the one that the cell holds (assembly)."""
        if cell is not None:
            return lab.assemble(cell, name=name, file=f"%%{magic}", **({"type": type} if type else {}))
        found = self.shell.user_ns.get(name)
        if not isinstance(found, (Program, ProgramSpec, Trace)):
            known = [key for key, value in self.shell.user_ns.items() if isinstance(value, (Program, ProgramSpec))]
            raise EbpflabError(f"{name!r} is no program here", where=f"%{magic}",
                               hint=f"programs: {', '.join(known)}" if known else "a %%bpf cell makes one")
        return found

    @magic_arguments()
    @argument("name", nargs="?", default="prog", help="a program, or a trace (default: prog)")
    @argument("--target", "-T", default=None, help="whose verifier explains a cell (default: %%bpf_target)")
    @argument("--type", "-t", default=None, help="program type of a cell")
    @argument("--witness", "-w", nargs="?", type=float, const=SECONDS, default=0.0, metavar="SECONDS",
              help="look for an input that breaks it, for so many seconds")
    @line_cell_magic
    def bpf_explain(self, line: str, cell: str | None = None):
        """Why a program is rejected: the rule, needed against known, how it came to that, the fix."""
        args = parse_argstring(self.bpf_explain, line)
        subject = self._subject(args.name, cell, args.type, "bpf_explain")
        with searching(args.witness) as progress:
            return lab.explain(subject, target=args.target, witness=args.witness, progress=progress)

    @magic_arguments()
    @argument("name", nargs="?", default="prog", help="a program (default: prog)")
    @argument("--with", "-w", dest="others", action="append", metavar="TARGET", help="local, qemu:6.1 …; repeat it")
    @argument("--target", "-T", default="sim", help="what the others are compared with (default: ebpflab's verifier)")
    @argument("--type", "-t", default=None, help="program type of a cell")
    @line_cell_magic
    def bpf_compare(self, line: str, cell: str | None = None):
        """Several verifiers side by side: who says what, and the first step at which they part."""
        args = parse_argstring(self.bpf_compare, line)
        subject = self._subject(args.name, cell, args.type, "bpf_compare")
        return lab.compare(getattr(subject, "program", subject), (args.target, *(args.others or ("local",))))
