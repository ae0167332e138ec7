"""Notebook magics. They parse a line, call the library and show what comes back; no logic lives here."""

from __future__ import annotations

import shlex
from keyword import iskeyword

from IPython.core.magic import Magics, cell_magic, line_cell_magic, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from IPython.display import display

from . import lab
from .abi import prog_types
from .debugger import Debugger
from .errors import EbpflabError
from .program import Program, bind
from .spec import ObjectSpec
from .stream.maps import LabMap
from .targets.base import describe
from .trace import Trace


def _options(*options):
    """One decorator for options that several magics take."""
    def decorate(method):
        for option in reversed(options):
            method = option(method)
        return method

    return decorate


target_options = _options(
    argument("--target", "-T", default=None, help="sim, local, qemu … (default: %%bpf_target)"),
    argument("--log-level", type=int, default=2, choices=(1, 2), help="verifier log: 2 every step, 1 less"),
    argument("--view", default="stepper", choices=("stepper", "text", "slice", "none"),
             help="how the verification is shown; slice: as text, only the steps that matter for the verdict"),
)
c_options = _options(
    argument("--cflags", default="", help="more options for the C compiler, as '-DDEBUG -O1'"),
    argument("--mcpu", default="v3", choices=("v1", "v2", "v3", "v4"), help="instruction set that C is compiled to"),
)


def _variable(name: str) -> str:
    """The name that a cell gives its program, if Python can use it."""
    if not name.isidentifier() or iskeyword(name):
        raise EbpflabError(f"{name!r} cannot be a variable", where="%%bpf",
                           hint="the program is bound to it: letters, digits and _, as in %%bpf counter")
    return name


def _variables(spec: ObjectSpec, name: str | None) -> dict[str, str]:
    """Program -> variable, the one to be shown first. A single program takes the name that was given."""
    programs = list(spec.programs)
    if len(programs) == 1:
        return {programs[0]: name or programs[0]}
    shown = spec.program(name).name if name else programs[0]
    return {shown: shown, **{each: each for each in programs}}


