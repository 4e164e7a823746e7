"""Which changes make the service controller look at a Service again. Rule source: the CCM's `pkg/controller/service/clbv1`.

Every method here looks at one change and marks Services; none of them acts.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ackbox.catalog.annotations import BACKEND_TYPE
from ackbox.ccm.config import FILTER_SERVICE_ON_NODE_CHANGE, CloudConfig, current
from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.services.annotations import value_of
from ackbox.ccm.services.backends import NodeView, node_view
from ackbox.ccm.services.names import default_load_balancer_name, parse_name
from ackbox.ccm.services.view import change, to_clean, wanted
from ackbox.ccm.services.voice import Voice
from ackbox.ccm.store import Store, Subscriber
from ackbox.kube.cache import Cache, Key, key_of
from ackbox.kube.client import CONFIG_MAP, ENDPOINT_SLICE, NODE, SECRET, SERVICE, Object
from ackbox.kube.queue import WorkQueue
from ackbox.resources import ACCESS_CONTROL_LIST, CLOUD_QUOTA, LISTENER, SERVER_GROUP, SERVICE_LOAD_BALANCER, Kind

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
NODE_DELAY = 0.5
"""Seconds to wait for more nodes: a node pool that grows must not rewrite every server group for each node."""


def service_caches() -> list[Cache]:
    """Caches of what the service controller reads in a workload cluster, besides its Nodes."""
    return [
        Cache(SERVICE, {"load balancer": _load_balancers}),
        Cache(ENDPOINT_SLICE, {"service": _service_of}),
    ]


def _load_balancers(service: Object) -> Iterable[str]:
    """How a Service refers to its load balancer: what its annotation says, and the default name."""
    if service["spec"].get("type") != "LoadBalancer":
        return ()
    reference = value_of("id", service["metadata"].get("annotations") or {})
    own = default_load_balancer_name(service["metadata"]["uid"])
    return (own,) if reference is None else (own, reference)


def _service_of(endpoint_slice: Object) -> Iterable[str]:
    metadata = endpoint_slice["metadata"]
    name = (metadata.get("labels") or {}).get(SERVICE_NAME_LABEL)
    return [f"{metadata['namespace']}/{name}"] if name else []


class Triggers:
    """Turns changes into keys of a queue, and keeps the nodes as the backend rules need them."""

    def __init__(
        self,
        facts: ClusterFacts,
        management: Store,
        workload: Store,
        queue: WorkQueue[Key],
        voice: Callable[[Key], Voice],
    ) -> None:
        self._facts = facts
        self._management = management
        self._workload = workload
        self._queue = queue
        self._voice = voice
        self.nodes: dict[str, NodeView] = {}

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Watch while the context lasts; every Service is marked once at its beginning."""
        with contextlib.ExitStack() as stack:
            subscriptions: tuple[tuple[Store, Kind, Subscriber], ...] = (
                (self._workload, SERVICE, self._service),
                (self._workload, ENDPOINT_SLICE, self._slice),
                (self._workload, NODE, self._node),
                (self._workload, CONFIG_MAP, self._config),
                (self._management, SERVICE_LOAD_BALANCER, self._load_balancer),
                (self._management, LISTENER, self._part),
                (self._management, SERVER_GROUP, self._part),
                (self._management, CLOUD_QUOTA, self._quota),
                (self._management, ACCESS_CONTROL_LIST, self._referred("acl-id")),
                (
                    self._management,
                    SECRET,
                    self._referred("cert-id", "domain-extensions", "additional-cert-ids", "cacert-id"),
                ),
            )
            for store, kind, subscriber in subscriptions:
                if kind in store.caches:
                    stack.enter_context(store.subscribed(kind, subscriber))
            self.nodes = {
                node["metadata"]["name"]: node_view(node, self._facts.external) for node in self._workload[NODE].all()
            }
            for service in self._workload[SERVICE].all():
                self._mark(service)
            yield

    def _mark(self, service: Object | None, after: float = 0.0) -> None:
        gates = current(self._workload).gates
        if service is not None and (wanted(service, self._facts, gates) or to_clean(service, self._facts, gates)):
            self._queue.add(key_of(service), after)

    def _config(self, _old: Object | None, _new: Object | None, _own: bool) -> None:
        for service in self._workload[SERVICE].all():
            self._mark(service)

    def _referred(self, *suffixes: str) -> Subscriber:
        """Marks the Services with such an annotation when something that it may name comes, goes or changes."""

        def subscriber(old: Object | None, new: Object | None, _own: bool) -> None:
            namespace = (new or old or {})["metadata"]["namespace"]
            if namespace != self._facts.namespace or _same(old, new):
                return
            for service in self._workload[SERVICE].all():
                if any(key.endswith(suffixes) for key in service["metadata"].get("annotations") or {}):
                    self._mark(service)

        return subscriber

    def _service(self, old: Object | None, new: Object | None, _own: bool) -> None:
        if new is None:
            if old is not None:
                self._queue.add(key_of(old))  # to forget it
            return
        if old is not None:
            gates = current(self._workload).gates
            why = change(old, new, self._facts, gates)
            if why is None:
                return
            if wanted(old, self._facts, gates) or wanted(new, self._facts, gates):
                self._voice(key_of(new)).changed(*why)
        self._mark(new)

    def _slice(self, old: Object | None, new: Object | None, _own: bool) -> None:
        if old and new and all(old.get(field) == new.get(field) for field in ("endpoints", "ports")):
            return
        for name in {name for obj in (old, new) if obj is not None for name in _service_of(obj)}:
            self._mark(self._workload[SERVICE].get(*name.split("/", 1)))

    def _node(self, old: Object | None, new: Object | None, _own: bool) -> None:
        name = (new or old or {})["metadata"]["name"]
        before = self.nodes.pop(name, None)
        if new is not None:
            self.nodes[name] = node_view(new, self._facts.external)
        after = self.nodes.get(name)
        if before == after or all(view is None or view.excluded for view in (before, after)):
            return
        config = current(self._workload)
        for service in self._workload[SERVICE].all():
            if _uses_nodes(service, config):
                self._mark(service, NODE_DELAY)

    def _quota(self, old: Object | None, new: Object | None, _own: bool) -> None:
        if (old or {}).get("spec") != (new or {}).get("spec"):
            for service in self._workload[SERVICE].all():
                self._mark(service)

    def _load_balancer(self, old: Object | None, new: Object | None, own: bool) -> None:
        if (
            old is not None
            and new is not None
            and _shown(old) == _shown(new)
            and (own or old.get("spec") == new.get("spec"))
        ):
            return
        for obj in (old, new):
            if obj is not None:
                self._mark_bound(obj)

    def _mark_bound(self, load_balancer: Object) -> None:
        """Mark the Services that mean a load balancer: by its name, its id or its mark."""
        if load_balancer["metadata"]["namespace"] != self._facts.namespace:
            return
        spec = load_balancer.get("spec") or {}
        names = {load_balancer["metadata"]["name"], (load_balancer.get("status") or {}).get("loadBalancerId")}
        names |= {tag.get("value") for tag in spec.get("tags") or []}
        for name in names:
            for service in self._workload[SERVICE].by("load balancer", name) if name else ():
                self._mark(service)

    def _part(self, old: Object | None, new: Object | None, own: bool) -> None:
        """A listener or a server group: of a Service here, or one that a Service here would like to have."""
        if old is not None and new is not None and _reachable(old) == _reachable(new):
            if own or old["spec"] == new["spec"]:
                return
        elif own and new is not None and _reachable(new) is None:
            return
        for obj in (old, new):
            if obj is not None and obj["metadata"]["namespace"] == self._facts.namespace:
                self._mark_owner(obj)
        if old is not None and (new is None or _name_of(old) != _name_of(new)):
            self._mark_claimants(old)
        elif new is not None and parse_name(_name_of(new)) is None:
            # A user's own: Services may refer to it, or have servers in it.
            self._mark_claimants(new)

    def _mark_owner(self, obj: Object) -> None:
        name = parse_name(_name_of(obj))
        if name is not None and name.owner.cluster_id == self._facts.cluster_id:
            self._mark(self._workload[SERVICE].get(name.owner.namespace, name.owner.name))

    def _mark_claimants(self, obj: Object) -> None:
        """Something on a load balancer became free, or a group of a user's is gone: who else may want it?"""
        reference, namespace = obj["spec"].get("loadBalancerId"), obj["metadata"]["namespace"]
        cache = self._management[SERVICE_LOAD_BALANCER]
        load_balancers = [cache.get(namespace, reference), *cache.by("id", f"{namespace}/{reference}")]
        for load_balancer in load_balancers:
            if load_balancer is not None:
                self._mark_bound(load_balancer)


