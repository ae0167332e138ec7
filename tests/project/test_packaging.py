"""The set-up files agree with each other."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def requirement(text: str) -> tuple[str, str]:
    name, rest = re.match(r"([A-Za-z0-9_.-]+)(?:\[[^]]*])?\s*(.*)", text).groups()
    return name.lower(), rest


def test_environment_yml_says_what_pyproject_says():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    plain = [d for d in environment["dependencies"] if isinstance(d, str)]
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    wanted = dict(map(requirement, [*PROJECT["project"]["dependencies"],
                                    *PROJECT["project"]["optional-dependencies"]["lab"]]))
    wanted["python"] = PROJECT["project"]["requires-python"]
    have = dict(map(requirement, plain))
    assert {"python", "jupyterlab", "clang", "pip"} <= set(have)
    assert pip == ["-e .[lab]"]
    for name, version in have.items():
        if name in wanted:
            assert version == wanted[name], f"{name}: {version} in environment.yml, {wanted[name]} in pyproject.toml"
        else:
            assert name in ("clang", "pip"), f"{name} is in environment.yml only"


def tracked(*patterns: str) -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).exists()]


def test_notebooks_are_stored_without_outputs():
    notebooks = tracked("notebooks/*.ipynb")
    assert notebooks
    for path in notebooks:
        for cell in json.loads(path.read_text())["cells"]:
            assert not cell.get("outputs") and not cell.get("execution_count"), f"{path.name} has outputs"


def test_nothing_tracked_is_large_or_knows_this_machine():
    here = re.compile(rb"/(?:work|farm)/(?:main|shared|\.library)|/tmp/bash_jobs")
    for path in tracked():
        data = path.read_bytes()
        assert len(data) <= 1_000_000, f"{path.relative_to(ROOT)} has {len(data)} bytes"
        assert not here.search(data) or path == Path(__file__), f"{path.relative_to(ROOT)} names a path of one machine"


@pytest.mark.parametrize("target", ["lab", "test", "bench"])
def test_make_knows(target):
    shown = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr


def test_everything_the_browser_needs_is_offline():
    remote = re.compile(r"""(?:src|href|import)\s*[=(]?\s*["']https?://|from\s+["']https?://|@import\s+url""")
    for path in tracked("ebpflab/*.js", "ebpflab/*.css", "ebpflab/*.html", "ebpflab/**/*.js", "ebpflab/**/*.css"):
        assert not remote.search(path.read_text()), f"{path.relative_to(ROOT)} loads from the network"


def test_the_lab_starts_on_the_first_notebook_also_where_a_browser_elsewhere_opens_the_address():
    shown = subprocess.run(["make", "-n", "lab", "ARGS=--no-browser", "PORT=8890"], cwd=ROOT, capture_output=True,
                           text=True, check=True).stdout
    page, = re.findall(r"--LabApp\.default_url=/lab/tree/(\S+)", shown)
    assert (ROOT / page).exists() and "--port=8890" in shown and "--no-browser" in shown
