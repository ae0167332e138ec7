"""Images: what they are made of, and that half of one is never used."""

import contextlib
import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from ebpflab.errors import TargetError
from ebpflab.vm import hypervisor, image

from .conftest import needs_qemu

RECIPE = image.recipe()


def test_a_key_changes_with_the_recipe():
    assert RECIPE.key == image.recipe("6.12").key
    assert len({RECIPE.key, replace(RECIPE, suite="sid").key, replace(RECIPE, packages=("python3",)).key}) == 3


def read_cpio(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """name -> (mode, contents), by the format's own description: 110 bytes of hex, name and data padded to 4."""
    found, at = {}, 0
    while True:
        assert archive[at:at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * n:at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = archive[at + 110:at + 110 + length]
        assert name[-1:] == b"\0"
        data = at + (110 + length + 3) // 4 * 4
        at = data + (size + 3) // 4 * 4
        if name == b"TRAILER!!!\0":
            assert set(archive[at:]) <= {0}
            return found
        found[name[:-1].decode()] = mode, archive[data:data + size]


def test_cpio_is_read_as_it_was_written():
    files = {"a": b"one", "d/b": b"x" * 5001, "empty": b""}
    archive = image.cpio(files, directories=("d",))
    assert len(archive) % 512 == 0
    assert read_cpio(archive) == {"d": (0o040755, b""), **{name: (0o100755, data) for name, data in files.items()}}


def test_missing_tools_are_one_command(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TargetError, match="tools for that are missing") as caught:
        image.ensure(RECIPE, base=tmp_path)
    assert "sudo apt-get install mmdebstrap squashfs-tools-ng" in caught.value.hint
    assert image.missing()[:2] == ["mmdebstrap", "squashfs-tools-ng"]


def test_too_little_disk_is_told_before_anything_is_downloaded(tmp_path, monkeypatch):
    needs_qemu()
    monkeypatch.setattr(image, "NEEDED_BYTES", 1 << 60)
    with pytest.raises(TargetError, match="MiB while it is built"):
        image.ensure(RECIPE, base=tmp_path)


@pytest.mark.vm
def test_a_suite_that_no_mirror_has_is_one_clear_error(tmp_path):
    needs_qemu()
    if image.missing():
        pytest.skip(f"building an image needs {' '.join(image.missing())}")
    wrong = replace(RECIPE, suite="no-such-suite")
    said = []
    with pytest.raises(TargetError, match="no-such-suite could not be installed") as caught:
        image.ensure(wrong, lambda text, fraction: said.append(text), base=tmp_path)
    assert "mirror" in caught.value.hint and caught.value.__notes__
    left = {path.name for path in (tmp_path / "images").iterdir()}
    assert left == {f"{wrong.key}.lock"}
    assert any("apt-get update" in text for text in said)


@pytest.mark.vm
def test_an_interrupted_build_leaves_nothing(tmp_path, monkeypatch):
    """Ctrl-C while packages come in: the error is KeyboardInterrupt, at once, and no builder goes on in the dark."""
    needs_qemu()
    if image.missing():
        pytest.skip(f"building an image needs {' '.join(image.missing())}")
    other = replace(RECIPE, packages=("python3",))

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))

    def progress(text, fraction):
        if "downloading" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        image.ensure(other, progress, base=tmp_path)
    assert {path.name for path in (tmp_path / "images").iterdir()} == {f"{other.key}.lock"}
    assert not list(scratch.iterdir())
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = (process / "cmdline").read_text()
            assert "mmdebstrap" not in told or f"PPid:\t{os.getpid()}\n" not in (process / "status").read_text()


def test_a_half_built_image_is_swept_and_a_finished_one_is_used(tmp_path, monkeypatch):
    """Builders take turns: the second finds the first one's image. What a killed builder left is removed."""
    needs_qemu()
    built = []

    def bootstrap(recipe, tar, progress):
        built.append(recipe)
        root = tmp_path / f"root{len(built)}"
        (root / "boot").mkdir(parents=True)
        (root / "usr/bin").mkdir(parents=True)
        (root / "boot/vmlinuz-1.2.3").write_text("kernel")
        (root / "usr/bin/busybox").write_text("busybox")
        subprocess.run(["tar", "cf", str(tar), "-C", str(root), "."], check=True)

    monkeypatch.setattr(image, "bootstrap", bootstrap)
    if image.missing():
        pytest.skip(f"building an image needs {' '.join(image.missing())}")
    (tmp_path / "images" / f".{RECIPE.key}.killed").mkdir(parents=True)
    (tmp_path / "images" / RECIPE.key).mkdir()                       # without image.json: not an image
    found = []
    threads = [threading.Thread(target=lambda: found.append(image.ensure(RECIPE, base=tmp_path))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(built) == 1 and len(set(found)) == 1 and len(found) == 3
    assert found[0].release == "1.2.3" and found[0].initrd.exists() and found[0].root.stat().st_size
    assert {path.name for path in (tmp_path / "images").iterdir()} == {RECIPE.key, f"{RECIPE.key}.lock"}


def test_packages_without_a_kernel_are_told(tmp_path, monkeypatch):
    needs_qemu()
    if image.missing():
        pytest.skip(f"building an image needs {' '.join(image.missing())}")
    monkeypatch.setattr(image, "bootstrap", lambda recipe, tar, progress: subprocess.run(
        ["tar", "cf", str(tar), "-T", os.devnull], check=True))
    with pytest.raises(TargetError, match="no kernel"):
        image.ensure(RECIPE, base=tmp_path)
    assert not (tmp_path / "images" / RECIPE.key).exists()


@pytest.mark.vm
def test_the_accelerator_is_one_that_boots(guest, tmp_path, monkeypatch):
    """Tried, not guessed; and remembered."""
    arch = hypervisor.ARCHES["amd64"]
    kernel = guest.machine.image.kernel
    path = hypervisor.binary(arch)
    assert hypervisor.boots(path, arch, "tcg", kernel)
    junk = tmp_path / "junk"
    junk.write_bytes(b"no kernel" * 1000)
    assert not hypervisor.boots(path, arch, "tcg", junk)
    monkeypatch.setattr(hypervisor, "cache", lambda: tmp_path)
    tried = []
    monkeypatch.setattr(hypervisor, "boots", lambda path, arch, name, kernel: tried.append(name) or name == "hvf")
    monkeypatch.setattr(hypervisor, "ACCELERATORS", {"linux": ("kvm", "hvf", "tcg")})
    assert hypervisor.accelerator(arch, kernel) == "hvf" and tried == ["kvm", "hvf"]
    assert hypervisor.accelerator(arch, kernel) == "hvf" and tried == ["kvm", "hvf"]
