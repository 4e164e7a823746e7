"""Reads the catalog's own files, or those of another catalog."""

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

CATALOG_VARIABLE = "ACKBOX_CATALOG"
"""A folder whose files go before those of the same name that come with ackbox (`--catalog`)."""


def read_text(name: str) -> str:
    """The text of a catalog file."""
    other = os.environ.get(CATALOG_VARIABLE)
    if other and (path := Path(other) / name).is_file():
        return path.read_text(encoding="utf-8")
    return files("ackbox.catalog").joinpath(name).read_text(encoding="utf-8")


def read_yaml(name: str) -> Any:
    """The content of a catalog file in YAML."""
    return yaml.safe_load(read_text(name))
