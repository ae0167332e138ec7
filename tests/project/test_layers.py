"""The house rules that a machine can check: imports point one way, and heavy packages stay out of the core."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "ebpflab"

#: module or package below ``ebpflab`` -> layer; imports go to the same or a smaller number
LAYERS = {
    "errors": 0,
    "isa": 1, "abi": 1,
    "layout": 2, "spec": 2, "asm": 2, "trace": 2,
    "obj": 3, "verify": 3, "sim": 3,
    "kernel": 4, "explain": 4, "vm": 4, "debugger": 4,
    "targets": 5,
    "stream": 6, "traffic": 6,
    "view": 7, "lessons": 7, "experiments": 7, "program": 7, "matrix": 7, "comparison": 7,
    "vm_cli": 8, "obj_cli": 8, "explain_cli": 9, "explain_magics": 9,
    "lab": 8, "doctor": 8, "magics": 9, "cli": 9, "__main__": 9, "bench": 9,
    "__init__": 10,
}
#: packages that see only the standard library and these
CLOSED = {"kernel": {"errors", "isa", "abi", "layout", "spec", "kernel"}}
PURE = ("isa", "abi", "asm", "layout", "spec", "verify", "trace", "sim", "debugger")
HEAVY = {"numpy", "pandas", "bokeh", "ipywidgets", "anywidget", "llvmlite", "IPython"}


def room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path):
    """(module, is it executed when the file is imported?) of every import in a file, relative ones made absolute."""
    here = ("ebpflab", *path.relative_to(PACKAGE).with_suffix("").parts)
    tree = ast.parse(path.read_text())
    top = set()
    stack = list(tree.body)
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            top.add(node)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            stack.extend(ast.iter_child_nodes(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, node in top
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            for name in node.names:
                yield f"{module}.{name.name}", node in top


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    mine = room(path)
    assert mine in LAYERS, f"{mine} has no layer: say where it belongs"
    for module, _ in imports(path):
        parts = module.split(".")
        if parts[0] != "ebpflab" or len(parts) < 2:
            continue
        other = parts[1] if parts[1] in LAYERS else "__init__"
        assert LAYERS[other] <= LAYERS[mine], f"{mine} (layer {LAYERS[mine]}) imports {module} (layer {LAYERS[other]})"
        if mine in CLOSED:
            assert other in CLOSED[mine], f"{mine} runs in guests: it may not import {module}"


@pytest.mark.parametrize("path", [p for p in FILES if room(p) == "kernel"], ids=lambda p: p.name)
def test_the_guest_needs_only_the_standard_library(path):
    for module, _ in imports(path):
        top = module.split(".")[0]
        assert top in ("ebpflab", "") or top in sys.stdlib_module_names, f"{path.name} imports {module}"


@pytest.mark.parametrize("name", PURE)
def test_the_core_loads_nothing_heavy(name):
    code = f"import sys, ebpflab.{name}; print(*sorted(set(sys.modules) & {HEAVY!r}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not found, f"import ebpflab.{name} loads {found}"


def test_the_package_itself_loads_nothing_heavy():
    code = f"import sys, ebpflab; print(*sorted(set(sys.modules) & {HEAVY!r}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []


def test_files_stay_small():
    long = {str(p.relative_to(PACKAGE)): n for p in FILES if (n := len(p.read_text().splitlines())) > 450}
    assert not long, f"one noun, one module: {long}"
