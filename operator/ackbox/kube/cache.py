"""Our own copy of an API server's objects of one kind, with indexes and subscribers."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from ackbox.kube.client import Object
from ackbox.resources import Kind

Key: TypeAlias = tuple[str, str]
Indexer: TypeAlias = Callable[[Object], Iterable[str]]
Subscriber: TypeAlias = Callable[[Object | None, Object | None], None]

logger = logging.getLogger(__name__)

REMEMBERED_DELETIONS = 10_000


def key_of(obj: Object) -> Key:
    """Namespace (empty for cluster-wide kinds) and name."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


class Cache:
    """Objects by key, kept up to date by a watch.

    Objects are shared: readers never change them. Subscribers are called with the old and the new object after the
    change is in; they must not block.
    """

    def __init__(self, kind: Kind, indexers: Mapping[str, Indexer] | None = None) -> None:
        self.kind = kind
        self._objects: dict[Key, Object] = {}
        self._indexers = dict(indexers or {})
        self._indexes: dict[str, dict[str, dict[Key, None]]] = {name: defaultdict(dict) for name in self._indexers}
        self._subscribers: list[Subscriber] = []
        self._deleted: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, namespace: str, name: str) -> Object | None:
        """One object, if it is there."""
        return self._objects.get((namespace, name))

    def all(self, namespace: str | None = None) -> list[Object]:
        """Every object, or those of one namespace."""
        return [obj for key, obj in self._objects.items() if namespace is None or key[0] == namespace]

    def by(self, index: str, value: str) -> list[Object]:
        """The objects that an indexer files under a value."""
        return [self._objects[key] for key in self._indexes[index].get(value, ())]

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call `subscriber(old, new)` on every change from now on."""
        self._subscribers.append(subscriber)

    def upsert(self, obj: Object) -> None:
        """Take in an object unless a newer version of it is here already, or it is known to be gone."""
        if obj["metadata"]["uid"] in self._deleted:
            return
        key = key_of(obj)
        old = self._objects.get(key)
        if old is not None and _version(old) >= _version(obj):
            # Perhaps of an object that had the name before: kopf hands over the events of each uid on its own.
            return
        self._store(key, old, obj)

    def remove(self, obj: Object) -> None:
        """Drop an object, unless another one has taken its name since; a list from before doesn't bring it back."""
        self._deleted[obj["metadata"]["uid"]] = None
        if len(self._deleted) > REMEMBERED_DELETIONS:
            del self._deleted[next(iter(self._deleted))]
        key = key_of(obj)
        old = self._objects.get(key)
        if old is not None and old["metadata"]["uid"] == obj["metadata"]["uid"]:
            self._store(key, old, None)

    def replace(self, objects: Iterable[Object], resource_version: str) -> None:
        """Take a whole list: what is not in it and not newer than it is gone."""
        listed = {key_of(obj): obj for obj in objects}
        for key, old in list(self._objects.items()):
            if key not in listed and _version(old) <= int(resource_version):
                self._store(key, old, None)
        for obj in listed.values():
            self.upsert(obj)

    def _store(self, key: Key, old: Object | None, new: Object | None) -> None:
        if old is not None:
            for name, indexer in self._indexers.items():
                for value in indexer(old):
                    self._indexes[name][value].pop(key, None)
        if new is None:
            self._objects.pop(key, None)
        else:
            self._objects[key] = new
            for name, indexer in self._indexers.items():
                for value in indexer(new):
                    self._indexes[name][value][key] = None
        for subscriber in self._subscribers:
            try:
                subscriber(old, new)
            except Exception:
                # One subscriber's defect must not keep the change from the others.
                logger.exception("a subscriber of %s failed", self.kind)


def _version(obj: Object) -> int:
    # Comparable as integers within a kind since Kubernetes 1.35 says so (KEP-5504).
    return int(obj["metadata"].get("resourceVersion") or 0)
