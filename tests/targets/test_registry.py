"""Targets by name: the built-in ones, entry points of other packages, and what is told when there is none."""

import sys

import pytest

from ebpflab.errors import TargetError
from ebpflab.targets import local, registry
from ebpflab.targets.registry import open_target


@pytest.fixture
def package(tmp_path, monkeypatch):
    """``package(name, target)``: an installed distribution with an entry point; its module has ``open``."""
    def install(name, value):
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[ebpflab.targets]\n{name} = {value}\n")
        (tmp_path / "board_target.py").write_text("def open(argument):\n    return ['board', argument]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return install


def test_builtin_names():
    assert set(registry.names()) >= {"sim", "local", "qemu"}


def test_entry_point(package):
    package("board", "board_target:open")
    assert open_target("board:usb0") == ["board", "usb0"]
    assert open_target("board") == ["board", ""]
    assert "board" in registry.names()


def test_entry_point_goes_before_the_builtin(package):
    package("local", "board_target:open")
    assert open_target("local:x") == ["board", "x"]


@pytest.mark.parametrize("value", ["no_such_module_here:open", "board_target:no_such_function"])
def test_broken_entry_point(package, value):
    package("broken", value)
    with pytest.raises(TargetError, match="package that brings target 'broken' is broken") as caught:
        open_target("broken")
    assert value in str(caught.value)


@pytest.mark.parametrize(("name", "hint"), [("locol", "did you mean 'local'?"), ("mars:1", "known: local"),
                                            ("", "known: local")])
def test_unknown(name, hint):
    with pytest.raises(TargetError, match="unknown target") as caught:
        open_target(name)
    assert hint in str(caught.value)


def test_local_takes_no_argument():
    with pytest.raises(TargetError, match="takes no argument"):
        open_target("local:7")


def test_not_linux(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(TargetError, match="darwin, not Linux") as caught:
        local.open()
    assert "--target sim" in str(caught.value) and "qemu" in str(caught.value)
