"""Reads the logs of supervised programs."""

import os
from pathlib import Path

BLOCK = 64 * 1024


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log; none when there is no log yet."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - BLOCK))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:]
