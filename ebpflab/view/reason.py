"""Why a program was refused, as plain data for the page: what ``ebpflab.explain`` found."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..explain import NoWitness, Witness, explain
from ..explain.lessons import section
from ..trace import Trace

SAFE = 1 << 53      # beyond it JavaScript's numbers are not exact: such integers travel as strings
_ROOT = Path(__file__).parents[2]


def exact(value: Any) -> Any:
    """The same data, integers that a double cannot hold as text."""
    if isinstance(value, int) and abs(value) >= SAFE:
        return str(value)
    if isinstance(value, (list, tuple)):
        return [exact(each) for each in value]
    if isinstance(value, dict):
        return {name: exact(each) for name, each in value.items()}
    return value


def reason(trace: Trace) -> dict[str, Any] | None:
    """The explanation of a rejection (``Explanation.to_dict``), with links to its pages; None for another verdict."""
    if trace.verdict.result != "reject":
        return None
    found = explain(trace)
    shown = {**found.to_dict(), "diagnoses": [str(each) for each in found.diagnoses]}
    return exact({**shown, "page": page(found.id), "lesson_page": lesson_page(found.lesson)})


def witness_row(found: Witness | NoWitness) -> dict[str, Any]:
    return exact({**found.to_dict(), "text": str(found)})


def page(id: str) -> str:
    """The catalogue's page of a rejection, as a link from the working directory; "" where there is no checkout."""
    return _link(_ROOT / "docs" / "rejections.md") + f"#{id}" if id and (_ROOT / "docs").is_dir() else ""


def lesson_page(lesson: str) -> str:
    """The section of a notebook that teaches a lesson, as a link from the working directory; "" if there is none."""
    found = section(lesson)
    return f"{_link(found[0])}#{found[1]}" if found else ""


def _link(path: Path) -> str:
    # JupyterLab shows a file under the address that leads to it from the notebook's, which is where kernels run.
    return Path(os.path.relpath(path)).as_posix()
