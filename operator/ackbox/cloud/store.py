"""A client that puts what it wrote into our caches at once, so that the next plan sees it without waiting for the watch."""

from collections.abc import Iterable

from ackbox.kube.cache import Cache
from ackbox.kube.client import Client, Object
from ackbox.kube.connection import Connection
from ackbox.resources import Kind


class Store(Client):
    """Writes through to the caches it is given."""

    def __init__(self, connection: Connection, caches: Iterable[Cache]) -> None:
        super().__init__(connection)
        self._caches = {cache.kind: cache for cache in caches}

    async def create(self, kind: Kind, body: Object, namespace: str | None = None) -> Object:
        """See `Client.create`."""
        return self._took(kind, await super().create(kind, body, namespace))

    async def patch(
        self, kind: Kind, name: str, namespace: str | None, patch: Object, subresource: str | None = None
    ) -> Object:
        """See `Client.patch`."""
        return self._took(kind, await super().patch(kind, name, namespace, patch, subresource))

    async def delete(self, kind: Kind, name: str, namespace: str | None = None, uid: str | None = None) -> None:
        """See `Client.delete`. What waits for its finalizers shows its deletion at once."""
        body = {"preconditions": {"uid": uid}} if uid else None
        answer = await self._write("delete", kind.path(namespace, name), body)
        if answer.get("kind") == kind.kind:
            self._took(kind, answer)

    def _took(self, kind: Kind, obj: Object) -> Object:
        metadata = obj["metadata"]
        cache = self._caches.get(kind)
        if cache is None:
            return obj
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            cache.remove(obj)  # Its last finalizer is off: it is gone.
        else:
            cache.upsert(obj)
        return obj
