"""One stream of the incremental xDS protocol, without the network: requests in, responses out.

New things go out clusters first, then endpoints, then listeners; a listener waits until the endpoints of its clusters
were sent, so it never serves without them. Routes and secrets follow when Envoy asks for them; until then it keeps a
new listener back. Listeners are taken away before their clusters. A refused message with several resources is sent again one by
one, so the fault is found and holds up nothing else.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2

from ackbox.dataplane.names import owner
from ackbox.dataplane.xds_store import ResourceStore, ResourceType

WILDCARD = "*"

BY_NAME = (ResourceType.ENDPOINTS, ResourceType.ROUTES, ResourceType.SECRET)
"""What Envoy always asks for by name, and drops by itself."""


@dataclass(frozen=True)
class Answer:
    """Envoy's word on resources that it was sent, or had from before: `error` is None where it runs them."""

    kind: ResourceType
    names: tuple[str, ...]
    error: str | None = None


@dataclass
class _Sent:
    kind: ResourceType
    versions: dict[str, str]


@dataclass
class _Subscription:
    """What this stream knows of one resource type.

    Attributes:
        started: Envoy has asked for the type.
        wildcard: it wants every resource, not only `names`.
        known: the version that Envoy was last sent, or said it has.
        acked: the version that Envoy runs.
        rejected: the version that Envoy refused, with its message.
        dirty: names to look at before the next response.
        alone: names to send in a message of their own.
    """

    started: bool = False
    wildcard: bool = False
    names: set[str] = field(default_factory=set)
    known: dict[str, str] = field(default_factory=dict)
    acked: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, tuple[str, str]] = field(default_factory=dict)
    dirty: dict[str, None] = field(default_factory=dict)
    alone: set[str] = field(default_factory=set)

    def wants(self, name: str) -> bool:
        return self.wildcard or name in self.names


