"""Crash tests: the process ends itself with SIGKILL right after a successful write.

Armed by a file `<home>/failpoints/<process>`: while it is there, every run of the process ends after its first write.
"""

import os
import signal
from pathlib import Path

_armed: Path | None = None


def arm(home: Path, process: str) -> None:
    """Look for the failpoint of a process; without one nothing happens."""
    global _armed
    path = home / "failpoints" / process
    _armed = path if path.exists() else None


def armed() -> bool:
    """Whether the next write is to be the last."""
    return _armed is not None and _armed.exists()


def written() -> None:
    """End the process, if its failpoint still is there."""
    if armed():
        os.kill(os.getpid(), signal.SIGKILL)
