"""The lab: targets that are open, the default one, and the verbs that ``import ebpflab`` gives."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .asm import assemble, disassemble
from .errors import SpecError, TargetError, Unsupported
from .program import Bundle, Program
from .spec import ObjectSpec, ProgramSpec
from .targets.base import Closing, RunResult, Target
from .targets.registry import open_target
from .trace import Trace

if TYPE_CHECKING:
    from pandas import DataFrame

    from .comparison import Comparison
    from .debugger import Coverage, Debugger, Journey
    from .explain import Explanation
    from .matrix import Matrix
    from .obj.compile import Compiled, Diagnostic

__all__ = ["Bundle", "Lab", "Program", "assemble", "available", "close", "compare", "compile_c", "coverage",
           "debug", "default", "disassemble", "explain", "journey", "load", "load_object", "matrix", "run", "run_many",
           "set_default", "target", "verify"]


class Lab(Closing):
    """The targets of one session, opened once each by name and closed together, guests included."""

    def __init__(self, default: str = "sim"):
        super().__init__()
        self.default = default
        self._targets: dict[str, Target] = {}

    def target(self, name: str | None = None) -> Target:
        """The target of that name, opened when first asked for; without a name the default one."""
        name = name or self.default
        if name not in self._targets:
            self._targets[name] = self.own(open_target(name))
        return self._targets[name]

    def set_default(self, name: str) -> Target:
        """Open the target and make it the one that is meant when none is named."""
        opened = self.target(name)
        self.default = name
        return opened

    def close_target(self, name: str) -> None:
        """Close one target, with all that it holds."""
        opened = self._targets.pop(name, None)
        if opened is not None:
            self.disown(opened)
            opened.close()

    def close(self) -> None:
        self._targets.clear()
        super().close()


_lab = Lab()
atexit.register(_lab.close)


def default() -> Lab:
    """The lab of this process."""
    return _lab


def target(name: str | None = None) -> Target:
    """``sim``, ``local``, ``qemu`` … : opened once, shared by everything in this process."""
    return _lab.target(name)


def available(name: str) -> bool:
    """Can that target be opened here? (It is then open.) ``ebpflab.doctor.examine()`` says why not."""
    try:
        _lab.target(name)
    except TargetError:
        return False
    return True


def set_default(name: str) -> Target:
    """Choose the target that is meant when none is named; the first is ``sim``."""
    return _lab.set_default(name)


def _spec(program: ProgramSpec | ObjectSpec | str, *, kern_version: int | None = None, flags: int | None = None,
          **options) -> ProgramSpec:
    if isinstance(program, ObjectSpec):
        program = program.program()
    spec = assemble(program, **options) if isinstance(program, str) else program
    if not spec.insns:
        raise SpecError("there are no instructions", where=spec.name,
                        hint="the smallest program is: r0 = 0, and on the next line: exit")
    fields = {"kern_version": kern_version, "flags": flags}
    return replace(spec, **{name: value for name, value in fields.items() if value is not None})


def verify(program: ProgramSpec | ObjectSpec | str, *, target: str | None = None, log_level: int = 2,
           **options) -> Trace:
    """What the target's verifier says of a program (the only one of an object, or assembly text); nothing stays
    loaded."""
    return _lab.target(target).verify(_spec(program, **options), log_level=log_level)


def load(program: ProgramSpec | str, *, target: str | None = None, log_level: int = 2, **options) -> Program:
    """Verify and load a program (or assembly text). A context manager; see ``Program``.

    ``options`` for text are those of ``assemble`` (type, name, license …); ``kern_version`` and ``flags`` are given to
    bpf(2) as they are.

    >>> import ebpflab as lab
    >>> with lab.load("r0 = 2; exit", type="xdp") as prog:
    ...     prog.run(bytes(64)).verdict
    'XDP_PASS'
    """
    return Program(_spec(program, **options), _lab.target(target), log_level=log_level)


def _held(program: Program | ProgramSpec | ObjectSpec | str, target: str | None, options: dict) -> Any:
    """A context manager that gives a loaded program: the one that is given, which stays, or one of its own."""
    if isinstance(program, Program):
        return nullcontext(program)
    return Program(_spec(program, **options), _lab.target(target))


def run(program: Program | ProgramSpec | ObjectSpec | str, data: Any = b"", *, ctx: Any = b"", repeat: int = 1,
        target: str | None = None, **options) -> RunResult:
    """Test-run a program on a packet, ``repeat`` times. A spec or assembly text is loaded for it, and unloaded.

    >>> import ebpflab as lab
    >>> lab.run("r0 = 1; exit", bytes(64)).verdict
    'XDP_DROP'
    """
    with _held(program, target, options) as held:
        return held.run(data, ctx=ctx, repeat=repeat)


def run_many(program: Program | ProgramSpec | ObjectSpec | str, packets: Any, *, cpu: int = 0, tier: str = "auto",
             timing: bool = True, errors: str = "keep", **options) -> DataFrame:
    """Run a program on every packet of a list, a uint8 array or a capture's path, in the simulator: a row each.

    Columns and ``attrs`` (changes of maps) are those of ``targets.sim.SimProgram.run_many``.
    """
    with _held(program, "sim", options) as held:
        return held.run_many(packets, cpu=cpu, tier=tier, timing=timing, errors=errors)


def debug(program: Program | ProgramSpec | ObjectSpec | str, data: Any = b"", *, ctx: Any = b"", cpu: int = 0,
          **options) -> Debugger:
    """Run a program once in the simulator and walk the run in both directions; see ``ebpflab.debugger``."""
    with _held(program, "sim", options) as held:
        return held.debug(data, ctx=ctx, cpu=cpu)


def coverage(program: Program | ProgramSpec | ObjectSpec | str, packets: Any, *, cpu: int = 0, **options) -> Coverage:
    """Which instructions many packets reach, how often, and which way the branches go; see ``ebpflab.debugger``."""
    with _held(program, "sim", options) as held:
        return held.coverage(packets, cpu=cpu)


def journey(frame: Any, programs: Sequence[Program], *, cpu: int = 0) -> Journey:
    """What a chain of programs, loaded in the simulator, does to one packet; see ``ebpflab.debugger.journey``."""
    from .debugger import journey as travel

    return travel(bytes(frame), [program.simulated("inside") for program in programs], cpu=cpu)


def compile_c(source: str, *, file: str = "<cell>", mcpu: str = "v3", flags: Sequence[str] = (),
              target: str | None = None) -> ObjectSpec:
    """Compile C for a target: ``#include "vmlinux.h"`` gives the types of its kernel.

    Raises CompileError (with the place in the source), ObjectError, Unsupported.
    """
    return compiled(source, file=file, mcpu=mcpu, flags=flags, target=target)[0]


def compiled(source: str, *, file: str = "<cell>", mcpu: str = "v3", flags: Sequence[str] = (),
             target: str | None = None) -> tuple[ObjectSpec, tuple[Diagnostic, ...]]:
    """As ``compile_c``, with the compiler's warnings."""
    from .obj.objects import read_object

    done = compiled_object(source, file=file, mcpu=mcpu, flags=flags, target=target)
    spec = read_object(done.data, file)
    programs = {name: replace(each, source=source) for name, each in spec.programs.items()}
    return replace(spec, programs=programs), done.warnings


