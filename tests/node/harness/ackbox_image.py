"""The image of ackbox itself, from the `Dockerfile`, for machines that may reach no registry of images.

What stands in for the base image of a registry is a Debian root file system. Its layers and those of the packages are
kept in buildah's store, so that a changed line of code costs seconds.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from ackbox.runtime.cache import cache_folder
from ackbox.runtime.files import locked, private_folder
from node.harness.images import NAME, buildah, save
from node.harness.layout import run

ROOT = Path(__file__).resolve().parents[3]
BASE = "localhost/ackbox-base"
PACKAGES = ("python3", "python3-venv", "ca-certificates")
UNREAD = ("doc", "man", "locale", "info")

FOLDERS = ("operator", "crds", "tools", "hack")
"""What the `Dockerfile` copies, beside files of the repository's root."""

# Where packages come from, and whom to believe, is a matter of the machine: the build asks where the machine asks.
SETTINGS = (Path("/etc/ssl/certs"), Path("/etc/pip.conf"))


def archive() -> Path:
    """The image of the checkout as it is now, as a file to import; built unless the cache has it."""
    folder = private_folder(cache_folder() / "node-images")
    target = folder / f"ackbox-{_digest()}.tar"
    with locked(folder / "ackbox.lock"):
        if not target.is_file():
            _build(target)
            for other in folder.glob("ackbox-*.tar"):
                if other != target:
                    other.unlink()
    return target


def _digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(_sources()):
        digest.update(f"{path.relative_to(ROOT)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


def _sources() -> Iterator[Path]:
    yield from (path for path in ROOT.iterdir() if path.is_file())
    for name in FOLDERS:
        yield from (path for path in (ROOT / name).rglob("*") if path.is_file() and not _generated(path))


def _generated(path: Path) -> bool:
    return any(part == "__pycache__" or part.endswith(".egg-info") for part in path.parts)


def _build(target: Path) -> None:
    options = ["--quiet", "--layers", "--isolation=chroot", "--network=host", "--pull-never"]
    options += [f"--volume={path}:{path}:ro" for path in SETTINGS if path.exists()]
    version = NAME.rpartition(":")[2]
    arguments = (f"--build-arg=BASE={_base()}", f"--build-arg=VERSION={version}", f"--tag={NAME}")
    run(*buildah(), "build", *options, *arguments, f"--file={ROOT / 'Dockerfile'}", ROOT, timeout=1200)
    save(NAME, target)


def _base() -> str:
    """The image below: Debian as this machine has it, with Python."""
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    name = f"{BASE}:{release['VERSION_CODENAME'].strip(chr(34))}"
    if not run(*buildah(), "images", "--quiet", "--filter", f"reference={name}").strip():
        container = run(*buildah(), "from", "scratch").strip()
        try:
            run(*buildah(), "add", container, _root_file_system(name.rpartition(":")[2]), "/")
            run(*buildah(), "commit", "--disable-compression", "--quiet", container, name)
        finally:
            run(*buildah(), "rm", container)
    return name


def _root_file_system(suite: str) -> Path:
    target = cache_folder() / f"{suite}-root.tar"
    if not target.is_file():
        partial = target.with_name(f"{suite}-root.partial.tar")
        options = ["--variant=minbase", f"--include={','.join(PACKAGES)}"]
        options += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in UNREAD]
        run("mmdebstrap", "--quiet", *options, suite, partial, timeout=1200)
        partial.replace(target)
    return target
