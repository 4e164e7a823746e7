"""Talks to the supervisord of one home: start it, give it groups of programs, ask, stop it."""

import asyncio
import http.client
import os
import resource
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from ackbox.runtime import processes
from ackbox.runtime.errors import SupervisorProblem
from ackbox.runtime.files import write_private
from ackbox.runtime.home import Home
from ackbox.runtime.programs import LAUNCHER, LOG_BACKUPS, LOG_BYTES, Group, escape, render_group

START_SECONDS = 20.0
STOP_SECONDS = 90.0
CALL_SECONDS = 60.0
POLL_SECONDS = 0.1
OPEN_FILES = 65536

# Of the caller's environment only this reaches the programs, so that they run the same from every shell. The second
# tuple holds paths: supervisord works in another folder than its caller.
INHERITED = ("HOME", "PATH", "LANG", "TZ")
INHERITED_PATHS = (
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "ACKBOX_CACHE",
    "ACKBOX_BIN",
    "KUBEBUILDER_ASSETS",
)


class State(IntEnum):
    """State of a supervised process, as supervisor numbers them."""

    STOPPED = 0
    STARTING = 10
    RUNNING = 20
    BACKOFF = 30
    STOPPING = 40
    EXITED = 100
    FATAL = 200
    UNKNOWN = 1000


class Fault(IntEnum):
    """Refusals that mean "that is already so"."""

    BAD_NAME = 10
    NOT_RUNNING = 70
    ALREADY_STARTED = 60
    ALREADY_ADDED = 90


@dataclass(frozen=True)
class Status:
    """A supervised process at this moment."""

    name: str
    group: str
    state: State
    pid: int | None
    description: str
    log: Path


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=CALL_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002
        return _UnixConnection(self._path)


