"""Files that ackbox writes to read them again elsewhere: a gzipped tar whose first member says what it holds.

A file is whole or not there: it is written beside its place and moved, and nothing counts as read before the checksum at
its end is right.
"""

import gzip
import io
import json
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from ackbox import __version__
from ackbox.runtime.errors import ArchiveProblem
from ackbox.runtime.files import private_folder
from ackbox.runtime.home import is_newer

MANIFEST = "ackbox.json"
FORMAT = 1

# etcd's logs are mostly zeros and programs pack badly: more effort gains little.
EFFORT = 3
CHUNK = 1 << 20

T = TypeVar("T")


def write(target: Path, kind: str, manifest: dict[str, Any], contents: Iterable[tuple[Path, str]]) -> None:
    """Write an archive, readable by its owner alone.

    Args:
        target: the file; one that is there is replaced.
        kind: what it is, such as `snapshot`.
        manifest: what is to be known of it before it is unpacked.
        contents: files and folders, and their names inside.

    Raises:
        ArchiveProblem: it can't be written.
    """
    text = json.dumps({"kind": kind, "format": FORMAT, "version": __version__, **manifest}, indent=2).encode()
    try:
        # A folder that nobody else can enter, on the same file system.
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            file = Path(folder, "archive")
            with tarfile.open(file, mode="w:gz", compresslevel=EFFORT) as tar:
                entry = tarfile.TarInfo(MANIFEST)
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text))
                for path, name in contents:
                    tar.add(path, name, filter=_plain)
            file.chmod(0o600)
            file.replace(target)
    except OSError as error:
        raise ArchiveProblem(f"{target} can't be written: {error}") from error


def describe(file: Path, kind: str, read: Callable[[dict[str, Any]], T]) -> T:
    """What `read` makes of the manifest of an archive.

    Args:
        read: its KeyError, TypeError or ValueError says that the manifest isn't as ackbox writes it.

    Raises:
        ArchiveProblem: it is no archive of this kind, or one of a newer ackbox.
    """
    with _opened(file) as (tar, _):
        first = tar.next()
        source = tar.extractfile(first) if first is not None and first.name == MANIFEST else None
        manifest = json.load(source) if source is not None else None
    if not isinstance(manifest, dict) or manifest.get("kind") != kind:
        raise ArchiveProblem(f"{file} is no {kind} of ackbox")
    try:
        version = manifest["version"]
        if manifest["format"] != FORMAT or is_newer(version):
            raise ArchiveProblem(
                f"{file} was written by ackbox {version}; this is {__version__}: use that version or a newer one"
            )
        return read(manifest)
    except (KeyError, TypeError, ValueError) as error:
        raise ArchiveProblem(f"{file} is damaged: {MANIFEST} in it: {error!r}") from error


def unpack(file: Path, folder: Path, names: Iterable[str]) -> None:
    """Put what an archive holds below these names into a folder, which is made anew.

    Raises:
        ArchiveProblem: the archive is damaged, or holds what would land elsewhere.
    """
    allowed = frozenset(names)
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was killed
    private_folder(folder)
    with _opened(file) as (tar, stream):
        for member in tar:
            if member.name.split("/", 1)[0] in allowed:
                _place(tar, member, folder)
        while stream.read(CHUNK):
            pass  # the checksum stands at the end


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Only files and folders are kept: sockets and links mean nothing elsewhere."""
    return member if member.isreg() or member.isdir() else None


def _place(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write a file or a folder for its owner alone. (Not every Python 3.11 has tarfile's own safe way.)"""
    path = PurePosixPath(member.name)
    source = tar.extractfile(member) if member.isreg() else None
    if ".." in path.parts or path.is_absolute() or _plain(member) is None:
        raise ValueError(f"{member.name} would land outside, or is no file")
    target = folder / path
    if source is None:
        private_folder(target)
        return
    private_folder(target.parent)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        shutil.copyfileobj(source, file, CHUNK)


@contextmanager
def _opened(file: Path) -> Iterator[tuple[tarfile.TarFile, gzip.GzipFile]]:
    try:
        with gzip.open(file, "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            yield tar, stream
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise ArchiveProblem(f"{file} is damaged, or no file of ackbox: {error}") from error
    except OSError as error:
        raise ArchiveProblem(f"{file} can't be read: {error}") from error
