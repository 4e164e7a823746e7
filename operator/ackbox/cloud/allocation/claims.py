"""Things of which each has one owner at most, kept in a ConfigMap of the management cluster: a key says what, its value whose.

All reservations and releases that wait go out in one resourceVersion-checked write.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import Generic, TypeVar

from ackbox.kube.client import CONFIG_MAP, Client, Object
from ackbox.kube.errors import AlreadyExists, Conflict, NotFound
from ackbox.runtime.manifests import SYSTEM_NAMESPACE

V = TypeVar("V")

ATTEMPTS = 5


class Claims(Generic[V]):
    """Reserves values for owners in the ConfigMap `name`.

    Args:
        client: calls the management cluster.
        name: of the ConfigMap.
        write: a value as a key of it.
        read: the value of a key.
    """

    def __init__(self, client: Client, name: str, write: Callable[[V], str], read: Callable[[str], V]) -> None:
        self._client = client
        self._name = name
        self._write = write
        self._read = read
        self._lock = asyncio.Lock()
        self._config_map: Object | None = None
        self._wanted: dict[str, tuple[Callable[[], Iterator[V]], V | None]] = {}
        self._unwanted: set[str] = set()
        self._known: dict[str, V] = {}

    async def claim(self, owner: str, candidates: Callable[[], Iterator[V]], before: V | None = None) -> V | None:
        """The value of an owner; the one it had `before`, if that is free, else a new one; None when none is left.

        `candidates` gives the values that it may have, the preferred ones first.
        """
        if owner in self._known:
            return self._known[owner]
        self._wanted[owner] = (candidates, before)
        self._unwanted.discard(owner)
        value = (await self._flush()).get(owner)
        if value is None:
            self._wanted.pop(owner, None)
            return None
        self._known[owner] = value
        return value

    async def release(self, owner: str) -> None:
        """Give the value of an owner back; harmless when it has none."""
        self._forget(owner)
        await self._flush()

    async def release_others(self, prefix: str, kept: Collection[str]) -> None:
        """Give back the values of every owner whose name begins so, but for those that are kept."""
        # The answer of a flush that changes nothing is everybody's value.
        for owner in await self._flush():
            if owner.startswith(prefix) and owner not in kept:
                self._forget(owner)
        if self._unwanted:
            await self._flush()

    async def owners(self) -> list[str]:
        """Everybody who has a value."""
        return list(await self._flush())

    def _forget(self, owner: str) -> None:
        self._unwanted.add(owner)
        self._known.pop(owner, None)
        self._wanted.pop(owner, None)

    async def _flush(self) -> dict[str, V]:
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

    def _plan(self, data: dict[str, str]) -> tuple[dict[str, str | None], dict[str, V]]:
        """The merge patch of the data, and everybody's value after it."""
        owners = {owner: self._read(key) for key, owner in data.items()}
        gone = [owner for owner in self._unwanted if owner in owners]
        change: dict[str, str | None] = {self._write(owners.pop(owner)): None for owner in gone}
        taken = set(owners.values())
        # What was given out stays given out, though somebody deleted the ConfigMap.
        for owner, given in self._known.items():
            if owner not in owners and given not in taken:
                owners[owner] = given
                taken.add(given)
                change[self._write(given)] = owner
        for owner, (free, before) in self._wanted.items():
            if owner in owners:
                continue
            value = _choose(free(), taken, before)
            if value is None:
                continue
            owners[owner] = value
            taken.add(value)
            change[self._write(value)] = owner
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


def _choose(free: Iterator[V], taken: set[V], before: V | None) -> V | None:
    first = None
    for value in free:
        if value in taken:
            continue
        if before is None or value == before:
            return value
        first = value if first is None else first
    return first
