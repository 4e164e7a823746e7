"""Takes everything away that belongs to a cluster which is being deleted, whatever of it is left."""

import logging
from collections.abc import Sequence

from ackbox.cloud.clusters.endpoint import name_of
from ackbox.cloud.clusters.tags import CLUSTER_TAG
from ackbox.cloud.reconciling import Cloud, delete_all, deleting, in_parallel, remove_finalizers
from ackbox.kube.client import Object
from ackbox.kube.errors import NotFound
from ackbox.resources import (
    INSTANCE,
    LISTENER,
    NODE_POOL,
    ROUTE_TABLE,
    SERVER_GROUP,
    SERVICE_LOAD_BALANCER,
    ManagedCluster,
)
from ackbox.resources.base import NODE_FINALIZER

logger = logging.getLogger(__name__)

DELETE_MODES = {"SLB": "delete", "ALB": "retain"}


async def remove_contents(cloud: Cloud, cluster: Object) -> dict[str, int]:
    """Delete what belongs to the cluster; how much of each kind is still there."""
    pools, instances = cloud.world.pools_of(cluster), cloud.world.instances_of(cluster)
    groups = groups_of(cloud, cluster)
    own = balancers_of(cloud, cluster)
    balancers = doomed_balancers(ManagedCluster.model_validate(cluster), own)
    listeners = _listeners_of(cloud, cluster, groups, own)
    await delete_all(cloud.client, NODE_POOL, pools)
    await delete_all(cloud.client, INSTANCE, instances)
    await _release_nodes(cloud, instances)
    await _unprotect(cloud, balancers)
    await delete_all(cloud.client, SERVICE_LOAD_BALANCER, balancers)
    await delete_all(cloud.client, LISTENER, listeners)
    await delete_all(cloud.client, SERVER_GROUP, groups)
    await _remove_routes(cloud, cluster["metadata"]["namespace"], {each["metadata"]["name"] for each in instances})
    counts = {
        "node pools": len(pools),
        "instances": len(instances),
        "load balancers": len(balancers),
        "listeners": len(listeners),
        "server groups": len(groups),
    }
    return {kind: count for kind, count in counts.items() if count}


def balancers_of(cloud: Cloud, cluster: Object) -> list[Object]:
    """The load balancers that the cluster's ccm made: they carry the cluster's tag."""
    cluster_id = (cluster.get("status") or {}).get("clusterId")
    every = cloud.world.load_balancers.all(cluster["metadata"]["namespace"])
    return [each for each in every if cluster_id and _tags(each).get(CLUSTER_TAG) == cluster_id]


def doomed_balancers(cluster: ManagedCluster, balancers: Sequence[Object]) -> list[Object]:
    """The load balancers that go with the cluster, by its `deleteOptions`; that of its API server always does.

    Unless the options say otherwise, those of Services (CLB, NLB) are deleted and those of Ingresses (ALB) are retained
    (ACK, DeleteCluster, delete_options). One that is retained keeps its id and addresses; its listeners and server
    groups go, for the servers are gone.
    """
    modes = DELETE_MODES | {option.resource_type: option.delete_mode for option in cluster.spec.delete_options}
    return [
        each
        for each in balancers
        if each["metadata"]["name"] == name_of(cluster) or modes[_resource_type(each)] == "delete"
    ]


def _resource_type(balancer: Object) -> str:
    return "ALB" if (balancer["spec"].get("loadBalancerType") or "clb") == "alb" else "SLB"


def groups_of(cloud: Cloud, cluster: Object) -> list[Object]:
    """The server groups whose backends are the cluster's, on shared load balancers too."""
    return cloud.world.groups_of_cluster(cluster)


def _listeners_of(cloud: Cloud, cluster: Object, groups: list[Object], balancers: list[Object]) -> list[Object]:
    """Those of its server groups and of its load balancers: the ccm may put one back while it hears of the deletion."""
    names = {group["metadata"]["name"] for group in groups}
    names |= {(group.get("status") or {}).get("vServerGroupId") or "" for group in groups}
    every = cloud.world.listeners.all(cluster["metadata"]["namespace"])
    found = [each for each in every if each["spec"].get("vServerGroupId") in names]
    found += [each for balancer in balancers for each in cloud.world.listeners_of(balancer)]
    return list({each["metadata"]["name"]: each for each in found}.values())


def _tags(balancer: Object) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in (balancer.get("spec") or {}).get("tags") or ()}


async def _release_nodes(cloud: Cloud, instances: list[Object]) -> None:
    """The API server goes, so nobody has to take Nodes out of it."""

    async def release(obj: Object) -> None:
        await remove_finalizers(cloud.client, INSTANCE, obj, NODE_FINALIZER)

    await in_parallel(release, [obj for obj in instances if deleting(obj)])


async def _unprotect(cloud: Cloud, balancers: list[Object]) -> None:
    for balancer in balancers:
        if balancer["spec"].get("deleteProtection") == "on" and not deleting(balancer):
            namespace, name = balancer["metadata"]["namespace"], balancer["metadata"]["name"]
            try:
                await cloud.client.patch(SERVICE_LOAD_BALANCER, name, namespace, {"spec": {"deleteProtection": "off"}})
            except NotFound:
                logger.debug("load balancer %s is gone already", name)


async def _remove_routes(cloud: Cloud, namespace: str, instances: set[str]) -> None:
    for table in cloud.world.route_tables.all(namespace):
        entries = table["spec"].get("routeEntries") or []
        kept = [entry for entry in entries if entry["nextHopId"] not in instances]
        if len(kept) < len(entries) and not deleting(table):
            version = {"resourceVersion": table["metadata"]["resourceVersion"]}
            body = {"metadata": version, "spec": {"routeEntries": kept}}
            try:
                await cloud.client.patch(ROUTE_TABLE, table["metadata"]["name"], namespace, body)
            except NotFound:
                logger.debug("route table %s is gone already", table["metadata"]["name"])
