"""What a notebook cell started ends when that cell runs again: no second reader is left behind.

JupyterLab, Notebook 7 and VS Code name the cell in each execution request; where no front end does, nothing is tied.
"""

from __future__ import annotations

import sys
import threading
import weakref

_started: dict[str, list[weakref.ref]] = {}
_hooked: weakref.WeakSet = weakref.WeakSet()
_running = False


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


def busy() -> bool:
    """Does a cell run right now? Then nobody answers the front end on the kernel's main thread."""
    _hook()
    return _running


def own(thing) -> None:
    """Stop ``thing`` (it has ``stop()``) when the cell that runs now is run again."""
    cell = current()
    if not cell:
        return
    _hook()
    alive = [ref for ref in _started.get(cell, ()) if ref() is not None]
    _started[cell] = [*alive, weakref.ref(thing)]


def _hook() -> None:
    global _running
    ipython = shell()
    if ipython is not None and ipython not in _hooked:
        ipython.events.register("pre_run_cell", _before)
        ipython.events.register("post_run_cell", _after)
        _hooked.add(ipython)
        _running = threading.current_thread() is threading.main_thread()    # the first hook is set by a cell


def _before(info) -> None:
    global _running
    _running = True
    for ref in _started.pop(getattr(info, "cell_id", None) or "", ()):
        if (thing := ref()) is not None:
            thing.stop()


def _after(result) -> None:
    global _running
    _running = False
