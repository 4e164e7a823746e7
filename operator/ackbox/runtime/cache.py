"""Where ackbox keeps what several homes share: binaries, Go's caches, the claims on loopback ranges."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`ACKBOX_CACHE`, else `ackbox` under `XDG_CACHE_HOME` or `~/.cache`."""
    if chosen := os.environ.get("ACKBOX_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "ackbox"
