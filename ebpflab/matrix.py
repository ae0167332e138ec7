"""One program on several kernels and the simulator, side by side: who accepts it, where they part, what it costs.

    matrix = run(spec, ["sim", "local", "5.10", "6.1", "6.12", "newest"])
    matrix.frame()              # a row a kernel
    matrix["6.1"].trace         # everything that kernel's verifier said
    matrix.difference("6.1")    # the first step at which it parts from the reference

A kernel is named by its series ("6.1": a guest that QEMU runs), or by a target ("sim", "local", "vagrant:lts"); a
target that is open already is taken as it is. Guests are opened one after the other and closed again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape

from .errors import EbpflabError, Rejected, SpecError, TargetError
from .spec import ProgramSpec
from .targets.base import RunResult, Target
from .targets.registry import names, open_target
from .trace import Trace
from .trace.compare import Difference, compare
from .vm import image
from .vm.machine import Progress, quiet

KERNELS = ("sim", "local", *image.RECIPES)
STATS = 4                      # BPF_LOG_STATS: the verifier's own measures and nothing else
SIGNS = {"accept": "✓", "reject": "✗", "unsupported": "?", "absent": "–"}


@dataclass(frozen=True)
class Row:
    """One kernel's answer. Sizes are in bytes, None where nothing was loaded or the place does not say.

    result      ``accept`` or ``reject``, ``unsupported`` if this place cannot judge the program, ``absent`` if the
                place is not to be had
    error       the verifier's words, or why there is no verdict; ``pc``: the instruction that it speaks of
    processed   instructions that the verifier walked; ``usec``: its own time without a log, in microseconds
    run_ns      mean time of one run; ``retval`` and ``verdict`` its end; ``unrun``: why there was no run
    """

    kernel: str
    release: str = ""
    result: str = "absent"
    error: str = ""
    pc: int | None = None
    processed: int | None = None
    usec: int | None = None
    xlated: int | None = None
    jited: int | None = None
    retval: int | None = None
    verdict: str = ""
    run_ns: int | None = None
    unrun: str = ""
    trace: Trace | None = None


@dataclass(frozen=True)
class Matrix:
    """What ``run`` found: ``rows`` in the order of asking; differences are counted from ``reference``, a row's name."""

    program: ProgramSpec
    rows: tuple[Row, ...]
    reference: str

    def __getitem__(self, kernel: str) -> Row:
        for row in self.rows:
            if row.kernel == kernel:
                return row
        raise KeyError(f"no row {kernel!r}: there are " + ", ".join(row.kernel for row in self.rows))

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @property
    def agree(self) -> bool:
        """Do all that judged say the same, of the program and of what it returns?"""
        judged = [row for row in self.rows if row.result in ("accept", "reject")]
        return len({row.result for row in judged}) <= 1 and len({row.retval for row in judged if not row.unrun}) <= 1

    def difference(self, kernel: str, **options) -> Difference | None:
        """The first point where that kernel's trace parts from the reference's; ``options`` of ``trace.compare``."""
        ours, theirs = self[self.reference].trace, self[kernel].trace
        if ours is None or theirs is None:
            raise SpecError(f"there is no trace of {self.reference if ours is None else kernel} to compare")
        return None if ours is theirs else compare(ours, theirs, **options)

    def parting(self, row: Row) -> str:
        """``difference`` in a few words; "" for the reference itself and where nothing can be compared."""
        if row.kernel == self.reference or not row.trace or not self[self.reference].trace:
            return ""
        found = self.difference(row.kernel)
        return "same walk" if found is None else f"step {found.step}, instruction {found.pc_a}: {found.words}"

    def frame(self):
        """A DataFrame with a row a kernel; columns are the fields of ``Row`` and ``difference``."""
        import pandas as pd

        columns = [name for name in Row.__dataclass_fields__ if name != "trace"]
        table = pd.DataFrame([{name: getattr(row, name) for name in columns} for row in self.rows])
        for name in ("pc", "processed", "usec", "xlated", "jited", "retval", "run_ns"):
            table[name] = table[name].astype("Int64")
        table["difference"] = [self.parting(row) for row in self.rows]
        return table.set_index("kernel")

    def cells(self) -> list[list[str]]:
        """The table as text, its head first."""
        head = ["kernel", "release", "verdict", "processed", "verified in µs", "xlated", "jited", "returns", "ns a run",
                f"first difference from {self.reference}"]
        return [head, *([row.kernel, row.release, f"{SIGNS[row.result]} {row.result}", _text(row.processed),
                         _text(row.usec), _text(row.xlated), _text(row.jited), row.verdict or _text(row.retval),
                         _text(row.run_ns), self.parting(row) or row.error or row.unrun] for row in self.rows)]

    def __str__(self) -> str:
        cells = [[text[:100] for text in line] for line in self.cells()]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
                 for line in cells]
        return "\n".join([lines[0], "─" * min(sum(widths) + 2 * len(widths), 160), *lines[1:]])

    def _repr_html_(self) -> str:
        head, *lines = self.cells()
        body = "".join(
            f'<tr class="{row.result}">' + "".join(
                f'<td title="{escape(row.error or row.unrun)}">{escape(text)}</td>' for text in line) + "</tr>"
            for row, line in zip(self.rows, lines, strict=True))
        return (f'{STYLE}<table class="ebpflab-matrix"><caption>{escape(self.program.type)} program '
                f"{escape(self.program.name)}, {len(self.program.insns)} instructions</caption><thead><tr>"
                + "".join(f"<th>{escape(text)}</th>" for text in head) + f"</tr></thead><tbody>{body}</tbody></table>")


