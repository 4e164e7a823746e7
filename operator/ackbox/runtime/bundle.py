"""The programs of others in a file, for machines that reach no network: what `ackbox fetch` gets, with checksums.

Envoy is not in it: the Python package that ackbox needs anyway brings it.
"""

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ackbox.runtime import archive, tools
from ackbox.runtime.binaries import locate
from ackbox.runtime.cache import cache_folder
from ackbox.runtime.errors import ArchiveProblem
from ackbox.runtime.files import locked_for_long
from ackbox.runtime.progress import Progress
from ackbox.runtime.tools import Tool

KIND = "bundle"
CONTENTS = "programs"


@dataclass(frozen=True)
class Bundled:
    """A tool in a bundle: the folder of its programs in the cache, and the SHA-256 of each.

    Raises:
        ValueError: a name would lead out of that folder.
    """

    name: str
    version: str
    digests: dict[str, str]

    def __post_init__(self) -> None:
        for name in (self.name, self.version, *self.digests):
            if name in ("", "..") or Path(name).name != name:
                raise ValueError(f"{name!r} is not the name of a file")

    @property
    def folder(self) -> Path:
        """Where its programs are, in the cache and below `programs/` in the file."""
        return Path(self.name, self.version)


def wanted(minors: Iterable[str]) -> list[Tool]:
    """What a home with clusters of these minor versions runs."""
    every = dict.fromkeys((tools.MANAGEMENT_MINOR, *minors))
    return [tools.etcd(), tools.kwok(), *(tools.kubernetes(minor) for minor in every)]


async def save(target: Path, minors: Iterable[str], progress: Progress) -> list[Bundled]:
    """Write the programs into a file, got first if need be.

    Raises:
        BinaryMissing: one can't be had.
        ArchiveProblem: the file can't be written.
    """
    found, contents = [], []
    for tool in wanted(minors):
        paths = await locate(tool, progress)
        bundled = Bundled(tool.name, tool.version, {program: _digest(path) for program, path in paths.items()})
        contents += [(path, f"{CONTENTS}/{bundled.folder}/{program}") for program, path in paths.items()]
        found.append(bundled)
    rows = [{"name": each.name, "version": each.version, "digests": each.digests} for each in found]
    with progress.step(f"writing {target}"):
        archive.write(target, KIND, {"architecture": tools.architecture(), "tools": rows}, contents)
    return found


async def load(file: Path, progress: Progress) -> list[Bundled]:
    """Put the programs of a file into the cache; those that are there stay.

    Raises:
        ArchiveProblem: the file is damaged, of a newer ackbox, or for other machines.
    """
    architecture, bundled = archive.describe(file, KIND, _contents)
    if architecture != tools.architecture():
        raise ArchiveProblem(
            f"{file} has programs for {architecture}, and this machine is {tools.architecture()}:"
            " write one on a machine like this"
        )
    unpacked = cache_folder() / ".loading"
    async with locked_for_long(cache_folder() / ".loading.lock", lambda: progress.say("waiting for another load")):
        try:
            with progress.step(f"reading {file}"):
                archive.unpack(file, unpacked, [CONTENTS])
                _check(file, bundled, unpacked / CONTENTS)
                for each in bundled:
                    _place(each, unpacked / CONTENTS)
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
    return bundled


def known(bundled: Bundled) -> bool:
    """Whether this ackbox runs the version: that of another ackbox may bundle others."""
    mine = [tools.etcd(), tools.kwok(), *map(tools.kubernetes, tools.KUBERNETES_PATCHES)]
    return (bundled.name, bundled.version) in {(tool.name, tool.version) for tool in mine}


def _contents(manifest: dict[str, Any]) -> tuple[str, list[Bundled]]:
    """The architecture that the programs are for, and the programs."""
    rows = [Bundled(row["name"], row["version"], dict(row["digests"])) for row in manifest["tools"]]
    return manifest["architecture"], rows


def _check(file: Path, bundled: Iterable[Bundled], folder: Path) -> None:
    for each in bundled:
        for program, digest in each.digests.items():
            path = folder / each.folder / program
            if not path.is_file() or _digest(path) != digest:
                raise ArchiveProblem(f"{file} is damaged: {each.name} {each.version}, {program} is not what was saved")


def _place(bundled: Bundled, folder: Path) -> None:
    target = cache_folder() / bundled.folder
    target.mkdir(parents=True, exist_ok=True)
    for program in bundled.digests:
        path = folder / bundled.folder / program
        path.chmod(0o755)
        path.replace(target / program)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
