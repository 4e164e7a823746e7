"""What the cloud side knows: a cache a kind, and the look-ups that several products need."""

from dataclasses import dataclass, field

from ackbox.kube.cache import Cache
from ackbox.kube.client import Object
from ackbox.kube.refs import cloud_ids, resolve, resource_cache
from ackbox.resources import (
    ACCESS_CONTROL_LIST,
    ACCOUNT,
    CLOUD_QUOTA,
    CLUSTER_USER,
    ELASTIC_IP_ADDRESS,
    INSTANCE,
    LISTENER,
    MANAGED_CLUSTER,
    NODE_POOL,
    ROUTE_TABLE,
    SERVER_GROUP,
    SERVICE_LOAD_BALANCER,
    VPC,
)
from ackbox.resources.base import CLUSTER_LABEL, NODE_POOL_LABEL

BY_CLUSTER = "cluster"
BY_POOL = "pool"
BY_LOAD_BALANCER = "load-balancer"
BY_VPC = "vpc"


def scoped(obj: Object, value: str | None) -> list[str]:
    """An index entry of an object's namespace; nothing for no value."""
    return [f"{obj['metadata'].get('namespace', '')}/{value}"] if value else []


def label(obj: Object, name: str) -> str | None:
    """A label's value."""
    value: str | None = (obj["metadata"].get("labels") or {}).get(name)
    return value


@dataclass(frozen=True)
class SpecField:
    """An indexer that files an object under a field of its spec."""

    field_name: str

    def __call__(self, obj: Object) -> list[str]:
        """The index entries of an object."""
        return scoped(obj, (obj.get("spec") or {}).get(self.field_name))


def _instances() -> Cache:
    return resource_cache(
        INSTANCE,
        **{
            BY_CLUSTER: lambda obj: scoped(obj, label(obj, CLUSTER_LABEL)),
            BY_POOL: lambda obj: scoped(obj, label(obj, NODE_POOL_LABEL)),
            BY_VPC: lambda obj: scoped(obj, obj["spec"]["vpcAttributes"]["vpcId"]),
        },
    )


@dataclass
class World:
    """The caches of the cloud side."""

    clusters: Cache = field(default_factory=lambda: resource_cache(MANAGED_CLUSTER, **{BY_VPC: SpecField("vpcId")}))
    node_pools: Cache = field(default_factory=lambda: resource_cache(NODE_POOL, **{BY_CLUSTER: SpecField("clusterId")}))
    instances: Cache = field(default_factory=_instances)
    load_balancers: Cache = field(default_factory=lambda: resource_cache(SERVICE_LOAD_BALANCER))
    listeners: Cache = field(
        default_factory=lambda: resource_cache(LISTENER, **{BY_LOAD_BALANCER: SpecField("loadBalancerId")})
    )
    server_groups: Cache = field(
        default_factory=lambda: resource_cache(
            SERVER_GROUP, **{BY_LOAD_BALANCER: SpecField("loadBalancerId"), BY_CLUSTER: SpecField("clusterId")}
        )
    )
    vpcs: Cache = field(default_factory=lambda: resource_cache(VPC))
    route_tables: Cache = field(default_factory=lambda: resource_cache(ROUTE_TABLE))
    cloud_quotas: Cache = field(default_factory=lambda: resource_cache(CLOUD_QUOTA))
    accounts: Cache = field(default_factory=lambda: resource_cache(ACCOUNT))
    cluster_users: Cache = field(
        default_factory=lambda: resource_cache(CLUSTER_USER, **{BY_CLUSTER: SpecField("clusterId")})
    )
    elastic_ip_addresses: Cache = field(default_factory=lambda: resource_cache(ELASTIC_IP_ADDRESS))
    access_control_lists: Cache = field(default_factory=lambda: resource_cache(ACCESS_CONTROL_LIST))

    def caches(self) -> list[Cache]:
        """Every cache, to be watched."""
        return list(vars(self).values())

    def cluster(self, namespace: str, reference: str | None) -> Object | None:
        """The cluster that a reference names."""
        return resolve(self.clusters, namespace, reference)

    def pools_of(self, cluster: Object) -> list[Object]:
        """The node pools of a cluster, named by its name or id."""
        return _referring(self.node_pools, BY_CLUSTER, cluster)

    def users_of(self, cluster: Object) -> list[Object]:
        """The sub-accounts with access to a cluster."""
        return _referring(self.cluster_users, BY_CLUSTER, cluster)

    def groups_of_cluster(self, cluster: Object) -> list[Object]:
        """The server groups whose backends are a cluster's."""
        return _referring(self.server_groups, BY_CLUSTER, cluster)

    def instances_of(self, cluster: Object) -> list[Object]:
        """The machines of a cluster."""
        return _referring(self.instances, BY_CLUSTER, cluster)

    def listeners_of(self, load_balancer: Object) -> list[Object]:
        """The listeners of a load balancer."""
        return _referring(self.listeners, BY_LOAD_BALANCER, load_balancer)

    def server_groups_of(self, load_balancer: Object) -> list[Object]:
        """The server groups of a load balancer."""
        return _referring(self.server_groups, BY_LOAD_BALANCER, load_balancer)

    def clusters_in(self, vpc: Object) -> list[Object]:
        """The clusters that a VPC carries."""
        return _referring(self.clusters, BY_VPC, vpc)

    def instances_in(self, vpc: Object) -> list[Object]:
        """The machines that a VPC carries."""
        return _referring(self.instances, BY_VPC, vpc)


def _referring(cache: Cache, index: str, target: Object) -> list[Object]:
    """The objects that name `target` by its name or its cloud id, each once."""
    names = scoped(target, target["metadata"]["name"]) + cloud_ids(target)
    return list({id(obj): obj for name in names for obj in cache.by(index, name)}.values())
