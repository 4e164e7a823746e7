"""Crash tests: the process ends itself with SIGKILL right after its k-th successful write.

Armed by a file `<home>/failpoints/<process>` that holds k. The file goes when it is read, so a restart lives.
"""

import os
import signal
from pathlib import Path

_remaining = 0


def arm(home: Path, process: str) -> None:
    """Read and remove the failpoint of a process; without one nothing happens."""
    global _remaining
    path = home / "failpoints" / process
    try:
        _remaining = int(path.read_text())
        path.unlink()
    except FileNotFoundError:
        _remaining = 0


def written() -> None:
    """Count a successful write."""
    global _remaining
    if _remaining:
        _remaining -= 1
        if _remaining == 0:
            os.kill(os.getpid(), signal.SIGKILL)
