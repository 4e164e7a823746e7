"""Crash tests: the process ends itself with SIGKILL right after a successful write.

Armed by a file `<home>/failpoints/<process>` that says after how many writes, 1 or 2. It stays, and each run turns the
one into the other: where one write prepares another, a process that never came to a second one would get nowhere.
"""

import os
import signal
from pathlib import Path

_armed: Path | None = None
_remaining = 0


def arm(home: Path, process: str) -> None:
    """Look for the failpoint of a process; without one nothing happens."""
    global _armed, _remaining
    path = home / "failpoints" / process
    try:
        _remaining = int(path.read_text())
    except FileNotFoundError:
        _armed = None
        return
    _armed = path
    path.write_text(str(3 - _remaining))


def armed() -> bool:
    """Whether writes are counted."""
    return _armed is not None and _armed.exists()


def written() -> None:
    """Count a write; the last one ends the process, if its failpoint still is there."""
    global _remaining
    if armed():
        _remaining -= 1
        if _remaining <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