def _uses_nodes(service: Object, config: CloudConfig) -> bool:
    """Whether a change of nodes can matter to a Service."""
    annotations = service["metadata"].get("annotations") or {}
    if (annotations.get(BACKEND_TYPE) or config.service_backend_type) == "eni":
        return False
    if FILTER_SERVICE_ON_NODE_CHANGE not in config.gates:
        return True
    chooses = any(value_of(suffix, annotations) for suffix in ("backend-label", "remove-unscheduled-backend"))
    return chooses or service["spec"].get("externalTrafficPolicy") == "Cluster"


def _same(old: Object | None, new: Object | None) -> bool:
    """Whether an object is as it was, its status's id included."""
    if old is None or new is None:
        return False
    return all(old.get(field) == new.get(field) for field in ("data", "spec", "status")) and (
        old["metadata"].get("labels") == new["metadata"].get("labels")
    )


def _shown(load_balancer: Object) -> tuple[Any, ...]:
    """The part of a load balancer's status that Services show."""
    status = load_balancer.get("status") or {}
    conditions = [(c["type"], c["status"], c["reason"], c.get("message")) for c in status.get("conditions") or []]
    deleting = "deletionTimestamp" in load_balancer["metadata"]
    fields = ("loadBalancerId", "reachable", "dnsName", "eips", "sourceRangeSecurityGroupId")
    return *(status.get(field) for field in fields), conditions, deleting


def _name_of(obj: Object) -> str | None:
    """A listener's description, a server group's name."""
    name: str | None = obj["spec"].get("description") or obj["spec"].get("vServerGroupName")
    return name


def _reachable(listener: Object) -> Any:
    return (listener.get("status") or {}).get("reachable")
