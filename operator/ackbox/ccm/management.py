"""The management cluster as the CCMs see it: the kinds they read, and how they look things up."""

from collections.abc import Iterable

from ackbox.catalog.quotas import QuotaName, limit
from ackbox.ccm.certificates import certificate_cache
from ackbox.ccm.ingress.names import OWNER_LABEL
from ackbox.ccm.services.names import MARK_TAG, Owner, parse_name
from ackbox.ccm.store import Store
from ackbox.kube.cache import Cache
from ackbox.kube.client import SECRET, Client, Object
from ackbox.kube.refs import resolve, resource_cache
from ackbox.resources import (
    ACCESS_CONTROL_LIST,
    CLOUD_QUOTA,
    INSTANCE,
    LISTENER,
    MANAGED_CLUSTER,
    ROUTE_TABLE,
    SERVER_GROUP,
    SERVICE_LOAD_BALANCER,
    VPC,
    Kind,
    ServiceLoadBalancer,
)
from ackbox.resources.base import CLUSTER_LABEL
from ackbox.resources.cloudquota import QUOTA_NAME


def management_store(client: Client) -> Store:
    """Caches of all kinds that a CCM reads."""
    return Store(
        client,
        [
            resource_cache(MANAGED_CLUSTER),
            resource_cache(VPC),
            resource_cache(CLOUD_QUOTA),
            resource_cache(ROUTE_TABLE, vpc=_by_vpc),
            resource_cache(INSTANCE, cluster=_by_cluster),
            resource_cache(SERVICE_LOAD_BALANCER, mark=_by_mark),
            resource_cache(LISTENER, owner=_by_description, config=_by_config, balancer=_by_balancer),
            resource_cache(SERVER_GROUP, owner=_by_group_name, servers=_by_servers, config=_by_config),
            resource_cache(ACCESS_CONTROL_LIST),
            certificate_cache(),
        ],
    )


def watched(management: Store) -> list[Cache]:
    """The caches that a watch fills: all but that of Secrets, of which only certificates are for us."""
    return [cache for kind, cache in management.caches.items() if kind != SECRET]


def cluster_of(instance: Object) -> str | None:
    """The name of the ManagedCluster that an Instance belongs to."""
    labels = instance["metadata"].get("labels") or {}
    name: str | None = labels.get(CLUSTER_LABEL) or instance["spec"].get("clusterId")
    return name


def owner_key(namespace: str, owner: Owner) -> str:
    """The index value of what a Service owns in a namespace."""
    return f"{namespace}/{owner.cluster_id}/{owner}"


def owned(store: Store, kind: Kind, namespace: str, owner: Owner) -> list[Object]:
    """The listeners or server groups whose names say that they are a Service's."""
    return store[kind].by("owner", owner_key(namespace, owner))


def marked(store: Store, kind: Kind, namespace: str, mark: str) -> list[Object]:
    """The listeners or server groups that were made for an AlbConfig."""
    return store[kind].by("config", f"{namespace}/{mark}")


def listeners_on(store: Store, namespace: str, load_balancer: ServiceLoadBalancer) -> list[Object]:
    """All listeners on a load balancer, whoever made them."""
    names = {load_balancer.metadata.name, load_balancer.status.load_balancer_id}
    return [obj for name in names if name for obj in store[LISTENER].by("balancer", f"{namespace}/{name}")]


def quota(store: Store, namespace: str, name: QuotaName) -> int:
    """The limit that admission goes by: what the CloudQuota raises or lowers, else the default."""
    obj = store[CLOUD_QUOTA].get(namespace, QUOTA_NAME) or {}
    return limit((obj.get("spec") or {}).get("hard") or {}, name)


def same_vpc(cache: Cache, namespace: str, left: str | None, right: str | None) -> bool:
    """Whether two references mean the same VPC."""
    one, other = resolve(cache, namespace, left), resolve(cache, namespace, right)
    return left == right if one is None or other is None else one is other


def _by_cluster(instance: Object) -> Iterable[str]:
    cluster = cluster_of(instance)
    return [f"{instance['metadata']['namespace']}/{cluster}"] if cluster else []


def _by_vpc(table: Object) -> Iterable[str]:
    return [f"{table['metadata']['namespace']}/{table['spec']['vpcId']}"]


def _by_mark(load_balancer: Object) -> Iterable[str]:
    tags = load_balancer.get("spec", {}).get("tags") or []
    namespace = load_balancer["metadata"]["namespace"]
    return [f"{namespace}/{tag.get('value')}" for tag in tags if tag["key"] == MARK_TAG]


def _by_config(obj: Object) -> Iterable[str]:
    mark = (obj["metadata"].get("labels") or {}).get(OWNER_LABEL)
    return [f"{obj['metadata']['namespace']}/{mark}"] if mark else []


def _by_balancer(listener: Object) -> Iterable[str]:
    return [f"{listener['metadata']['namespace']}/{listener['spec']['loadBalancerId']}"]


def _by_description(listener: Object) -> Iterable[str]:
    return _by_name(listener, listener["spec"].get("description"))


def _by_group_name(group: Object) -> Iterable[str]:
    return _by_name(group, group["spec"].get("vServerGroupName"))


def _by_name(obj: Object, text: str | None) -> Iterable[str]:
    name = parse_name(text)
    return [owner_key(obj["metadata"]["namespace"], name.owner)] if name else []


def _by_servers(group: Object) -> Iterable[str]:
    """Services with servers in a user's own group; the CCM's groups are found by their names."""
    if parse_name(group["spec"].get("vServerGroupName")):
        return []
    names = {server.get("description") for server in group["spec"].get("backendServers") or []}
    return {owner_key(group["metadata"]["namespace"], name.owner) for name in map(parse_name, names) if name}
