"""What the README says is true: its Python runs, its notebook cells run, its links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_python_example_prints_what_it_promises():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "accepted by ebpflab" in done.stdout and "XDP_PASS" in done.stdout


def test_the_notebook_example_runs():
    from IPython.core.interactiveshell import InteractiveShell

    (text,) = re.findall(r"## In a notebook\n\n```\n(.*?)```", README, re.S)
    load, cell = text.split("\n\n", 1)
    shell = InteractiveShell.instance()
    try:
        assert shell.run_cell(load).success and shell.run_cell(cell).success
        assert shell.user_ns["hello"].run(bytes(64)).verdict == "XDP_PASS"
        shell.run_line_magic("unload_ext", "ebpflab")
    finally:
        InteractiveShell.clear_instance()


def test_every_make_target_it_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in PAGES[:2]:
        for name in re.findall(r"make (\w+)", page.read_text()):
            assert name in targets, f"{page.name} names make {name}"


@pytest.mark.parametrize("arguments, status", [(("nonsense",), 2), ((), 2)])
def test_the_set_up_scripts_say_how_they_are_called(arguments, status):
    for script in ("debian-packages", "venv"):
        done = subprocess.run([ROOT / "tools" / script, *(("/nonexistent",) if script == "venv" else ()), *arguments],
                              capture_output=True, text=True)
        assert done.returncode == status, done.stderr


def test_without_permission_missing_packages_are_told_and_not_fatal(tmp_path):
    """As a user without root and sudo, on a machine where nothing is installed."""
    for name, text in {"dpkg-query": "exit 1", "id": "echo 65534"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(["/bin/sh", ROOT / "tools" / "debian-packages", "test"], env={"PATH": str(tmp_path)},
                          capture_output=True, text=True)
    assert done.returncode == 0 and "chromium" in done.stderr and "apt-get install" in done.stderr
