"""Container images from ackbox's own binaries, built by buildah and kept as archives in the cache."""

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ackbox import __version__
from ackbox.controlplane.images import Images
from ackbox.runtime import tools
from ackbox.runtime.binaries import locate
from ackbox.runtime.cache import cache_folder
from ackbox.runtime.progress import Progress
from node.harness.layout import run
from node.harness.machine import PAUSE

NAME = f"ghcr.io/ackbox/ackbox:{__version__}"
"""The image of ackbox itself."""

PROGRAMS = "/usr/local/bin"
BUSYBOX = "ackbox.test/busybox:1"
"""A shell, and an HTTP server, for the pods of tests."""

CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


@dataclass(frozen=True)
class Image:
    """An image from scratch.

    Attributes:
        name: with its tag.
        files: where each of its files comes from, by the path inside.
        command: what runs unless a pod says otherwise.
    """

    name: str
    files: Mapping[str, Path]
    command: tuple[str, ...]


def of_program(name: str, path: Path) -> Image:
    """An image of one static program."""
    inside = f"{PROGRAMS}/{path.name}"
    return Image(name, {inside: path}, (inside,))


def small() -> tuple[Image, ...]:
    """What every pod needs, and what pods of tests run."""
    shell = Path(_found("busybox"))
    return (
        Image(PAUSE, {"/pause": Path(_found("catatonit"))}, ("/pause", "-P")),
        Image(BUSYBOX, {"/bin/busybox": shell, "/bin/sh": shell}, ("/bin/sh",)),
    )


async def of_control_planes(minors: Iterable[str], progress: Progress) -> tuple[Image, ...]:
    """What the control planes of ManagedClusters of these minor versions run, under the names the operator asks for."""
    official = Images(own=NAME)
    etcd, kwok = await locate(tools.etcd(), progress), await locate(tools.kwok(), progress)
    found = [of_program(official.of_etcd(), etcd["etcd"]), of_program(official.of_kwok(), kwok["kwok"])]
    for minor in minors:
        programs = await locate(tools.kubernetes(minor), progress)
        found += [of_program(official.of_kubernetes(name, minor), programs[name]) for name in CONTROL_PLANE]
    return tuple(found)


def archive(image: Image) -> Path:
    """The image as a file to import, built unless the cache has it."""
    folder = cache_folder() / "node-images"
    target = folder / f"{_digest(image)}.tar"
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        container = run(*buildah(), "from", "scratch").strip()
        try:
            for inside, source in image.files.items():
                run(*buildah(), "copy", "--chmod=0755", container, source, inside)
            settings = ("--env", f"PATH={PROGRAMS}:/bin", "--entrypoint", "", "--cmd", " ".join(image.command))
            run(*buildah(), "config", *settings, container)
            run(*buildah(), "commit", "--disable-compression", "--quiet", container, image.name)
            save(image.name, target)
            run(*buildah(), "rmi", image.name)
        finally:
            run(*buildah(), "rm", container)
    return target


def save(name: str, target: Path) -> None:
    """Write an image to a file, whole or not at all."""
    partial = target.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    run(*buildah(), "push", "--quiet", "--disable-compression", name, f"docker-archive:{partial}:{name}")
    partial.replace(target)


def buildah() -> tuple[str, ...]:
    """buildah with a store of its own; it needs no registry and no settings of the machine."""
    store = cache_folder() / "buildah"
    return ("buildah", f"--root={store}/root", f"--runroot={store}/run", "--storage-driver=overlay")


def _digest(image: Image) -> str:
    digest = hashlib.sha256(repr((image.name, image.command)).encode())
    for inside, path in sorted(image.files.items()):
        # A program of a version never changes; its time tells one build of it from another.
        state = path.stat()
        digest.update(f"{inside} {path} {state.st_size} {state.st_mtime_ns}".encode())
    return digest.hexdigest()[:20]


def _found(program: str) -> str:
    path = shutil.which(program)
    assert path, f"{program} is not installed; run hack/node/setup"
    return path
