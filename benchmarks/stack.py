"""An ackbox of its own for a benchmark."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running_home() -> Iterator[Path]:
    """The home of an ackbox that is up; everything of it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="ackbox-bench-") as folder:
        home = Path(folder) / "home"
        environment = os.environ | {"ACKBOX_HOME": str(home)}
        ackbox = [sys.executable, "-m", "ackbox.cli"]
        try:
            subprocess.run([*ackbox, "up"], env=environment, check=True)
            yield home
        finally:
            subprocess.run([*ackbox, "clean"], env=environment, check=True)
