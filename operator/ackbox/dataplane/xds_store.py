"""What Envoy should have: named resources with a version that is the hash of their content."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from google.protobuf import any_pb2

PREFIX = "type.googleapis.com/"


class ResourceType(StrEnum):
    """The kinds of resources, in the order in which new ones are sent."""

    CLUSTER = f"{PREFIX}envoy.config.cluster.v3.Cluster"
    ENDPOINTS = f"{PREFIX}envoy.config.endpoint.v3.ClusterLoadAssignment"
    ROUTES = f"{PREFIX}envoy.config.route.v3.RouteConfiguration"
    LISTENER = f"{PREFIX}envoy.config.listener.v3.Listener"
    SECRET = f"{PREFIX}envoy.extensions.transport_sockets.tls.v3.Secret"


@dataclass(frozen=True)
class Resource:
    """One version of a resource.

    Attributes:
        body: an Any.
        needs: clusters whose endpoints Envoy must have been sent before.
    """

    version: str
    body: Any
    needs: tuple[str, ...] = ()


class ResourceStore:
    """The resources by type and name. Watchers are told of every change, after it is in."""

    def __init__(self) -> None:
        self._resources: dict[ResourceType, dict[str, Resource]] = {kind: {} for kind in ResourceType}
        self._watchers: set[Callable[[ResourceType, str], None]] = set()

    def watch(self, watcher: Callable[[ResourceType, str], None]) -> Callable[[], None]:
        """Call `watcher(type, name)` on every change until the returned function is called."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    def all(self, kind: ResourceType) -> Mapping[str, Resource]:
        """Every resource of a type by name."""
        return self._resources[kind]

    def get(self, kind: ResourceType, name: str) -> Resource | None:
        """One resource, if it is there."""
        return self._resources[kind].get(name)

    def put(self, kind: ResourceType, name: str, message: Any, needs: tuple[str, ...] = ()) -> bool:
        """Set a resource; True when it differs from what was there."""
        content = message.SerializeToString(deterministic=True)
        version = hashlib.blake2b(content, digest_size=12).hexdigest()
        before = self._resources[kind].get(name)
        if before is not None and before.version == version and before.needs == needs:
            return False
        body = any_pb2.Any(type_url=kind.value, value=content)
        self._resources[kind][name] = Resource(version, body, needs)
        self._changed(kind, name)
        return True

    def drop(self, kind: ResourceType, name: str) -> bool:
        """Remove a resource; True when it was there."""
        if self._resources[kind].pop(name, None) is None:
            return False
        self._changed(kind, name)
        return True

    def _changed(self, kind: ResourceType, name: str) -> None:
        for watcher in list(self._watchers):
            watcher(kind, name)