def compiled_object(source: str, *, file: str = "<cell>", mcpu: str = "v3", flags: Sequence[str] = (),
                    target: str | None = None) -> Compiled:
    """As ``compile_c``: the ELF object itself."""
    from .obj import compile as compiling
    from .obj import vmlinux

    for_ = _lab.target(target)
    include: tuple = ()
    if vmlinux.wanted(source):
        types = for_.btf()
        if not types:
            raise Unsupported(f"there is no vmlinux.h for target {for_.name}: its kernel shows no types",
                              where=file, hint="#include <linux/bpf.h> has what most programs need")
        include = (vmlinux.header_folder(types),)
    machine = for_.facts.machine if for_.facts.kernel else ""
    return compiling.compile_c(source, file=file, mcpu=mcpu, flags=flags, include=include, machine=machine)


def load_object(spec: ObjectSpec | bytes, *, target: str | None = None, log_level: int = 2) -> Bundle:
    """Load all programs of a compiled object (``compile_c``, or the bytes of a ``.o``). A context manager.

    A rejected program is in the bundle all the same, with the trace that says why.
    """
    if isinstance(spec, bytes):
        from .obj.objects import read_object

        spec = read_object(spec)
    return Bundle(spec, _lab.target(target), log_level=log_level)


def explain(program: ProgramSpec | ObjectSpec | Program | Trace | str, *, target: str | None = None,
            witness: float = 0.0, progress: Callable[[int, float], None] | None = None, **options) -> Explanation:
    """Why a program is rejected: the rule, needed against known, how it came to that, the fix.

    Takes a trace, a program (verified on ``target`` first), or assembly text. ``witness``: seconds in which to look for
    an input that breaks the program; ``progress`` is called with the runs done and the share of the time. Raises
    SpecError if it is not rejected.
    """
    from .explain import explain as explained

    trace = program if isinstance(program, Trace) else getattr(program, "trace", None) or verify(
        program, target=target, **options)
    if trace.verdict.result != "reject":
        raise SpecError(f"{trace}: there is no rejection to explain")
    return explained(trace, witness=witness, progress=progress)


def compare(program: ProgramSpec | Program | str, targets: Sequence[str] = ("sim", "local"), *, log_level: int = 2,
            **options) -> Comparison:
    """What several verifiers say of one program, and the first step at which each parts from the first one.

    ``sim`` is ebpflab's own verifier; a target that is not to be had is named with the reason.
    """
    from . import comparison

    spec = program.spec if isinstance(program, Program) else _spec(program, **options)
    if len(set(targets)) < 2:
        raise SpecError("a comparison needs two verifiers", where=", ".join(targets) or None,
                        hint="for instance sim, local, qemu:6.1")
    opened, absent = {}, {}
    for name in dict.fromkeys(targets):
        try:
            opened[name] = _lab.target(name)
        except TargetError as error:
            absent[name] = str(error)
    return comparison.run(spec, opened, absent, log_level=log_level)


def matrix(program: ProgramSpec | Program | str, kernels: Sequence[str] | None = None, *, data: bytes = bytes(64),
           repeat: int = 1000, **options) -> Matrix:
    """One program on several kernels and the simulator, side by side; see ``ebpflab.matrix.run``."""
    from . import matrix as package

    spec = program.spec if isinstance(program, Program) else _spec(program, **options)
    return package.run(spec, kernels or package.KERNELS, data=data, repeat=repeat)


def close() -> None:
    """Detach, unload and close everything of this process."""
    _lab.close()


class _Verb(ModuleType):
    """A package that can be called: ``ebpflab.verify`` holds the verifier, and ``ebpflab.verify(program)`` uses it."""

    def __call__(self, *args, **kwargs):
        return _VERBS[self.__name__.rpartition(".")[2]](*args, **kwargs)


_VERBS = {"verify": verify, "explain": explain, "matrix": matrix}
for _name in _VERBS:
    import_module(f".{_name}", __package__).__class__ = _Verb
