"""Which entries a VPC's route table is to have for the nodes of a cluster. Pure; rule source: the CCM's `pkg/controller/route`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network

from ackbox.resources.network import RouteEntry

TABLE_FULL = "The number of custom route entries has reached the quota of the route table."


@dataclass(frozen=True)
class RoutePlan:
    """What is to become of a table.

    Attributes:
        kept: the entries that are there and stay.
        added: those that come behind them.
        refused: the instances that get none, with the reason.
    """

    kept: tuple[RouteEntry, ...]
    added: tuple[RouteEntry, ...]
    refused: Mapping[str, str]

    @property
    def entries(self) -> tuple[RouteEntry, ...]:
        """The table as it is to be."""
        return (*self.kept, *self.added)


def plan(
    entries: Sequence[RouteEntry],
    wanted: Mapping[str, str],
    dead: Collection[str],
    limit: int,
    pod_network: IPv4Network | None = None,
) -> RoutePlan:
    """The route table as it is to be.

    Args:
        entries: what the table has.
        wanted: pod CIDR by instance, for the instances of this cluster that are to have a route.
        dead: instances whose routes are to go.
        limit: how many entries the table may hold.
        pod_network: where the cluster's pod CIDRs are taken from.
    """
    blocks, refused = _granted(entries, wanted)
    owners = {block: instance for instance, block in blocks.items()}
    lengths = sorted({block.prefixlen for block in owners})

    def stays(entry: RouteEntry) -> bool:
        block, instance = network(entry.destination_cidr_block), entry.next_hop_id
        if instance in dead:
            return False
        if block is None:
            return True  # nothing that a node could have
        if instance in blocks and block != blocks[instance] and pod_network and block.subnet_of(pod_network):
            return False  # what the node had before
        # A block that points at another instance than the node that has it, or the part of one, takes traffic away.
        holder = _holder(block, owners, lengths)
        return holder is None or (holder == instance and owners.get(block) == instance)

    kept = tuple(entry for entry in entries if stays(entry))
    there = {(network(entry.destination_cidr_block), entry.next_hop_id) for entry in kept}
    missing = [(instance, wanted[instance]) for instance, block in blocks.items() if (block, instance) not in there]
    room = max(0, limit - len(kept))
    added = [RouteEntry(destination_cidr_block=cidr, next_hop_id=instance) for instance, cidr in missing[:room]]
    full = f"{TABLE_FULL} ({len(kept) + len(added)} of {limit})"
    return RoutePlan(kept, tuple(added), refused | {instance: full for instance, _ in missing[room:]})


def _granted(entries: Sequence[RouteEntry], wanted: Mapping[str, str]) -> tuple[dict[str, IPv4Network], dict[str, str]]:
    """The block of each instance, and why some have none. Of two that overlap, the one that is routed keeps it."""
    refused = {name: f"pod CIDR {cidr} is not an IPv4 block" for name, cidr in wanted.items() if network(cidr) is None}
    routed = {(entry.destination_cidr_block, entry.next_hop_id) for entry in entries}
    blocks = {name: block for name, cidr in wanted.items() if (block := network(cidr)) is not None}
    owners: dict[IPv4Network, str] = {}
    for name in sorted(blocks, key=lambda name: (wanted[name], name) not in routed):
        owners.setdefault(blocks[name], name)
    lengths = sorted({block.prefixlen for block in owners})
    for name, block in blocks.items():
        holder = _holder(block, owners, lengths)
        if holder is not None and holder != name:
            refused[name] = f"pod CIDR {block} overlaps pod CIDR {wanted[holder]} of {holder}"
    return {name: block for name, block in blocks.items() if name not in refused}, refused


def _holder(block: IPv4Network, owners: Mapping[IPv4Network, str], lengths: Sequence[int]) -> str | None:
    """Who has this block, or the widest one around it."""
    for length in lengths:
        if length > block.prefixlen:
            break
        around = block if length == block.prefixlen else block.supernet(new_prefix=length)
        if around in owners:
            return owners[around]
    return None


@lru_cache(maxsize=8192)
def network(cidr: str) -> IPv4Network | None:
    """An IPv4 block; None when the text is something else."""
    try:
        return IPv4Network(cidr, strict=False)
    except ValueError:
        return None
