"""The TLS security policies of load balancers (`tls_policies.yaml`)."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from ackbox.catalog.data import read_yaml


@dataclass(frozen=True)
class TlsPolicy:
    """Which versions of TLS, as `1.2`, and which cipher suites below version 1.3."""

    minimum: str
    maximum: str
    ciphers: tuple[str, ...]


@cache
def tls_policies() -> dict[str, TlsPolicy]:
    """The policies by name."""
    table = _table()
    return {
        name: TlsPolicy(
            row["minimum"], row["maximum"], tuple(suite for part in row["ciphers"] for suite in table["suites"][part])
        )
        for name, row in table["policies"].items()
    }


@cache
def default_tls_policy() -> str:
    """The policy of a listener that names none."""
    name: str = _table()["default"]
    return name


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = read_yaml("tls_policies.yaml")
    return table
