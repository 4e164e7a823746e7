"""Where the pods of new machines get their addresses with Terway: from a vSwitch of the machine's zone. Pure.

Terway's network interfaces take addresses as pods come. Here a machine has the addresses for all its pods from the start,
one block, so that no two pods of a VPC ever have the same one.
"""

from collections.abc import Collection, Iterator, Sequence
from ipaddress import IPv4Network

from ackbox.cloud.allocation.addresses import usable
from ackbox.cloud.allocation.ledger import Subnet


class PodBlocks:
    """Hands out blocks, the last ones of a vSwitch first: machines and load balancers get its first addresses.

    Args:
        subnets: the vSwitches for pods.
        taken: addresses that are given out, as integers; those of a block are added.
    """

    def __init__(self, subnets: Sequence[Subnet], taken: set[int]) -> None:
        self._subnets = subnets
        self._taken = taken
        self._left: dict[tuple[str, int], Iterator[range]] = {}
        self.exhausted: dict[str, None] = {}
        """Names of the vSwitches that had no block left, or of zones without one."""

    def take(self, zone: str, pods: int, spared: Collection[int]) -> tuple[Subnet, IPv4Network] | None:
        """A block for so many pods in a zone, without the `spared` addresses; None when there is none."""
        size = 1 << max(0, pods - 1).bit_length()
        here = [subnet for subnet in self._subnets if subnet.zone == zone]
        for subnet in here:
            left = self._left.setdefault((subnet.id, size), _aligned(usable(subnet.cidr), size))
            for block in left:
                if self._taken.isdisjoint(block) and not any(address in block for address in spared):
                    self._taken.update(block)
                    return subnet, IPv4Network((block.start, 32 - (size - 1).bit_length()))
        self.exhausted.update(dict.fromkeys([subnet.name for subnet in here] or [f"none in {zone}"]))
        return None


def _aligned(room: range, size: int) -> Iterator[range]:
    """The blocks of a size inside a range, the last first."""
    last = room.stop // size * size - size
    return (range(first, first + size) for first in range(last, room.start - 1, -size))
