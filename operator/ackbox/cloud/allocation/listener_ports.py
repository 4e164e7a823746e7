"""Which port of the data plane's Pods leads to which port of which load balancer."""

import asyncio
import hashlib
from collections.abc import Collection, Iterator

from ackbox.cloud.allocation.claims import Claims
from ackbox.kube.cache import Key
from ackbox.kube.client import Client
from ackbox.resources.balancer_service import Door

CONFIG_MAP_NAME = "listener-ports"

FIRST, LAST = 20_000, 32_767
"""Above the ports that programs choose for themselves, below those that Linux gives to outgoing connections."""


class PortsExhausted(Exception):
    """Every port of the data plane is taken."""


def port_owner(balancer: Key, door: Door) -> str:
    """How a target port is reserved."""
    return f"{_prefix(balancer)}{door[0]}/{door[1]}"


def candidates(owner: str) -> Iterator[int]:
    """The ports that an owner may have.

    It always begins at the same one: who comes again mostly gets the same again, and a port that was given back isn't
    soon somebody else's.
    """
    count = LAST - FIRST + 1
    start = int.from_bytes(hashlib.sha256(owner.encode()).digest()[:4]) % count
    return (FIRST + (start + step) % count for step in range(count))


class ListenerPorts:
    """Reserves target ports."""

    def __init__(self, client: Client) -> None:
        self._claims = Claims[int](client, CONFIG_MAP_NAME, str, int)

    async def assign(self, balancer: Key, doors: Collection[Door]) -> dict[Door, int]:
        """The target ports of a load balancer's ports, all reserved in one write; those of others are given back.

        Raises:
            PortsExhausted: not all of them can have one.
        """
        owners = {door: port_owner(balancer, door) for door in doors}
        await self._claims.release_others(_prefix(balancer), set(owners.values()))
        ports = await asyncio.gather(*(self._claim(owner) for owner in owners.values()))
        found = {door: port for door, port in zip(owners, ports, strict=True) if port is not None}
        if len(found) < len(owners):
            text = f"{len(owners) - len(found)} of {len(owners)} ports wait: all {LAST - FIRST + 1} of the data plane are taken"
            raise PortsExhausted(text)
        return found

    async def holders(self) -> set[Key]:
        """The load balancers that have ports."""
        return {
            (namespace, name) for namespace, name, *_ in (owner.split("/") for owner in await self._claims.owners())
        }

    async def _claim(self, owner: str) -> int | None:
        return await self._claims.claim(owner, lambda: candidates(owner))


def _prefix(balancer: Key) -> str:
    return f"{'/'.join(balancer)}/"
