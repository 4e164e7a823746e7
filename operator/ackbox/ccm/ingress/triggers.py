"""Which changes make the controller look at an AlbConfig again. Every method looks at one change; none of them acts."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping

from ackbox.ccm.facts import ClusterFacts
from ackbox.ccm.ingress import names
from ackbox.ccm.ingress.kinds import ALB_CONFIG, INGRESS, INGRESS_CLASS
from ackbox.ccm.ingress.view import ingress_view, membership
from ackbox.ccm.services.backends import NodeView, node_view
from ackbox.ccm.services.triggers import NODE_DELAY, SERVICE_NAME_LABEL
from ackbox.ccm.store import Store, Subscriber
from ackbox.kube.cache import Cache, key_of
from ackbox.kube.client import CONFIG_MAP, ENDPOINT_SLICE, NODE, SECRET, SERVICE, Object
from ackbox.kube.queue import WorkQueue
from ackbox.resources import CLOUD_QUOTA, LISTENER, SERVER_GROUP, SERVICE_LOAD_BALANCER, VPC, Kind

NOBODY = ""
"""The key of Ingresses that belong to no AlbConfig any more."""


KINDS = (INGRESS, INGRESS_CLASS, ALB_CONFIG, SECRET)
"""What the controller reads in a workload cluster, besides its Nodes, Services and EndpointSlices."""


def ingress_caches() -> list[Cache]:
    """Caches of these kinds; the controller has them watched itself."""
    indexers = {INGRESS: {"service": _services, "secret": _secrets}}
    return [Cache(kind, indexers.get(kind)) for kind in KINDS]


def _services(ingress: Object) -> Iterable[str]:
    """The Services that an Ingress leads to."""
    view = ingress_view(ingress)
    backends = [*(route.backend for route in view.routes), view.default]
    return {f"{view.namespace}/{backend.service}" for backend in backends if backend is not None}


def _secrets(ingress: Object) -> Iterable[str]:
    """The Secrets that an Ingress names."""
    view = ingress_view(ingress)
    return {f"{view.namespace}/{tls.secret}" for tls in view.tls if tls.secret}


class Triggers:
    """Turns changes into keys of a queue, and keeps the nodes as the backend rules need them."""

    def __init__(self, facts: ClusterFacts, management: Store, workload: Store, queue: WorkQueue[str]) -> None:
        self._facts = facts
        self._management = management
        self._workload = workload
        self._queue = queue
        self.nodes: dict[str, NodeView] = {}

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Watch while the context lasts; everything is marked once at its beginning."""
        subscriptions: tuple[tuple[Store, Kind, Subscriber], ...] = (
            (self._workload, INGRESS, self._ingress),
            (self._workload, INGRESS_CLASS, self._class),
            (self._workload, ALB_CONFIG, self._config),
            (self._workload, SERVICE, self._service),
            (self._workload, ENDPOINT_SLICE, self._slice),
            (self._workload, SECRET, self._secret),
            (self._workload, NODE, self._node),
            (self._workload, CONFIG_MAP, self._cloud_config),
            (self._management, SERVICE_LOAD_BALANCER, self._load_balancer),
            (self._management, LISTENER, self._part),
            (self._management, SERVER_GROUP, self._part),
            (self._management, SECRET, self._certificate),
            (self._management, VPC, self._shared),
            (self._management, CLOUD_QUOTA, self._shared),
        )
        with contextlib.ExitStack() as stack:
            for store, kind, subscriber in subscriptions:
                stack.enter_context(store.subscribed(kind, subscriber))
            nodes = self._workload[NODE].all()
            self.nodes = {node["metadata"]["name"]: node_view(node, external=False) for node in nodes}
            self._mark_all()
            self._queue.add(NOBODY)
            yield

    def config_of(self, ingress: Object) -> str:
        """The AlbConfig that an Ingress belongs to, or nobody."""
        found = membership(ingress, self.ingress_class)
        return found.config if found is not None else NOBODY

    def ingress_class(self, name: str) -> Object | None:
        """An IngressClass by its name."""
        return self._workload[INGRESS_CLASS].get("", name)

    def nodes_now(self) -> Mapping[str, NodeView]:
        """Every Node as the backend rules need it."""
        return self.nodes

    def _mark_all(self, after: float = 0.0) -> None:
        keys = {self.config_of(ingress) for ingress in self._workload[INGRESS].all()} - {NOBODY}
        for key in keys | set(self._configs()):
            self._queue.add(key, after)

    def _configs(self) -> list[str]:
        return [config["metadata"]["name"] for config in self._workload[ALB_CONFIG].all()]

    def _mark(self, ingresses: Iterable[Object], after: float = 0.0) -> None:
        for key in {self.config_of(ingress) for ingress in ingresses} - {NOBODY}:
            self._queue.add(key, after)

    def _ingress(self, old: Object | None, new: Object | None, own: bool) -> None:
        if old is not None and new is not None and (own or _asked(old) == _asked(new)):
            return
        for obj in (old, new):
            if obj is not None:
                self._queue.add(self.config_of(obj))

    def _class(self, old: Object | None, new: Object | None, _own: bool) -> None:
        if (old or {}).get("spec") != (new or {}).get("spec"):
            self._mark_all()
            self._queue.add(NOBODY)

    def _config(self, old: Object | None, new: Object | None, own: bool) -> None:
        if old is None or new is None or not (own or _asked(old) == _asked(new)):
            self._queue.add((new or old or {})["metadata"]["name"])

    def _service(self, old: Object | None, new: Object | None, _own: bool) -> None:
        if old is None or new is None or _asked(old) != _asked(new):
            self._mark(self._workload[INGRESS].by("service", "/".join(key_of(new or old or {}))))

    def _slice(self, old: Object | None, new: Object | None, _own: bool) -> None:
        if old and new and all(old.get(field) == new.get(field) for field in ("endpoints", "ports")):
            return
        metadata = (new or old or {})["metadata"]
        name = (metadata.get("labels") or {}).get(SERVICE_NAME_LABEL)
        self._mark(self._workload[INGRESS].by("service", f"{metadata['namespace']}/{name}"))

    def _secret(self, old: Object | None, new: Object | None, _own: bool) -> None:
        if (old or {}).get("data") != (new or {}).get("data"):
            self._mark(self._workload[INGRESS].by("secret", "/".join(key_of(new or old or {}))))

    def _node(self, old: Object | None, new: Object | None, _own: bool) -> None:
        name = (new or old or {})["metadata"]["name"]
        before = self.nodes.pop(name, None)
        if new is not None:
            self.nodes[name] = node_view(new, external=False)
        if before != self.nodes.get(name):
            self._mark_all(NODE_DELAY)

    def _cloud_config(self, _old: Object | None, _new: Object | None, _own: bool) -> None:
        self._mark_all()

    def _load_balancer(self, old: Object | None, new: Object | None, own: bool) -> None:
        if old is not None and new is not None and _shown(old) == _shown(new) and (own or _asked(old) == _asked(new)):
            return
        for obj in (old, new):
            if obj is not None and obj["metadata"]["namespace"] == self._facts.namespace:
                ids = {obj["metadata"]["name"], (obj.get("status") or {}).get("loadBalancerId")}
                self._mark_using(ids)

    def _mark_using(self, references: Iterable[str | None]) -> None:
        """Mark the AlbConfigs whose load balancer is meant; one that vanished may have left its own behind."""
        wanted = set(references)
        for config in self._workload[ALB_CONFIG].all():
            name = config["metadata"]["name"]
            asked = ((config.get("spec") or {}).get("config") or {}).get("id")
            if wanted & {names.load_balancer_name(self._facts.cluster_id, name), asked}:
                self._queue.add(name)

    def _part(self, old: Object | None, new: Object | None, own: bool) -> None:
        """A listener or a server group on the load balancer of an AlbConfig here: changed by others, come or gone."""
        obj = new or old
        if obj is None or obj["metadata"]["namespace"] != self._facts.namespace or (own and new is not None):
            return
        if old is None or new is None or _asked(old) != _asked(new) or _reachable(old) != _reachable(new):
            mark = (obj["metadata"].get("labels") or {}).get(names.OWNER_LABEL)
            for config in self._configs() if mark is not None else ():
                if names.owner_mark(self._facts.cluster_id, config) == mark:
                    self._queue.add(config)
            self._mark_using([obj["spec"].get("loadBalancerId")])

    def _certificate(self, old: Object | None, new: Object | None, _own: bool) -> None:
        """A certificate of the account, which any of them may look for by its domain."""
        obj = new or old or {}
        if obj["metadata"]["namespace"] == self._facts.namespace and (old or {}).get("data") != (new or {}).get("data"):
            self._mark_all()

    def _shared(self, old: Object | None, new: Object | None, _own: bool) -> None:
        if (old or {}).get("spec") != (new or {}).get("spec"):
            self._mark_all()


def _asked(obj: Object) -> tuple[object, ...]:
    """The part of an object that its user writes."""
    metadata = obj["metadata"]
    marks = (metadata.get("annotations"), metadata.get("labels"), "deletionTimestamp" in metadata)
    return metadata["uid"], obj.get("spec"), *marks


def _reachable(listener: Object) -> object:
    return (listener.get("status") or {}).get("reachable")


def _shown(load_balancer: Object) -> tuple[object, ...]:
    """The part of a load balancer's status that Ingresses show."""
    status = load_balancer.get("status") or {}
    conditions = [(c["type"], c["status"], c["reason"], c.get("message")) for c in status.get("conditions") or []]
    return status.get("loadBalancerId"), status.get("reachable"), status.get("dnsName"), conditions
