"""Guest images made of Debian packages: a kernel, a small initial RAM disk and a read-only root.

An image is built once (some 40 seconds) into the user's cache, as root or not, without loop devices. The agent is
not in it: it is sent when a guest is up, so that an image stays good when ebpflab changes.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import TargetError
from .machine import Progress, cache, locked, quiet

VERSION = 1                    # of what this module makes of a recipe
NEEDED_BYTES = 1200 << 20
GUEST = Path(__file__).with_name("guest")
#: modules without which there is no root and no agent, in the order of loading; a kernel may have some built in
BOOT_MODULES = ("drivers/virtio/virtio", "drivers/virtio/virtio_ring", "drivers/virtio/virtio_pci_modern_dev",
                "drivers/virtio/virtio_pci_legacy_dev", "drivers/virtio/virtio_pci", "drivers/char/virtio_console",
                "drivers/block/virtio_blk", "fs/squashfs/squashfs", "fs/overlayfs/overlay")
#: tool -> Debian package
TOOLS = {"mmdebstrap": "mmdebstrap", "tar2sqfs": "squashfs-tools-ng"}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class Recipe:
    """What an image is made of: the kernel of one Debian suite under the userland of another.

    So an old kernel has a Python that is new enough for the agent. ``arch`` is Debian's name of the architecture.
    """

    kernel: str                # "6.12": what the user asks for
    suite: str                 # that the kernel comes from
    userland: str = "trixie"
    arch: str = "amd64"
    packages: tuple[str, ...] = ("python3", "kmod", "iproute2", "busybox-static")

    @property
    def key(self) -> str:
        told = json.dumps([VERSION, BOOT_MODULES, asdict(self)])
        return f"{self.suite}-{self.arch}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    @property
    def include(self) -> str:
        """What mmdebstrap installs; a package with its suite is taken from there with what it depends on."""
        return ",".join([f"linux-image-cloud-{self.arch}/{self.suite}", *self.packages])

    @property
    def suites(self) -> list[str]:
        return [self.userland] + [self.suite] * (self.suite != self.userland)


#: kernel series that Debian has, as the user names them; "newest" is what trixie's backports have just now
RECIPES = {each.kernel: each for each in (
    Recipe("5.10", "bullseye"), Recipe("6.1", "bookworm"), Recipe("6.12", "trixie"),
    Recipe("newest", "trixie-backports"))}
ALIASES = {"": "6.12", "lts": "6.12"}


@dataclass(frozen=True)
class Image:
    """A built image. ``key`` changes with everything that a guest boots from."""

    recipe: Recipe
    directory: Path
    release: str               # "6.12.57+deb13-cloud-amd64"
    key: str

    @property
    def kernel(self) -> Path:
        return self.directory / "vmlinuz"

    @property
    def root(self) -> Path:
        return self.directory / "root.squashfs"

    @property
    def initrd(self) -> Path:
        return self.directory / f"initrd-{self.key}"


def recipe(kernel: str = "") -> Recipe:
    """The recipe for a kernel by its series, "newest", "lts", or "" for the default."""
    try:
        return RECIPES[ALIASES.get(kernel, kernel)]
    except KeyError:
        raise TargetError(f"there is no recipe for kernel {kernel!r}",
                          hint="known: " + ", ".join([*RECIPES, *filter(None, ALIASES)])) from None


def ensure(recipe: Recipe, progress: Progress = quiet, *, base: Path | None = None) -> Image:
    """The image of ``recipe``, built if there is none. Raises TargetError if something for building is missing.

    Only one process builds; others wait. A half-built image is never used: it becomes one by a rename.
    """
    images = (base or cache()) / "images"
    images.mkdir(parents=True, exist_ok=True)
    directory = images / recipe.key
    if not (directory / "image.json").exists():
        with locked(images / f"{recipe.key}.lock",
                    lambda: progress("waiting for another process that builds the image", None)):
            if not (directory / "image.json").exists():
                _build(recipe, directory, progress)
    return _image(recipe, directory)


def _image(recipe: Recipe, directory: Path) -> Image:
    """The image with an initial RAM disk that has today's ``guest/`` files in it."""
    told = json.loads((directory / "image.json").read_text())
    scripts = cpio({"init": (GUEST / "init").read_bytes(), "zygote.py": (GUEST / "zygote.py").read_bytes()})
    image = Image(recipe, directory, told["release"],
                  hashlib.sha256(told["sha256"].encode() + scripts).hexdigest()[:16])
    if not image.initrd.exists():
        # archives that follow each other are unpacked one after the other
        new = directory / f".initrd.{os.getpid()}.{threading.get_ident()}"
        new.write_bytes((directory / "boot.cpio").read_bytes() + scripts)
        new.replace(image.initrd)
    return image


