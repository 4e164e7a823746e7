"""Elastic IP addresses: which address belongs to which id, and those that the cloud allocates for its own parts.

An id is the owner of its address in the ConfigMap `elastic-addresses`, so that no two ever have the same one.
"""

import contextlib
from collections.abc import Iterator
from ipaddress import IPv4Address

from ackbox.catalog.network import network_rules
from ackbox.cloud.allocation import ids
from ackbox.cloud.allocation.loopback import AddressBook
from ackbox.kube.cache import Cache
from ackbox.kube.client import Client, Object
from ackbox.kube.errors import AlreadyExists, NotFound
from ackbox.kube.refs import belongs_to
from ackbox.resources import ELASTIC_IP_ADDRESS, ElasticIPAddress

CONFIG_MAP_NAME = "elastic-addresses"


def candidates(allocation_id: str) -> Iterator[IPv4Address]:
    """The addresses that an id may have; it always begins at the same one, so it mostly gets the same again."""
    network = network_rules().elastic_addresses
    size = network.num_addresses - 2
    start = ids.elastic_address_number(allocation_id, size)
    return (network[1 + (start + step) % size] for step in range(size))


class ElasticAddresses:
    """Reserves the addresses of elastic IP addresses."""

    def __init__(self, client: Client) -> None:
        self._book = AddressBook(client, CONFIG_MAP_NAME)

    async def reserve(self, allocation_id: str, before: str | None = None) -> str | None:
        """The address of an id, the one it had `before` if that is free; None when every address is taken."""
        remembered = IPv4Address(before) if before else None
        address = await self._book.claim(allocation_id, lambda: candidates(allocation_id), remembered)
        return str(address) if address else None

    async def release(self, allocation_id: str) -> None:
        """Give the address of an id back; harmless when it has none."""
        await self._book.release(allocation_id)


async def ensure(client: Client, cache: Cache, owner: Object, name: str, region_id: str) -> ElasticIPAddress | None:
    """The ElasticIPAddress that the cloud allocates for a part of `owner`; None while it is still to come.

    It goes with its owner, and counts against the account's quota as every other one.
    """
    namespace = owner["metadata"]["namespace"]
    found = cache.get(namespace, name)
    if found is not None:
        return ElasticIPAddress.model_validate(found)
    reference = {key: owner[key] for key in ("apiVersion", "kind")}
    reference |= {key: owner["metadata"][key] for key in ("name", "uid")}
    body = {"metadata": {"name": name, "ownerReferences": [reference]}, "spec": {"regionId": region_id}}
    with contextlib.suppress(AlreadyExists):  # The watch will bring it.
        await client.create(ELASTIC_IP_ADDRESS, body, namespace)
    return None


async def give_up(client: Client, cache: Cache, owner: Object, name: str) -> None:
    """Release what `ensure` allocated, once it is unbound; a user's own of that name stays."""
    namespace = owner["metadata"]["namespace"]
    found = cache.get(namespace, name)
    if found is None or not belongs_to(found, owner["metadata"]["uid"]):
        return
    if not found["metadata"].get("deletionTimestamp"):
        with contextlib.suppress(NotFound):
            await client.delete(ELASTIC_IP_ADDRESS, name, namespace, uid=found["metadata"]["uid"])
