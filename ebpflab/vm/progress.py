"""A Progress for people: one line that changes, in a terminal or a notebook."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager


@contextmanager
def shown(title: str = "VM"):
    """Yields a Progress; work that is over within half a second shows nothing."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    begin = time.monotonic()
    with Progress(TextColumn(f"{title}: {{task.description}}"), BarColumn(bar_width=24), TimeElapsedColumn(),
                  transient=True, redirect_stdout=False, redirect_stderr=False,
                  disable=not (sys.stderr.isatty() or "ipykernel" in sys.modules)) as bar:
        task = bar.add_task("", total=None, visible=False)

        def progress(text: str, fraction: float | None = None) -> None:
            bar.update(task, description=text, total=None if fraction is None else 1.0, completed=fraction or 0.0,
                       visible=fraction is not None or time.monotonic() - begin > 0.5)

        yield progress
