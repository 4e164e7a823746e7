"""Finds the programs that ackbox runs, and gets those that are not there.

In this order: a folder named by `ACKBOX_BIN` or `KUBEBUILDER_ASSETS`; the cache; a download of the official release;
a build from source.
"""

import os
from pathlib import Path

from ackbox.runtime.build import BuildFailed, build
from ackbox.runtime.cache import cache_folder
from ackbox.runtime.download import DownloadFailed, download
from ackbox.runtime.errors import BinaryMissing
from ackbox.runtime.files import locked_for_long
from ackbox.runtime.progress import Progress, Step
from ackbox.runtime.tools import Tool

FOLDERS = ("ACKBOX_BIN", "KUBEBUILDER_ASSETS")


async def locate(tool: Tool, progress: Progress) -> dict[str, Path]:
    """The path of every program of a tool, got first if need be. All come from one place: versions never mix.

    Raises:
        BinaryMissing: names every way that was tried and why it failed.
    """
    tried: list[str] = []
    for variable in FOLDERS:
        if folder := os.environ.get(variable):
            if found := present(tool, Path(folder)):
                return found
            tried.append(f"{variable}: {folder} does not hold {', '.join(tool.programs)}")
    cached = cache_folder() / tool.name / tool.version
    if found := present(tool, cached):
        return found
    tried.append(f"cache: {cached} does not hold {', '.join(tool.programs)}")
    title = f"getting {tool.name} {tool.version}"
    with progress.step(title) as step:
        lock = cached.with_name(f".{tool.version}.lock")
        async with locked_for_long(lock, lambda: step.update("waiting for another ackbox that gets it already")):
            # Another process may have got it while this one waited.
            if found := present(tool, cached):
                return found
            await _get(tool, cached, step, tried)
    return {program: cached / program for program in tool.programs}


def at_hand(tool: Tool) -> dict[str, Path] | None:
    """The path of every program of a tool, if it needs not be got first; looked for as `locate` does."""
    named = [Path(folder) for variable in FOLDERS if (folder := os.environ.get(variable))]
    found = (present(tool, folder) for folder in (*named, cache_folder() / tool.name / tool.version))
    return next(filter(None, found), None)


def present(tool: Tool, folder: Path) -> dict[str, Path] | None:
    """The programs of a tool in a folder, if it holds them all."""
    paths = {program: folder.absolute() / program for program in tool.programs}
    return paths if all(path.is_file() and os.access(path, os.X_OK) for path in paths.values()) else None


async def _get(tool: Tool, target: Path, step: Step, tried: list[str]) -> None:
    try:
        for program, release in tool.releases.items():
            if (target / program).is_file():
                continue  # from an attempt that came this far
            step.update(f"downloading {program}")
            await download(release, target / program, step)
        if tool.releases:
            return
    except DownloadFailed as error:
        tried.append(f"download: {error}")
    try:
        step.update("building from source, which takes some minutes")
        await build(tool, target, step)
        return
    except BuildFailed as error:
        tried.append(f"build: {error}")
    ways = "\n".join(f"  - {way}" for way in tried)
    raise BinaryMissing(
        f"{tool.name} {tool.version} could not be found, downloaded or built:\n{ways}\n"
        f"Put {', '.join(tool.programs)} into a folder and name it in ACKBOX_BIN, or let this machine reach the network."
    )