def examine(kernel: str = "") -> tuple[str, str, str]:
    """For the doctor: ("ok" | "missing", what there is, what to do), without building anything."""
    wanted = recipe(kernel)
    directory = cache() / "images" / wanted.key
    if (directory / "image.json").exists():
        return "ok", f"Linux {json.loads((directory / 'image.json').read_text())['release']}", ""
    if lacking := missing():
        return "missing", "no guest image, and no tools to build one", f"apt-get install {' '.join(lacking)}"
    return "ok", f"not built yet: the first use makes it from Debian {wanted.suite} packages (a minute)", ""


def missing() -> list[str]:
    """Debian packages that building an image needs and this machine lacks."""
    found = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    if not KEYRING.exists():
        found.append("debian-archive-keyring")
    if os.getuid() and not shutil.which("newuidmap"):
        found.append("uidmap")
    return found


def _build(recipe: Recipe, directory: Path, progress: Progress) -> None:
    if lacking := missing():
        raise TargetError("a guest image is made of Debian packages, and tools for that are missing",
                          hint=f"on Debian or Ubuntu: sudo apt-get install {' '.join(lacking)}; elsewhere copy "
                               f"{directory} from a machine that has it")
    if (free := shutil.disk_usage(directory.parent).free) < NEEDED_BYTES:
        raise TargetError(f"a guest image needs {NEEDED_BYTES >> 20} MiB while it is built, there are {free >> 20} MiB",
                          where=str(directory.parent), hint="make room, or set XDG_CACHE_HOME to a larger disk")
    for left in directory.parent.glob(f".{recipe.key}.*"):       # we hold the lock: nobody works there
        shutil.rmtree(left, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f".{recipe.key}.", dir=directory.parent))
    try:
        tar = work / "root.tar"
        bootstrap(recipe, tar, progress)
        progress("packing the root file system", 0.9)
        release = extract(tar, work)
        with open(tar, "rb") as source:
            _run(["tar2sqfs", "-q", "-f", "-x", "-c", "lz4", str(work / "root.squashfs")], stdin=source)
        tar.unlink()
        digest = hashlib.sha256()
        for name in ("vmlinuz", "boot.cpio", "root.squashfs"):
            digest.update((work / name).read_bytes())
        (work / "image.json").write_text(json.dumps({"release": release, "sha256": digest.hexdigest(),
                                                     "recipe": asdict(recipe)}))
        work.chmod(0o755)
        if directory.exists():
            shutil.rmtree(directory)
        work.rename(directory)
        progress(f"image with Linux {release} is ready", 1.0)
    finally:
        shutil.rmtree(work, ignore_errors=True)


#: what mmdebstrap says -> how far it then is
STAGES = {"running apt-get update": 0.02, "downloading packages": 0.08, "extracting archives": 0.2,
          "installing essential": 0.3, "installing remaining": 0.45, "cleaning package lists": 0.8,
          "creating tarball": 0.83}


