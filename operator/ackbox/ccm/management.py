"""The management cluster as the CCMs see it: the kinds they read, and how they look things up."""

from collections.abc import Iterable

from ackbox.catalog.quotas import QuotaName, quotas
from ackbox.ccm.services.names import MARK_TAG, Owner, parse_name
from ackbox.ccm.store import Store
from ackbox.kube.cache import Cache
from ackbox.kube.client import Client, Object
from ackbox.kube.refs import resolve, resource_cache
from ackbox.resources import (
    CLOUD_QUOTA,
    INSTANCE,
    LISTENER,
    MANAGED_CLUSTER,
    ROUTE_TABLE,
    SERVER_GROUP,
    SERVICE_LOAD_BALANCER,
    VPC,
    Kind,
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
            resource_cache(LISTENER, owner=_by_description),
            resource_cache(SERVER_GROUP, owner=_by_group_name, servers=_by_servers),
        ],
    )


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


def quota(store: Store, namespace: str, name: QuotaName) -> int:
    """The limit that admission goes by: what the CloudQuota raises or lowers, else the default."""
    obj = store[CLOUD_QUOTA].get(namespace, QUOTA_NAME) or {}
    return int(((obj.get("spec") or {}).get("hard") or {}).get(name, quotas()[name].hard))


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
