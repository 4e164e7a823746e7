"""What hurts (`high_risk_operations.yaml`): what is done by hand, what comes of it, and how it is put right."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any

from ackbox.catalog.data import read_yaml
from ackbox.resources.instance import INSTANCE, Harm, InstanceRole


class Table(StrEnum):
    """The tables of ACK's documentation, as the file calls them."""

    CLUSTER = "cluster"
    NODE_POOL = "nodePool"
    NETWORK = "network"


class Field(StrEnum):
    """What of an Instance is compared with what it was like when it was installed."""

    SECURITY_GROUPS = "securityGroupIds"
    EXPIRED_TIME = "expiredTime"
    IMAGE = "imageId"
    KUBELET_VERSION = "kubeletVersion"
    ADDRESS = "privateIpAddress"
    NODE = "node"
    """That its Node is there."""


@dataclass(frozen=True)
class Cause:
    """What of an Instance is the operation.

    Attributes:
        role: of workers or masters only; None for all.
        field: another value than the machine was installed with.
        sysctls: kernel parameters, as patterns.
        harmful, harmless: their values that hurt, or the only ones that don't.
        packages: software that must not be installed.
        files: patterns of paths that must not be changed.
        anything_else: every other change of the operating system.
        lasting: undoing it doesn't bring back what is lost.
        until_restart: it also takes a restart.
    """

    role: InstanceRole | None = None
    field: Field | None = None
    sysctls: tuple[str, ...] = ()
    harmful: tuple[str, ...] = ()
    harmless: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    anything_else: bool = False
    lasting: bool = False
    until_restart: bool = False


@dataclass(frozen=True)
class Operation:
    """A row.

    Attributes:
        table: the table of ACK's documentation that it is from.
        target: what it is done to.
        operation, effect, recovery: in words.
        recovers: whether there is a recovery: yes, no, partly or unknown.
        surface: where it is done here; None when it can't be.
        why: why it can't be done here.
        kind, condition, reason, event: how it is told: a condition of a kind, a Warning.
        cause: what of an Instance is the operation.
        test: what shows it; with `unit:` before it, by pure functions.
    """

    id: str
    table: Table
    target: str
    operation: str
    effect: str
    recovery: str
    recovers: str
    surface: str | None = None
    why: str | None = None
    kind: str | None = None
    condition: str | None = None
    reason: str | None = None
    event: str | None = None
    cause: Cause | None = None
    test: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)

    def told(self, found: str) -> str:
        """What to say of it: what was found, what comes of it, and the way out."""
        return f"{found}: {self.effect}. {self.recovery}"


@cache
def operations() -> Mapping[str, Operation]:
    """All rows by their ids."""
    tables = read_yaml("high_risk_operations.yaml")
    return {row["id"]: _operation(Table(name), row) for name, rows in tables.items() for row in rows}


def operations_on_instances() -> list[tuple[Operation, Cause]]:
    """The rows that are found in an Instance, in the order of the file; the first that fits takes a changed file."""
    return [(row, row.cause) for row in operations().values() if row.cause is not None]


@cache
def instance_conditions() -> frozenset[str]:
    """The types of the conditions that tell of what was done to an Instance."""
    return frozenset(row.condition for row in operations().values() if row.kind == INSTANCE.kind and row.condition)


def _operation(table: Table, row: Mapping[str, Any]) -> Operation:
    seen, cause = row.get("seen") or {}, row.get("cause")
    texts = ("id", "target", "operation", "effect", "recovery", "recovers", "surface", "why", "test")
    words: dict[str, Any] = {name: row.get(name) for name in texts}
    found = Operation(
        **words,
        table=table,
        kind=seen.get("kind"),
        condition=seen.get("condition"),
        reason=seen.get("reason"),
        event=seen.get("event"),
        cause=_cause(cause) if cause else None,
        figures=row.get("figures") or {},
    )
    if found.cause is not None:
        Harm(found.reason or "")  # A reason that isn't one of them would be said and never felt.
    return found


def _cause(row: Mapping[str, Any]) -> Cause:
    return Cause(
        role=InstanceRole(row["role"]) if "role" in row else None,
        field=Field(row["field"]) if "field" in row else None,
        sysctls=tuple(row.get("sysctls", ())),
        harmful=tuple(row.get("harmful", ())),
        harmless=tuple(row.get("harmless", ())),
        packages=tuple(row.get("packages", ())),
        files=tuple(row.get("files", ())),
        anything_else=row.get("anythingElse", False),
        lasting=row.get("lasting", False),
        until_restart=row.get("untilRestart", False),
    )
