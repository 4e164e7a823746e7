"""A cluster as controllers see it: caches, and writes that the caches know of at once.

A write's answer goes into the cache before the call returns, so that a reconcile never works on something older than
what this process did itself, and never does a thing twice because the watch is slow.
"""

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from ackbox.kube.cache import Cache
from ackbox.kube.client import Client, Object
from ackbox.kube.errors import AlreadyExists, NotFound
from ackbox.resources import Kind

logger = logging.getLogger(__name__)

Subscriber: TypeAlias = Callable[[Object | None, Object | None, bool], None]
"""Called with the old and the new object, and whether this process wrote the change."""


class Store:
    """Caches by kind with subscribers that may leave again."""

    def __init__(self, client: Client, caches: Iterable[Cache]) -> None:
        self.client = client
        self.caches = {cache.kind: cache for cache in caches}
        self._subscribers: dict[Kind, list[Subscriber]] = {kind: [] for kind in self.caches}
        self._own = False
        self._under_way: Counter[tuple[str, str, str]] = Counter()
        for kind, cache in self.caches.items():
            cache.subscribe(self._notifier(kind))

    def __getitem__(self, kind: Kind) -> Cache:
        return self.caches[kind]

    @contextlib.contextmanager
    def subscribed(self, kind: Kind, subscriber: Subscriber) -> Iterator[None]:
        """Call `subscriber` on every change while the context lasts. An exception of it is logged."""
        self._subscribers[kind].append(subscriber)
        try:
            yield
        finally:
            self._subscribers[kind].remove(subscriber)

    async def create(self, kind: Kind, body: Object, namespace: str | None = None) -> Object:
        """Create an object; `AlreadyExists` after the one that is there has been read into the cache."""
        try:
            return self._written(await self.client.create(kind, body, namespace))
        except AlreadyExists:
            with contextlib.suppress(NotFound):
                await self.read(kind, body["metadata"]["name"], namespace)
            raise

    async def patch(
        self, kind: Kind, name: str, namespace: str | None, patch: Object, subresource: str | None = None
    ) -> Object:
        """Merge-patch an object."""
        with self._sending(kind, name, namespace):
            return self._written(await self.client.patch(kind, name, namespace, patch, subresource))

    async def json_patch(
        self, kind: Kind, name: str, namespace: str | None, operations: list[Object], subresource: str | None = None
    ) -> Object:
        """Apply RFC 6902 operations to an object."""
        return self._written(await self.client.json_patch(kind, name, namespace, operations, subresource))

    async def apply(self, kind: Kind, body: Object, field_manager: str, namespace: str | None = None) -> Object:
        """Server-side apply an object."""
        with self._sending(kind, body["metadata"]["name"], namespace):
            return self._written(await self.client.apply(kind, body, field_manager, namespace))

    async def delete(self, kind: Kind, name: str, namespace: str | None = None, uid: str | None = None) -> None:
        """Delete an object that may be gone already; it leaves the cache when the watch says so."""
        try:
            await self.client.delete(kind, name, namespace, uid)
        except NotFound:
            gone = self[kind].get(namespace or "", name)
            if gone is not None and uid in (None, gone["metadata"]["uid"]):
                self[kind].remove(gone)

    async def read(self, kind: Kind, name: str, namespace: str | None = None) -> Object:
        """Read an object past the cache, into the cache."""
        obj = await self.client.get(kind, name, namespace)
        self[kind].upsert(obj)
        return obj

    def sending(self, obj: Object) -> bool:
        """Whether a write of this process to an object is under way: the watch may tell of it before its answer comes."""
        kind, metadata = obj["kind"], obj["metadata"]
        return self._under_way[kind, metadata.get("namespace") or "", metadata["name"]] > 0

    @contextlib.contextmanager
    def _sending(self, kind: Kind, name: str, namespace: str | None) -> Iterator[None]:
        key = kind.kind, namespace or "", name
        self._under_way[key] += 1
        try:
            yield
        finally:
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]

    def _written(self, obj: Object) -> Object:
        kind = next(kind for kind in self.caches if (kind.api_version, kind.kind) == (obj["apiVersion"], obj["kind"]))
        metadata = obj["metadata"]
        self._own = True
        try:
            if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
                # Its last finalizer is off: the answer shows an object that is gone.
                self[kind].remove(obj)
            else:
                self[kind].upsert(obj)
        finally:
            self._own = False
        return obj

    def _notifier(self, kind: Kind) -> Callable[[Object | None, Object | None], None]:
        def notify(old: Object | None, new: Object | None) -> None:
            for subscriber in tuple(self._subscribers[kind]):
                try:
                    subscriber(old, new, self._own)
                except Exception:
                    # One cluster's controller must not keep the change from the others.
                    logger.exception("a subscriber of %s failed", kind)

        return notify
