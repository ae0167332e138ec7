"""The lab: targets that are open, the default one, and the verbs that ``import ebpflab`` gives."""

from __future__ import annotations

import atexit
from dataclasses import replace

from .asm import assemble, disassemble
from .errors import TargetError
from .program import Program
from .spec import ProgramSpec
from .targets.base import Closing, Target
from .targets.registry import open_target
from .trace import Trace

__all__ = ["Lab", "Program", "assemble", "available", "close", "default", "disassemble", "load", "set_default",
           "target", "verify"]


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


def _spec(program: ProgramSpec | str, *, kern_version: int | None = None, flags: int | None = None,
          **options) -> ProgramSpec:
    spec = assemble(program, **options) if isinstance(program, str) else program
    fields = {"kern_version": kern_version, "flags": flags}
    return replace(spec, **{name: value for name, value in fields.items() if value is not None})


def verify(program: ProgramSpec | str, *, target: str | None = None, log_level: int = 2, **options) -> Trace:
    """What the target's verifier says of a program (or of assembly text); nothing stays loaded."""
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


def close() -> None:
    """Detach, unload and close everything of this process."""
    _lab.close()
