"""The compiled build of the verifier (``make compiled``), as the tests use it: in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "compiled"


def run(module: str, *args: str):
    """Run a module of the tests with the compiled package; what it printed as JSON."""
    if not (BUILD / "ebpflab").is_dir():
        pytest.skip("no compiled build: `make compiled` makes it, or says why not")
    environment = {**os.environ, "PYTHONPATH": f"{BUILD}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-P", "-m", module, *args], env=environment, cwd=ROOT, capture_output=True,
                          text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
