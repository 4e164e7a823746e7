"""Loopback addresses of API servers and load balancers, reserved in one ConfigMap of the management cluster.

All reservations and releases that wait go out in one resourceVersion-checked write.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from enum import Enum
from ipaddress import IPv4Address, IPv4Network

from ackbox.kube.client import CONFIG_MAP, Client, Object
from ackbox.kube.errors import AlreadyExists, Conflict, NotFound

SYSTEM_NAMESPACE = "ackbox-system"
CONFIG_MAP_NAME = "loopback-addresses"
ATTEMPTS = 5


class AddressUse(Enum):
    """What an address is for: the first and the last value of its third byte."""

    API_SERVER = (1, 15)
    LOAD_BALANCER = (16, 127)


class AddressesExhausted(Exception):
    """No address of the range is free."""


def candidates(network: IPv4Network, use: AddressUse) -> Iterator[IPv4Address]:
    """The addresses for a use, the lowest first. The last byte is never 0 or 255."""
    first, last = use.value
    base = int(network.network_address)
    return (IPv4Address(base + third * 256 + fourth) for third in range(first, last + 1) for fourth in range(1, 255))


class LoopbackAddresses:
    """Reserves addresses for owners, each named `<kind>/<namespace>/<name>`."""

    def __init__(self, client: Client, network: IPv4Network) -> None:
        self._client = client
        self._network = network
        self._lock = asyncio.Lock()
        self._config_map: Object | None = None
        self._wanted: dict[str, tuple[AddressUse, str | None]] = {}
        self._unwanted: set[str] = set()
        self._known: dict[str, IPv4Address] = {}

    async def reserve(self, owner: str, use: AddressUse, before: str | None = None) -> str:
        """The address of an owner; the one it had `before`, if that is free, else a new one.

        Raises:
            AddressesExhausted: none is left.
        """
        if owner in self._known:
            return str(self._known[owner])
        self._wanted[owner] = (use, before)
        self._unwanted.discard(owner)
        address = (await self._flush()).get(owner)
        if address is None:
            self._wanted.pop(owner, None)
            raise AddressesExhausted(f"every loopback address for {use.name} is taken")
        self._known[owner] = address
        return str(address)

    async def release(self, owner: str) -> None:
        """Give the address of an owner back; harmless when it has none."""
        self._unwanted.add(owner)
        self._known.pop(owner, None)
        self._wanted.pop(owner, None)
        await self._flush()

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
                    self._config_map = await self._client.patch(CONFIG_MAP, CONFIG_MAP_NAME, SYSTEM_NAMESPACE, body)
                except (Conflict, NotFound):
                    self._config_map = None  # Somebody else changed or deleted it: read it anew.
            raise Conflict(409, "Conflict", f"ConfigMap {CONFIG_MAP_NAME} keeps changing")

    def _plan(self, data: dict[str, str]) -> tuple[dict[str, str | None], dict[str, IPv4Address]]:
        """The merge patch of the data, and everybody's address after it."""
        owners = {owner: _address(key) for key, owner in data.items()}
        change: dict[str, str | None] = {_key(owners.pop(owner)): None for owner in self._unwanted if owner in owners}
        taken = set(owners.values())
        for owner, (use, before) in self._wanted.items():
            if owner in owners:
                continue
            address = _choose(candidates(self._network, use), taken, before)
            if address is None:
                continue
            owners[owner] = address
            taken.add(address)
            change[_key(address)] = owner
        return change, owners

    async def _load(self) -> Object:
        try:
            return await self._client.get(CONFIG_MAP, CONFIG_MAP_NAME, SYSTEM_NAMESPACE)
        except NotFound:
            pass
        # The namespace comes with the installation, and so does the right to make this in it.
        with contextlib.suppress(AlreadyExists):
            await self._client.create(CONFIG_MAP, {"metadata": {"name": CONFIG_MAP_NAME}}, SYSTEM_NAMESPACE)
        return await self._client.get(CONFIG_MAP, CONFIG_MAP_NAME, SYSTEM_NAMESPACE)


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