# Colours of their own would fail on one of the two themes: the page's text colour, and a bar at the row's start.
STYLE = """<style>
.ebpflab-matrix { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.ebpflab-matrix caption { text-align: left; padding: 4px 0; opacity: .8; }
.ebpflab-matrix th, .ebpflab-matrix td { text-align: left !important; padding: 3px 10px; vertical-align: top; }
.ebpflab-matrix td:nth-child(n+4):nth-child(-n+7), .ebpflab-matrix td:nth-child(9) { text-align: right !important; }
.ebpflab-matrix td:last-child { max-width: 32em; overflow-wrap: anywhere; white-space: normal; }
.ebpflab-matrix tr.accept td:first-child { border-left: 4px solid #2a9d6f; }
.ebpflab-matrix tr.reject td:first-child { border-left: 4px solid #d1495b; }
.ebpflab-matrix tr.unsupported td:first-child { border-left: 4px solid #c98a12; }
.ebpflab-matrix tr.absent { opacity: .6; }
</style>"""


def _text(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def run(program: ProgramSpec, kernels: Sequence[str | Target] = KERNELS, *, data: bytes = bytes(64), ctx: bytes = b"",
        repeat: int = 1000, reference: str = "", progress: Progress = quiet) -> Matrix:
    """Verify, load and test-run ``program`` on each of ``kernels``.

    ``data`` and ``ctx`` are given to the run, ``repeat`` times. ``reference`` is the row that the others are compared
    with: the first that judged if none is named. A place that is not to be had is a row that says why, no error.
    """
    asked = [kernel if isinstance(kernel, str) else kernel.name for kernel in kernels]
    if not asked or len(set(asked)) < len(asked):
        raise SpecError("a matrix needs kernels, each once", where=", ".join(asked) or None,
                        hint="for instance " + ", ".join(KERNELS))
    if reference and reference not in asked:
        raise SpecError(f"the reference {reference!r} is none of the kernels", hint="they are " + ", ".join(asked))
    rows = []
    for at, (name, kernel) in enumerate(zip(asked, kernels, strict=True)):
        progress(f"{program.name} on {name}", at / len(asked))
        rows.append(_row(program, name, kernel, data, ctx, repeat))
    judged = [row.kernel for row in rows if row.trace and row.result in ("accept", "reject")]
    return Matrix(program, tuple(rows), reference or (judged or asked)[0])


def _row(program: ProgramSpec, name: str, kernel: str | Target, data: bytes, ctx: bytes, repeat: int) -> Row:
    try:
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(contextlib.closing(_open(kernel))) if isinstance(kernel, str) else kernel
            return _judge(target, program, name, data, ctx, repeat)
    except TargetError as error:
        return Row(name, error=str(error))


def _open(name: str) -> Target:
    """A series ("6.1") is a guest that QEMU runs, anything else the name of a target."""
    known = {*image.RECIPES, *filter(None, image.ALIASES)}
    if name in known:
        return open_target(f"qemu:{name}")
    if name.partition(":")[0] not in names():
        raise SpecError(f"{name!r} is neither a kernel nor a target",
                        hint=f"kernels: {', '.join(sorted(known))}; targets: {', '.join(names())}")
    return open_target(name)


def _judge(target: Target, program: ProgramSpec, name: str, data: bytes, ctx: bytes, repeat: int) -> Row:
    row = Row(name, target.facts.kernel or target.facts.name, "unsupported")
    try:
        loaded = target.load(program)
    except Rejected as error:
        trace = error.trace
        if trace is None:
            return replace(row, error=error.what)
        verdict = trace.verdict
        return replace(row, result=verdict.result, error=verdict.error, pc=verdict.pc, trace=trace,
                       processed=verdict.stats.processed)
    except TargetError:
        raise
    except EbpflabError as error:
        return replace(row, error=error.what)
    with contextlib.closing(loaded):
        sizes = loaded.info() if hasattr(loaded, "info") else {}
        done, unrun = _run(loaded, data, ctx, repeat)
        usec = _usec(target, program) if sizes else None
        return replace(row, result=loaded.trace.verdict.result, trace=loaded.trace, usec=usec, unrun=unrun,
                       processed=loaded.trace.verdict.stats.processed, xlated=sizes.get("xlated_len"),
                       jited=sizes.get("jited_len"), retval=done.retval if done else None,
                       verdict=done.verdict if done else "", run_ns=done.duration_ns if done else None)


def _run(loaded, data: bytes, ctx: bytes, repeat: int) -> tuple[RunResult | None, str]:
    try:
        return loaded.run(data, ctx=ctx, repeat=repeat), ""
    except TargetError:
        raise
    except EbpflabError as error:      # most types cannot be test-run, or not with this input
        return None, error.what


def _usec(target: Target, program: ProgramSpec) -> int | None:
    """The verifier's own time for a load without a log, as it tells it."""
    with contextlib.closing(target.load(program, log_level=STATS)) as again:
        return again.trace.verdict.stats.usec
