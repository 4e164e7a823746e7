"""The caches of the data plane, their indexes, and parsed views on them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ackbox.dataplane.certificates import certificate_cache, certificate_id
from ackbox.dataplane.plan import instance_id
from ackbox.kube.cache import Cache, Key
from ackbox.kube.client import SERVICE, Object
from ackbox.kube.refs import cloud_ids, resource_cache
from ackbox.resources import (
    ACCESS_CONTROL_LIST,
    INSTANCE,
    LISTENER,
    MANAGED_CLUSTER,
    SERVER_GROUP,
    SERVICE_LOAD_BALANCER,
    AccessControlList,
    Listener,
    ManagedCluster,
    Resource,
    ServerGroup,
    ServiceLoadBalancer,
)
from ackbox.resources.balancer_service import balancer_of
from ackbox.resources.base import PAUSED_ANNOTATION
from ackbox.resources.instance import UNREACHABLE, harms_of

R = TypeVar("R", bound=Resource)


def is_paused(obj: Object) -> bool:
    """Whether the user asked to leave an object alone."""
    return (obj["metadata"].get("annotations") or {}).get(PAUSED_ANNOTATION) == "true"


class View(Generic[R]):
    """Objects of a cache as models, parsed once a version. A paused one stays as it was before."""

    def __init__(self, cache: Cache, model: type[R]) -> None:
        self._cache = cache
        self._model = model
        self._parsed: dict[Key, tuple[str, R]] = {}

    def get(self, key: Key) -> R | None:
        """One object, if it is there."""
        obj = self._cache.get(*key)
        known = self._parsed.get(key)
        if obj is None:
            self._parsed.pop(key, None)
            return None
        version = obj["metadata"].get("resourceVersion", "")
        if known is not None and known[0] == version:
            return known[1]
        parsed = self._model.model_validate(obj)
        if known is not None and parsed.paused and not parsed.deleting and parsed.metadata.uid == known[1].metadata.uid:
            parsed = known[1]
        self._parsed[key] = version, parsed
        return parsed


@dataclass(frozen=True)
class _Indexer:
    """Files objects under what a field of their spec names."""

    field: str

    def __call__(self, obj: Object) -> Iterable[str]:
        reference = (obj.get("spec") or {}).get(self.field)
        return [f"{obj['metadata'].get('namespace', '')}/{reference}"] if reference else []


def _machines(group: Object) -> Iterable[str]:
    namespace = group["metadata"].get("namespace", "")
    servers = (group.get("spec") or {}).get("backendServers") or ()
    return {f"{namespace}/{instance_id(server['serverId'])}" for server in servers}


def _groups(listener: Object) -> Iterable[str]:
    """The server groups that a listener names, in its rules too."""
    spec = listener.get("spec") or {}
    named = [spec.get("vServerGroupId")]
    for rule in spec.get("rules") or ():
        for action in rule.get("ruleActions") or ():
            named += [entry.get("serverGroupId") for entry in action.get("serverGroups") or ()]
    return _in_namespace(listener, named)


def _lists(listener: Object) -> Iterable[str]:
    return _in_namespace(listener, (listener.get("spec") or {}).get("aclIds") or ())


def _certificates(listener: Object) -> Iterable[str]:
    spec = listener.get("spec") or {}
    named = [spec.get("serverCertificateId"), spec.get("caCertificateId")]
    named += [one.get("serverCertificateId") for one in spec.get("domainExtensions") or ()]
    for field_name in ("certificateIds", "additionalCertificateIds", "caCertificateIds"):
        named += spec.get(field_name) or ()
    return _in_namespace(listener, named)


def _in_namespace(obj: Object, names: Iterable[str | None]) -> Iterable[str]:
    namespace = obj["metadata"].get("namespace", "")
    return {f"{namespace}/{name}" for name in names if name}


def _balancers(service: Object) -> Iterable[str]:
    key = balancer_of(service)
    return ["/".join(key)] if key is not None else []


def _cache_listeners() -> Cache:
    return resource_cache(
        LISTENER, balancer=_Indexer("loadBalancerId"), group=_groups, acl=_lists, certificate=_certificates
    )


def _cache_groups() -> Cache:
    return resource_cache(
        SERVER_GROUP, balancer=_Indexer("loadBalancerId"), cluster=_Indexer("clusterId"), machine=_machines
    )


@dataclass
class Caches:
    """Everything that the data plane reads.

    Attributes:
        secrets: certificates; looked at from time to time, for a watch would bring the namespace's other Secrets too.
        services: in a cluster, those by which load balancers are dialled; watched on their own, in their namespace.
    """

    balancers: Cache = field(default_factory=lambda: resource_cache(SERVICE_LOAD_BALANCER))
    listeners: Cache = field(default_factory=_cache_listeners)
    groups: Cache = field(default_factory=_cache_groups)
    instances: Cache = field(default_factory=lambda: Cache(INSTANCE))
    clusters: Cache = field(default_factory=lambda: resource_cache(MANAGED_CLUSTER))
    lists: Cache = field(default_factory=lambda: resource_cache(ACCESS_CONTROL_LIST))
    secrets: Cache = field(default_factory=certificate_cache)
    services: Cache = field(default_factory=lambda: Cache(SERVICE, {"balancer": _balancers}))

    def __post_init__(self) -> None:
        self.balancer_view = View(self.balancers, ServiceLoadBalancer)
        self.listener_view = View(self.listeners, Listener)
        self.group_view = View(self.groups, ServerGroup)
        self.cluster_view = View(self.clusters, ManagedCluster)
        self.list_view = View(self.lists, AccessControlList)

    def all(self) -> tuple[Cache, ...]:
        """Every cache that is to be watched in all namespaces."""
        return self.balancers, self.listeners, self.groups, self.instances, self.clusters, self.lists

    def running(self, namespace: str, server_id: str) -> bool:
        """Whether the machine behind a server id is up."""
        instance = self.instances.get(namespace, instance_id(server_id))
        return instance is not None and is_running(instance)


def is_running(instance: Object) -> bool:
    """Whether an Instance answers: one that is being released or was broken by hand doesn't."""
    on = (instance.get("status") or {}).get("phase") == "Running" and not instance["metadata"].get("deletionTimestamp")
    return on and not harms_of(instance) & UNREACHABLE


def referring(cache: Cache, index: str, target: Object) -> list[Object]:
    """The objects that name a target by its name or its cloud id (a Secret: its certificate's)."""
    metadata = target["metadata"]
    names = [f"{metadata.get('namespace', '')}/{metadata['name']}", *cloud_ids(target), *certificate_id(target)]
    return [obj for name in names for obj in cache.by(index, name)]
