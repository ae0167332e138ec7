"""What this machine can do, what is missing, and how to mend it.

Each check is a row of ``CHECKS``; a check that breaks is itself a finding, never a traceback.
"""

from __future__ import annotations

import html
import os
import platform
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata, util

OK, MISSING, LIMITED, BROKEN = "ok", "missing", "limited", "broken"
MARKS = {OK: "✓", MISSING: "–", LIMITED: "!", BROKEN: "✗"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One row. ``status``: ok | limited (works in part) | missing (optional part) | broken (should work, does not)."""

    check: str
    status: str
    result: str
    fix: str
    needed_for: str


@dataclass(frozen=True, slots=True)
class Report:
    """All findings: prints as a table, shows as HTML in a notebook, ``to_json`` for programs."""

    findings: tuple[Finding, ...]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    @property
    def ok(self) -> bool:
        """Is nothing broken? (Missing optional parts are fine.)"""
        return all(f.status != BROKEN for f in self.findings)

    def to_json(self) -> list[dict]:
        return [asdict(f) for f in self.findings]

    def __str__(self) -> str:
        """A table that fits the terminal: check, result, what needs it; a fix below, where there is one."""
        left = max(len(f.check) for f in self.findings) + 2
        width = min(max(shutil.get_terminal_size((110, 24)).columns, 60), 130) - left - 2
        lines = []
        for f in self.findings:
            text = [*textwrap.wrap(f"{f.result}  ({f.needed_for})", width),
                    *textwrap.wrap(f.fix, width, initial_indent="↳ ", subsequent_indent="  ")]
            for number, part in enumerate(text):
                head = f"{MARKS[f.status]} {f.check}" if number == 0 else ""
                lines.append(f"{head:{left}}  {part}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        cells = []
        for f in self.findings:
            fix = f"<code>{html.escape(f.fix)}</code>" if f.fix else ""
            cells.append(f"<tr><td title='{f.status}'>{MARKS[f.status]}</td><td>{html.escape(f.check)}</td>"
                         f"<td>{html.escape(f.result)}</td><td>{fix}</td><td>{html.escape(f.needed_for)}</td></tr>")
        style = "text-align:left;vertical-align:top"
        return (f"<table style='{style}'><thead><tr style='{style}'><th></th><th>check</th><th>result</th><th>fix</th>"
                f"<th>needed for</th></tr></thead><tbody style='{style}'>{''.join(cells)}</tbody></table>")


Probe = Callable[[], tuple[str, str, str]]  # -> status, result, fix


def _python() -> tuple[str, str, str]:
    good = sys.version_info >= (3, 11)
    return OK if good else BROKEN, platform.python_version(), "" if good else "install Python 3.11 or newer"


def _packages(names: tuple[str, ...], extra: str) -> Probe:
    def probe():
        missing = [name for name in names if util.find_spec(name) is None]
        if missing:
            return MISSING, f"not installed: {', '.join(missing)}", f'pip install "ebpflab[{extra}]"'
        return OK, ", ".join(f"{name} {metadata.version(name)}" for name in names), ""
    return probe


def _simulator() -> tuple[str, str, str]:
    from .asm import assemble
    from .targets.registry import open_target

    with open_target("sim") as sim, sim.load(assemble("r0 = 2\nexit", type="xdp")) as loaded:
        result = loaded.run(bytes(64))
    good = result.retval == 2
    return OK if good else BROKEN, f"a two-line program returned {result.verdict or result.retval}", ""


def _verifier() -> tuple[str, str, str]:
    from .verify import COMPILED

    return (OK, "compiled", "") if COMPILED else (OK, "pure Python", "for long programs: make compiled")


def _kernel() -> tuple[str, str, str]:
    if platform.system() != "Linux":
        return MISSING, f"{platform.system()} has no eBPF of its own", "use target sim, or a guest: %bpf_target qemu"
    return OK, f"Linux {platform.release()} {platform.machine()}", ""


def _bpf() -> tuple[str, str, str]:
    from .asm import assemble
    from .errors import EbpflabError
    from .targets.registry import open_target

    try:
        with open_target("local") as local:
            trace = local.verify(assemble("r0 = 2\nexit", type="xdp"))
            facts = local.facts
    except EbpflabError as error:
        return MISSING, error.what, error.hint or ""
    if not trace.ok:
        return BROKEN, f"the smallest program was rejected: {trace.verdict.error}", ""
    more = [name for name, there in (("BTF", facts.btf), ("JIT", facts.jit)) if there]
    return OK, f"programs load; {', '.join(more) or 'no BTF, no JIT'}", ""


def _namespaces() -> tuple[str, str, str]:
    from .errors import EbpflabError
    from .targets.registry import open_target

    try:
        with open_target("local") as local, local.net() as net:
            return OK, f"a private veth pair: {', '.join(net.ends)}", ""
    except EbpflabError as error:
        return MISSING, error.what, error.hint or ""


def _command(names: tuple[str, ...], package: str, *, version: tuple[str, ...] = ("--version",)) -> Probe:
    """Found on PATH and answering its version."""
    def probe():
        for name in names:
            path = shutil.which(name)
            if path:
                said = subprocess.run([path, *version], capture_output=True, text=True, timeout=20, check=False)
                first = (said.stdout or said.stderr).strip().splitlines()[:1]
                return OK, first[0][:70] if first else name, ""
        return MISSING, f"{' or '.join(names)} is not on PATH", _install(package)
    return probe


def _install(package: str) -> str:
    if platform.system() == "Darwin":
        return f"brew install {package.split()[0].removesuffix('-system-x86')}"
    return f"{'' if os.name == 'posix' and os.geteuid() == 0 else 'sudo '}apt-get install {package}"


def _compiler() -> tuple[str, str, str]:
    if shutil.which("clang"):
        said = subprocess.run(["clang", "-print-targets"], capture_output=True, text=True, timeout=20, check=False)
        if "bpf" in said.stdout:
            return _command(("clang",), "clang")()
    if util.find_spec("ziglang"):
        return OK, f"ziglang {metadata.version('ziglang')}", ""
    return MISSING, "neither clang with a bpf target nor ziglang", f'{_install("clang")}, or pip install "ebpflab[c]"'


def _guest() -> tuple[str, str, str]:
    from .errors import EbpflabError
    from .vm import image

    try:
        return image.examine()
    except EbpflabError as error:
        return MISSING, error.what, error.hint or ""


def _builder() -> tuple[str, str, str]:
    from .vm.image import missing

    if lacking := missing():
        return MISSING, f"not installed: {', '.join(lacking)}", _install(" ".join(lacking))
    return OK, "all tools are there", ""


def _disk() -> tuple[str, str, str]:
    from platformdirs import user_cache_path

    at = user_cache_path("ebpflab")
    while not at.exists():
        at = at.parent
    free = shutil.disk_usage(at).free / 1e9
    status, fix = (OK, "") if free > 5 else (LIMITED, "free some space: a guest image takes about 2 GB")
    return status, f"{free:.0f} GB free for guests and caches", fix


#: check, what needs it, probe
CHECKS: tuple[tuple[str, str, Probe], ...] = (
    ("Python", "everything", _python),
    ("notebook packages", "notebooks, charts, DataFrames",
     _packages(("jupyterlab", "ipywidgets", "anywidget", "bokeh", "pandas"), "lab")),
    ("simulator", "target sim: no root, no VM", _simulator),
    ("verifier", "every target; which build of it runs", _verifier),
    ("kernel", "target local", _kernel),
    ("bpf(2)", "target local", _bpf),
    ("network namespaces", "live traffic on target local", _namespaces),
    ("C compiler", "%%bpf --c", _compiler),
    ("QEMU", "target qemu", _command(("qemu-system-x86_64", "qemu-system-aarch64"), "qemu-system-x86")),
    ("guest image", "target qemu", _guest),
    ("image builder", "building the guest image", _builder),
    ("Vagrant", "target vagrant", _command(("vagrant",), "vagrant vagrant-libvirt")),
    ("fast simulator", "the JIT tier of the simulator", _packages(("llvmlite",), "jit")),
    ("disk", "guest images", _disk),
    ("browser", "the project's own tests", _command(("chromium", "google-chrome"), "chromium")),
)


def _look(check: str, needed_for: str, probe: Probe) -> Finding:
    try:
        status, result, fix = probe()
    except Exception as error:  # a doctor does not fall ill: what a probe raises is a finding
        status, result, fix = BROKEN, f"{type(error).__name__}: {error}", "report it, with `ebpflab doctor --json`"
    return Finding(check, status, result, fix, needed_for)


def examine() -> Report:
    """Run every check; takes a second or two."""
    return Report(tuple(_look(*row) for row in CHECKS))
