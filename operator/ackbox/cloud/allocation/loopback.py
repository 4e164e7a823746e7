"""Addresses that are reserved in a ConfigMap of the management cluster: loopback ones, and elastic IP addresses.

All reservations and releases that wait go out in one resourceVersion-checked write.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterator
from ipaddress import IPv4Address, IPv4Network

from ackbox.kube.client import CONFIG_MAP, Client, Object
from ackbox.kube.errors import AlreadyExists, Conflict, NotFound
from ackbox.resources import SERVICE_LOAD_BALANCER
from ackbox.runtime.loopback import AddressUse, candidates

SYSTEM_NAMESPACE = "ackbox-system"
CONFIG_MAP_NAME = "loopback-addresses"
ATTEMPTS = 5

Candidates = Callable[[], Iterator[IPv4Address]]


class AddressesExhausted(Exception):
    """No address of the range is free."""


def load_balancer_owner(namespace: str, name: str) -> str:
    """How the address of a load balancer is reserved."""
    return f"{SERVICE_LOAD_BALANCER.kind}/{namespace}/{name}"


class AddressBook:
    """Reserves addresses for owners in the ConfigMap `name`."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name
        self._lock = asyncio.Lock()
        self._config_map: Object | None = None
        self._wanted: dict[str, tuple[Candidates, str | None]] = {}
        self._unwanted: set[str] = set()
        self._known: dict[str, IPv4Address] = {}

    async def claim(self, owner: str, candidates: Candidates, before: str | None = None) -> str | None:
        """The address of an owner; the one it had `before`, if that is free, else a new one; None when none is left.

        `candidates` gives the addresses that it may have, the preferred ones first.
        """
        if owner in self._known:
            return str(self._known[owner])
        self._wanted[owner] = (candidates, before)
        self._unwanted.discard(owner)
        address = (await self._flush()).get(owner)
        if address is None:
            self._wanted.pop(owner, None)
            return None
        self._known[owner] = address
        return str(address)

    async def release(self, owner: str) -> None:
        """Give the address of an owner back; harmless when it has none."""
        self._forget(owner)
        await self._flush()

    async def release_others(self, prefix: str, kept: Collection[str]) -> None:
        """Give back the addresses of every owner whose name begins so, but for those that are kept."""
        # The answer of a flush that changes nothing is everybody's address.
        for owner in await self._flush():
            if owner.startswith(prefix) and owner not in kept:
                self._forget(owner)
        if self._unwanted:
            await self._flush()

    def _forget(self, owner: str) -> None:
        self._unwanted.add(owner)
        self._known.pop(owner, None)
        self._wanted.pop(owner, None)

    async def _flush(self) -> dict[str, IPv4Address]:
        async with self._lock:
            for _ in range(ATTEMPTS):
                config_map = self._config_map = self._config_map or await self._load()
                unwanted = set(self._unwanted)
                change, owners = self._plan(config_map.get("data") or {})
                if not change:
                    self._unwanted -= unwanted
                    return owners
                body = {"metadata": {"resourceVersion": config_map["metadata"]["resourceVersion"]}, "data": change}
                try:
                    self._config_map = await self._client.patch(CONFIG_MAP, self._name, SYSTEM_NAMESPACE, body)
                except (Conflict, NotFound):
                    self._config_map = None  # Somebody else changed or deleted it: read it anew.
            raise Conflict(409, "Conflict", f"ConfigMap {self._name} keeps changing")

    def _plan(self, data: dict[str, str]) -> tuple[dict[str, str | None], dict[str, IPv4Address]]:
        """The merge patch of the data, and everybody's address after it."""
        owners = {owner: _address(key) for key, owner in data.items()}
        change: dict[str, str | None] = {_key(owners.pop(owner)): None for owner in self._unwanted if owner in owners}
        taken = set(owners.values())
        for owner, (free, before) in self._wanted.items():
            if owner in owners:
                continue
            address = _choose(free(), taken, before)
            if address is None:
                continue
            owners[owner] = address
            taken.add(address)
            change[_key(address)] = owner
        return change, owners

    async def _load(self) -> Object:
        try:
            return await self._client.get(CONFIG_MAP, self._name, SYSTEM_NAMESPACE)
        except NotFound:
            pass
        # The namespace comes with the installation, and so does the right to make this in it.
        with contextlib.suppress(AlreadyExists):
            await self._client.create(CONFIG_MAP, {"metadata": {"name": self._name}}, SYSTEM_NAMESPACE)
        return await self._client.get(CONFIG_MAP, self._name, SYSTEM_NAMESPACE)


class LoopbackAddresses(AddressBook):
    """Reserves loopback addresses; an owner is named `<kind>/<namespace>/<name>`."""

    def __init__(self, client: Client, network: IPv4Network) -> None:
        super().__init__(client, CONFIG_MAP_NAME)
        self._network = network

    async def reserve(self, owner: str, use: AddressUse, before: str | None = None) -> str:
        """The address of an owner; the one it had `before`, if that is free, else a new one.

        Raises:
            AddressesExhausted: none is left.
        """
        address = await self.claim(owner, lambda: candidates(self._network, use), before)
        if address is None:
            raise AddressesExhausted(f"every loopback address for {use.name} is taken")
        return address


def _choose(free: Iterator[IPv4Address], taken: set[IPv4Address], before: str | None) -> IPv4Address | None:
    remembered = IPv4Address(before) if before else None
    first = None
    for address in free:
        if address in taken:
            continue
        if remembered is None or address == remembered:
            return address
        first = first or address
    return first


def _key(address: IPv4Address) -> str:
    return str(address).replace(".", "-")


def _address(key: str) -> IPv4Address:
    return IPv4Address(key.replace("-", "."))
