"""What admission has to know of clusters and node pools, as status fields of a CloudQuota. Pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ackbox.catalog.instance_types import vcpus
from ackbox.catalog.quotas import QuotaName, key
from ackbox.catalog.regions import edition
from ackbox.cloud.allocation.quota import SPOT, SUBSCRIPTION, charge
from ackbox.cloud.quotas.plan import Account, references
from ackbox.kube.client import Object
from ackbox.resources import ManagedCluster, NodePool
from ackbox.resources.cloudquota import ClusterUse, PoolUse

DEDICATED_MASTERS = 3
"""Masters of a dedicated cluster that names no number."""


def admission_fields(account: Account, counted: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """The fields `clusters`, `nodePools` and `asked`; `counted` is what is used."""
    clusters = [ManagedCluster.model_validate(obj) for obj in account.clusters]
    pools = [NodePool.model_validate(obj) for obj in account.node_pools]
    names = {reference: obj["metadata"]["name"] for obj in account.clusters for reference in references(obj)}
    told: dict[str, Object] = {}
    for cluster, obj in zip(clusters, account.clusters, strict=True):
        of = [pool for pool in pools if names.get(pool.spec.cluster_id) == cluster.metadata.name]
        use = ClusterUse(
            edition=edition(cluster.spec).value,
            region_id=cluster.spec.region_id,
            node_pools=sum(pool.status.nodepool_id is not None for pool in of),
            nodes=_masters(cluster) + sum(pool.spec.scaling_group.desired_size for pool in of if not pool.deleting),
        )
        told |= dict.fromkeys(references(obj), use.wire())
    known = {pool.metadata.name: pool for pool in pools if pool.spec.cluster_id in names}
    uses = {name: _pool_use(pool, names[pool.spec.cluster_id]) for name, pool in known.items()}
    held = Counter(entry.get("nodePool") for entry in account.machines())
    asked: Counter[str] = Counter()
    for name, each in uses.items():
        if each.quota:
            figure = key(QuotaName(each.quota), told[each.cluster]["regionId"])
            waiting = known[name].spec.scaling_group.desired_size - held[name]
            asked[figure] += max(0, waiting) * each.vcpus
    return {
        "clusters": told,
        "nodePools": {name: each.wire() for name, each in uses.items()},
        "asked": {figure: counted.get(figure, 0) + waiting for figure, waiting in asked.items()},
    }


def _masters(cluster: ManagedCluster) -> int:
    if cluster.spec.cluster_type != "Kubernetes":
        return 0
    return cluster.spec.control_plane_config.size if cluster.spec.control_plane_config else DEDICATED_MASTERS


def _pool_use(pool: NodePool, cluster: str) -> PoolUse:
    group = pool.spec.scaling_group
    paid = charge(group.instance_charge_type, group.spot_strategy)
    quota = {SPOT: QuotaName.SPOT_VCPUS.value, SUBSCRIPTION: ""}.get(paid, QuotaName.VCPUS.value)
    return PoolUse(cluster=cluster, vcpus=min(map(vcpus, group.instance_types)), quota=quota)
