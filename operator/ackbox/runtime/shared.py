"""Finds the folders that stand beside the package in the repository: `crds/`, `tools/`.

There is one copy of each in the repository. A wheel carries them as `ackbox/share/` (`setup.py` puts them there).
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def shared_folder(name: str, package: Path = PACKAGE) -> Path | None:
    """A folder by its name in the repository; None when this installation lacks it."""
    packaged = package / "share"
    # An editable installation points into a checkout, where the package is in `operator/`.
    folder = (packaged if packaged.is_dir() else package.parents[1]) / name
    return folder if folder.is_dir() else None
