"""Where a lesson of the catalogue is taught: a section of a notebook, found by its heading.

The lesson ``null-checks`` is the section ``## Null checks`` of whichever notebook has it.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
_HEADING = re.compile(r"^## ([A-Z][a-z -]+)$", re.M)


def section(lesson: str) -> tuple[Path, str] | None:
    """The notebook and the heading's anchor there (as JupyterLab makes it); None where there is no checkout."""
    return _sections().get(lesson)


@cache
def _sections() -> dict[str, tuple[Path, str]]:
    found: dict[str, tuple[Path, str]] = {}
    for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                for heading in _HEADING.findall("".join(cell["source"])):
                    found.setdefault(heading.lower().replace(" ", "-"), (notebook, heading.replace(" ", "-")))
    return found
