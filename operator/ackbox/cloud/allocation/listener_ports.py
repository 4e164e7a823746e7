"""Which port of the data plane's Pods leads to which port of which load balancer."""

import asyncio
import hashlib
from collections.abc import Collection, Iterator, Mapping

from ackbox.cloud.allocation.claims import Claims
from ackbox.kube.cache import Key
from ackbox.kube.client import Client
from ackbox.resources.balancer_service import Door

CONFIG_MAP_NAME = "listener-ports"

FIRST, LAST = 20_000, 32_767
"""Above the ports that programs choose for themselves, below those that Linux gives to outgoing connections."""

COUNT = LAST - FIRST + 1


def port_owner(balancer: Key, door: Door) -> str:
    """How a target port is reserved."""
    return f"{_prefix(balancer)}{door[0]}/{door[1]}"


def candidates(owner: str) -> Iterator[int]:
    """The ports that an owner may have.

    It always begins at the same one: who comes again mostly gets the same again, and a port that was given back isn't
    soon somebody else's.
    """
    start = int.from_bytes(hashlib.sha256(owner.encode()).digest()[:4]) % COUNT
    return (FIRST + (start + step) % COUNT for step in range(COUNT))


class ListenerPorts:
    """Reserves target ports."""

    def __init__(self, client: Client) -> None:
        self._claims = Claims[int](client, CONFIG_MAP_NAME, str, int)

    async def assign(
        self, balancer: Key, doors: Collection[Door], before: Mapping[Door, int] | None = None
    ) -> dict[Door, int]:
        """The target ports of a load balancer's ports, all reserved in one write; those that can't have one are missing.

        A port that has none gets the one it had `before`, if that is free.
        """
        known = before or {}
        ports = await asyncio.gather(*(self._claim(port_owner(balancer, door), known.get(door)) for door in doors))
        return {door: port for door, port in zip(doors, ports, strict=True) if port is not None}

    async def release_others(self, balancer: Key, doors: Collection[Door]) -> None:
        """Give back what a load balancer has for other ports than these; nothing may lead there any more."""
        await self._claims.release_others(_prefix(balancer), {port_owner(balancer, door) for door in doors})

    async def holders(self) -> set[Key]:
        """The load balancers that have ports."""
        return {
            (namespace, name) for namespace, name, *_ in (owner.split("/") for owner in await self._claims.owners())
        }

    async def _claim(self, owner: str, before: int | None) -> int | None:
        return await self._claims.claim(owner, lambda: candidates(owner), before)


def _prefix(balancer: Key) -> str:
    return f"{'/'.join(balancer)}/"
