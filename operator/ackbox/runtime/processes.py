"""Which processes belong to a home: those that inherited its mark from supervisord."""

import os
import signal
import time
from pathlib import Path

from ackbox.runtime.errors import SupervisorProblem
from ackbox.runtime.home import Home

# Only supervisord gets this variable, and everything below it inherits it; a shell with ACKBOX_HOME doesn't have it.
MARK = "ACKBOX_SUPERVISED"
POLL_SECONDS = 0.1


def of_home(home: Home) -> list[int]:
    """Ids of the living processes under the supervisord of a home, itself included."""
    wanted = f"{MARK}={home.path}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue  # gone meanwhile, or another user's
    return found


def name_of(pid: int) -> str:
    """Short name of a process, for people."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "?"


def is_alive(pid_file: Path) -> bool:
    """Whether the process that a pid file names runs."""
    try:
        os.kill(int(pid_file.read_text()), 0)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def end_all(home: Home, seconds: float) -> None:
    """Kill what is left of a home. Blocks until it is gone.

    Raises:
        SupervisorProblem: something can't be killed.
    """
    deadline = time.monotonic() + seconds
    while left := of_home(home):
        if time.monotonic() > deadline:
            raise SupervisorProblem(f"these processes don't end: {left}")
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(POLL_SECONDS)