def bootstrap(recipe: Recipe, tar: Path, progress: Progress, *options: str) -> None:
    command = ["mmdebstrap", "--variant=minbase", f"--architectures={recipe.arch}",
               f"--include={recipe.include}", *options,
               *(f"--dpkgopt=path-exclude=/usr/share/{waste}/*" for waste in ("doc", "man", "locale")),
               recipe.userland, "-", *mirrors(*recipe.suites)]
    said: list[str] = []
    with open(tar, "wb") as out, subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, text=True, errors="replace",
            start_new_session=True,
            env={**os.environ, "INITRD": "No", "DEBIAN_FRONTEND": "noninteractive"}) as process:
        assert process.stderr
        try:
            for line in process.stderr:
                said.append(line.rstrip())
                for words, fraction in STAGES.items():
                    if line.startswith("I: ") and words in line:
                        progress(f"Debian {recipe.suite}: {words}", fraction)
        except BaseException:                  # as Ctrl-C at a terminal: all of its processes, which then clean up
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise _failed(recipe, said)


def _failed(recipe: Recipe, said: list[str]) -> TargetError:
    errors = [line for line in said if line.startswith(("E:", "W: Failed"))] or said[-3:]
    error = TargetError(f"Debian {recipe.suite} could not be installed into an image: {errors[0] if errors else ''}",
                        where="mmdebstrap",
                        hint=f"does this machine's apt reach a Debian mirror that has {recipe.suite}? "
                             "its sources decide which mirror is used")
    error.add_note("\n".join(said[-30:]))
    return error


def mirrors(*suites: str) -> list[str]:
    """Apt source lines for these suites, with the mirror of this machine's own apt or of EBPFLAB_DEBIAN_MIRROR.

    Where neither is known, mmdebstrap's default will do for one suite (then there is no line), not for two.
    """
    uri = os.environ.get("EBPFLAB_DEBIAN_MIRROR") or _own_mirror()
    if not uri and len(suites) > 1:
        raise TargetError(f"which mirror has Debian {suites[1]}? this machine's apt uses none of Debian",
                          hint="set EBPFLAB_DEBIAN_MIRROR to the address of one")
    return [f"deb [signed-by={KEYRING}] {uri} {suite} main" for suite in suites] if uri else []


def _own_mirror() -> str:
    try:
        told = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"],
            capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    found = [line.split("|", 2) for line in told.splitlines()]
    return next((uri for origin, label, uri in found if origin == label == "Debian"), "")


def extract(tar: Path, work: Path) -> str:
    """Take the kernel and what the initial RAM disk needs out of the root; the kernel's release."""
    wanted: dict[str, bytes] = {}
    release = ""
    with tarfile.open(tar) as archive:
        for member in archive:
            if not member.isfile():
                continue
            name = member.name.removeprefix("./")
            if name.startswith("boot/vmlinuz-"):
                release = name.removeprefix("boot/vmlinuz-")
                (work / "vmlinuz").write_bytes(archive.extractfile(member).read())  # type: ignore[union-attr]
            elif name == "usr/bin/busybox":
                wanted["bin/busybox"] = archive.extractfile(member).read()  # type: ignore[union-attr]
            elif "/kernel/" in name and (module := name.split("/kernel/")[1].split(".ko")[0]) in BOOT_MODULES:
                data = archive.extractfile(member).read()  # type: ignore[union-attr]
                wanted[f"modules/{Path(module).name}.ko"] = lzma.decompress(data) if name.endswith(".xz") else data
    if not release or "bin/busybox" not in wanted:
        raise TargetError("the packages hold no kernel or no busybox", where=str(tar))
    order = [name for module in BOOT_MODULES if f"modules/{(name := Path(module).name)}.ko" in wanted]
    wanted["modules/order"] = "\n".join(order).encode()
    (work / "boot.cpio").write_bytes(cpio(wanted, directories=(
        "bin", "modules", "dev", "base", "scratch", "root")))
    return release


def cpio(files: dict[str, bytes], directories: tuple[str, ...] = ()) -> bytes:
    """An archive in the kernel's format for initial RAM disks ("newc": Documentation/driver-api/early-userspace)."""
    out = bytearray()
    entries = [(name, 0o040755, b"") for name in directories] + [(n, 0o100755, data) for n, data in files.items()]
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        raw = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + raw
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return bytes(out) + bytes(-len(out) % 512)


def _run(command: list[str], **options) -> None:
    done = subprocess.run(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, **options)
    if done.returncode:
        raise TargetError(f"{command[0]} failed: {done.stderr.strip().splitlines()[-1:] or done.returncode}")