class Supervisor:
    """The supervisord of one home. Every method may be called at any time, by several processes."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._socket = home.run / "supervisor.sock"
        self._pid_file = home.run / "supervisord.pid"
        self._launcher = home.path / LAUNCHER.name

    async def running(self) -> bool:
        """Whether supervisord answers."""
        try:
            return bool((await self._call("getState"))["statename"] == "RUNNING")
        except SupervisorProblem:
            return False

    async def start(self) -> None:
        """Start supervisord, unless it runs. Programs of an earlier one have died with it.

        Raises:
            SupervisorProblem: it doesn't come up; the message has its last words.
        """
        write_private(self._launcher, LAUNCHER.read_bytes())
        if await self.running():
            return
        await asyncio.to_thread(processes.end_all, self._home, STOP_SECONDS)
        config = self._home.path / "supervisord.conf"
        write_private(config, self._config())
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)]
        result = await asyncio.to_thread(
            subprocess.run, command, env=self._environment(), cwd=self._home.path, capture_output=True, text=True
        )
        if result.returncode != 0:
            raise SupervisorProblem(f"supervisord did not start: {(result.stderr or result.stdout).strip()}")
        deadline = time.monotonic() + START_SECONDS
        while not await self.running():
            if time.monotonic() > deadline:
                raise SupervisorProblem(f"supervisord does not answer; see {self._home.logs / 'supervisord.log'}")
            await asyncio.sleep(POLL_SECONDS)

    async def ensure(self, *groups: Group) -> None:
        """Make groups run exactly as described: started if new, restarted if changed, untouched otherwise."""
        for group in groups:
            write_private(self._program_file(group.name), self._text(group))
        added, changed, _removed = await self._changes()
        for name in (group.name for group in groups):
            if name in changed:
                await self._drop(name)
            if name in added or name in changed:
                await self._call("addProcessGroup", name, allow=(Fault.ALREADY_ADDED,))
        names = {group.name for group in groups}
        failed = (State.FATAL, State.STOPPED, State.EXITED)
        for status in await self.statuses():
            if status.group in names and status.state in failed:
                name = f"{status.group}:{status.name}"
                await self._call("startProcess", name, False, allow=(Fault.ALREADY_STARTED,))

    def changed(self, group: Group) -> bool:
        """Whether a group was given before, but not as described: `ensure` would restart it."""
        file = self._program_file(group.name)
        return file.is_file() and file.read_text() != self._text(group)

    async def groups(self, prefix: str) -> set[str]:
        """Names of the groups that begin with a prefix, running or only given."""
        running = {status.group for status in await self.statuses() if status.group.startswith(prefix)}
        return running | {path.stem for path in self._home.programs.glob(f"{prefix}*.conf")}

    async def remove(self, name: str) -> None:
        """Stop a group and forget it."""
        self._program_file(name).unlink(missing_ok=True)
        await self._drop(name)

    async def statuses(self) -> list[Status]:
        """Every supervised process."""
        return [
            Status(
                info["name"],
                info["group"],
                State(info["state"]),
                info["pid"] or None,
                info["description"],
                Path(info["stdout_logfile"]),
            )
            for info in await self._call("getAllProcessInfo")
        ]

    async def group_running(self, name: str) -> bool:
        """Whether every program of a group runs."""
        states = [status.state for status in await self.statuses() if status.group == name]
        return bool(states) and all(state is State.RUNNING for state in states)

    async def stop(self, last: Collection[str] = (), say: Callable[[str], None] = lambda _: None) -> None:
        """Stop every program and supervisord itself; returns when nothing of this home runs any more.

        Groups stop all at once, only those named in `last` after the others. What doesn't go in time is killed.
        """
        if await self.running():
            for name in {status.group for status in await self.statuses()}.difference(last):
                await self._call("stopProcessGroup", name, False, allow=(Fault.BAD_NAME,))
            await self._call("shutdown")
        deadline = time.monotonic() + STOP_SECONDS
        while (left := processes.of_home(self._home)) and time.monotonic() < deadline:
            if not processes.is_alive(self._pid_file):
                break
            say(", ".join(sorted({processes.name_of(pid) for pid in left})))
            await asyncio.sleep(POLL_SECONDS)
        await asyncio.to_thread(processes.end_all, self._home, STOP_SECONDS)

    async def _changes(self) -> tuple[list[str], list[str], list[str]]:
        ((added, changed, removed),) = await self._call("reloadConfig")
        return added, changed, removed

    async def _drop(self, name: str) -> None:
        await self._call("stopProcessGroup", name, allow=(Fault.BAD_NAME,))
        await self._call("removeProcessGroup", name, allow=(Fault.BAD_NAME,))

    def _text(self, group: Group) -> str:
        return render_group(group, self._launcher, self._pid_file, self._home.logs)

    def _program_file(self, group: str) -> Path:
        return self._home.programs / f"{group}.conf"

    async def _call(self, method: str, *arguments: object, allow: tuple[Fault, ...] = ()) -> Any:
        def call() -> Any:
            # A proxy is no more than a connection, and not safe to share between threads.
            with xmlrpc.client.ServerProxy("http://localhost", _UnixTransport(str(self._socket))) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)

        try:
            return await asyncio.to_thread(call)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode in allow:
                return None
            raise SupervisorProblem(f"supervisord refused {method}{arguments}: {fault.faultString}") from None
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            raise SupervisorProblem(f"supervisord can't be reached at {self._socket}: {error}") from error

    def _environment(self) -> dict[str, str]:
        given = os.environ
        environment = {name: given[name] for name in INHERITED if name in given}
        for name in INHERITED_PATHS:
            if value := given.get(name):
                environment[name] = os.pathsep.join(str(Path(part).absolute()) for part in value.split(os.pathsep))
        return environment | self._home.environment | {processes.MARK: str(self._home.path)}

    def _config(self) -> str:
        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        open_files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
        return "\n".join(
            (
                "[unix_http_server]",
                f"file={escape(str(self._socket))}",
                "chmod=0600",
                "[supervisord]",
                f"pidfile={escape(str(self._pid_file))}",
                f"logfile={escape(str(self._home.logs / 'supervisord.log'))}",
                f"logfile_maxbytes={LOG_BYTES}",
                f"logfile_backups={LOG_BACKUPS}",
                f"childlogdir={escape(str(self._home.logs))}",
                "umask=077",
                f"minfds={open_files}",
                "[rpcinterface:supervisor]",
                "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
                "[include]",
                "files=conf.d/*.conf",
                "",
            )
        )
