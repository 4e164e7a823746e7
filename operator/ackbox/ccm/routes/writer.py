"""Writes route entries: a batch in one go, and one by one when the batch is refused."""

from collections.abc import Sequence

from ackbox.ccm.metrics import ROUTE_LATENCIES, timed
from ackbox.ccm.routes.plan import RoutePlan
from ackbox.ccm.store import Store
from ackbox.kube.client import Object
from ackbox.kube.errors import Forbidden, Invalid
from ackbox.resources import ROUTE_TABLE
from ackbox.resources.network import RouteEntry

BATCH = 50
"""Entries that are added in one write."""


async def write(management: Store, table: Object, target: RoutePlan) -> dict[str, str]:
    """Bring a table to its plan, at most one batch of it; answers the instances that were refused, with the reason.

    Raises:
        ApiError: the table couldn't be written, as when it has changed meanwhile.
    """
    batch = target.added[:BATCH]
    if (*target.kept, *batch) == entries_of(table):
        return {}
    try:
        await _put(management, table, target.kept, batch)
    except (Invalid, Forbidden) as error:
        if len(batch) <= 1:
            return {entry.next_hop_id: str(error) for entry in batch}
    else:
        return {}
    # One entry that isn't taken must not keep the others out.
    refused: dict[str, str] = {}
    table = await management.read(ROUTE_TABLE, table["metadata"]["name"], table["metadata"]["namespace"])
    kept = target.kept
    for entry in batch:
        try:
            table = await _put(management, table, kept, (entry,))
            kept = entries_of(table)
        except (Invalid, Forbidden) as error:
            refused[entry.next_hop_id] = str(error)
    return refused


async def _put(management: Store, table: Object, kept: Sequence[RouteEntry], added: Sequence[RouteEntry]) -> Object:
    metadata = table["metadata"]
    name, namespace = metadata["name"], metadata["namespace"]
    with timed(ROUTE_LATENCIES, "create"):
        if kept and tuple(kept) == entries_of(table):
            # What is only added needs no check that nothing else has changed: blocks are unique in the table.
            operations = [{"op": "add", "path": "/spec/routeEntries/-", "value": entry.wire()} for entry in added]
            return await management.json_patch(ROUTE_TABLE, name, namespace, operations)
        patch = {
            "metadata": {"resourceVersion": metadata["resourceVersion"]},
            "spec": {"routeEntries": [entry.wire() for entry in (*kept, *added)]},
        }
        return await management.patch(ROUTE_TABLE, name, namespace, patch)


def entries_of(table: Object | None) -> tuple[RouteEntry, ...]:
    """The entries of a table."""
    spec = (table or {}).get("spec") or {}
    return tuple(RouteEntry.model_validate(entry) for entry in spec.get("routeEntries") or [])
