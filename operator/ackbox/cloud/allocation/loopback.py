"""Addresses that are reserved in a ConfigMap of the management cluster: loopback ones, and elastic IP addresses."""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol

from ackbox.cloud.allocation.claims import Claims
from ackbox.kube.client import Client
from ackbox.runtime.loopback import RESERVATIONS, AddressUse, candidates

CONFIG_MAP_NAME = RESERVATIONS


class AddressesExhausted(Exception):
    """No address can be had now: none is free, or the one that was given out isn't there yet."""


class AddressPool(Protocol):
    """Gives owners the addresses where they are dialled; an owner is named `<kind>/<namespace>/<name>`."""

    async def reserve(self, owner: str, use: AddressUse, /, before: str | None = None) -> str:
        """The address of an owner; the one it had `before`, if that is free, else a new one.

        Raises:
            AddressesExhausted: there is none now.
        """
        ...

    async def release(self, owner: str) -> None:
        """Give the address of an owner back; harmless when it has none."""
        ...

    async def release_others(self, prefix: str, kept: Collection[str]) -> None:
        """Give back the addresses of every owner whose name begins so, but for those that are kept."""
        ...

    async def number(self, owner: str) -> int:
        """What no other load balancer has, below 65,536: its addresses in the cloud are made from it.

        Raises:
            AddressesExhausted: there is none left.
        """
        ...


class AddressBook(Claims[IPv4Address]):
    """Reserves addresses for owners in the ConfigMap `name`."""

    def __init__(self, client: Client, name: str) -> None:
        super().__init__(client, name, _key, _address)


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
        remembered = IPv4Address(before) if before else None
        address = await self.claim(owner, lambda: candidates(self._network, use), remembered)
        if address is None:
            raise AddressesExhausted(f"every loopback address for {use.name} is taken")
        return str(address)

    async def number(self, owner: str) -> int:
        """See `AddressPool`: the lower half of the owner's own address."""
        return int(IPv4Address(await self.reserve(owner, AddressUse.LOAD_BALANCER))) & 0xFFFF


def _key(address: IPv4Address) -> str:
    return str(address).replace(".", "-")


def _address(key: str) -> IPv4Address:
    return IPv4Address(key.replace("-", "."))
