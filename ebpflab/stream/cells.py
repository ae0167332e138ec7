"""What a notebook cell started ends when that cell runs again: no second reader is left behind.

JupyterLab, Notebook 7 and VS Code name the cell in each execution request; where no front end does, nothing is tied.
"""

from __future__ import annotations

import sys
import weakref

_started: dict[str, list[weakref.ref]] = {}
_hooked: weakref.WeakSet = weakref.WeakSet()


def shell():
    """The IPython shell of this process, None outside IPython."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def current() -> str:
    """The id of the cell that runs now, "" if there is none or nobody said."""
    get_parent = getattr(shell(), "get_parent", None)
    try:
        parent = get_parent() if get_parent else {}
    except LookupError:     # a thread that no cell started
        return ""
    return str((parent or {}).get("metadata", {}).get("cellId") or "")


def own(thing) -> None:
    """Stop ``thing`` (it has ``stop()``) when the cell that runs now is run again."""
    cell = current()
    if not cell:
        return
    if (ipython := shell()) not in _hooked:
        ipython.events.register("pre_run_cell", _before)
        _hooked.add(ipython)
    alive = [ref for ref in _started.get(cell, ()) if ref() is not None]
    _started[cell] = [*alive, weakref.ref(thing)]


def _before(info) -> None:
    for ref in _started.pop(getattr(info, "cell_id", None) or "", ()):
        if (thing := ref()) is not None:
            thing.stop()
