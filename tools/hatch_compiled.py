"""Build hook of hatch: compiles the verifier's hot modules with mypyc into a wheel for this Python and machine.

It is off unless HATCH_BUILD_HOOKS_ENABLE=1 is set; without it, and in editable installs, the package stays pure Python.
The source tree is not touched: what is compiled is a copy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


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
