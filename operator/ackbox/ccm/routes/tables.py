"""Which route tables of the VPC a cluster's routes are written to. Pure; rule source: the CCM's `pkg/controller/route`."""

from collections.abc import Sequence
from dataclasses import dataclass

from ackbox.kube.client import Object


@dataclass(frozen=True)
class Choice:
    """The tables, and why not all are there that should be."""

    tables: tuple[Object, ...]
    problem: str | None = None


def choose(there: Sequence[Object], wanted: Sequence[str], vpc: str) -> Choice:
    """Choose among the tables of a VPC.

    Args:
        there: every route table of the VPC.
        wanted: `Global.routeTableIDs` of the cloud config, ids or names; empty means the only table of the VPC.
        vpc: the VPC's id, for messages.
    """
    if not wanted:
        if len(there) == 1:
            return Choice(tuple(there))
        if not there:
            return Choice((), f"no route tables found by vpc id[{vpc}]")
        return Choice(
            (),
            f"multiple route tables found by vpc id[{vpc}], length(tables)={len(there)}; "
            f"name those to use in Global.routeTableIDs of the cloud config: {_names(there)}",
        )
    known = {reference: table for table in there for reference in reversed(references(table))}
    found = {name_of(known[each]): known[each] for each in wanted if each in known}
    missing = [each for each in wanted if each not in known]
    problem = (
        f"Global.routeTableIDs: [{','.join(missing)}] not found in vpc [{vpc}], which has: {_names(there)}"
        if missing
        else None
    )
    return Choice(tuple(found.values()), problem)


def references(table: Object) -> tuple[str, ...]:
    """What a table is called: its name, and its cloud id when it has one."""
    cloud_id = (table.get("status") or {}).get("routeTableId")
    return (name_of(table), cloud_id) if cloud_id else (name_of(table),)


def shown(table: Object) -> str:
    """How a table is called in messages: by its cloud id, as the real service does."""
    return references(table)[-1]


def name_of(table: Object) -> str:
    """A table's name."""
    name: str = table["metadata"]["name"]
    return name


def _names(tables: Sequence[Object]) -> str:
    return ", ".join(sorted(name_of(table) for table in tables)) or "none"
