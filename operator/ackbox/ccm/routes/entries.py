"""What the route tables of a VPC have in them, kept ready for many questions."""

from collections.abc import Iterable, Mapping

from ackbox.ccm.routes.tables import name_of
from ackbox.kube.client import Object

NOTHING: Mapping[str, frozenset[str]] = {}


class Entries:
    """Blocks by instance, by table."""

    def __init__(self, tables: Iterable[Object] = ()) -> None:
        self._blocks = {name_of(table): _blocks(table) for table in tables}

    def take_in(self, table: Object) -> set[str]:
        """Take a table as it is now; answers the instances whose entries have changed."""
        before, after = self._blocks.get(name_of(table), NOTHING), _blocks(table)
        self._blocks[name_of(table)] = after
        return {hop for hop in before.keys() | after.keys() if before.get(hop) != after.get(hop)}

    def tables_with(self, instance: str, block: str | None = None) -> set[str]:
        """The tables that have an entry for an instance, for exactly this block if one is given."""
        there = ((table, blocks.get(instance, ())) for table, blocks in self._blocks.items())
        return {table for table, blocks in there if (blocks if block is None else block in blocks)}


def _blocks(table: Object) -> Mapping[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for entry in (table.get("spec") or {}).get("routeEntries") or []:
        hop = entry["nextHopId"]
        found[hop] = found.get(hop, frozenset()) | {entry["destinationCidrBlock"]}
    return found
