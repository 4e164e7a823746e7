"""Which addresses of a vSwitch and which pod CIDRs of a cluster are free. Pure."""

from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

from ackbox.catalog.network import NetworkRules, network_rules


def usable(cidr: IPv4Network, rules: NetworkRules | None = None) -> range:
    """The addresses of a vSwitch that can be handed out, as integers."""
    rules = rules or network_rules()
    first = int(cidr.network_address)
    return range(first + rules.reserved_first, first + cidr.num_addresses - rules.reserved_last)


def free_addresses(cidr: IPv4Network, taken: Collection[int]) -> Iterator[int]:
    """The free addresses of a vSwitch, the lowest first. Looks at `taken` as it goes."""
    return (address for address in usable(cidr) if address not in taken)


def free_blocks(network: IPv4Network, mask: int, taken: Collection[IPv4Network]) -> Iterator[IPv4Network]:
    """The blocks of a size that lie in a network and overlap no taken one, the lowest first."""
    if mask < network.prefixlen:
        return iter(())
    used = _covered(network, mask, taken)
    first, step = int(network.network_address), 1 << (32 - mask)
    count = 1 << (mask - network.prefixlen)
    return (IPv4Network((first + index * step, mask)) for index in range(count) if index not in used)


def _covered(network: IPv4Network, mask: int, taken: Iterable[IPv4Network]) -> set[int]:
    """Indexes of the blocks that the taken networks touch; those may have another size."""
    first, shift = int(network.network_address), 32 - mask
    covered: set[int] = set()
    for block in taken:
        if block.overlaps(network):
            start = max(int(block.network_address), first)
            end = min(int(block.broadcast_address), int(network.broadcast_address))
            covered.update(range((start - first) >> shift, ((end - first) >> shift) + 1))
    return covered


def block_addresses(block: str) -> range:
    """The addresses of a block, as integers."""
    first, _, mask = block.partition("/")
    start = int(IPv4Address(first))
    return range(start, start + (1 << (32 - int(mask))))


def integers(addresses: Iterable[str]) -> set[int]:
    """IPv4 addresses as integers."""
    return {int(IPv4Address(address)) for address in addresses}
