"""Which entries a VPC's route table is to have for the nodes of a cluster. Pure; rule source: `reference/ccm.md` §4."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ackbox.resources.network import RouteEntry

TABLE_FULL = "The number of custom route entries has reached the quota of the route table."


@dataclass(frozen=True)
class RoutePlan:
    """The entries that the table is to have, and the instances that got none with the reason."""

    entries: tuple[RouteEntry, ...]
    refused: Mapping[str, str]


def plan(entries: Sequence[RouteEntry], wanted: Mapping[str, str], dead: Collection[str], limit: int) -> RoutePlan:
    """The route table as it is to be.

    Args:
        entries: what the table has.
        wanted: pod CIDR by instance, for the instances of this cluster that are to have a route.
        dead: instances whose routes are to go.
        limit: how many entries the table may hold.
    """
    owner = {cidr: instance for instance, cidr in wanted.items()}

    def stays(entry: RouteEntry) -> bool:
        if entry.next_hop_id in dead:
            return False
        if entry.next_hop_id in wanted and wanted[entry.next_hop_id] != entry.destination_cidr_block:
            return False
        # A block that points at another instance than the node that has it is a mistake to be mended.
        return owner.get(entry.destination_cidr_block, entry.next_hop_id) == entry.next_hop_id

    kept = [entry for entry in entries if stays(entry)]
    there = {entry.destination_cidr_block for entry in kept}
    missing = [(instance, cidr) for instance, cidr in wanted.items() if cidr not in there]
    room = max(0, limit - len(kept))
    added = [RouteEntry(destination_cidr_block=cidr, next_hop_id=instance) for instance, cidr in missing[:room]]
    refused = {instance: f"{TABLE_FULL} ({len(kept) + len(added)} of {limit})" for instance, _ in missing[room:]}
    return RoutePlan((*kept, *added), refused)