class Stream:
    """The state of one connection of Envoy."""

    def __init__(self, store: ResourceStore, changed: Callable[[], None]) -> None:
        self._store = store
        self._changed = changed
        self._types = {kind: _Subscription() for kind in ResourceType}
        self._sent: dict[str, _Sent] = {}
        self._nonces = count(1)
        self.close = store.watch(self._mark)

    def acked(self, kind: ResourceType, name: str) -> str | None:
        """The version of a resource that Envoy runs."""
        return self._types[kind].acked.get(name)

    def rejection(self, kind: ResourceType, name: str) -> str | None:
        """Why Envoy refused the present version of a resource, if it did."""
        resource, refused = self._store.get(kind, name), self._types[kind].rejected.get(name)
        return refused[1] if resource and refused and refused[0] == resource.version else None

    def retry(self, kind: ResourceType, name: str) -> None:
        """Send a refused resource once more."""
        subscription = self._types[kind]
        if subscription.rejected.pop(name, None) is not None:
            subscription.known.pop(name, None)
            subscription.alone.add(name)
            self._mark(kind, name)

    def handle(self, request: Any) -> Answer | None:
        """Take in a DeltaDiscoveryRequest: a subscription, an answer, or both. Unknown types are left alone."""
        try:
            kind = ResourceType(request.type_url)
        except ValueError:
            return None
        subscription = self._types[kind]
        first = not subscription.started
        if first:
            self._start(kind, subscription, request)
        self._subscribe(kind, subscription, request, first)
        if request.response_nonce:
            return self._answer(request)
        return Answer(kind, tuple(request.initial_resource_versions)) if first else None

    def responses(self) -> list[Any]:
        """What is to be sent now, in order."""
        found: list[Any] = []
        for kind in ResourceType:
            found.extend(self._updates(kind))
        for kind in (ResourceType.LISTENER, ResourceType.CLUSTER, *BY_NAME):
            found.extend(self._removals(kind))
        return found

    def _start(self, kind: ResourceType, subscription: _Subscription, request: Any) -> None:
        subscription.started = True
        subscription.known.update(request.initial_resource_versions)
        subscription.acked.update(request.initial_resource_versions)
        subscription.wildcard = not request.resource_names_subscribe and kind not in BY_NAME

    def _subscribe(self, kind: ResourceType, subscription: _Subscription, request: Any, first: bool) -> None:
        for name in request.resource_names_subscribe:
            if name == WILDCARD:
                subscription.wildcard = True
                continue
            subscription.names.add(name)
            if not first:
                # Asked for again: Envoy has dropped what it had.
                subscription.known.pop(name, None)
            subscription.dirty[name] = None
        for name in request.resource_names_unsubscribe:
            if name == WILDCARD:
                subscription.wildcard = False
            subscription.names.discard(name)
            if not subscription.wants(name):
                subscription.known.pop(name, None)
                subscription.acked.pop(name, None)
        if subscription.wildcard and (first or WILDCARD in request.resource_names_subscribe):
            subscription.dirty.update(dict.fromkeys((*self._store.all(kind), *subscription.known)))

    def _answer(self, request: Any) -> Answer | None:
        sent = self._sent.pop(request.response_nonce, None)
        if sent is None:
            return None
        subscription = self._types[sent.kind]
        if not request.HasField("error_detail"):
            for name, version in sent.versions.items():
                subscription.acked[name] = version
                subscription.rejected.pop(name, None)
            return Answer(sent.kind, tuple(sent.versions))
        if len(sent.versions) > 1:
            for name in sent.versions:
                subscription.known.pop(name, None)
                subscription.alone.add(name)
                self._mark(sent.kind, name)
            return None
        message = request.error_detail.message
        for name, version in sent.versions.items():
            subscription.rejected[name] = (version, message)
        return Answer(sent.kind, tuple(sent.versions), message)

    def _mark(self, kind: ResourceType, name: str) -> None:
        self._types[kind].dirty[name] = None
        self._changed()

    def _updates(self, kind: ResourceType) -> Iterator[Any]:
        subscription = self._types[kind]
        if not subscription.started:
            return
        together: list[str] = []
        for name in list(subscription.dirty):
            resource = self._store.get(kind, name)
            if resource is None:
                continue
            if any(need not in self._types[ResourceType.ENDPOINTS].known for need in resource.needs):
                continue
            del subscription.dirty[name]
            if not subscription.wants(name) or self._settled(subscription, name, resource.version):
                continue
            if name in subscription.alone:
                subscription.alone.discard(name)
                yield self._response(kind, [name])
            else:
                together.append(name)
        if together:
            yield self._response(kind, together)

    @staticmethod
    def _settled(subscription: _Subscription, name: str, version: str) -> bool:
        refused = subscription.rejected.get(name)
        if refused is not None:
            return refused[0] == version
        return subscription.known.get(name) == version

    def _response(self, kind: ResourceType, names: Iterable[str]) -> Any:
        subscription, versions = self._types[kind], {}
        response = self._new_response(kind)
        for name in names:
            resource = self._store.all(kind)[name]
            versions[name] = subscription.known[name] = resource.version
            # A new attempt: what Envoy said of the version before no longer counts.
            subscription.rejected.pop(name, None)
            response.resources.add(name=name, version=resource.version, resource=resource.body)
            if kind is ResourceType.ENDPOINTS:
                # A listener may have waited for these.
                self._types[ResourceType.LISTENER].dirty.setdefault(owner(name), None)
            elif kind is ResourceType.CLUSTER:
                # A new or changed cluster starts anew in Envoy and waits for its endpoints.
                self._types[ResourceType.ENDPOINTS].known.pop(name, None)
                self._types[ResourceType.ENDPOINTS].dirty[name] = None
        self._sent[response.nonce] = _Sent(kind, versions)
        return response

    def _removals(self, kind: ResourceType) -> Iterator[Any]:
        subscription = self._types[kind]
        if not subscription.started:
            return
        gone = [name for name in subscription.dirty if self._store.get(kind, name) is None]
        for name in gone:
            del subscription.dirty[name]
            subscription.rejected.pop(name, None)
            subscription.alone.discard(name)
        # Endpoints go with their cluster, routes and secrets with their listener; only a question for some that are not there gets an answer.
        asked = [name for name in gone if name in subscription.known or name in subscription.names]
        if kind in BY_NAME:
            asked = [name for name in gone if name in subscription.names and name not in subscription.known]
        for name in gone:
            subscription.known.pop(name, None)
            subscription.acked.pop(name, None)
        if asked:
            response = self._new_response(kind)
            response.removed_resources.extend(asked)
            self._sent[response.nonce] = _Sent(kind, {})
            yield response

    def _new_response(self, kind: ResourceType) -> Any:
        return discovery_pb2.DeltaDiscoveryResponse(
            type_url=kind.value, nonce=str(next(self._nonces)), system_version_info="ackbox"
        )
