"""Targets by name: ``sim``, ``local``, ``qemu``, ``qemu:6.12`` …, and those that other packages add.

A package adds one by an entry point of the group ``ebpflab.targets``::

    [project.entry-points."ebpflab.targets"]
    board = "mypackage.board:open"          # open(argument: str) -> Target

``argument`` is what follows the colon of the name, "" without one.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from ..errors import TargetError
from .base import Target

GROUP = "ebpflab.targets"

#: what ebpflab brings itself; an entry point of the same name goes before
BUILTIN = {
    "sim": "ebpflab.targets.sim:open",
    "local": "ebpflab.targets.local:open",
    "qemu": "ebpflab.targets.qemu:open",
    "vm": "ebpflab.targets.qemu:open_kept",
    "vagrant": "ebpflab.targets.vagrant:open",
    "ssh": "ebpflab.targets.ssh:open",
}


def names() -> list[str]:
    """Every kind of target that is known here, whether it can be opened or not."""
    return sorted({*BUILTIN, *(point.name for point in entry_points(group=GROUP))})


def _opener(kind: str) -> Callable[[str], Target]:
    points: list[EntryPoint] = list(entry_points(group=GROUP, name=kind))
    if points:
        try:
            return points[0].load()
        except (ImportError, AttributeError) as error:
            raise TargetError(f"the package that brings target {kind!r} is broken: {error}", where=points[0].value,
                              hint="reinstall or remove that package") from error
    if kind not in BUILTIN:
        near = get_close_matches(kind, names(), 1)
        raise TargetError(f"unknown target {kind!r}",
                          hint=f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(names()))
    module, _, function = BUILTIN[kind].partition(":")
    return getattr(import_module(module), function)


def open_target(name: str) -> Target:
    """Open a target by its name. TargetError (why, and what to do) if it is unknown or cannot be had."""
    kind, _, argument = name.partition(":")
    return _opener(kind)(argument)
