"""Reads the catalog's own files."""

from importlib.resources import files
from typing import Any

import yaml


def read_text(name: str) -> str:
    """The text of a file that stands beside this module."""
    return files("ackbox.catalog").joinpath(name).read_text(encoding="utf-8")


def read_yaml(name: str) -> Any:
    """The content of a YAML file that stands beside this module."""
    return yaml.safe_load(read_text(name))
