"""Every notebook runs from top to bottom in a kernel of its own; the cells that must fail say so with a tag."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def test_there_is_a_first_notebook():
    assert [path.name for path in NOTEBOOKS if path.name.startswith("00.00")] == ["00.00-start-here.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs_and_its_exercise_can_be_solved(path, tmp_path):
    """As it is, the check finds fault; with the folded solution in the cell before it, it finds none."""
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    check = next(cell for cell in code if "def check(" in cell.source)
    exercise = code[code.index(check) - 1]
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    with client.setup_kernel():
        for cell in notebook.cells:
            client.execute_cell(cell, notebook.cells.index(cell))
        for cell in code:
            errors = [o for o in cell.outputs if o.output_type == "error"]
            assert bool(errors) == ("raises-exception" in cell.metadata.get("tags", [])), cell.source
        assert "✗" in printed(check)
        exercise.source = solved(exercise.source, notebook)
        for cell in (exercise, check):
            client.execute_cell(cell, notebook.cells.index(cell))
        assert "✓" in printed(check) and "✗" not in printed(check), printed(check)


def printed(cell) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


def solved(source: str, notebook) -> str:
    """The exercise with its solution: in place of the comment that asks for it, or of the whole program."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    solution = re.search(r"<summary>(?:A|One|The) solution.*?```\n(.*?)```", text, re.S)[1]
    magic, _, program = source.partition("\n")
    asked = re.search(r"(?m)^ *// (?:your instructions|one instruction) here\n", program)
    return f"{magic}\n{program[:asked.start()]}{solution}{program[asked.end():]}" if asked else f"{magic}\n{solution}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_teaches(path):
    """Goal, predict, run, explain, exercise with a check, what next: every notebook has them, in this order."""
    text = "\n".join(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown").lower()
    marks = ("**goal", "**predict", "**run", "**explain", "exercise", "what next")
    places = [text.find(mark) for mark in marks]
    assert -1 not in places and places == sorted(places), dict(zip(marks, places, strict=True))
