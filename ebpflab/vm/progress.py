"""A Progress for people: one line that changes, in a terminal or below a notebook's cell."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .machine import Progress, quiet

BRIEF = 0.5        # seconds within which work whose length is not known shows nothing


@contextmanager
def shown(title: str = "VM") -> Iterator[Progress]:
    """Yields a Progress. Nothing is shown for work that is soon over, nor where nobody looks (a pipe, a log)."""
    if "ipykernel" in sys.modules:
        inner = _in_notebook(title)
    elif sys.stderr.isatty():
        inner = _in_terminal(title)
    else:
        yield quiet
        return
    begin = time.monotonic()
    with inner as show:
        def progress(text: str, fraction: float | None = None) -> None:
            if fraction is not None or time.monotonic() - begin > BRIEF:
                show(text, fraction)

        yield progress


@contextmanager
def _in_terminal(title: str) -> Iterator[Callable]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(TextColumn(f"{title}: {{task.description}}"), BarColumn(bar_width=24), TimeElapsedColumn(),
                  transient=True, console=Console(stderr=True), redirect_stdout=False, redirect_stderr=False) as bar:
        task = bar.add_task("", total=None, visible=False)
        yield lambda text, fraction: bar.update(task, description=text, total=1.0 if fraction else None,
                                                completed=fraction or 0.0, visible=True)


@contextmanager
def _in_notebook(title: str) -> Iterator[Callable]:
    """One line of text; what remains of it tells how long it took."""
    from IPython.display import TextDisplayObject, display

    class Line(TextDisplayObject):
        def __repr__(self) -> str:
            return self.data

    handle, begin = None, time.monotonic()

    def show(text: str, fraction: float | None) -> None:
        nonlocal handle
        line = Line(f"{title}: {text}" + (f" ({fraction:.0%})" if fraction else "") + " …")
        if handle is None:
            handle = display(line, display_id=True)
        else:
            handle.update(line)

    try:
        yield show
    finally:
        if handle is not None:
            done = "ready" if sys.exc_info()[0] is None else "stopped"
            handle.update(Line(f"{title}: {done} after {time.monotonic() - begin:.0f} s"))
