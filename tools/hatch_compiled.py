"""Build hook of hatch: compiles the verifier's hot modules with mypyc into a wheel for this Python and machine.

It is off unless HATCH_BUILD_HOOKS_ENABLE=1 is set; without it, and in editable installs, the package stays pure Python.
The source tree is not touched: what is compiled is a copy.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def spell_out_constants(root: Path, name: str) -> None:
    """Write ``A: Final = 0`` for each number of ``A, B = range(2)`` and the like: mypyc then knows it where it is used,
    and does not look it up in a dictionary each time."""
    ask = ("import importlib, json, sys; module = importlib.import_module(sys.argv[1]); "
           "print(json.dumps({k: v for k, v in vars(module).items() if k.isupper() and type(v) is int}))")
    done = subprocess.run([sys.executable, "-c", ask, name.removesuffix(".py").replace("/", ".")], cwd=root,
                          capture_output=True, text=True, check=True)
    values = json.loads(done.stdout)
    path = root / name
    source = path.read_text()
    lines, final = source.splitlines(keepends=True), []
    for node in reversed(ast.parse(source).body):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            names = [each.id for each in getattr(target, "elts", [target]) if isinstance(each, ast.Name)]
            if names and all(each in values for each in names):
                lines[node.lineno - 1:node.end_lineno] = [f"{each}: Final = {values[each]}\n" for each in names]
                final += names
    if final:
        body = ast.parse(source).body       # a docstring, then imports or constants
        first = next((node for node in body if isinstance(node, (ast.Import, ast.ImportFrom))), body[0])
        lines.insert(first.end_lineno, "from typing import Final\n")
    path.write_text("".join(lines))


class CompiledVerifier(BuildHookInterface):
    """``modules`` in pyproject.toml names what is compiled, ``opt-level`` how the C compiler optimizes."""

    def initialize(self, version: str, build_data: dict) -> None:
        if version == "editable":
            return
        self._need_compiler()
        self._copy = TemporaryDirectory(prefix="ebpflab-compiled-")
        root = Path(self._copy.name)
        shutil.copytree(Path(self.root) / "ebpflab", root / "ebpflab",
                        ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        files = [f"ebpflab/verify/{name}.py" for name in self.config["modules"].split()]
        for name in ["ebpflab/isa/bits.py", *files]:
            spell_out_constants(root, name)
        options = {"MYPYC_OPT_LEVEL": str(self.config["opt-level"]), "MYPYC_DEBUG_LEVEL": "0"}
        # what the verifier runs on is in its own package: other packages (numpy, pandas) are not to be type-checked
        flags = ["--follow-imports=silent", "--ignore-missing-imports", "--no-site-packages"]
        done = subprocess.run([sys.executable, "-m", "mypyc", *flags, *files], cwd=root, env={**os.environ, **options},
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"mypyc could not compile the verifier:\n{done.stdout}\n{done.stderr}")
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        for built in sorted(root.rglob(f"*{suffix}")):
            where = built.relative_to(root)
            if where.parts[0] != "build":
                build_data["force_include"][str(built)] = str(where)
        build_data["infer_tag"], build_data["pure_python"] = True, False

    def finalize(self, version: str, build_data: dict, artifact_path: str) -> None:
        if version != "editable":
            self._copy.cleanup()

    @staticmethod
    def _need_compiler() -> None:
        wanted = os.environ.get("CC") or sysconfig.get_config_var("CC") or ""
        if wanted and not shutil.which(wanted.split()[0]):
            raise SystemExit(f"The verifier is not compiled: no C compiler ({wanted.split()[0]}) on PATH. On Debian: "
                             "apt-get install gcc python3-dev. Without it everything works in pure Python: "
                             "pip install ebpflab, without HATCH_BUILD_HOOKS_ENABLE.")