@magics_class
class BpfMagics(Magics):
    """``%%bpf``, ``%%bpf_c``, ``%bpf_target``, ``%bpf_debug``, ``%bpf_watch``, ``%bpf_doctor``."""

    @magic_arguments()
    @argument("name", nargs="?", default=None, help="variable that the program is bound to (default: prog)")
    @argument("--type", "-t", default=None, choices=[row.name for row in prog_types.PROG_TYPES], metavar="TYPE",
              help="program type: xdp, socket_filter, sched_cls … (default: what .type or SEC says, or xdp)")
    @target_options
    @argument("--license", "-l", default=None, help="licence given to the kernel (default: GPL)")
    @argument("--kern-version", type=int, default=0, help="kern_version of bpf(2), for old kprobe programs")
    @argument("--syntax", default="auto", help="auto, llvm, kernel or mnemonic")
    @argument("--c", action="store_true", help="the cell is C; see %%bpf_c")
    @c_options
    @cell_magic
    def bpf(self, line: str, cell: str):
        """Assemble, verify and load the cell, show the verification, and bind the program and its maps."""
        args = parse_argstring(self.bpf, line)
        if args.c:
            given = {"--type": args.type, "--license": args.license, "--kern-version": args.kern_version}
            if wrong := [option for option, value in given.items() if value]:
                raise EbpflabError(f"{wrong[0]} has no meaning for C", where="%%bpf --c",
                                   hint='C says it itself: SEC("xdp") before the program, '
                                        'char LICENSE[] SEC("license") = "GPL";')
            return self._c(args, cell, f"%%bpf --c {args.name or ''}".rstrip())
        name = _variable(args.name or "prog")
        options = {key: value for key in ("type", "license") if (value := getattr(args, key)) is not None}
        spec = lab.assemble(cell, name=name, file=f"%%bpf {name}", syntax=args.syntax, **options)
        space = self.shell.user_ns
        if isinstance(space.get(name), Program):
            space[name].close()
        program = lab.load(spec, target=args.target, log_level=args.log_level, kern_version=args.kern_version)
        show_trace(program.trace, args.view)
        print(bind(program, name, space))

    @magic_arguments()
    @argument("name", nargs="?", default=None, help="the program to show (default: the only one, or the first)")
    @target_options
    @c_options
    @cell_magic
    def bpf_c(self, line: str, cell: str):
        """Compile the cell's C, verify and load its programs, show the verification, bind programs and maps."""
        args = parse_argstring(self.bpf_c, line)
        self._c(args, cell, f"%%bpf_c {args.name or ''}".rstrip())

    def _c(self, args, cell: str, file: str) -> None:
        spec, warnings = lab.compiled(cell, file=file, mcpu=args.mcpu, flags=shlex.split(args.cflags),
                                      target=args.target)
        names = _variables(spec, args.name)
        for warning in warnings:
            print(f"{warning.file}:{warning.line}:{warning.column}: warning: {warning.text}")
        space = self.shell.user_ns
        for name in names.values():
            if isinstance(space.get(name), Program):
                space[name].close()
        bundle = lab.load_object(spec, target=args.target, log_level=args.log_level)
        shown = next(iter(names))
        show_trace(bundle[shown].trace, args.view)
        for program, name in names.items():
            print(bind(bundle[program], name, space))

    @magic_arguments()
    @argument("name", help="a program of the simulator")
    @argument("data", nargs="*", help="the packet: an expression that gives bytes (default: 64 zero bytes)")
    @line_magic
    def bpf_debug(self, line: str):
        """Run a program once and walk the run in both directions: ``%bpf_debug hello packets.udp()``."""
        args = parse_argstring(self.bpf_debug, line)
        found = self.shell.user_ns.get(args.name)
        if not isinstance(found, Program):
            known = [name for name, value in self.shell.user_ns.items() if isinstance(value, Program)]
            raise EbpflabError(f"{args.name!r} is no program here", where="%bpf_debug",
                               hint=f"programs: {', '.join(known)}" if known else "a %%bpf cell makes one")
        expression = line.strip().removeprefix(args.name).strip()
        data = eval(expression, self.shell.user_global_ns, self.shell.user_ns) if expression else bytes(64)
        return found.debug(data)

    @line_magic
    def bpf_target(self, line: str):
        """``%bpf_target local``: the target of the cells that follow; without a name, show which it is."""
        name = line.strip()
        print(describe(lab.set_default(name) if name else lab.target()))

    @magic_arguments()
    @argument("expr", help="a map, a stream, or an expression that gives a DataFrame")
    @argument("--chart", "-c", default="line", choices=("line", "bar", "hist"), help="kind of chart")
    @argument("--every", "-e", type=float, default=0.2, help="seconds between readings")
    @argument("--rate", action="store_true", help="show change per second instead of totals")
    @argument("--by", default=None, help="column that tells the series or bars apart")
    @argument("--window", type=int, default=None, help="points of history that the chart keeps")
    @line_magic
    def bpf_watch(self, line: str):
        """A live chart of a map or stream."""
        from .view import live

        args = parse_argstring(self.bpf_watch, line)
        found = self.shell.user_ns.get(args.expr)
        if found is None:
            try:
                found = eval(args.expr, self.shell.user_global_ns, self.shell.user_ns)
            except (NameError, SyntaxError) as error:
                maps = [name for name, value in self.shell.user_ns.items() if isinstance(value, LabMap)]
                raise EbpflabError(str(error).split(" (")[0], where=f"%bpf_watch {args.expr}",
                                   hint=f"maps here: {', '.join(maps)}" if maps else
                                        "maps become variables when a %%bpf cell with .map is run") from None
        options = {key: value for key in ("by", "window") if (value := getattr(args, key)) is not None}
        return live.watch(found, chart=args.chart, every=args.every, rate=args.rate, **options)

    @line_cell_magic
    def bpf_doctor(self, line: str, cell: str | None = None):
        """What this machine can do, what is missing, and the fix."""
        from . import doctor

        return doctor.examine()


def show_trace(trace: Trace, how: str) -> None:
    """Display a verification as the stepper, or print it."""
    if how == "none":
        return
    if how in ("text", "slice"):
        from .trace.slice import matter
        from .view.text import trace_text

        print(trace_text(trace, steps=matter(trace) if how == "slice" else None))
    else:
        from .view.stepper import Stepper

        display(Stepper(trace))


def register(ipython) -> None:
    """Give IPython the magics and the displays."""
    from .explain_magics import ExplainMagics

    ipython.register_magics(BpfMagics, ExplainMagics)
    formatters = ipython.display_formatter.formatters
    formatters["text/html"].for_type(Trace, _trace_html)
    ipython.display_formatter.mimebundle_formatter.for_type(Debugger, _debugger)
    formatters["text/plain"].for_type(Trace, lambda trace, printer, cycle: printer.text(str(trace)))


def _debugger(debugger: Debugger, include=None, exclude=None):
    from .view.debugging import DebugStepper

    return DebugStepper(debugger)._repr_mimebundle_(include=include, exclude=exclude)


def _trace_html(trace: Trace) -> str:
    from .view.html import trace_page

    return trace_page(trace, embed=True)
