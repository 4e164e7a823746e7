"""Upgrades the nodes of a cluster after its control plane: pool by pool, as many at a time as the pool allows.

A kubelet's version is a field of its Instance; the ccm shows it in the Node. What is under way is told by those two.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ackbox.catalog.versions import KubernetesVersion, offer
from ackbox.cloud.clusters.parts import Outcome
from ackbox.cloud.clusters.upgrade_plan import under_way
from ackbox.cloud.reconciling import Cloud, deleting, in_parallel
from ackbox.cloud.world import label
from ackbox.kube.client import NODE, Client, Object
from ackbox.kube.conditions import Aspect
from ackbox.kube.errors import NotFound
from ackbox.resources import INSTANCE, ManagedCluster, NodePool
from ackbox.resources.base import NODE_POOL_LABEL

LOOK_PERIOD = 0.3
"""Seconds between looks at nodes that are being upgraded."""

NODES_OUTDATED = "NodesOutdated"
MOST_NAMED = 5
"""Nodes that a message names."""


@dataclass(frozen=True)
class Crowd:
    """The machines of a node pool, which are upgraded together.

    Attributes:
        name: of the pool.
        automatic: whether they follow the control plane by themselves.
        max_unavailable: how many at a time.
        outdated: those whose kubelet is older than the control plane.
        unproven: those with the new kubelet that were not yet seen to be well with it.
    """

    name: str
    automatic: bool
    max_unavailable: int
    outdated: tuple[Object, ...]
    unproven: tuple[Object, ...]


def crowds(
    instances: Iterable[Object], pools: Sequence[NodePool], target: KubernetesVersion, proven: Collection[str]
) -> list[Crowd]:
    """The machines of each pool. Pure. The kubelets of masters are upgraded with the API servers on them.

    Args:
        proven: ids of machines that were seen to be well with the target's kubelet.
    """
    by_pool: dict[str | None, list[Object]] = {}
    for obj in sorted(instances, key=lambda each: str(each["metadata"]["name"])):
        if not deleting(obj):
            by_pool.setdefault(label(obj, NODE_POOL_LABEL), []).append(obj)
    found = []
    for pool in pools:
        machines, management = by_pool.get(pool.metadata.name, []), pool.spec.management
        fresh = [each for each in machines if _kubelet(each) == target.name and each["metadata"]["name"] not in proven]
        found.append(
            Crowd(
                name=pool.metadata.name,
                automatic=management.auto_upgrade,
                max_unavailable=management.upgrade_config.max_unavailable,
                outdated=tuple(each for each in machines if _older(each, target)),
                unproven=tuple(fresh),
            )
        )
    return found


def batch(crowd: Crowd, waiting: Collection[str]) -> tuple[Object, ...]:
    """The machines to be upgraded now; `waiting` are those that are not yet well with the new kubelet. Pure."""
    return crowd.outdated[: max(crowd.max_unavailable - len(waiting), 0)] if crowd.automatic else ()


def _kubelet(instance: Object) -> str | None:
    version: str | None = (instance["spec"].get("node") or {}).get("kubeletVersion")
    return version


def _older(instance: Object, target: KubernetesVersion) -> bool:
    version = _kubelet(instance)
    return version is not None and offer().parse(version).order < target.order


def well(node: Object, target: KubernetesVersion) -> bool:
    """Whether a Node is Ready with the kubelet of this version. Pure."""
    status = node.get("status") or {}
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions") or [])
    return ready and (status.get("nodeInfo") or {}).get("kubeletVersion") == f"v{target.name}"


class NodeUpgrades:
    """The part of a cluster that brings its nodes to the version of its control plane."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        # Only spares looking again at nodes that were seen to be well.
        self._proven: dict[str, set[str]] = {}

    async def ensure(self, obj: Object, cluster: ManagedCluster, workload: Client) -> Outcome:
        """See `Part.ensure`."""
        version = cluster.status.current_version
        if version is None or under_way(cluster.status.upgrade):
            self.forget(cluster.metadata.uid)
            return Outcome()
        target, world = offer().parse(version), self._cloud.world
        proven = self._proven.setdefault(cluster.metadata.uid, set())
        pools = [NodePool.model_validate(pool) for pool in world.pools_of(obj)]
        told, busy = [], False
        for crowd in crowds(world.instances_of(obj), pools, target, proven):
            if not crowd.outdated:
                continue
            waiting = await self._waiting(workload, crowd, target, proven) if crowd.automatic else []
            await self._upgrade(batch(crowd, waiting), target)
            told.append(message(crowd, waiting, target))
            busy |= crowd.automatic
        if not told:
            return Outcome(aspects=(Aspect(NODES_OUTDATED, None),))
        reason = "Upgrading" if busy else "AutoUpgradeOff"
        aspect = Aspect(NODES_OUTDATED, "True", reason, "; ".join(told))
        return Outcome(aspects=(aspect,), again=LOOK_PERIOD if busy else None)

    def forget(self, uid: str) -> None:
        """See `Part.forget`."""
        self._proven.pop(uid, None)

    async def _waiting(self, workload: Client, crowd: Crowd, target: KubernetesVersion, proven: set[str]) -> list[str]:
        """The names of the upgraded Nodes that are not yet well."""
        waiting: list[str] = []

        async def look(instance: Object) -> None:
            name = node_name(instance)
            try:
                good = well(await workload.get(NODE, name), target)
            except NotFound:
                good = False
            if good:
                proven.add(instance["metadata"]["name"])
            else:
                waiting.append(name)

        await in_parallel(look, crowd.unproven)
        return sorted(waiting)

    async def _upgrade(self, instances: Iterable[Object], target: KubernetesVersion) -> None:
        async def upgrade(instance: Object) -> None:
            metadata = instance["metadata"]
            patch = {"spec": {"node": {"kubeletVersion": target.name}}}
            await self._cloud.client.patch(INSTANCE, metadata["name"], metadata["namespace"], patch)

        await in_parallel(upgrade, instances)


def node_name(instance: Object) -> str:
    """The name of an Instance's Node."""
    spec = instance["spec"]
    return f"{spec['regionId']}.{spec['vpcAttributes']['privateIpAddress']}"


def message(crowd: Crowd, waiting: Sequence[str], target: KubernetesVersion) -> str:
    """How it stands with the nodes of a pool. Pure."""
    head = f"{crowd.name}: {len(crowd.outdated)} nodes still to be upgraded to {target.name}"
    if not crowd.automatic:
        return f"{head}; spec.management.autoUpgrade of the NodePool is off"
    if not waiting:
        return head
    named = ", ".join(waiting[:MOST_NAMED]) + (", …" if len(waiting) > MOST_NAMED else "")
    return f"{head}; waits for {named} to be Ready with it"
