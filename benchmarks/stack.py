"""An ackbox of its own for a benchmark."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from ackbox.catalog.data import CATALOG_VARIABLE, read_text


def write_catalog(folder: Path) -> None:
    """A catalogue in which every quota can be raised, those too that the cloud never raises."""
    quotas = yaml.safe_load(read_text("quotas.yaml"))
    for row in quotas["quotas"]:
        row["raise"] = "ticket"
    folder.mkdir()
    (folder / "quotas.yaml").write_text(yaml.safe_dump(quotas))


@contextmanager
def running_home() -> Iterator[Path]:
    """The home of an ackbox that is up; everything of it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="ackbox-bench-") as folder:
        home = Path(folder) / "home"
        catalog = Path(folder) / "catalog"
        write_catalog(catalog)
        environment = os.environ | {"ACKBOX_HOME": str(home), CATALOG_VARIABLE: str(catalog)}
        ackbox = [sys.executable, "-m", "ackbox.cli"]
        try:
            subprocess.run([*ackbox, "up"], env=environment, check=True)
            yield home
        finally:
            subprocess.run([*ackbox, "clean"], env=environment, check=True)
